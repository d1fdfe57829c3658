"""Figures as a page shows them: reckoned is told from measured, and unknown from zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from .html_markup import Html, element, join, name, text
from .html_numbers import count
from .types import Figures

__all__ = [
    "DASH",
    "about",
    "cost",
    "day",
    "figure",
    "idle",
    "listed",
    "measured",
    "moment",
    "names",
    "shares",
]

DASH = element("span", "\N{EN DASH}", class_="muted")
"""Where there was nothing to measure."""

_DAY = len("2026-11-14")

_LIMIT_SHARES, _LIMIT_NAMES = 6, 30
"""As many as a reader takes in, in a cell and in a paragraph."""


def figure(value: float | None, form: Callable[[float], str], *, absent: str = "unknown") -> Html:
    """Return `value` in its form, or a mark of its own where there is none: unknown is not zero.

    Example:
        >>> figure(1234, count), figure(None, count)
        ('1,234', '<span class="unknown">unknown</span>')
    """
    if value is None or not math.isfinite(value):
        return element("span", absent, class_="unknown")
    return text(form(value))


def about(
    value: float | None, form: Callable[[float], str], confidence: str, *, absent: str = "unknown"
) -> Html:
    """Return a figure with a mark, unless it was measured.

    Example:
        >>> from llmopt.report.html_numbers import usd
        >>> about(3.2, usd, "estimated"), about(3.2, usd, "measured")
        ('<span class="about" title="estimated">≈ $3.20</span>', '$3.20')
    """
    shown = figure(value, form, absent=absent)
    if value is None or confidence == "measured":
        return shown
    return element("span", "≈ ", shown, class_="about", title=confidence)


def measured(value: float | None, form: Callable[[float], str]) -> Html:
    """Return a figure, or a dash where there was nothing to measure it of.

    Example:
        >>> from llmopt.report.html_numbers import percent
        >>> measured(0.5, percent), measured(None, percent) == DASH
        ('50 %', True)
    """
    return DASH if value is None else figure(value, form)


def cost(figures: Figures, form: Callable[[float], str]) -> Html:
    """Return what figures have cost: as the least where the price of some of it is unknown.

    Example:
        >>> from llmopt.report.html_numbers import usd
        >>> cost(Figures("a", attempts=3, cost_usd=1.0), usd)
        '$1.00'
        >>> cost(Figures("a", attempts=3, unpriced_attempts=1, cost_usd=1.0), usd)
        '≥ $1.00'
        >>> cost(Figures("a", attempts=3, unpriced_attempts=3), usd)
        '<span class="unknown">unknown</span>'
    """
    if figures.unpriced_attempts and not figures.cost_usd:
        return figure(None, form)
    known = figure(idle(figures, figures.cost_usd), form)
    return join("≥ ", known) if figures.unpriced_attempts else known


def idle(figures: Figures, value: float | None) -> float | None:
    """Return `value`, or 0 where no model was asked: what nobody asked for has cost nothing.

    Example:
        >>> idle(Figures("a"), None), idle(Figures("a", attempts=1), None)
        (0.0, None)
    """
    return 0.0 if value is None and not figures.attempts else value


def moment(value: str | None) -> Html:
    """Return a time of the log, or a day, as people write it, in UTC.

    Example:
        >>> moment("2026-11-14T09:15:30.123456Z")
        '<time datetime="2026-11-14T09:15:30Z">14 Nov 2026, 09:15</time>'
    """
    when = _parsed(value)
    if when is None:
        return element("span", "unknown", class_="unknown") if value is None else text(value[:40])
    if len(value or "") == _DAY:
        return element("time", f"{when.day} {when:%b %Y}", datetime=f"{when:%Y-%m-%d}")
    return element("time", f"{when.day} {when:%b %Y, %H:%M}", datetime=f"{when:%Y-%m-%dT%H:%M:%SZ}")


def day(value: str, *, year: bool = False) -> str:
    """Return a day in brief.

    Example:
        >>> day("2026-11-04"), day("2026-11-04", year=True)
        ('4 Nov', '4 Nov 2026')
    """
    when = _parsed(value)
    return value[:20] if when is None else f"{when.day} {when:{'%b %Y' if year else '%b'}}"


def shares(counts: Sequence[tuple[str, int]]) -> Html:
    """Return words with how often they came.

    Example:
        >>> shares([("full", 3), ("time", 1)])
        '<bdi>full</bdi> 3, <bdi>time</bdi> 1'
    """
    if not counts:
        return DASH
    said = (join(name(word), f" {count(times)}") for word, times in counts[:_LIMIT_SHARES])
    return listed(said, len(counts) - _LIMIT_SHARES)


def names(words: Sequence[str]) -> Html:
    """Return names one after the other.

    Example:
        >>> names(["a", "b"]), names([])
        ('<bdi>a</bdi>, <bdi>b</bdi>', 'none')
    """
    return listed(map(name, words[:_LIMIT_NAMES]), len(words) - _LIMIT_NAMES) if words else text("none")


def listed(items: Iterable[Html], left_out: int) -> Html:
    """Return items with commas between them, and how many more there are.

    Example:
        >>> listed([text("a"), text("b")], 3)
        'a, b and 3 more'
    """
    return Html(", ".join(items) + (f" and {count(left_out)} more" if left_out > 0 else ""))


def _parsed(value: str | None) -> datetime | None:
    try:
        when = datetime.fromisoformat(value or "")
    except ValueError:
        return None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
