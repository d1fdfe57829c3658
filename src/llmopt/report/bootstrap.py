"""Intervals of differences by resampling blocks of calls. No I/O; the same seed gives the same intervals.

Calls that follow each other are alike: they share an hour, a battle, an outage. So blocks of them are drawn,
not single calls (H. R. Künsch, The jackknife and the bootstrap for general stationary observations, 1989).
A million calls then take no longer than a hundred blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from .latency import Quantiles, nearest_rank
from .values import share

__all__ = ["BLOCKS", "LEAST_BLOCKS", "RESAMPLES", "SEED", "Figure", "interval"]

BLOCKS: Final = 100
"""Blocks that the calls of a side are cut into, about: enough for an interval, and each long enough."""

LEAST_BLOCKS: Final = 10
"""Blocks below which an interval would say more than the calls do."""

RESAMPLES: Final = 1_000
"""Resamples: 25 of them lie beyond each end of a 95 % interval."""

SEED: Final = 7

_LOW, _HIGH = 0.025, 0.975


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that can be told from any choice of blocks: the ratio of two sums, or a quantile.

    A quantile q is known by the share of the times that do not exceed it. A resample in which that share is
    greater has its own quantile lower down by as much (R. R. Bahadur, A note on quantiles in large samples,
    1966), so that no resample has to be sorted.

    Attributes:
        blocks: part and whole of each block: calls that failed and all calls, or times up to q and all times.
        quantiles: the times of all blocks, if the figure is one of their quantiles.
        level: which one.
    """

    blocks: Sequence[tuple[float, float]]
    quantiles: Quantiles | None = None
    level: float = 0.0

    @property
    def value(self) -> float | None:
        """The figure of all blocks; None where there is nothing that it could be of."""
        return self.of(self.blocks)

    def of(self, blocks: Sequence[tuple[float, float]]) -> float | None:
        """Return the figure of these blocks."""
        ratio = _ratio(blocks)
        if self.quantiles is None or ratio is None:
            return ratio
        return self.quantiles.at(self.level + (_ratio(self.blocks) or 0.0) - ratio)

    def resamples(self, random: Random) -> Iterator[float | None]:
        """Yield the figure of resamples."""
        for _ in range(RESAMPLES):
            yield self.of(random.choices(self.blocks, k=len(self.blocks)))


def _ratio(blocks: Sequence[tuple[float, float]]) -> float | None:
    return share(sum([part for part, _ in blocks]), sum([whole for _, whole in blocks]))


def interval(first: Figure, second: Figure, seed: int = SEED) -> tuple[float, float] | None:
    """Return the 95 % interval of the second figure less the first, or None where there is too little.

    Args:
        first: the first figure.
        second: the second one.
        seed: what the resamples are drawn with.

    Example:
        >>> few, many = ([(n % 2, 10) for n in range(40)], [(4 + n % 2, 10) for n in range(40)])
        >>> low, high = interval(Figure(few), Figure(many))
        >>> 0.37 < low < 0.4 < high < 0.43
        True
    """
    if min(len(first.blocks), len(second.blocks)) < LEAST_BLOCKS:
        return None
    random = Random(seed)  # noqa: S311 - no cryptography here
    pairs = zip(first.resamples(random), second.resamples(random), strict=True)
    found = sorted(after - before for before, after in pairs if before is not None and after is not None)
    low, high = nearest_rank(found, _LOW), nearest_rank(found, _HIGH)
    return None if low is None or high is None else (low, high)
