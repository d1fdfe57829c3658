"""What a report says on a terminal: headings, sentences and tables. `text` and `rich_text` lay them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Block", "Heading", "Items", "Lines", "Table", "sections"]


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a section.

    Attributes:
        title: the title.
    """

    title: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, each of them a paragraph.

    Attributes:
        lines: the sentences.
        mark: what stands before each of them.
    """

    lines: tuple[str, ...]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """Things that can be done, each with its worth and its line of code.

    Attributes:
        rows: worth, what was found, what to do.
    """

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; a column without any value is left out.

    Attributes:
        head: the names of the columns.
        rows: the cells; "-" for what is unknown.
        left: how many columns are text, and may be cut; the others are numbers.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1

    def filled(self) -> Table:
        """Return the table without columns in which nothing stands."""
        columns = list(zip(*self.rows, strict=True))
        kept = [
            n for n, column in enumerate(columns) if n == 0 or any(cell not in ("", "-") for cell in column)
        ]
        return Table(
            tuple(self.head[n] for n in kept),
            tuple(tuple(row[n] for n in kept) for row in self.rows),
            sum(n < self.left for n in kept),
        )


Block: TypeAlias = "Heading | Lines | Items | Table"


def sections(title: str, *blocks: Lines | Items | Table | None) -> Iterator[Block]:
    """Yield a section with those of its blocks that hold something; nothing where none does."""
    there = [block for block in blocks if block is not None and _holds_something(block)]
    if there:
        yield Heading(title)
        yield from there


def _holds_something(block: Lines | Items | Table) -> bool:
    return any(block.lines) if isinstance(block, Lines) else bool(block.rows)
