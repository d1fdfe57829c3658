"""The command `llmopt`, which is `llm opt` as well.

Only click is imported before a command runs. What llmopt raises ends in one line and exit code 1.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import LLMOptError
from .evaluate import evaluate
from .models import installed, what_went_wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..demo.play import Demo, Played
    from ..demo.run import Watch
    from ..types import Store

__all__ = ["main"]

FILE = click.Path(dir_okay=False, path_type=Path)


class OneLineErrors(click.Group):
    """A group whose commands end in one line when llmopt raises an error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LLMOptError as error:
            raise click.ClickException(str(error)) from error


def _print_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:  # noqa: FBT001
    if not asked or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"llmopt, version {version('llmopt')}")
    except PackageNotFoundError as error:
        raise click.ClickException("llmopt has no version here: it is not installed") from error
    ctx.exit()


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Make every call of llm cheaper, faster and visible."""


main.add_command(evaluate)

# demo


@main.command()
@click.option("-m", "--model", metavar="MODEL", help="Ask this installed llm model, not a simulated one.")
@click.option(
    "--agents", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many agents."
)
@click.option("--seed", type=int, default=7, show_default=True, help="What the world is made from.")
@click.option("--log", type=FILE, help="Usage log to write to, if not the one in llm's folder.")
@click.option("--explain", is_flag=True, help="Print the first prompt and its tokens by part; ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print plans and figures as JSON.")
def demo(
    model: str | None, agents: int, seed: int, log: Path | None, *, explain: bool, as_json: bool
) -> None:
    """Plan for ten game agents, and see what llmopt does about it.

    Needs no key and no network: unless a model is named, a simulated one answers.
    """
    from ..demo.play import Demo
    from ..demo.screen import WIDTH, Screen, Silent
    from ..demo.summary import closing, introduction, values
    from ..usage.database import default_path

    shown = Demo(_model(model), log.absolute() if log else default_path(), agents, seed)
    if explain:
        explained = shown.explain()
        click.echo(f"{explained}\n\n{explained.prompt}")
        return
    if as_json:
        click.echo(json.dumps(values(shown, _run(shown, Silent())), indent=2))
        return
    width = min(WIDTH, shutil.get_terminal_size().columns - 1)
    screen = Screen(sys.stdout, shown.model, width)
    screen.say("\n".join(introduction(shown)))
    screen.say("\n".join(closing(shown, _run(shown, screen))))


def _model(name: str | None) -> Any:
    if name is None:
        from ..demo.model import SimulatedModel

        return SimulatedModel(mistakes=1)
    from ..wrapping import unwrap

    return unwrap(installed(name))


def _run(shown: Demo, watch: Watch) -> Played:
    try:
        return shown.run(watch)
    except LLMOptError:
        raise
    except Exception as error:  # whatever a model or its provider's SDK raises
        said = what_went_wrong(error, shown.model)
        raise click.ClickException(f"{shown.model.model_id} does not answer: {said}") from error


# log


@main.group(invoke_without_command=True)
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="How many calls.")
@click.option("--db", type=FILE, help="Usage log to read, if not the one in llm's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print all columns as JSON.")
@click.pass_context
def log(ctx: click.Context, count: int, db: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """List the last calls in the usage log, the newest at the end."""
    if ctx.invoked_subcommand is not None:
        return
    from ..usage import open as open_log

    query = "SELECT * FROM (SELECT *, rowid FROM calls ORDER BY started_at DESC, rowid DESC LIMIT ?)"
    database: Any = open_log(db)  # sqlite-utils says less of its rows than is known here
    ctx.call_on_close(database.close)
    calls = list(database.query(f"{query} ORDER BY started_at, rowid", [count]))
    if as_json:
        click.echo(json.dumps([{k: v for k, v in call.items() if k != "rowid"} for call in calls], indent=2))
    elif calls:
        click.echo(_table_of_calls(calls))
    else:
        click.echo("No calls yet.")


@log.command()
def schema() -> None:
    """List the tables and views of the usage log, and what each column holds."""
    from ..text import aligned
    from ..usage.schema import describe

    for relation in describe():
        click.echo(f"{relation.name} ({'view' if relation.view else 'table'}): {relation.description}")
        rows = [("", column.name, column.description) for column in relation.columns]
        click.echo(aligned(rows, left=3) + "\n")


def _table_of_calls(calls: Sequence[Mapping[str, Any]]) -> str:
    from ..text import aligned, printable

    days = {call["started_at"][:10] for call in calls}
    start = 11 if len(days) == 1 else 5
    head = ["time", "model", "role", "status", "cache", "in", "out", "ttft", "total"]
    rows = [[call["started_at"][start:19].replace("T", " "), *_cells(call)] for call in calls]
    if any(call["cost_usd_nano"] is not None for call in calls):
        head.append("usd")
        for row, call in zip(rows, calls, strict=True):
            row.append(_or_dash(call["cost_usd_nano"], lambda nano: f"{nano / 1e9:.6f}"))
    rows = _fitting([[printable(cell) for cell in row] for row in (head, *rows)])
    return f"{aligned(rows, left=5)}\n\nTimes are UTC, {' to '.join(sorted({min(days), max(days)}))}."


def _fitting(rows: list[list[str]]) -> list[list[str]]:
    """Return rows that fit into the terminal, if this is one: the models' names are cut."""
    from ..text import cut

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    too_wide = sum(widths) + 2 * (len(widths) - 1) - shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or too_wide <= 0:
        return rows
    return [[time, cut(model, max(8, widths[1] - too_wide)), *others] for time, model, *others in rows]


def _cells(call: Mapping[str, Any]) -> list[str]:
    def ms(value: float) -> str:
        return f"{value:.0f}ms" if value < 10_000 else f"{value / 1000:.1f}s"  # noqa: PLR2004 - five columns

    return [
        call["model_resolved"] or call["model_requested"],
        call["role"] or "-",
        call["status"],
        call["cache_outcome"] or "-",
        _or_dash(call["input_tokens"], str),
        _or_dash(call["output_tokens"], str),
        _or_dash(call["ttft_ms"], ms),
        ms(call["duration_ms"]),
    ]


def _or_dash(value: Any, show: Callable[[Any], str]) -> str:
    return "-" if value is None else show(value)


# cache


@main.group()
def cache() -> None:
    """Look at or empty the cache of the models under opt/."""


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="Print the counters as JSON.")
def stats(as_json: bool) -> None:  # noqa: FBT001
    """Show what the cache holds."""
    path, store = _store()
    counters = dict(store.stats()) if store else {"entries": 0, "bytes": 0, "evictions": 0}
    if as_json:
        click.echo(json.dumps({"path": str(path), **counters}, indent=2))
        return
    from ..text import aligned

    click.echo(f"{path}" + ("" if store else " (not there yet)"))
    click.echo(aligned([(name, f"{value:,}") for name, value in counters.items()]))


@cache.command()
def clear() -> None:
    """Forget everything."""
    path, store = _store()
    entries = store.stats()["entries"] if store else 0
    if store:
        store.clear()
    click.echo(f"{entries} entries removed from {path}")


def _store() -> tuple[Path, Store | None]:
    """Return where the cache of the plugin lies, and the cache itself if it is there."""
    from ..plugin import cache_path

    path = cache_path()
    if not path.exists():
        return path, None
    from ..cache.sqlite import SQLiteStore

    store = SQLiteStore(path)
    click.get_current_context().call_on_close(store.close)
    return path, store
