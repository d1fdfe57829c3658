"""Text for terminals and pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

__all__ = ["aligned", "cut", "encodable", "printable"]


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return rows of cells as lines of columns.

    Args:
        rows: the cells; every row has as many.
        left: how many columns are flush left; the others, with numbers in them, are flush right.

    Example:
        >>> print(aligned([["", "tick 1"], ["calls", "10"]]))
               tick 1
        calls      10
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def printable(text: str) -> str:
    r"""Return `text` without anything that would move the cursor of a terminal or change its colours.

    Example:
        >>> printable("a\x1b[2Jb\n")
        'a [2Jb '
    """
    return "".join(char if char.isprintable() else " " for char in text)


def encodable(text: str, out: TextIO) -> str:
    """Return `text` with question marks for what the encoding of `out` lacks."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def cut(text: str, width: int) -> str:
    """Return `text`, shortened to `width` characters where it is longer.

    Example:
        >>> cut("move_to (3, 14)", 10)
        'move_to...'
    """
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."
