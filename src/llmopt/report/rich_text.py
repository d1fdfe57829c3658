"""A report on a terminal with colours, by the package `rich` (extra `report`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..text import printable
from .document import Block, Heading, Items, Lines, Table
from .said import said
from .types import Report

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["show"]

_STYLES: Final = {"better": "green", "worse": "red", "unknown": "yellow", "error": "red"}
"""Styles of cells by what they say: the words alone say it as well."""


def show(report: Report, console: Console | None = None) -> None:
    """Print a report.

    Args:
        report: the report.
        console: where to; standard output by default.
    """
    from rich.console import Console

    out = console or Console(highlight=False)
    after: Block | None = None
    for block in said(report):
        if isinstance(block, (Heading, Table)) and not isinstance(after, Heading):
            out.print()
        for part in _parts(block):
            out.print(part)
        after = block


def _parts(block: Block) -> list[RenderableType]:
    from rich.text import Text

    if isinstance(block, Heading):
        return [Text(block.title, style="bold underline")]
    if isinstance(block, Lines):
        style = "yellow" if block.mark.strip() else ""
        return [Text(printable(f"{block.mark}{line}"), style=style) for line in block.lines]
    if isinstance(block, Items):
        return [_item(number, *row) for number, row in enumerate(block.rows, 1)]
    return [_table(block.filled())]


def _item(number: int, worth: str, title: str, fix: str) -> RenderableType:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid.grid(padding=(0, 1))
    grid.add_column(justify="right")
    grid.add_column()
    said_ = Text(printable(title))
    if worth:
        said_ = Text.assemble((printable(worth), "bold"), "  ", printable(title))
    grid.add_row(f"{number}.", said_)
    grid.add_row("", Text(printable(fix), style="cyan"))
    return grid


def _table(table: Table) -> RenderableType:
    from rich.table import Table as Grid
    from rich.text import Text

    has_head = any(table.head)
    shown = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=has_head, header_style="dim")
    for number, name in enumerate(table.head):
        is_text = number < table.left
        shown.add_column(
            name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="ellipsis"
        )
    for row in table.rows:
        shown.add_row(*(Text(printable(cell), style=_STYLES.get(cell, "")) for cell in row))
    return shown
