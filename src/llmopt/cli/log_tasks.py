"""`llmopt log prune | reprice | doctor`."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ..errors import ConfigurationError
from ..text import encodable, printable
from .tables import say, terminal_width
from .values import FILE, database, moment, size

if TYPE_CHECKING:
    from ..usage.doctor import Finding

__all__ = ["doctor", "prune", "reprice"]

DAYS = click.FloatRange(0, min_open=True)

TURN_S = 1.0
"""How long the log is pruned before others may write to it."""


# prune


@click.command()
@click.option(
    "--keep-days", type=DAYS, metavar="DAYS", help="Remove calls that are older, all but their sums."
)
@click.option("--keep-content-days", type=DAYS, metavar="DAYS", help="Remove texts that are older.")
@click.option(
    "--max-bytes", type=size, metavar="SIZE", help="Remove the oldest calls until it is smaller: 500MB."
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON.")
@database
def prune(
    *,
    keep_days: float | None,
    keep_content_days: float | None,
    max_bytes: int | None,
    dry_run: bool,
    as_json: bool,
    db: Path | None,
) -> None:
    """Remove what is old; the sums of each day are kept."""
    bounds = (keep_days, keep_content_days, max_bytes)
    if bounds == (None, None, None):
        raise click.UsageError("say what to keep: --keep-days, --keep-content-days or --max-bytes")
    from ..usage.doctor import bytes_text
    from ..usage.retention import Pruned
    from ..usage.retention import prune as remove
    from ..usage.upkeep import rehearsing, writing

    path, pruned = _drained(db), Pruned(finished=False)
    while not pruned.finished:  # with breaks, in which others write
        with (rehearsing if dry_run else writing)(path) as connection:
            pruned = pruned.plus(remove(connection, *bounds, limit_s=None if dry_run else TURN_S))
    if as_json:
        removed = {name: value for name, value in pruned._asdict().items() if name != "finished"}
        click.echo(json.dumps({**removed, "dry_run": dry_run}))
        return
    verb, freed = "Would remove" if dry_run else "Removed", bytes_text(pruned.bytes_freed)
    say(f"{verb} {pruned.calls} calls, and {pruned.contents} texts of others; {freed} freed.")


def _drained(db: Path | None) -> str:
    """Return where a log is that is there, when all that was in the spool is in it."""
    from ..usage import open as open_log
    from ..usage.registry import resolve

    open_log(db).close()
    return resolve(db)


# reprice


@click.command()
@click.option("--since", type=moment, metavar="TIME", help="Only calls since then: 1h, 7d or a date.")
@click.option("-m", "--model", help="Only those of this model.")
@click.option(
    "--prices",
    type=FILE,
    metavar="FILE",
    help="Your own prices, as JSON or TOML: dollars per million tokens.",
)
@click.option("--json", "as_json", is_flag=True, help="Print how many rows have changed as JSON.")
@database
def reprice(
    *, since: str | None, model: str | None, prices: Path | None, as_json: bool, db: Path | None
) -> None:
    """Reckon costs anew, with the prices that are known now."""
    from ..usage.prices import Pricing
    from ..usage.prices import reprice as reckon
    from ..usage.upkeep import writing

    pricing = Pricing(_prices_in(prices) if prices else None, owner=f"--prices {prices}")
    with writing(_drained(db)) as connection:
        changed = reckon(connection, since=since, model=model, pricing=pricing)
    if as_json:
        click.echo(json.dumps({"changed": changed}))
    else:
        say(f"{changed} calls and attempts have another cost or price now.")


def _prices_in(path: Path) -> Any:
    """Return what a JSON or TOML file says.

    Raises:
        ConfigurationError: it cannot be read, or holds no prices by model.
    """
    import tomllib

    try:
        text = path.read_text(encoding="utf-8-sig")
        prices = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigurationError(f"--prices {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"--prices {path} is neither JSON nor, as FILE.toml, TOML: {error}"
        ) from error
    if not isinstance(prices, dict):
        raise ConfigurationError(f"--prices {path} must be prices by model id, as an object")
    return cast("dict[str, Any]", prices)


# doctor


@click.command()
@click.option("--repair", "mend", is_flag=True, help="Mend what can be mended; nothing is deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@database
@click.pass_context
def doctor(ctx: click.Context, *, mend: bool, as_json: bool, db: Path | None) -> None:
    """Examine the log's file, its spool and what is in it; exit code 1 says that something is bad."""
    from ..usage.doctor import examine
    from ..usage.repair import repair

    done = repair(db) if mend else []
    found = examine(db)
    if as_json:
        click.echo(
            json.dumps({"repaired": done, "findings": [asdict(finding) for finding in found]}, indent=2)
        )
    else:
        for line in done:
            say(line)
        for finding in found:
            _report(finding)
    ctx.exit(1 if any(finding.state == "bad" for finding in found) else 0)


def _report(finding: Finding) -> None:
    """Print a finding, in colour if this is a terminal."""
    label = click.style(f"{finding.state:<5}", fg=COLOURS[finding.state])
    width = min(80, terminal_width() or 80) - len(INDENT)
    lines = textwrap.wrap(printable(finding.says), width, break_on_hyphens=False)
    if finding.remedy:
        lines += textwrap.wrap(f"-> {printable(finding.remedy)}", width, break_on_hyphens=False)
    for number, line in enumerate(lines):
        click.echo(f"{INDENT if number else f'{label}{finding.name:<13}'}{encodable(line, sys.stdout)}")


INDENT = " " * 18
COLOURS = {"ok": "green", "warn": "yellow", "bad": "red"}
