"""What all charts are drawn with: paths, names on an axis, numbers in as few characters as they need."""

from __future__ import annotations

from .html_markup import Html, element

__all__ = ["brief", "label", "path", "percent", "told", "told_by"]

_END, _HUNDRED = 1, 100
"""Percent of an axis."""


def told(key: str, title: str, description: str) -> tuple[Html, Html]:
    """Return what a chart says to those who do not see it; `key` is a word of its own on the page."""
    return element("title", title, id=f"{key}-title"), element("desc", description, id=f"{key}-desc")


def told_by(key: str) -> dict[str, str]:
    """Return the attributes of a chart that say where that stands."""
    return {"role": "img", "aria_labelledby": f"{key}-title {key}-desc"}


def path(data: str, class_: str) -> Html:
    """Return a path."""
    return element("path", class_=class_, d=data)


def label(said: str, at: float, y: float) -> Html:
    """Return a name on an axis, at so many percent of it and so many pixels from the top."""
    # At an end of its axis a name would reach into what stands beside the chart.
    place = " first" if at <= _END else " last" if at >= _HUNDRED - _END else ""
    return element("text", said, class_=f"tick{place}", x=percent(at), y=y)


def percent(value: float) -> str:
    """Return a length in percent.

    Example:
        >>> percent(12.5)
        '12.5%'
    """
    return f"{brief(value)}%"


def brief(value: float) -> str:
    """Return a number in as few characters as a path needs: there are thousands of them.

    Example:
        >>> brief(0.25), brief(100.0), brief(0.001)
        ('.25', '100', '0')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
