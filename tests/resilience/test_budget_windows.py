"""Retry and spend budgets against lists of everything that was booked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from llmopt.errors import ConfigurationError
from llmopt.resilience import Refusal, Remaining, RetryBudget, SpendBudget, Spending


@pytest.mark.parametrize(
    ("make", "arguments", "name"),
    [
        (RetryBudget, {"ratio": -0.1}, r"ratio=-0\.1"),
        (RetryBudget, {"min_per_s": "1"}, "min_per_s='1'"),
        (RetryBudget, {"window_s": 0}, "window_s=0"),
        (SpendBudget, {}, "tokens=None"),
        (SpendBudget, {"tokens": 0}, "tokens=0"),
        (SpendBudget, {"nano_usd": 0.5}, r"nano_usd=0\.5"),
        (SpendBudget, {"tokens": 1, "window": "week"}, "window='week'"),
        (SpendBudget, {"tokens": 1, "window": -3}, "window=-3"),
    ],
)
def test_bad_arguments_are_named(make, arguments, name):
    with pytest.raises(ConfigurationError, match=name):
        make(**arguments)


def test_negative_amounts_are_refused():
    budget = SpendBudget(tokens=10)
    with pytest.raises(ConfigurationError, match="-1"):
        budget.reserve(0.0, tokens=-1)
    with pytest.raises(ConfigurationError, match="-1"):
        budget.charge(0.0, nano_usd=-1)
    with pytest.raises(ConfigurationError, match="-1"):
        budget.settle(budget.reserve(0.0), 0.0, tokens=-1)


def test_retries_follow_the_calls_out_of_the_window():
    budget = RetryBudget(ratio=0.5, min_per_s=0, window_s=10)
    assert not budget.try_retry(0.0)
    for _ in range(4):
        budget.record_call(0.0)
    assert [budget.try_retry(1.0) for _ in range(3)] == [True, True, False]
    assert not budget.try_retry(12.5)
    stats = budget.stats()
    assert (stats.window_calls, stats.window_retries, stats.allowed, stats.refused) == (0, 0, 2, 3)


@given(
    events=st.lists(st.tuples(st.sampled_from(["call", "retry", "retry"]), st.floats(0, 3)), max_size=80),
    ratio=st.sampled_from([0.0, 0.2, 1.0]),
    min_per_s=st.sampled_from([0.0, 0.3]),
)
def test_no_retry_goes_beyond_the_budget_of_its_window(events, ratio, min_per_s):
    budget = RetryBudget(ratio=ratio, min_per_s=min_per_s, window_s=10)
    now, calls, retries = 0.0, [], []
    for kind, dt in events:
        now += dt
        since = (now // 1.0) - 10  # the current second and the ten before it
        if kind == "call":
            budget.record_call(now)
            calls.append(now)
            continue
        most = ratio * sum(at >= since for at in calls) + min_per_s * 10
        recent = sum(at >= since for at in retries)
        allowed = budget.try_retry(now)
        assert allowed == (recent + 1 <= most)
        if allowed:
            retries.append(now)


def test_a_fixed_window_begins_anew_at_the_multiples_of_its_length():
    budget = SpendBudget(tokens=100, nano_usd=1000, window="hour")
    assert budget.resets_in_s(3599.0) == 0.0
    assert isinstance(budget.reserve(3599.0, tokens=100), Spending)
    assert budget.resets_in_s(3599.0) == 1.0
    assert budget.reserve(3599.5, tokens=1) == Refusal("tokens", retry_after_s=0.5)
    assert budget.remaining(3599.5) == Remaining(tokens=0, nano_usd=1000)
    assert budget.remaining(3600.0) == Remaining(tokens=100, nano_usd=1000)
    assert budget.reserve(3600.0, nano_usd=1001) == Refusal("nano_usd", retry_after_s=None)


def test_a_sliding_window_frees_what_it_leaves_behind():
    budget = SpendBudget(nano_usd=100, window=60, sliding=True)
    budget.charge(0.5, nano_usd=60)
    budget.charge(30.5, nano_usd=30)
    assert budget.reserve(31.0, nano_usd=50) == Refusal("nano_usd", retry_after_s=30.0)
    assert budget.reserve(31.0, nano_usd=80) == Refusal("nano_usd", retry_after_s=60.0)
    assert isinstance(budget.reserve(61.0, nano_usd=50), Spending)
    assert budget.resets_in_s(61.0) == 61.0


def test_what_was_spent_beyond_the_estimate_counts_now_and_a_late_refund_does_not():
    budget = SpendBudget(tokens=100, window="minute")
    dear, cheap = budget.reserve(59.0, tokens=10), budget.reserve(59.0, tokens=50)
    budget.settle(dear, 61.0, tokens=40)
    budget.settle(cheap, 61.0, tokens=0)
    assert budget.remaining(61.0).tokens == 70
    budget.settle(dear, 61.0, tokens=100)
    budget.cancel(dear, 61.0)
    assert budget.remaining(61.0).tokens == 70
    assert budget.stats().cancelled == 0


def test_cancelling_gives_everything_back():
    budget = SpendBudget(tokens=100)
    budget.cancel(budget.reserve(0.0, tokens=100), 1.0)
    stats = budget.stats()
    assert (stats.window_tokens, stats.window_nano_usd) == (0, 0)
    assert (stats.reserved, stats.refused, stats.cancelled) == (1, 0, 1)


@pytest.mark.parametrize("sliding", [False, True])
def test_a_clock_set_back_holds_the_window_for_one_length_at_most(sliding):
    budget = SpendBudget(tokens=100, window="minute", sliding=sliding)
    budget.charge(6000.0, tokens=100)
    assert isinstance(budget.reserve(5999.0, tokens=1), Refusal)  # a small step does not renew it
    assert isinstance(budget.reserve(6001.0, tokens=1), Refusal)
    refused = budget.reserve(0.0, tokens=1)
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s <= 61
    assert isinstance(budget.reserve(refused.retry_after_s, tokens=1), Spending)


class SpendMachine(RuleBasedStateMachine):
    """Reservations, settled at any time, against a list of bookings with their slots."""

    spendings = Bundle("spendings")

    @initialize(sliding=st.booleans())
    def begin(self, sliding):
        self.budget = SpendBudget(tokens=100, nano_usd=1000, window=60.0, sliding=sliding)
        self.slot_s, self.keep = (1.0, 61) if sliding else (60.0, 1)
        self.now = 0.0
        self.booked = []  # [slot, tokens, nano_usd]
        self.entry = {}

    def slot(self):
        return int(self.now // self.slot_s)

    def sums(self):
        alive = [entry for entry in self.booked if entry[0] > self.slot() - self.keep]
        return sum(entry[1] for entry in alive), sum(entry[2] for entry in alive)

    @rule(dt=st.sampled_from([0.0, 0.4, 1.0, 15.0, 59.0, 200.0]))
    def pass_time(self, dt):
        self.now += dt

    @rule(target=spendings, tokens=st.integers(0, 110), nano_usd=st.integers(0, 1100))
    def reserve(self, tokens, nano_usd):
        before = self.sums()
        answer = self.budget.reserve(self.now, tokens=tokens, nano_usd=nano_usd)
        fits = before[0] + tokens <= 100, before[1] + nano_usd <= 1000
        if all(fits):
            self.entry[answer] = [self.slot(), tokens, nano_usd]
            self.booked.append(self.entry[answer])
        else:
            assert answer.reason == ("nano_usd" if fits[0] else "tokens")
            self.check_wait(answer.retry_after_s, tokens, nano_usd)
        return answer

    def check_wait(self, wait_s, tokens, nano_usd):
        """The estimate fits once the wait is over, and not a slot earlier."""
        if wait_s is None:
            assert tokens > 100 or nano_usd > 1000
            return
        real = self.now
        for self.now, fits in ((real + wait_s + 1e-6, True), (real + wait_s - 1e-6, False)):
            used = self.sums()
            assert (used[0] + tokens <= 100 and used[1] + nano_usd <= 1000) == fits
        self.now = real

    @rule(tokens=st.integers(0, 50))
    def charge(self, tokens):
        self.budget.charge(self.now, tokens=tokens)
        self.booked.append([self.slot(), tokens, 0])

    @rule(spending=spendings, tokens=st.integers(0, 150), nano_usd=st.integers(0, 1500))
    def settle(self, spending, tokens, nano_usd):
        entry = self.entry.pop(spending, None)
        if entry is None:
            return
        self.budget.settle(spending, self.now, tokens=tokens, nano_usd=nano_usd)
        more = [self.slot(), max(0, tokens - entry[1]), max(0, nano_usd - entry[2])]
        entry[1:] = [min(entry[1], tokens), min(entry[2], nano_usd)]
        self.booked.append(more)

    @rule(spending=spendings)
    def cancel(self, spending):
        entry = self.entry.pop(spending, None)
        if entry is not None:
            self.budget.cancel(spending, self.now)
            entry[1:] = [0, 0]

    @invariant()
    def same_remainder(self):
        if hasattr(self, "budget"):
            tokens, nano_usd = self.sums()
            expected = Remaining(max(0, 100 - tokens), max(0, 1000 - nano_usd))
            assert self.budget.remaining(self.now) == expected


SpendMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestSpendMachine = SpendMachine.TestCase
