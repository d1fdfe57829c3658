"""Where a value stands on an axis, and which values an axis names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LinearScale", "LogScale", "nice_ticks", "spread"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

_ROUNDING = 1.0000001
"""A product of decimals is off by a bit or two: 3 * 0.1 is not 0.3."""

_LEAST = 1e-12
"""Less than that is nothing: no figure of a report is as small."""


@dataclass(frozen=True, slots=True)
class LinearScale:
    """An axis from `low` to `high`.

    Example:
        >>> LinearScale(0, 50).percent(20)
        40.0
    """

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Return where `value` stands, in percent of the axis; outside of it, at its end."""
        span = self.high - self.low
        return min(100.0, max(0.0, 100 * (value - self.low) / span)) if span > 0 else 0.0


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis from `low` to `high`, both above 0.

    Example:
        >>> LogScale(1, 100).percent(10)
        50.0
    """

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Return where `value` stands, in percent of the axis; outside of it, at its end."""
        scale = LinearScale(math.log(self.low), math.log(self.high))
        return scale.percent(math.log(max(value, self.low)))

    def ticks(self, most: int = 4) -> tuple[float, ...]:
        """Return at most `most` round values on the axis: 1, 2 and 5 of each decade, 1 and 3, or 1 alone."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        fine = ([step * 10.0**power for power in decades for step in steps] for steps in ((1, 2, 5), (1, 3)))
        coarse = ([10.0**power for power in decades[::every]] for every in range(1, len(decades) + 1))
        inside = (tuple(filter(self._holds, values)) for values in (*fine, *coarse))
        return next((values for values in inside if len(values) <= most), ())

    def _holds(self, value: float) -> bool:
        return self.low <= value * _ROUNDING and value <= self.high * _ROUNDING


def nice_ticks(high: float, most: int = 4) -> tuple[float, ...]:
    """Return at most `most` + 1 round values from 0 to the first one that is not below `high`.

    Example:
        >>> nice_ticks(873)
        (0.0, 250.0, 500.0, 750.0, 1000.0)
        >>> nice_ticks(0)
        (0.0, 1.0)
    """
    if not _LEAST < high < math.inf:
        return (0.0, 1.0)
    magnitude = 10.0 ** math.floor(math.log10(high / most))
    step = next(magnitude * step for step in _STEPS if magnitude * step * most * _ROUNDING >= high)
    return tuple(float(f"{step * n:.12g}") for n in range(math.ceil(high / step / _ROUNDING) + 1))


def spread(count: int, most: int) -> Sequence[int]:
    """Return at most `most` positions among `count`, evenly far apart, from the first one on.

    Example:
        >>> list(spread(90, 5))
        [0, 18, 36, 54, 72]
    """
    return range(0, count, max(1, math.ceil(count / most)))
