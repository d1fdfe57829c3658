"""Intervals and p values: known ones, brute force, and coverage in simulation."""

from __future__ import annotations

from itertools import product
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.evaluation import mcnemar_p, paired_interval, wilson_interval


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (29, 29, 0.8830, 1.0)],
)
def test_wilson_intervals_known_from_elsewhere(right, asked, low, high):
    assert wilson_interval(right, asked) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_intervals_hold_the_share_and_mirror(counts):
    right, asked = counts
    low, high = wilson_interval(right, asked)
    assert 0 <= low <= right / asked <= high <= 1
    assert wilson_interval(asked - right, asked) == pytest.approx((1 - high, 1 - low))


def exact_coverage(share, asked):
    outcomes = (
        comb(asked, k) * share**k * (1 - share) ** (asked - k)
        for k in range(asked + 1)
        if wilson_interval(k, asked)[0] <= share <= wilson_interval(k, asked)[1]
    )
    return sum(outcomes)


def test_wilson_intervals_cover_as_they_say():
    coverages = [exact_coverage(share / 100, 100) for share in range(5, 96)]
    assert min(coverages) > 0.91
    assert 0.945 < sum(coverages) / len(coverages) < 0.96


@pytest.mark.parametrize(
    ("both", "gained", "lost"), list(product((0.6, 0.9), (0.0, 0.02, 0.08), (0.0, 0.03, 0.1)))
)
def test_paired_intervals_cover_in_simulation(both, gained, lost):
    """SIMULATION: 1,500 exams of 100 questions with known chances of each outcome."""
    both = min(both, 1 - gained - lost)
    random = Random(f"{both} {gained} {lost}")
    weights = (gained, lost, 1 - gained - lost)
    covered = 0
    for _ in range(1500):
        drawn = random.choices("gl-", weights, k=100)
        low, high = paired_interval(drawn.count("g"), drawn.count("l"), 100)
        covered += low <= gained - lost <= high
    assert covered / 1500 > 0.93


def test_paired_intervals_follow_the_published_formula():
    # p12 = 13/102, p21 = 4/102
    low, high = paired_interval(12, 3, 100)
    spread = 1.959964 * ((17 / 102 - (9 / 102) ** 2) / 102) ** 0.5
    assert (low, high) == pytest.approx((9 / 102 - spread, 9 / 102 + spread))
    assert paired_interval(3, 12, 100) == pytest.approx((-high, -low))
    assert paired_interval(1, 0, 1) == (pytest.approx(-0.7335, abs=1e-3), 1.0)


def mcnemar_by_enumeration(gained, lost):
    """The share of all ways to fall that are at least as uneven."""
    total = gained + lost
    falls = [sum(ways) for ways in product((0, 1), repeat=total)]
    return sum(abs(2 * fall - total) >= abs(gained - lost) for fall in falls) / len(falls)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 1), (1, 1), (5, 0), (2, 7), (6, 6), (1, 9)])
def test_mcnemar_is_exact(gained, lost):
    assert mcnemar_p(gained, lost) == pytest.approx(mcnemar_by_enumeration(gained, lost))


def test_mcnemar_rejects_what_is_true_no_more_often_than_it_says():
    for total in range(1, 60):
        rejected = sum(comb(total, k) for k in range(total + 1) if mcnemar_p(k, total - k) <= 0.05)
        assert rejected / 2**total <= 0.05
