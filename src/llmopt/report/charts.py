"""Charts as inline SVG that fill the width they are given: text keeps its size, what is drawn stretches.

Colours are classes, which the page's style sheet fills in for light and dark. A chart by day says what it
shows in its title and description; its figures stand in a table beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .html_markup import Html, element, join
from .scales import LinearScale, nice_ticks, spread
from .svg import brief, label, path, percent, told, told_by

__all__ = ["Chart", "Series", "bars", "lines"]

_TOP, _PLOT, _BOTTOM = 8, 104, 20
"""Heights in pixels: room for half a label, the plot, the labels of the days."""

_BAR_WIDTH = 0.76
"""Of the room for a day."""

_PERCENT, _STRIP = 100, 4
"""Height in percent of what marks a day that is unknown, and one whose bar is the least."""

_DAY_LABELS = 5
"""As many as stand beside each other on a narrow screen."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one layer of bars.

    Attributes:
        name: what it shows.
        values: one for each day; None where it is unknown.
        tone: class of its colour: "a" to "e", "rest" or "bad".
    """

    name: str
    values: Sequence[float | None]
    tone: str = "a"


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures by day.

    Attributes:
        key: a word of its own on the page.
        title: what is shown.
        days: names of the days.
        series: what is drawn; bars are stacked in this order, the first one at the bottom.
        form: how a value is written, as briefly as an axis needs.
        unsure: positions of the days whose bar is the least that it can have been.
    """

    key: str
    title: str
    days: Sequence[str]
    series: Sequence[Series]
    form: Callable[[float], str]
    unsure: frozenset[int] = frozenset()


def bars(chart: Chart) -> Html:
    """Return stacked bars by day; what is unknown has another ground, what is the least a strip above.

    Example:
        >>> figure = bars(Chart("calls", "Calls", ["1 Nov"], [Series("answered", [3])], str))
        >>> '<path class="fill a"' in figure
        True
    """
    stacked = list(_stacked(chart.series))
    ticks = nice_ticks(max((top for layer in stacked for _, top in layer), default=0.0))
    scale = LinearScale(0.0, ticks[-1])
    layers = [_layer(spans, scale) for spans in stacked]
    paths = [path(layer, f"fill {s.tone}") for layer, s in zip(layers, chart.series, strict=True) if layer]
    hatched = _hatched(chart)
    return _figure(chart, ticks, scale, join(hatched, *paths), hatched=hatched is not None)


def lines(chart: Chart) -> Html:
    """Return lines by day, broken where a value is unknown.

    Example:
        >>> figure = lines(Chart("p50", "Latency", ["1", "2", "3"], [Series("p50", [3.0, None, 4.0])], str))
        >>> 'd="M.5 25h.01M2.5 0h.01"' in figure
        True
    """
    known = [value for series in chart.series for value in series.values if value is not None]
    ticks = nice_ticks(max(known, default=0.0))
    scale = LinearScale(0.0, ticks[-1])
    paths = [path(_line(series.values, scale), f"line {series.tone}") for series in chart.series]
    return _figure(chart, ticks, scale, join(*paths))


def _figure(
    chart: Chart, ticks: Sequence[float], scale: LinearScale, drawn: Html, *, hatched: bool = False
) -> Html:
    size = {"width": "100%", "height": _TOP + _PLOT + _BOTTOM}
    inner = {"viewBox": f"0 0 {max(1, len(chart.days))} 100", "preserveAspectRatio": "none"}
    plot = element("svg", drawn, y=_TOP, width="100%", height=_PLOT, **inner)
    named = told(chart.key, chart.title, _summary(chart))
    body = (_grid(ticks, scale, chart.form), plot, _days(chart), _hovers(chart))
    svg = element("svg", *named, *body, class_="plot", **told_by(chart.key), **size)
    caption = element("figcaption", element("b", chart.title), *_legend(chart, hatched=hatched))
    return element("figure", caption, svg)


def _legend(chart: Chart, *, hatched: bool) -> Iterator[Html]:
    if len(chart.series) > 1:
        yield from (element("span", series.name, class_=f"key {series.tone}") for series in chart.series)
    if hatched:
        yield element("span", "not all is known", class_="key hatch")


