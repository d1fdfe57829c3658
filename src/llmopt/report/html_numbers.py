"""Numbers as people read them: rounded to what counts, with their unit.

In a sentence and on an axis each number has the unit that suits it; the numbers of a column share theirs, so
that they can be compared by looking down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

__all__ = [
    "MINUS",
    "count",
    "duration",
    "money",
    "percent",
    "rate",
    "short",
    "signed",
    "sizes",
    "times",
    "usd",
]

MINUS = "\N{MINUS SIGN}"
"""As wide as a plus sign, unlike a hyphen."""

_SHORT = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_SECOND_MS, _MINUTE_MS = 1000, 60_000
_TEN, _HUNDRED, _MILLION = 10, 100, 1_000_000


def count(value: float) -> str:
    """Return a whole number with its thousands apart.

    Example:
        >>> count(12345.0)
        '12,345'
    """
    return f"{value:,.0f}"


def short(value: float) -> str:
    """Return a large number in three digits.

    Example:
        >>> short(2310), short(45_600_000), short(12)
        ('2.31k', '45.6M', '12')
    """
    for unit, mark in _SHORT:
        if abs(value) >= unit * 0.9995:
            return _with_minus(f"{float(f'{value / unit:.3g}'):g}{mark}")
    return _with_minus(f"{float(f'{value:.3g}'):g}")


def usd(value: float) -> str:
    """Return dollars, with at least two digits that count.

    Example:
        >>> usd(1234.5), usd(3.2), usd(0.00412), usd(0)
        ('$1,234', '$3.20', '$0.0041', '$0.00')
    """
    size = abs(value)
    decimals = 2 if size == 0 or size >= 0.1 else min(9, 1 - math.floor(math.log10(size)))  # noqa: PLR2004
    return _dollars(value, 0 if size >= _TEN * _HUNDRED else decimals)


def money(column: Iterable[float | None]) -> Callable[[float], str]:
    """Return the form of a column of dollars: all have as many decimals, one below the other.

    Example:
        >>> form = money([12.5, 0.25, 0.0001])
        >>> form(12.5), form(0.0001), form(0)
        ('$12.50', '<$0.01', '$0.00')
    """
    most = max((abs(value) for value in column if value is not None), default=0.0)
    decimals = 0 if most >= 100_000 else 2 if most >= 1 or most == 0 else 4 if most >= 0.01 else 6  # noqa: PLR2004
    least = 10.0**-decimals

    def form(value: float) -> str:
        return f"<${least:.{decimals}f}" if 0 < value < least / 2 else _dollars(value, decimals)

    return form


def sizes(column: Iterable[float | None]) -> Callable[[float], str]:
    """Return the form of a column of large numbers: in millions, in thousands or as they are.

    Example:
        >>> form = sizes([17_612_340, 580_300])
        >>> form(17_612_340), form(580_300), form(0)
        ('17.61M', '0.58M', '0.00M')
    """
    most = max((abs(value) for value in column if value is not None), default=0.0)
    if most >= _MILLION:
        return _fixed(_MILLION, 2, "M")
    return _fixed(1000, 1, "k") if most >= _MILLION / _TEN else count


def duration(milliseconds: float) -> str:
    """Return a time in its own unit, for a sentence or an axis.

    Example:
        >>> duration(0.42), duration(820), duration(3100), duration(125_000)
        ('0.42 ms', '820 ms', '3.1 s', '2.1 min')
    """
    size = abs(milliseconds)
    if size < _SECOND_MS * 0.9995:
        return f"{_rounded(milliseconds)} ms"
    if size < _MINUTE_MS:
        return f"{_rounded(milliseconds / _SECOND_MS)} s"
    return f"{milliseconds / _MINUTE_MS:,.1f} min"


def times(column: Iterable[float | None]) -> Callable[[float], str]:
    """Return the form of a column of times: all in one unit, with as many decimals.

    Example:
        >>> form = times([84.0, 3100.0])
        >>> form(84.0), form(3100.0), form(2.0)
        ('0.08 s', '3.10 s', '<0.01 s')
    """
    most = max((abs(value) for value in column if value is not None), default=0.0)
    if most >= _SECOND_MS:
        return _fixed(_SECOND_MS, 2, " s")
    return _fixed(1, 0 if most >= _HUNDRED else 2, " ms")


def percent(share: float) -> str:
    """Return a share for a sentence or an axis.

    Example:
        >>> percent(0.314), percent(0.0312), percent(0.0002), percent(0.99996), percent(0.02), percent(0)
        ('31 %', '3.1 %', '<0.1 %', '>99.9 %', '2 %', '0 %')
    """
    value = 100 * share
    near_an_end = abs(value) < _TEN or value > _HUNDRED - 1
    return rate(share).replace(".0 %", " %") if near_an_end else _with_minus(f"{value:,.0f} %")


def rate(share: float) -> str:
    """Return a share for a column; one that is not nothing is not shown as nothing, and not all as all.

    Example:
        >>> rate(0.314), rate(0.0002), rate(0.99996), rate(1), rate(0)
        ('31.4 %', '<0.1 %', '>99.9 %', '100.0 %', '0.0 %')
    """
    value = 100 * share
    if 0 < value < 0.05:  # noqa: PLR2004 - half of what is shown
        return "<0.1 %"
    return ">99.9 %" if 99.95 <= value < _HUNDRED else _with_minus(f"{value:,.1f} %")  # noqa: PLR2004


def signed(form: Callable[[float], str]) -> Callable[[float], str]:
    """Return the form of a difference.

    Example:
        >>> signed(percent)(0.2), signed(percent)(-0.2) == MINUS + "20 %"
        ('+20 %', True)
    """
    return lambda value: f"{MINUS if value < 0 else '+'}{form(abs(value))}"


def _fixed(unit: float, decimals: int, mark: str) -> Callable[[float], str]:
    least = 10.0**-decimals

    def form(value: float) -> str:
        if 0 < value / unit < least / 2:
            return f"<{least:.{decimals}f}{mark}"
        return _with_minus(f"{value / unit:,.{decimals}f}{mark}")

    return form


def _rounded(value: float) -> str:
    return f"{float(f'{value:.2g}' if 1 <= abs(value) < _TEN else f'{value:.3g}'):g}"


def _dollars(value: float, decimals: int) -> str:
    return f"{MINUS if value < 0 else ''}${abs(value):,.{decimals}f}"


def _with_minus(number: str) -> str:
    return number.replace("-", MINUS)
