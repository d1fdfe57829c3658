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
from .log import log
from .models import installed, what_went_wrong
from .report import report
from .values import FILE

if TYPE_CHECKING:
    from ..demo.play import Demo, Played
    from ..demo.run import Watch
    from ..types import Store

__all__ = ["main"]


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
main.add_command(log)
main.add_command(report)

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
