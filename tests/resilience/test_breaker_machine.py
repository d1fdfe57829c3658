"""The circuit breaker against a model that keeps lists."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from llmopt.errors import ConfigurationError
from llmopt.resilience import Breaker, Permit, Refusal


def opened(now=0.0, **options):
    breaker = Breaker(window=4, min_calls=2, cooldown_s=10, **options)
    for _ in range(2):
        breaker.record_failure(breaker.allow(now), now)
    return breaker


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"failure_threshold": 0}, "failure_threshold=0"),
        ({"failure_threshold": 1.5}, "failure_threshold=1.5"),
        ({"window": 0}, "window=0"),
        ({"window": 2.0}, r"window=2\.0"),
        ({"window": 5, "min_calls": 6}, "min_calls=6"),
        ({"min_calls": 0}, "min_calls=0"),
        ({"cooldown_s": -1}, "cooldown_s=-1"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ConfigurationError, match=name):
        Breaker(**arguments)


def test_it_opens_at_the_failure_rate_and_not_before():
    breaker = Breaker(failure_threshold=0.5, window=4, min_calls=4, cooldown_s=10)
    for outcome in (breaker.record_success, breaker.record_failure, breaker.record_success):
        outcome(breaker.allow(0.0), 0.0)
    assert breaker.stats().state == "closed"
    breaker.record_failure(breaker.allow(3.0), 3.0)
    assert breaker.allow(3.0) == Refusal("open", retry_after_s=10.0)
    stats = breaker.stats()
    assert (stats.state, stats.since, stats.window_calls, stats.window_failures) == ("open", 3.0, 4, 2)


def test_failures_leave_the_window():
    breaker = Breaker(failure_threshold=0.5, window=4, min_calls=2, cooldown_s=10)
    outcomes = [breaker.record_success] * 3 + [breaker.record_failure] + [breaker.record_success] * 4
    for outcome in outcomes * 3:
        outcome(breaker.allow(0.0), 0.0)
    assert breaker.stats().state == "closed"
    assert breaker.stats().window_failures == 0


def test_one_probe_decides():
    breaker = opened()
    probe = breaker.allow(10.0)
    assert isinstance(probe, Permit)
    assert "probe=True" in repr(probe)
    assert breaker.allow(10.0) == Refusal("half_open", retry_after_s=10.0)
    assert breaker.stats().state == "half_open"
    breaker.record_failure(probe, 12.0)
    assert breaker.allow(13.0) == Refusal("open", retry_after_s=9.0)
    breaker.record_success(breaker.allow(22.0), 23.0)
    stats = breaker.stats()
    assert (stats.state, stats.since, stats.opened, stats.probes, stats.refused) == ("closed", 23.0, 2, 2, 2)
    assert stats.window_calls == 0


def test_an_abandoned_probe_makes_room_at_once():
    breaker = opened()
    breaker.release(breaker.allow(10.0))
    assert isinstance(breaker.allow(10.0), Permit)


def test_a_lost_probe_is_replaced_after_the_cooldown_and_no_longer_counts():
    breaker = opened()
    lost = breaker.allow(10.0)
    probe = breaker.allow(20.0)
    assert isinstance(probe, Permit)
    breaker.record_success(lost, 21.0)
    breaker.record_failure(lost, 21.0)
    breaker.release(lost)
    assert breaker.stats().state == "half_open"
    breaker.record_success(probe, 22.0)
    assert breaker.stats().state == "closed"


def test_outcomes_from_before_it_opened_change_nothing():
    breaker = Breaker(window=4, min_calls=2, cooldown_s=10)
    early = breaker.allow(0.0)
    for _ in range(2):
        breaker.record_failure(breaker.allow(0.0), 0.0)
    breaker.record_success(early, 1.0)
    breaker.record_failure(early, 1.0)
    breaker.release(early)
    assert breaker.stats().opened == 1
    breaker.record_success(breaker.allow(10.0), 10.0)
    breaker.record_failure(early, 11.0)
    assert breaker.stats().window_calls == 0


def test_releasing_a_call_of_a_closed_breaker_says_nothing():
    breaker = Breaker()
    breaker.release(breaker.allow(0.0))
    assert breaker.stats().window_calls == 0


def test_a_clock_set_back_does_not_keep_it_open():
    breaker = opened(now=1000.0)
    assert breaker.allow(0.0) == Refusal("open", retry_after_s=10.0)
    assert isinstance(breaker.allow(10.0), Permit)


class BreakerMachine(RuleBasedStateMachine):
    """Outcomes in any order, early, late or never; the model keeps lists where the breaker keeps bits."""

    permits = Bundle("permits")

    def __init__(self):
        super().__init__()
        self.breaker = Breaker(failure_threshold=0.5, window=6, min_calls=3, cooldown_s=10)
        self.now = 0.0
        self.period = object()  # which closed period it is; None when not closed
        self.outcomes = []
        self.ask_at = None
        self.probe = None
        self.born = {}

    @rule(dt=st.sampled_from([0.0, 1.0, 9.0, 10.0]))
    def pass_time(self, dt):
        self.now += dt

    @rule(target=permits)
    def allow(self):
        answer = self.breaker.allow(self.now)
        if self.period is not None:
            assert isinstance(answer, Permit)
            self.born[answer] = self.period
        elif self.now < self.ask_at:
            state = "half_open" if self.probe is not None else "open"
            assert answer == Refusal(state, retry_after_s=self.ask_at - self.now)
        else:
            assert isinstance(answer, Permit)
            assert answer.probe
            self.probe, self.ask_at = answer, self.now + 10
        return answer

    def open(self):
        self.period, self.probe, self.ask_at = None, None, self.now + 10

    @rule(permit=permits, failed=st.booleans())
    def record(self, permit, failed):
        if isinstance(permit, Refusal):
            return
        (self.breaker.record_failure if failed else self.breaker.record_success)(permit, self.now)
        if self.period is not None and self.born.get(permit) is self.period:
            self.outcomes = [*self.outcomes, failed][-6:]
            if failed and len(self.outcomes) >= 3 and sum(self.outcomes) * 2 >= len(self.outcomes):
                self.open()
        elif self.probe is not None and permit is self.probe:
            if failed:
                self.open()
            else:
                self.period, self.probe, self.outcomes = object(), None, []

    @rule(permit=permits)
    def release(self, permit):
        if isinstance(permit, Refusal):
            return
        self.breaker.release(permit)
        if self.probe is not None and permit is self.probe:
            self.probe, self.ask_at = None, self.now

    @invariant()
    def same_state(self):
        stats = self.breaker.stats()
        state = "closed" if self.period is not None else "half_open" if self.probe is not None else "open"
        assert stats.state == state
        assert (stats.window_calls, stats.window_failures) == (len(self.outcomes), sum(self.outcomes))


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestBreakerMachine = BreakerMachine.TestCase
