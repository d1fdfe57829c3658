"""When a failed call is sent again."""

from __future__ import annotations

import random

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.resilience import RetryPolicy


class Busy(Exception):
    def __init__(self, status=429, **headers):
        super().__init__(status)
        self.status_code = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"attempts": 0}, "attempts=0"),
        ({"attempts": 2.5}, r"attempts=2\.5"),
        ({"wait": 3}, "wait=3"),
        ({"stop": "never"}, "stop='never'"),
        ({"transient": None}, "transient=None"),
        ({"min_wait_s": -1}, "min_wait_s=-1"),
        ({"max_wait_s": float("nan")}, "max_wait_s=nan"),
        ({"max_retry_after_s": "60"}, "max_retry_after_s='60'"),
        ({"min_wait_s": 5, "max_wait_s": 1}, "min_wait_s=5"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ConfigurationError, match=name):
        RetryPolicy(**arguments)


@given(seed=st.integers(), attempt=st.integers(1, 5000), low=st.floats(0, 3), more=st.floats(0, 40))
def test_the_default_wait_is_that_of_tenacity(seed, attempt, low, more):
    policy = RetryPolicy(attempts=10**9, min_wait_s=low, max_wait_s=low + more)
    theirs = RetryPolicy(
        attempts=10**9,
        wait=tenacity.wait_random_exponential(multiplier=1, min=low, max=low + more),
    )
    delays = []
    for each in (policy, theirs):
        random.seed(seed)
        delays.append(each.decide(TimeoutError(), attempt, now=0.0))
    assert delays[0] == pytest.approx(delays[1])
    assert low <= delays[0] <= low + more


def test_it_ends_after_the_last_attempt_and_on_errors_that_stay():
    policy = RetryPolicy(attempts=3, min_wait_s=0)
    assert policy.decide(Busy(), 2, now=0.0) is not None
    assert policy.decide(Busy(), 3, now=0.0) is None
    assert policy.decide(Busy(400), 1, now=0.0) is None
    assert RetryPolicy(transient=lambda error: True).decide(Busy(400), 1, now=0.0) is not None


def test_the_servers_wait_is_kept_but_spread():
    policy = RetryPolicy(max_wait_s=1)
    delays = {policy.decide(Busy(retry_after="20"), 1, now=0.0) for _ in range(50)}
    assert all(20.0 <= delay <= 22.0 for delay in delays)
    assert len(delays) > 1
    assert 0.5 <= policy.decide(Busy(retry_after_ms="3"), 1, now=0.0) <= 1.0  # the longer of the two


def test_a_server_that_asks_for_too_much_is_left_alone():
    policy = RetryPolicy(max_retry_after_s=60)
    assert policy.decide(Busy(retry_after="61"), 1, now=0.0) is None
    assert policy.decide(Busy(retry_after="9" * 400), 1, now=0.0) is None
    assert policy.decide(Busy(retry_after="60"), 1, now=0.0) is not None
    date = "Thu, 01 Jan 1970 01:00:00 GMT"
    assert policy.decide(Busy(retry_after=date), 1, now=0.0, wall_now=0.0) is None
    assert 30 <= policy.decide(Busy(retry_after=date), 1, now=0.0, wall_now=3570.0) <= 33


def test_no_wait_reaches_the_deadline():
    policy = RetryPolicy(wait=lambda state: 2.0)
    assert policy.decide(Busy(), 1, now=10.0, deadline=12.5) == 2.0
    assert policy.decide(Busy(), 1, now=10.0, deadline=12.0) is None
    assert policy.decide(Busy(retry_after="5"), 1, now=10.0, deadline=14.0) is None


def test_tenacity_strategies_see_the_failed_attempt():
    seen = []

    def wait(state):
        seen.append(state)
        return -1.0

    error = Busy()
    assert RetryPolicy(wait=wait).decide(error, 2, now=7.0, started=3.0) == 0.0
    (state,) = seen
    assert isinstance(state, tenacity.RetryCallState)
    assert state.attempt_number == 2
    assert state.outcome.exception() is error
    assert state.seconds_since_start == 4.0
    assert "Busy" in repr(state)


@pytest.mark.parametrize(
    ("wait", "attempt", "expected"),
    [
        (tenacity.wait_fixed(2), 1, 2.0),
        (tenacity.wait_exponential(multiplier=3, max=20), 2, 6.0),
        (tenacity.wait_incrementing(start=1, increment=2), 3, 5.0),
        (tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(9)), 2, 9.0),
        (tenacity.wait_fixed(1) + tenacity.wait_fixed(2), 1, 3.0),
        (tenacity.wait_exception(lambda error: float(error.status_code)), 1, 429.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_waits_of_tenacity_work(wait, attempt, expected):
    assert RetryPolicy(wait=wait).decide(Busy(), attempt, now=0.0) == expected


@pytest.mark.parametrize(
    ("stop", "attempt", "started", "goes_on"),
    [
        (tenacity.stop_after_attempt(2), 1, 0.0, True),
        (tenacity.stop_after_attempt(2), 2, 0.0, False),
        (tenacity.stop_after_delay(30), 1, 80.0, True),
        (tenacity.stop_after_delay(30), 1, 60.0, False),
        (tenacity.stop_before_delay(30), 1, 75.0, True),
        (tenacity.stop_before_delay(30), 1, 72.0, False),
        (tenacity.stop_after_attempt(9) | tenacity.stop_after_delay(1), 1, None, True),
    ],
)
def test_the_stops_of_tenacity_work(stop, attempt, started, goes_on):
    policy = RetryPolicy(wait=tenacity.wait_fixed(3), stop=stop)
    delay = policy.decide(Busy(), attempt, now=100.0, started=started)
    assert (delay == 3.0) if goes_on else (delay is None)
