"""How long calls took: percentiles of nearest rank, and bins for charts."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import ceil
from typing import Final, TypeAlias

from .types import Latency

__all__ = ["Quantiles", "Times", "latency", "merged", "nearest_rank", "percentiles", "times_of"]

Times: TypeAlias = "Sequence[tuple[float, int]]"
"""Times in milliseconds in order, each with the calls that took it."""

_US: Final = 1000.0  # microseconds of a millisecond
_BOUNDS_MS: Final = tuple(step * 10.0**power for power in range(-1, 7) for step in (1, 2, 5))
"""Upper bounds of the bins of a chart: from 0.1 ms to an hour and more."""


def nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of them does not exceed; None where there is none.

    Args:
        ordered: the values in order.
        share: the share, above 0 and at most 1.

    Example:
        >>> nearest_rank([1.0, 2.0, 3.0, 4.0], 0.5), nearest_rank([1.0, 2.0, 3.0, 4.0], 0.51)
        (2.0, 3.0)
    """
    return ordered[max(0, ceil(round(share * len(ordered), 6)) - 1)] if ordered else None


def times_of(arrays_us: Iterable[array[int]]) -> Times:
    """Return times in microseconds as `Times`.

    Example:
        >>> times_of([array("Q", [2000, 1000]), array("Q", [2000])])
        [(1.0, 1), (2.0, 2)]
    """
    counted: Counter[int] = Counter()
    for values_us in arrays_us:
        counted.update(values_us)
    return [(value_us / _US, calls) for value_us, calls in sorted(counted.items())]


def merged(times: Iterable[Times]) -> Times:
    """Return several as one.

    Example:
        >>> merged([[(1.0, 1), (2.0, 1)], [(1.0, 2)]])
        [(1.0, 3), (2.0, 1)]
    """
    counted: Counter[float] = Counter()
    for part in times:
        for value_ms, calls in part:
            counted[value_ms] += calls
    return sorted(counted.items())


class Quantiles:
    """Times that are asked for their quantiles.

    Args:
        times: at least one time.

    Example:
        >>> Quantiles([(1.0, 3), (5.0, 1)]).at(0.75), Quantiles([(1.0, 3), (5.0, 1)]).at(0.76)
        (1.0, 5.0)
    """

    __slots__ = ("_ends", "_values")

    def __init__(self, times: Times) -> None:
        self._values = [value for value, _ in times]
        self._ends = list(accumulate(calls for _, calls in times))

    def at(self, share: float) -> float:
        """Return the smallest time that at least this share of them does not exceed."""
        # Rounded first: 0.07 * 100 is a little more than 7, and its next whole number 8.
        rank = ceil(round(share * self._ends[-1], 6))
        return self._values[min(bisect_left(self._ends, rank), len(self._values) - 1)]


def percentiles(times: Times, shares: Sequence[float]) -> Iterator[float | None]:
    """Yield the nearest rank of each share; None where there is no time."""
    quantiles = Quantiles(times) if times else None
    for share in shares:
        yield None if quantiles is None else quantiles.at(share)


def latency(model: str, measure: str, times: Times) -> Latency:
    """Return the row of one model and measure.

    Args:
        model: the model.
        measure: what was measured.
        times: at least one time.
    """
    p50_ms, p95_ms, p99_ms, max_ms = (value or 0.0 for value in percentiles(times, (0.5, 0.95, 0.99, 1.0)))
    calls = sum(count for _, count in times)
    return Latency(model, measure, calls, p50_ms, p95_ms, p99_ms, max_ms, tuple(_bins(times)))


def _bins(times: Times) -> Iterator[tuple[float, int]]:
    """Yield the bins from the first to the last one with a call in it."""
    counted: Counter[int] = Counter()
    for value_ms, calls in times:
        counted[bisect_left(_BOUNDS_MS, value_ms)] += calls
    for place in range(min(counted), max(counted) + 1):
        yield (*_BOUNDS_MS, times[-1][0])[place], counted[place]
