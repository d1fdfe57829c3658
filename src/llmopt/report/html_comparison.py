"""Two sides beside each other: periods, roles or tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from .html_figures import figure
from .html_markup import Html, element, join, name
from .html_numbers import count, duration, percent, short, signed, usd
from .html_table import Column, table
from .marks import axis, interval
from .scales import LinearScale
from .types import Change, Comparison

__all__ = ["comparison"]

Form: TypeAlias = Callable[[float], str]

_FORMS: Mapping[str, Form] = {"usd": usd, "tokens": short, "ms": duration, "share": percent}

_LEAST_SPAN, _MOST_SPAN = 0.1, 1.0
"""Ends of the axis: changes of less than a tenth are small, and beyond the double they are cut."""

_VERDICTS: Mapping[str, tuple[str, str, str]] = {
    "better": ("good", "good-word", "▲ "),
    "worse": ("bad", "bad-word", "▼ "),
    "unknown": ("rest", "unknown", ""),
}
"""Tone, class and mark of a verdict: no colour speaks alone."""


def comparison(compared: Comparison) -> Html:
    """Return two sides beside each other, with what of the difference may be chance."""
    scale = _relative_scale(compared.changes)
    ends = axis(scale, (scale.low, 0.0, scale.high), _end)
    columns: list[Column[Change]] = [
        Column("figure", lambda c: c.title, "name"),
        Column(_side(compared.first, compared.first_calls), lambda c: figure(c.first, _form(c)), "number"),
        Column(_side(compared.second, compared.second_calls), lambda c: figure(c.second, _form(c)), "number"),
        Column("change", _difference, "number"),
        Column("95 % interval", _interval, "number"),
        Column(ends, lambda c: interval(_relative(c), scale, _verdict_of(c)[0]), "drawing"),
        Column("verdict", _verdict, "label"),
    ]
    hint = "Drawn: the change in percent of the first side. An interval that holds zero shows no difference."
    whole = table("The second side beside the first", columns, compared.changes, hint=hint)
    return join(whole, element("p", compared.method, class_="note"))


def _end(value: float) -> str:
    return signed(percent)(value) if value else "0"


def _side(side: str, calls: int) -> str:
    return join(name(side), element("br"), f"{count(calls)} calls")


def _form(change: Change) -> Form:
    return _FORMS.get(change.unit, short)


def _difference(change: Change) -> Html:
    return figure(change.difference, signed(_form(change)))


def _interval(change: Change) -> Html:
    form = signed(_form(change))
    if change.low is None or change.high is None:
        return figure(None, form)
    return join(form(change.low), " … ", form(change.high))


def _verdict(change: Change) -> Html:
    _, class_, mark = _verdict_of(change)
    return element("span", mark, change.verdict, class_=class_)


def _verdict_of(change: Change) -> tuple[str, str, str]:
    return _VERDICTS.get(change.verdict, ("rest", "muted", ""))


def _relative(change: Change) -> tuple[float, float, float] | None:
    if not change.first or change.difference is None or change.low is None or change.high is None:
        return None
    return change.low / change.first, change.difference / change.first, change.high / change.first


def _relative_scale(changes: Sequence[Change]) -> LinearScale:
    ends = [abs(end) for change in changes for end in _relative(change) or ()]
    most = min(_MOST_SPAN, max([_LEAST_SPAN, *ends]))
    return LinearScale(-most, most)
