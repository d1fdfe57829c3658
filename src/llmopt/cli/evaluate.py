"""`llmopt eval ...`: asks a model what it understands, before anything goes by that."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigurationError
from .models import installed, what_went_wrong

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from ..evaluation import Answer, Asking, Report

__all__ = ["evaluate"]

FILE = click.Path(dir_okay=False, path_type=Path)
STDOUT = Path("-")
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
WAITING = b"\nWaiting for the calls under way; Ctrl-C again leaves them.\n"


@click.group("eval")
def evaluate() -> None:
    """Ask a model what it understands."""


@evaluate.command()
@click.option("-m", "--model", "name", metavar="MODEL", required=True, help="The llm model to ask.")
@click.option("--profiles", default="safe,balanced,dense", show_default=True, help="What to compare.")
@click.option("--data", type=FILE, multiple=True, help="JSON or .jsonl to ask about; may be repeated.")
@click.option("--questions", type=int, default=100, show_default=True, help="How many questions.")
@click.option("--seed", type=int, default=7, show_default=True, help="What they are drawn with.")
@click.option("--concurrency", type=int, default=4, show_default=True, help="Calls under way at a time.")
@click.option(
    "--json", "json_to", type=FILE, is_flag=False, flag_value="-", help="Write JSON, to FILE if one is named."
)
@click.option("--save/--no-save", default=True, help='Keep the choice for Compress("auto").  [default: save]')
@click.option("-y", "--yes", is_flag=True, help="Do not ask before spending.")
def compress(
    *,
    name: str,
    profiles: str,
    data: tuple[Path, ...],
    questions: int,
    seed: int,
    concurrency: int,
    json_to: Path | None,
    save: bool,
    yes: bool,
) -> None:
    """Compare the encodings of Compress with JSON, by questions with exact answers.

    Each question is asked about JSON, indented and compact, and about the text of each profile. What is
    chosen is the cheapest profile that is not less accurate than compact JSON. Without --data, questions are
    about the battles of the demo: data of yours say more. MODEL is asked with retries and logged; opt/MODEL
    from the cache as well, so that a run that was cut short goes on where it was.
    """
    from ..compress.choice import choices
    from ..evaluation import ask, exam_of, report_of
    from ..evaluation.text import announced

    model = _logged(installed(name))
    chosen = [profile.strip() for profile in profiles.split(",") if profile.strip()]
    exam = exam_of(list(_values(data)), model.model_id, profiles=chosen, count=questions, seed=seed)
    asking = ask(model, exam, concurrency=concurrency)
    if save:
        choices()  # a file that is damaged is to be known of before money is spent
    click.echo(announced(exam, model.model_id, questions), err=True)
    if not yes:
        click.confirm("Ask?", abort=True, err=True)
    if json_to not in (None, STDOUT):
        _write(json_to, "", "a")  # whether that can be done is to be known too
    calls = len(list(exam.jobs))
    answers, error = _asked(asking, calls)
    report = report_of(exam, answers, model.model_id)
    if answers:
        _show(report, json_to)
    if error is not None:
        _end(error, model, f"after {len(answers)} of {calls} calls")
    elif save:
        click.echo(_kept(report), err=json_to == STDOUT)


def _logged(model: Any) -> Any:
    """Return the model as it is to be asked; one that is wrapped keeps its own stack."""
    from ..middleware.retry import Retry
    from ..middleware.usage_log import UsageLog
    from ..wrapping import unwrap, wrap

    if unwrap(model) is not model:
        return model
    return wrap(model, UsageLog(role="evaluation"), Retry())


def _values(files: Sequence[Path]) -> Iterator[Any]:
    """Yield what is asked about: JSON from files, or the battles of the demo."""
    if not files:
        from ..demo.world import battle, snapshot

        worlds = [battle(6, seed) for seed in range(3)]
        yield from ([snapshot(world, agent) for agent in world.agents] for world in worlds)
    for path in files:
        try:
            text = path.read_text(encoding="utf-8-sig")
            lines = path.suffix.lower() in {".jsonl", ".ndjson"}
            for part in filter(str.strip, text.splitlines()) if lines else [text]:
                yield json.loads(part)
        except OSError as error:
            raise ConfigurationError(f"--data {path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"--data {path} is no JSON: {error}") from error


def _asked(asking: Asking, calls: int) -> tuple[list[Answer], BaseException | None]:
    """Return the answers, and what has ended the run before its end."""
    answers: list[Answer] = []
    bar: Any = click.progressbar(length=calls, label="Asking", file=sys.stderr)
    try:
        with _stopped_by_ctrl_c(asking) as interrupts, bar:
            for answer in asking:
                answers.append(answer)
                bar.update(1)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever a model or its SDK raises
        return answers, error
    return answers, KeyboardInterrupt() if interrupts and len(answers) < calls else None


@contextmanager
def _stopped_by_ctrl_c(asking: Asking) -> Generator[list[int], None, None]:
    """Let the first Ctrl-C begin no more calls, and lose none; the next one is as any Ctrl-C."""
    interrupts: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        interrupts.append(number)
        asking.stop()
        os.write(2, WAITING)  # a stream might be interrupted in the middle of a line

    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _show(report: Report, json_to: Path | None) -> None:
    """Print a report, be it of all or some."""
    text = "" if json_to is None else json.dumps(report.to_dict(), indent=2)
    if json_to == STDOUT:
        click.echo(text)
        return
    click.echo(str(report))
    if json_to is not None:
        _write(json_to, text + "\n", "w")


def _write(path: Path | None, text: str, mode: str) -> None:
    try:
        with Path(path or "").open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"--json {path} cannot be written: {error.strerror}") from error


def _end(error: BaseException, model: Any, after: str) -> None:
    """End the command for what has ended the run."""
    if not isinstance(error, Exception):
        click.echo(f"Interrupted {after}. Nothing is saved.", err=True)
        click.get_current_context().exit(INTERRUPTED)
    said = what_went_wrong(error, model)
    raise click.ClickException(f"{model.model_id} does not answer {after}: {said}. Nothing is saved.")


def _kept(report: Report) -> str:
    """Keep the choice, if there is one, and say what `Compress("auto")` makes of that."""
    from ..compress.choice import DEFAULT, choices
    from ..evaluation import save

    if report.choice is not None:
        path = save(report)
        return f'Saved: Compress("auto") uses {report.choice} for {report.model_id}.\n{path}'
    known = choices().get(report.model_id)
    used = f"{DEFAULT}, as for any model" if known is None else f"{known.profile}, as it was saved before"
    return f'Nothing is saved. Compress("auto") would use {used}.'
