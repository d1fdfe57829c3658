"""Retry: what is sent again, when, how often, and what is not."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import tenacity

import llmopt
from llmopt import CircuitBreaker, Retry, Timeout
from llmopt.errors import CallTimeout
from llmopt.testing import Answer, FaultPlan
from llmopt.testing.server import Answer as Served

# The SDK's own streams are left to the garbage collector when they are through, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator '(openai|httpx|httpcore):ResourceWarning")

AT_ONCE = tenacity.wait_none()
RESET = ConnectionError("reset")


def always(fault: str) -> Any:
    """A script that fails for ever."""

    def script(prompt):
        return FaultPlan.of(fault, answer="never")(prompt)

    return script


CASES = {
    "a passing failure": (FaultPlan.of("503"), Retry(), ["InternalServerError", "ok"]),
    "the last attempt works": (FaultPlan.of("503", "429", "timeout"), Retry(),
                               ["InternalServerError", "RateLimitError", "APITimeoutError", "ok"]),
    "a model that is down": (always("503"), Retry(attempts=3), ["InternalServerError"] * 3),
    "a single attempt": (always("503"), Retry(attempts=1), ["InternalServerError"]),
    "a wrong request": (always("400"), Retry(), ["BadRequestError"]),
    "a wrong key": (always("401"), Retry(), ["AuthenticationError"]),
    "nothing left on the account": (always("quota"), Retry(), ["RateLimitError"]),
    "a bug": ([ValueError("bug")], Retry(), ["ValueError"]),
    "a failure of the user's choice": ([ValueError("odd")], Retry(transient=lambda error: True),
                                       ["ValueError", "ok"]),
    "a failure that is not of the user's choice": (always("503"), Retry(transient=lambda error: False),
                                                   ["InternalServerError"]),
    "cut after the first event": ([Answer(chunks=["a", "b"], error=RESET, error_after=1)], Retry(),
                                  ["ConnectionError"]),
    "a strategy that stops": (always("503"), Retry(stop=tenacity.stop_after_attempt(2)),
                              ["InternalServerError"] * 2),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_attempts(world, case):
    script, retry, attempts = CASES[case]
    model = world.model(copy.deepcopy(script))
    outcome = world.ask(world.wrap(model, copy.deepcopy(retry)))
    assert outcome.attempts == attempts
    assert len(model.calls) == len(attempts)
    assert outcome.error is outcome.trace.attempts[-1].error  # what the last attempt raised, as it is
    assert outcome.notes.get("retries", 0) == len(attempts) - 1
    assert outcome.waits[0] == 0.0
    assert all(wait > 0 for wait in outcome.waits[1:])
    assert sum(outcome.waits) == pytest.approx(sum(world.clock.sleeps))


def test_the_wait_grows_exponentially_with_full_jitter(world, monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    retry = Retry(attempts=8, budget_ratio=None)
    assert world.ask(world.wrap(always("503"), retry)).waits == [0, 1, 2, 4, 8, 16, 30, 30]


def test_a_strategy_of_tenacity_sets_the_wait(world):
    retry = Retry(wait=tenacity.wait_fixed(2) + tenacity.wait_fixed(1))
    assert world.ask(world.wrap(always("503"), retry)).waits == [0, 3, 3, 3]


RETRY_AFTER = {
    "seconds": ("429:7", 7),
    "of a server error": ("503:12", 12),
    "a date": ("429_date:1767225625", 25),  # the virtual clock starts at 1767225600
    "a date that is past": ("429_date:1767225000", None),
    "as long as may be": ("429:60", 60),
}


@pytest.mark.parametrize("case", RETRY_AFTER)
def test_retry_after_is_honoured(world, case):
    fault, asked_s = RETRY_AFTER[case]
    outcome = world.ask(world.wrap(FaultPlan.of(fault), Retry(wait=AT_ONCE)))
    wait_s = outcome.waits[1]
    assert outcome.attempts[-1] == "ok"
    # Up to a tenth is added, so that callers who were told the same do not come back in one moment.
    assert wait_s == 0 if asked_s is None else asked_s <= wait_s <= asked_s * 1.1


def test_a_longer_wait_of_the_strategy_goes_before_retry_after(world):
    retry = Retry(wait=tenacity.wait_fixed(20))
    assert world.ask(world.wrap(FaultPlan.of("429:1"), retry)).waits == [0, 20]


@pytest.mark.parametrize("fault", ["429:61", "429_date:1767999999"])
def test_a_server_that_asks_for_too_long_is_left_alone(world, fault):
    outcome = world.ask(world.wrap(FaultPlan.of(fault), Retry()))
    assert (outcome.told, outcome.attempts) == ("RateLimitError", ["RateLimitError"])
    assert world.clock.sleeps == []
    patient = Retry(max_retry_after_s=1e6, budget_ratio=None)
    assert world.ask(world.wrap(FaultPlan.of(fault, answer="ok"), patient)).told == "ok"


def test_no_wait_reaches_the_deadline(world):
    stack = (Timeout(10), Retry(attempts=9, wait=tenacity.wait_fixed(4), budget_ratio=None))
    outcome = world.ask(world.wrap(always("503"), *stack))
    assert (outcome.told, outcome.waits) == ("InternalServerError", [0, 4, 4])
    assert world.clock.monotonic() == 8  # the caller hears of it at once, not when the time is up


def test_attempts_with_a_timeout_of_their_own_are_repeated(world):
    slow = Answer(text="late", delay_s=60)
    model = world.model([slow, slow, "in time"])
    outcome = world.ask(world.wrap(model, Retry(wait=AT_ONCE), Timeout(30)))
    assert (outcome.told, outcome.attempts) == ("in time", ["CallTimeout", "CallTimeout", "ok"])


def test_a_deadline_outside_is_shared_by_the_attempts(world):
    slow = Answer(text="late", delay_s=40)
    outcome = world.ask(world.wrap([slow, slow, slow], Timeout(30), Retry(wait=AT_ONCE)))
    assert (outcome.told, outcome.attempts) == ("CallTimeout", ["CallTimeout"])


def test_what_llmopt_refuses_is_not_repeated(world):
    breaker = CircuitBreaker(window=1, min_calls=1)
    outcome = world.ask(world.wrap(always("503"), Retry(attempts=5), breaker))
    assert (outcome.told, outcome.attempts) == ("CircuitOpen", ["InternalServerError"])


def test_retries_are_kept_to_a_fraction_of_the_calls(world):
    retry = Retry(attempts=100, wait=AT_ONCE, budget_ratio=0.5)
    model = world.model(always("503"))
    wrapped = world.wrap(model, retry)
    for _ in range(4):
        assert world.ask(wrapped).told == "InternalServerError"
    # One a second over the window of 10 s, and one for every second call.
    assert len(model.calls) == 4 + 10 + 4 // 2
    assert retry.stats() == {"window_calls": 4, "window_retries": 12, "allowed": 12, "refused": 4}
    world.clock.advance(12)
    world.ask(wrapped)
    assert retry.stats()["allowed"] == 12 + 10


def test_without_a_budget_nothing_is_counted(world):
    retry = Retry(attempts=50, wait=AT_ONCE, budget_ratio=None)
    assert len(world.ask(world.wrap(always("503"), retry)).attempts) == 50
    assert retry.stats() == {}


def test_a_failed_attempt_leaves_nothing_in_the_answer(world):
    def first_fails(prompt):
        return answers.pop(0)

    half = Answer(attributes={"half": True}, response_json={"n": 1}, error=RESET, error_after=0)
    answers = [half, Answer(text="whole", response_json={"n": 2}, usage=llmopt.types.Usage(3, 4))]
    outcome = world.ask(world.wrap(first_fails, Retry(wait=AT_ONCE)))
    response = outcome.response
    assert (outcome.text, response.response_json, response.input_tokens) == ("whole", {"n": 2}, 3)
    assert not hasattr(response, "half")


def test_a_consumer_that_is_gone_while_it_waits_gets_no_further_attempt(world):
    model = world.model(always("503"))
    outcome = world.interrupt(model, Retry())
    assert (outcome.told, len(model.calls)) == ("KeyboardInterrupt", 1)


HTTP = {
    "down": ([Served(status=503)] * 9, 3, "InternalServerError"),
    "too many requests": ([Served(status=429, headers={"retry-after": "2"})] * 9, 3, "RateLimitError"),
    "overloaded": ([Served(status=529)] * 9, 3, "InternalServerError"),
    "closed without a byte": ([Served(cut_after_chunks=0)] * 9, 3, "APIConnectionError"),
    "a wrong request": ([Served(status=400)] * 9, 1, "BadRequestError"),
    "back for the last attempt": ([Served(status=500)] * 2 + [Served(text="HOLD")], 3, "HOLD"),
}


@pytest.mark.parametrize("case", HTTP)
def test_a_failing_server_sees_exactly_so_many_requests(world, server, case):
    answers, requests, told = HTTP[case]
    server.script(*answers)
    outcome = world.ask(world.wrap(world.chat(server.url), Retry(attempts=3)))
    assert (outcome.told, len(server.requests), len(outcome.attempts)) == (told, requests, requests)


def test_every_model_with_a_retry_has_the_sdks_own_retries_off(world):
    model = world.model()
    assert not llmopt.wrap(model, Retry()).__llmopt__.sdk_retries
    assert llmopt.wrap(model, CircuitBreaker()).__llmopt__.sdk_retries


def test_a_timeout_after_all_is_a_call_timeout(world):
    slow = [Answer(text="late", delay_s=60)] * 4
    outcome = world.ask(world.wrap(slow, Retry(attempts=2, wait=AT_ONCE), Timeout(first_token_s=5)))
    assert isinstance(outcome.error, CallTimeout)
    assert (outcome.error.limit, outcome.error.limit_s) == ("first_token", 5)
