"""A report as text that fits a terminal of 80 columns, without any package."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from ..text import cut, printable
from .bars import plain_text
from .document import Block, Heading, Items, Lines, Table
from .said import said
from .types import Report

__all__ = ["WIDTH", "written"]

WIDTH: Final = 80
"""Columns of a line at most."""

_GAP: Final = 2
_LEAST: Final = 6  # characters that a column of text keeps


def written(report: Report, width: int = WIDTH, *, plain: bool = False) -> str:
    """Return a report as text.

    Args:
        report: the report.
        width: columns of a line at most; numbers are never cut, so that a table may need more.
        plain: whether there are only characters of ASCII to draw with.
    """
    lines: list[str] = []
    after: Block | None = None
    for block in said(report):
        gap = [""] if isinstance(block, (Heading, Table)) and not isinstance(after, Heading) else []
        lines += (*gap, *_block(block, width))
        after = block
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    return plain_text(text) if plain else text


def _block(block: Block, width: int) -> Iterator[str]:
    if isinstance(block, Heading):
        yield from (block.title, "-" * len(block.title))
    elif isinstance(block, Lines):
        for line in block.lines:
            yield from _wrapped(printable(line), width, block.mark)
    elif isinstance(block, Items):
        yield from _items(block, width)
    else:
        yield from _table(block.filled(), width)


def _wrapped(line: str, width: int, first: str, rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        line,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first) if rest is None else rest,
        break_on_hyphens=False,
    )


def _items(items: Items, width: int) -> Iterator[str]:
    for number, (worth, title, fix) in enumerate(items.rows, 1):
        head = f"{number:2}. {worth}: " if worth else f"{number:2}. "
        yield from _wrapped(printable(title), width, head, " " * 4)
        yield from _wrapped(printable(fix), width, "    > ", " " * 6)


def _table(table: Table, width: int) -> Iterator[str]:
    rows = [[printable(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = _fitting([max(map(len, column)) for column in zip(*rows, strict=True)], table.left, width)
    for row in rows if any(table.head) else rows[1:]:
        cells = (_cell(cell, n, widths[n], table.left) for n, cell in enumerate(row))
        yield (" " * _GAP).join(cells)


def _fitting(widths: list[int], left: int, width: int) -> list[int]:
    """Return the widths of columns: those of texts shrink, the widest first, until the line fits."""
    found = list(widths)
    while sum(found) + _GAP * (len(found) - 1) > width:
        widest = max(range(left), key=found.__getitem__, default=None)
        if widest is None or found[widest] <= _LEAST:
            break
        found[widest] -= 1
    return found


def _cell(cell: str, number: int, width: int, left: int) -> str:
    return cut(cell, width).ljust(width) if number < left else cell.rjust(width)
