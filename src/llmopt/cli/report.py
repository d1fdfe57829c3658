"""`llmopt report`: what the usage log says."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .values import FILE, database

if TYPE_CHECKING:
    from ..report import Report

__all__ = ["report"]

WIDEST = 100
"""Columns beyond which sentences are hard to read."""


@click.command()
@database
@click.option("--since", metavar="TIME", help="Calls from then on: 24h, 7d, 2026-11-01.")
@click.option("--until", metavar="TIME", help="Calls before then.")
@click.option(
    "--by",
    type=click.Choice(["model", "role", "agent", "day"]),
    default="model",
    show_default=True,
    help="What the figures are grouped by.",
)
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Two sides: 7d, 2026-11-01..2026-11-07, before:2026-11-10, last-week, role:NAME, tag:NAME=VALUE.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option("--html", type=FILE, help="Write a page to this file.")
def report(
    *,
    db: Path | None,
    since: str | None,
    until: str | None,
    by: str,
    compare: tuple[str, str] | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Say what the calls have cost, what was saved, what is slow, and what to change.

    Times are UTC. With --compare, the second side is judged beside the first: measure, change something, and
    measure again.
    """
    from ..report import report_of

    made = report_of(db, since=since, until=until, by=by, compare=compare)
    if html is not None:
        _write(made, html)
        click.echo(f"The report is in {html}", err=True)
    if as_json:
        click.echo(json.dumps(made.to_dict(), indent=2))
    elif html is None:
        _show(made)


def _write(made: Report, path: Path) -> None:
    from ..report.html import page

    try:
        path.write_text(page(made), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from error


def _show(made: Report) -> None:
    from ..report.bars import can_show
    from ..report.text import WIDTH, written
    from ..text import encodable

    is_terminal, plain = sys.stdout.isatty(), not can_show(sys.stdout.encoding)
    if is_terminal and not plain and find_spec("rich"):
        from ..report.rich_text import show

        show(made)
        return
    width = min(WIDEST, shutil.get_terminal_size().columns) if is_terminal else WIDTH
    click.echo(encodable(written(made, width, plain=plain), sys.stdout))
