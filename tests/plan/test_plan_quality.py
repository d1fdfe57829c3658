"""The number of agents a request may ask for: how it rises, falls, and is shared."""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.plan.quality import Outcome, Quality, QualityBook


def clean(cap):
    return Outcome(cap, cap, cap=cap)


def test_two_clean_batches_at_the_cap_raise_it_by_two():
    state = Quality()
    caps = []
    for _ in range(6):
        state = state.after(clean(state.cap))
        caps.append(state.cap)
    assert caps == [8, 10, 10, 12, 12, 14]


@pytest.mark.parametrize(
    ("outcome", "cap"),
    [
        (Outcome(8, 7), 4),
        (Outcome(50, 49, cap=8), 8),  # 98 % are good
        (Outcome(50, 48, cap=8), 4),
        (Outcome(8, 8, truncated=True), 4),
        (Outcome(3, 2, at_cap=False), 4),
        (Outcome(8, 0, cap=16), 8),  # packed before the last cut
        (Outcome(8, 0, cap=4), 4),
    ],
)
def test_bad_batches_halve_it(outcome, cap):
    assert Quality().after(outcome).cap == cap


def test_it_never_falls_below_one():
    state = Quality(3)
    for _ in range(4):
        state = state.after(Outcome(1, 0, cap=1))
    assert state == Quality(1)
    assert state.after(clean(1)).after(clean(1)).cap == 3


def test_batches_that_were_not_bounded_by_it_prove_nothing():
    once = Quality().after(clean(8))
    for outcome in (Outcome(5, 5, at_cap=False), Outcome(4, 4, cap=4)):
        assert once.after(outcome) == once
    assert once.after(Outcome(8, 7)).clean == 0


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Quality(0), "cap=0"),
        (lambda: Quality(8, 2), "clean=2"),
        (lambda: Outcome(0, 0), "asked=0"),
        (lambda: Outcome(2, 3), "valid=3"),
        (lambda: Outcome(2, 2, cap=0), "cap=0"),
        (lambda: QualityBook(0), "cap=0"),
    ],
)
def test_bad_arguments_are_named(make, name):
    with pytest.raises(ConfigurationError, match=name):
        make()


OUTCOMES = st.builds(
    lambda asked, lost, **rest: Outcome(asked, max(0, asked - lost), **rest),
    asked=st.integers(1, 40),
    lost=st.sampled_from([0, 0, 0, 1, 5]),
    truncated=st.sampled_from([False, False, False, True]),
    cap=st.integers(1, 20),
    at_cap=st.booleans(),
)


@settings(max_examples=100)
@given(st.integers(1, 20), st.lists(OUTCOMES, max_size=30))
def test_it_rises_by_two_or_halves_or_stays(start, outcomes):
    state = Quality(start)
    for outcome in outcomes:
        before, state = state, state.after(outcome)
        assert state.cap in {before.cap, before.cap + 2, max(1, before.cap // 2)}
        assert state.cap >= 1
        if not outcome.clean:
            assert state.cap <= before.cap
        elif state.cap < before.cap:
            pytest.fail("a clean batch lowered the cap")


@given(st.integers(2, 40))
def test_it_finds_the_size_that_a_model_can_do(capacity):
    """A model that spoils a row when asked for more than `capacity` agents is asked for about that many."""
    state, caps = Quality(), []
    for _ in range(400):
        asked = state.cap
        state = state.after(Outcome(asked, asked if asked <= capacity else asked - 1, cap=asked))
        caps.append(state.cap)
    assert capacity / 2 - 1 <= sum(caps[200:]) / 200 <= capacity + 2


def test_models_and_roles_are_kept_apart():
    book = QualityBook(start=15)
    assert book.record("m", "tactical", Outcome(15, 10, cap=15)).cap == 7
    assert (book.cap("m", "tactical"), book.cap("m", "stealth"), book.cap("n", "tactical")) == (7, 15, 15)
    assert book.stats() == {("m", "tactical"): Quality(7)}


def test_threads_lose_no_outcome():
    book = QualityBook()

    def work():
        for _ in range(200):
            book.record("m", "r", Outcome(1, 1, cap=1, at_cap=True))
            book.record("m", "s", Outcome(8, 8, cap=8))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert book.cap("m", "r") == 8
    assert book.cap("m", "s") == 10  # later ones were packed under the old cap
