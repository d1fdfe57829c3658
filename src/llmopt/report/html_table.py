"""Tables: a head, rows, perhaps a sum, in a box of their own that scrolls where the page is too narrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .html_figures import figure
from .html_markup import Html, element, join

__all__ = ["Column", "number", "numbers", "table"]

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Column(Generic[_Row]):
    """One column of a table.

    Attributes:
        head: its name; `Html` for an axis.
        cell: what it shows of a row.
        kind: "name" (the head of its row), "number", "word", "label" (a name), "sentence" or "drawing".
    """

    head: str
    cell: Callable[[_Row], str]
    kind: str = "word"


_CLASSES = {"number": "n", "drawing": "draw", "label": "label", "sentence": "sentence"}


def number(
    head: str,
    value: Callable[[_Row], float | None],
    form: Callable[[float], str],
    shown: Callable[[float | None, Callable[[float], str]], Html] = figure,
) -> Column[_Row]:
    """Return a column of numbers.

    Args:
        head: its name.
        value: the number of a row.
        form: how it is written.
        shown: what is made of both: `figure`, or `measured` where None stands for nothing to measure.
    """
    return Column(head, lambda row: shown(value(row), form), "number")


def numbers(
    head: str,
    rows: Iterable[_Row],
    value: Callable[[_Row], float | None],
    form_of: Callable[[Iterable[float | None]], Callable[[float], str]],
    shown: Callable[[float | None, Callable[[float], str]], Html] = figure,
) -> Column[_Row]:
    """Return a column of numbers in one unit, which `form_of` chooses for all rows together."""
    return number(head, value, form_of(map(value, rows)), shown)


def table(
    title: str,
    columns: Sequence[Column[_Row]],
    rows: Sequence[_Row],
    *,
    total: _Row | None = None,
    most: int = 20,
    hint: str | None = None,
) -> Html:
    """Return a table with its title.

    Args:
        title: what it shows.
        columns: its columns.
        rows: its rows.
        total: the row of their sums.
        most: as many rows are shown; how many more there are is said below.
        hint: what a reader has to know to read it; it stands above.

    Example:
        >>> html = table("Calls", [Column("model", str, "name"), Column("calls", str, "number")], [])
        >>> "none in this period" in html
        True
    """
    if not rows:
        return element("p", f"{title}: none in this period.", class_="note")
    body = element("tbody", *(_line(columns, row) for row in rows[:most]))
    head = element("thead", element("tr", *(_head(column) for column in columns)))
    foot = None if total is None else element("tfoot", _line(columns, total))
    whole = element("table", head, body, foot, aria_label=title)
    # A box that scrolls has to be reached by the keyboard.
    box = element("div", whole, class_="scroll", role="region", aria_label=title, tabindex=0)
    left_out = len(rows) - most
    more = element("p", f"And {left_out:,} more.", class_="note") if left_out > 0 else None
    return join(element("h3", title), element("p", hint, class_="hint") if hint else None, box, more)


def _head(column: Column[_Row]) -> Html:
    class_ = _CLASSES.get(column.kind)
    if column.kind == "drawing":
        return element("td", column.head, class_=class_)
    return element("th", column.head, scope="col", class_=class_)


def _line(columns: Sequence[Column[_Row]], row: _Row) -> Html:
    return element("tr", *(_cell(column, row) for column in columns))


def _cell(column: Column[_Row], row: _Row) -> Html:
    if column.kind == "name":
        return element("th", column.cell(row), scope="row")
    return element("td", column.cell(row), class_=_CLASSES.get(column.kind))
