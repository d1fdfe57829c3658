"""Rows of the usage log: laid out for a person who reads them, or written for a program that does."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import click

from ..text import cut, encodable, printable

__all__ = ["CALLS", "Layout", "call_cells", "say", "terminal_width", "write"]

LEAST = 6
"""Characters that a column keeps, however narrow the terminal is."""

SAMPLE = 500
"""Rows that decide how wide a table's columns are; those after them are not waited for."""


def terminal_width() -> int | None:
    """Return the columns of the terminal that is written to, or None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str) -> None:
    """Print a line, with question marks for what the encoding of the terminal or pipe lacks."""
    click.echo(encodable(text, sys.stdout))


class Layout:
    r"""How wide the columns of a table are.

    Args:
        rows: the rows that decide that, the head among them.
        left: the columns with text in them, which are flush left and may be cut.
        width: characters that a line may have, or None: nothing is cut.

    Attributes:
        fits: whether that could be kept.

    Example:
        >>> rows = [("model", "in"), ("a-model-with-a-long-name", "1234")]
        >>> print(*Layout(rows, {0}, 20).lines(rows), sep="\n")
        model             in
        a-model-wit...  1234
    """

    def __init__(self, rows: Sequence[Sequence[str]], left: Collection[int], width: int | None) -> None:
        self._widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        self._left = left
        self._cut = width is not None
        gaps = 2 * (len(self._widths) - 1)
        while width is not None and sum(self._widths) + gaps > width:
            widest = max(left, key=self._widths.__getitem__, default=None)
            if widest is None or self._widths[widest] <= LEAST:
                break
            self._widths[widest] -= 1
        self.fits = width is None or sum(self._widths) + gaps <= width

    def lines(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """Yield a line for each row."""
        for row in rows:
            cells = zip(row, self._widths, strict=True)
            yield "  ".join(self._cell(number, *cell) for number, cell in enumerate(cells)).rstrip()

    def _cell(self, number: int, text: str, width: int) -> str:
        if number not in self._left:
            return text.rjust(width)
        return (cut(text, width) if self._cut else text).ljust(width)


# calls

CALLS: tuple[str, ...] = ("time", "model", "role", "status", "cache", "in", "out", "ttft", "total", "usd")
"""The head of a table of calls. The first five columns are text."""


def call_cells(call: Mapping[str, Any]) -> list[str]:
    """Return what a table of calls shows of one, in the order of `CALLS`; the time is whole."""
    return [
        printable(cell)
        for cell in (
            call["started_at"][:19].replace("T", " "),
            call["model_resolved"] or call["model_requested"],
            call["role"] or "-",
            call["status"],
            call["cache_outcome"] or "-",
            _or_dash(call["input_tokens"], str),
            _or_dash(call["output_tokens"], str),
            _or_dash(call["ttft_ms"], _ms),
            _ms(call["duration_ms"]),
            _or_dash(call["cost_usd_nano"], lambda nano: f"{nano / 1e9:.6f}"),
        )
    ]


def _ms(value: float) -> str:
    return f"{value:.0f}ms" if value < 10_000 else f"{value / 1000:.1f}s"  # noqa: PLR2004 - five columns


def _or_dash(value: Any, show: Callable[[Any], str]) -> str:
    return "-" if value is None else show(value)


# any rows


def write(names: Sequence[str], rows: Iterable[Sequence[Any]], form: str) -> None:
    """Write rows, as they come.

    Args:
        names: the names of their columns.
        rows: the rows.
        form: "table", "csv", "json" (one array) or "nl" (one JSON object in a line).
    """
    if form == "table":
        _write_table(names, iter(rows))
    elif form == "csv":
        _write_csv(names, rows)
    elif form == "nl":
        for row in rows:
            click.echo(_object(names, row))
    else:
        _write_array(_object(names, row) for row in rows)


def _write_array(objects: Iterable[str]) -> None:
    empty = True
    for text in objects:
        click.echo("[" if empty else ",\n", nl=False)
        click.echo(text, nl=False)
        empty = False
    click.echo("[]" if empty else "]")


def _object(names: Sequence[str], row: Sequence[Any]) -> str:
    """Return a row as JSON in ASCII, which does nothing to a terminal."""
    return json.dumps(dict(zip(names, row, strict=True)), default=_hex)


def _hex(value: bytes) -> str:
    return value.hex()


def _write_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    import csv

    out = csv.writer(sys.stdout, lineterminator="\n")
    show = _plain if terminal_width() is None else _shown
    for row in chain([names], rows):
        out.writerow([show(value) for value in row])
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    return (
        encodable(value, sys.stdout)
        if isinstance(value, str)
        else _hex(value)
        if isinstance(value, bytes)
        else value
    )


def _shown(value: Any) -> str:
    """Return a value as it may stand in a terminal."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"  # noqa: PLR2004 - six digits are enough
    return _hex(value) if isinstance(value, bytes) else printable(str(value))


def _write_table(names: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    sample = list(islice(rows, SAMPLE))
    numbers = (int, float, type(None))
    left = {n for n, _ in enumerate(names) if not all(isinstance(row[n], numbers) for row in sample)}
    head = [printable(name) for name in names]
    shown = [[_shown(value) or "-" for value in row] for row in sample]
    layout = Layout([head, *shown], left, terminal_width())
    more = ([_shown(value) or "-" for value in row] for row in rows)
    lines = layout.lines(chain([head], shown, more)) if layout.fits else _records(head, chain(shown, more))
    for line in lines:
        say(line)


def _records(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each value: the table is too wide for the terminal."""
    name_width, width = max(map(len, head)), terminal_width() or 0
    for number, row in enumerate(rows):
        if number:
            yield ""
        for name, value in zip(head, row, strict=True):
            yield cut(f"{name.ljust(name_width)}  {value}", width)
