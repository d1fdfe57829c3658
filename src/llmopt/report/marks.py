"""Marks for cells of tables, and one bar for a whole that is cut into parts.

Marks in cells are hidden from screen readers: the cells next to them say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from .html_markup import Html, element, join
from .scales import LinearScale, LogScale
from .svg import brief, label, path, percent, told, told_by

__all__ = ["Scale", "axis", "distribution", "interval", "meter", "split"]

Scale: TypeAlias = "LinearScale | LogScale"

_ROW = 22
"""Height in pixels of a mark in a table."""

_SPLIT = 28
"""Height in pixels of a bar that is cut into parts."""

_FIRST_BIN = 2
"""A bin without one before it is taken to begin at a half of its bound: bounds are about a doubling apart."""

_APART = 30.0
"""Percent of an axis between two names, at the least."""

_ROOM, _NARROW = 0.12, 0.4
"""Share of a bar from which on it has room for its name: on a wide screen, and on a narrow one."""


def meter(value: float | None, high: float, tone: str = "a") -> Html:
    """Return a bar for a cell of a table, as long as `value` beside `high`.

    Example:
        >>> 'width="25%"' in meter(1, 4)
        True
    """
    length = LinearScale(0.0, high).percent(abs(value or 0.0))
    bar = element("rect", class_=f"{tone} fill", y=7, height=8, width=percent(length))
    return _mark(bar if length else None)


def split(key: str, title: str, parts: Sequence[tuple[str, float, str]]) -> Html:
    """Return one bar that is cut into parts: their name, size and tone. Parts of no size are left out.

    Example:
        >>> bar = split("cost", "Cost", [("paid", 3.0, "a"), ("saved", 1.0, "c")])
        >>> "paid 75 %, saved 25 %" in bar
        True
    """
    whole = sum(size for _, size, _ in parts if size > 0)
    shares = [(name, size / whole, tone) for name, size, tone in parts if size > 0]
    said = ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share, _ in shares)
    body = join(*_pieces(shares))
    return element("svg", *told(key, title, said), body, **told_by(key), width="100%", height=_SPLIT)


def distribution(
    bins: Sequence[tuple[float, int]], marks: tuple[float, float, float], scale: LogScale
) -> Html:
    """Return how values are spread, for a cell of a table, with a dot and two strokes at three of them.

    Args:
        bins: upper bounds, in order, with how many values are up to it and above the bound before.
        marks: the median, and two higher percentiles.
        scale: the axis.
    """
    middle, high, highest = map(scale.percent, marks)
    grid = "".join(f"M{brief(scale.percent(tick))} 0v22" for tick in scale.ticks())
    strokes = "".join(f"M{brief(at)} 11v10" for at in (high, highest))
    span = f"M{brief(middle)} 16H{brief(highest)}{strokes}"
    drawn = (path(grid, "grid"), path(_ridge(bins, scale), "ridge"), path(span, "span"))
    inner = element("svg", *drawn, viewBox=f"0 0 100 {_ROW}", preserveAspectRatio="none")
    return _mark(inner, element("circle", class_="dot", cx=percent(middle), cy=16, r=3.5))


def axis(scale: Scale, ticks: Sequence[float], form: Callable[[float], str]) -> Html:
    """Return the names of an axis, for the head of a column of marks."""
    return _mark(*_labels([(scale.percent(tick), form(tick)) for tick in ticks]))


def interval(ends: tuple[float, float, float] | None, scale: LinearScale, tone: str) -> Html:
    """Return an interval for a cell of a table, and where zero is.

    Args:
        ends: its lower end, the value it is about, and its upper end; None where it is unknown.
        scale: the axis.
        tone: the class of its colour.
    """
    zero = percent(scale.percent(0.0))
    line = element("line", class_="zero", x1=zero, x2=zero, y2=_ROW)
    return _mark(line, *(_interval(ends, scale, tone) if ends else ()))


def _mark(*children: Html | None) -> Html:
    return element("svg", *children, class_="mark", aria_hidden="true", width="100%", height=_ROW)


def _labels(places: Sequence[tuple[float, str]]) -> Iterator[Html]:
    end = -_APART
    for at, said in places:
        # On a telephone names would lie on each other; the strokes in the rows remain.
        if at - end >= _APART:
            yield label(said, at, 18)
            end = at


def _interval(ends: tuple[float, float, float], scale: LinearScale, tone: str) -> tuple[Html, Html]:
    low, middle, high = (percent(scale.percent(value)) for value in ends)
    bar = element("line", class_=f"{tone} interval", x1=low, x2=high, y1=11, y2=11)
    return bar, element("circle", class_=f"{tone} fill", cx=middle, cy=11, r=3.5)


def _pieces(shares: Sequence[tuple[str, float, str]]) -> Iterator[Html]:
    start = 0.0
    for name, share, tone in shares:
        # An inner svg cuts off what is longer than itself.
        place = {"x": percent(100 * start), "width": percent(100 * share), "height": _SPLIT}
        yield element("svg", *_piece(f"{name} {100 * share:.0f} %", share, tone), **place)
        start += share


def _piece(said: str, share: float, tone: str) -> Iterator[Html]:
    yield element("rect", element("title", said), class_=f"{tone} piece", width="100%", height=_SPLIT)
    if share >= _ROOM:
        yield element("text", said, class_="on" if share >= _NARROW else "on tight", x=8, y=18)


def _ridge(bins: Sequence[tuple[float, int]], scale: LogScale) -> str:
    ends = [scale.percent(bound) for bound, _ in bins]
    first = scale.percent(bins[0][0] / _FIRST_BIN) if bins else 0.0
    steps = zip([first, *ends], ends, bins, strict=False)
    heights = [(a, b, count / (b - a)) for a, b, (_, count) in steps if b > a]
    most = max((density for _, _, density in heights), default=0.0)
    if not most:
        return ""
    outline = "".join(f"L{brief(a)} {brief(15 - 14 * d / most)}H{brief(b)}" for a, b, d in heights)
    return f"M{brief(heights[0][0])} 15{outline}V15z"