def _summary(chart: Chart) -> str:
    return (
        " ".join(filter(None, (_extremes(series, chart) for series in chart.series))) or "Nothing is known."
    )


def _extremes(series: Series, chart: Chart) -> str:
    known = [(value, day) for value, day in zip(series.values, chart.days, strict=True) if value is not None]
    if not known:
        return f"{series.name}: unknown."
    (low, low_day), (high, high_day) = min(known), max(known)
    last = chart.form(known[-1][0])
    least = f"least {chart.form(low)} on {low_day}, most {chart.form(high)} on {high_day}"
    return f"{series.name}: {least}, last {last}."


def _grid(ticks: Sequence[float], scale: LinearScale, form: Callable[[float], str]) -> Html:
    heights = [_TOP + _PLOT * (1 - scale.percent(tick) / 100) for tick in ticks]
    strokes = [element("line", class_="grid", x2="100%", y1=y, y2=y) for y in heights]
    names = [
        element("text", form(tick), class_="tick value", x=-7, y=y + 4)
        for tick, y in zip(ticks, heights, strict=True)
    ]
    return join(*strokes, *names)


def _days(chart: Chart) -> Html:
    y, count = _TOP + _PLOT + 15, len(chart.days)
    return join(*(label(chart.days[n], 100 * (n + 0.5) / count, y) for n in spread(count, _DAY_LABELS)))


def _hovers(chart: Chart) -> Html:
    width = 100 / max(1, len(chart.days))
    return join(
        *(
            element(
                "rect",
                element("title", _said(chart, n)),
                class_="hover",
                x=percent(n * width),
                y=_TOP,
                width=percent(width),
                height=_PLOT,
            )
            for n in range(len(chart.days))
        )
    )


def _said(chart: Chart, n: int) -> str:
    values = [(series.name, series.values[n]) for series in chart.series]
    least = "at least " if n in chart.unsure else ""
    said = [f"{name} {least}{'unknown' if value is None else chart.form(value)}" for name, value in values]
    return f"{chart.days[n]}: {', '.join(said)}"


def _hatched(chart: Chart) -> Html | None:
    unknown = {n for series in chart.series for n, value in enumerate(series.values) if value is None}
    days = {n: _PERCENT if n in unknown else _STRIP for n in sorted(unknown | chart.unsure)}
    return path("".join(f"M{n} 0h1v{height}h-1z" for n, height in days.items()), "hatch") if days else None


def _stacked(series: Sequence[Series]) -> Iterator[list[tuple[float, float]]]:
    tops = [0.0] * len(series[0].values)
    for layer in series:
        bottoms, tops = tops, [top + (value or 0.0) for top, value in zip(tops, layer.values, strict=True)]
        yield list(zip(bottoms, tops, strict=True))


def _layer(spans: Sequence[tuple[float, float]], scale: LinearScale) -> str:
    return "".join(_bar(n, low, high, scale) for n, (low, high) in enumerate(spans) if high > low)


def _bar(n: int, low: float, high: float, scale: LinearScale) -> str:
    start, width = brief(n + (1 - _BAR_WIDTH) / 2), brief(_BAR_WIDTH)
    return f"M{start} {_height(low, scale)}h{width}V{_height(high, scale)}h-{width}z"


def _line(values: Sequence[float | None], scale: LinearScale) -> str:
    return "".join(_steps(values, scale))


def _steps(values: Sequence[float | None], scale: LinearScale) -> Iterator[str]:
    padded = [None, *values, None]
    for n, value in enumerate(values):
        before, after = padded[n], padded[n + 2]
        if value is not None:
            yield f"{'M' if before is None else 'L'}{brief(n + 0.5)} {_height(value, scale)}"
            # A point by itself has no length to be drawn along, and is a dot by the roundness of its ends.
            yield "h.01" if before is None and after is None else ""


def _height(value: float, scale: LinearScale) -> str:
    return brief(100 - scale.percent(value))
