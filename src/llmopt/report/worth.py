"""What findings share: how much that is a week, at which price, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from .facts import Facts
from .pricing import NANO, Price, price_of
from .sample import Sampled
from .types import Period

__all__ = ["a_week", "counted", "mean_price", "tokens_a_week", "usd_a_week"]

_WEEK_DAYS: Final = 7.0


def a_week(value: float, period: Period) -> float:
    """Return how much of something there is in a week.

    Example:
        >>> a_week(10.0, Period("all", days=14.0))
        5.0
    """
    return value * _WEEK_DAYS / (period.days or 1.0)


def usd_a_week(nano: float, facts: Facts) -> float:
    """Return nano-dollars of the period as dollars a week."""
    return a_week(nano / NANO, facts.period)


def tokens_a_week(tokens: float, facts: Facts) -> int:
    """Return tokens of the period as tokens a week."""
    return round(a_week(tokens, facts.period))


def mean_price(calls: Iterable[Sampled], prices: Mapping[int, Price]) -> Price | None:
    """Return the mean price of sampled calls, or None where no price is known."""
    found = [price for call in calls if (price := price_of(prices, call.price)) is not None]
    if not found:
        return None
    means = (sum(values) / len(found) for values in zip(*found, strict=True))
    return Price(*means)


def counted(number: int, noun: str) -> str:
    """Return a number of things.

    Example:
        >>> counted(1, "call"), counted(1200, "call")
        ('1 call', '1,200 calls')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
