"""Intervals and tests for shares of right answers. No tables, no approximation but the named ones."""

from __future__ import annotations

from math import comb, sqrt
from typing import Final, NamedTuple

__all__ = ["Z_95", "Interval", "mcnemar_p", "paired_interval", "wilson_interval"]

Z_95: Final = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution: two-sided 95 %."""


class Interval(NamedTuple):
    """Where a figure lies with the confidence that was asked for."""

    low: float
    high: float


def wilson_interval(right: int, asked: int, z: float = Z_95) -> Interval:
    """Return the score interval of a share.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Args:
        right: how many were right.
        asked: of how many, from 1 up.
        z: quantile of the normal distribution.

    Returns:
        Between 0 and 1.

    Example:
        >>> low, high = wilson_interval(20, 20)
        >>> round(low, 3), high
        (0.839, 1.0)
    """
    share = right / asked
    centre = share + z * z / (2 * asked)
    spread = z * sqrt(share * (1 - share) / asked + (z / (2 * asked)) ** 2)
    scale = 1 + z * z / asked
    low = 0.0 if right == 0 else (centre - spread) / scale
    high = 1.0 if right == asked else (centre + spread) / scale
    return Interval(low, high)


def paired_interval(gained: int, lost: int, asked: int, z: float = Z_95) -> Interval:
    """Return the adjusted Wald interval of the difference of two shares over the same questions.

    Each discordant count is raised by one, so that the interval has a width even where both agree always.

    Source: D. G. Bonett and R. M. Price, Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data, J. Educ. Behav. Stat. 37 (2012).

    Args:
        gained: questions that only the first got right.
        lost: questions that only the second got right.
        asked: all questions, from 1 up.
        z: quantile of the normal distribution.

    Returns:
        First share minus second, between -1 and 1.

    Example:
        >>> low, high = paired_interval(0, 0, 100)
        >>> round(low, 4), round(high, 4)
        (-0.0272, 0.0272)
    """
    first, second = (gained + 1) / (asked + 2), (lost + 1) / (asked + 2)
    difference = first - second
    spread = z * sqrt((first + second - difference**2) / (asked + 2))
    return Interval(max(-1.0, difference - spread), min(1.0, difference + spread))


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the exact two-sided p of McNemar's test: are the two equally often right?

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages, Psychometrika 12 (1947); exact by the binomial distribution of the discordant pairs.

    Args:
        gained: questions that only the first got right.
        lost: questions that only the second got right.

    Example:
        >>> mcnemar_p(0, 6), mcnemar_p(0, 0)
        (0.03125, 1.0)
    """
    discordant = gained + lost
    tail = sum(comb(discordant, number) for number in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**discordant))
