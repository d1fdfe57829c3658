"""CircuitBreaker: when it opens, what it says then, and who may look whether the model is back."""

from __future__ import annotations

import pytest
import tenacity

from llmopt import CircuitBreaker, Fallback, Retry, Timeout
from llmopt.errors import CallError, CircuitOpen
from llmopt.testing import Answer, FaultPlan

DOWN = ConnectionError("refused")


def breaker(**changes):
    return CircuitBreaker(**{"window": 4, "min_calls": 2, "cooldown_s": 30, **changes})


def state(breaker):
    (stats,) = breaker.stats().values()
    return stats["state"]


CASES = {
    "enough failures": (["503", "503"], "open"),
    "too few calls to tell": (["503"], "closed"),
    "half of the calls fail": (["ok", "503"], "open"),
    "less than half fail": (["ok", "ok", "503"], "closed"),
    "old failures are forgotten": (["503", "ok", "ok", "ok", "ok", "503"], "closed"),
    "too many requests": (["429", "429"], "open"),
    "timeouts": (["timeout", "timeout"], "open"),
    "connections that fail": (["connection_error", "cut:0"], "open"),
    "streams that are cut": (["cut:1", "cut:1"], "open"),
    "a wrong request says nothing": (["400", "400", "400"], "closed"),
    "a wrong key says nothing": (["401", "401", "401"], "closed"),
    "an account that is spent says nothing": (["quota", "quota"], "closed"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_opens_it(world, case):
    faults, expected = CASES[case]
    subject = breaker()
    wrapped = world.wrap(FaultPlan.of(*faults, answer="ok"), subject)
    outcomes = [world.ask(wrapped) for _ in faults]
    assert [outcome.notes["breaker"] for outcome in outcomes] == ["closed"] * len(faults)
    assert state(subject) == expected
    assert world.ask(wrapped).told == ("ok" if expected == "closed" else "CircuitOpen")


def opened(world, *answers, **changes):
    """A model that has failed twice, behind a breaker that has opened."""
    subject = breaker(**changes)
    model = world.model([DOWN, DOWN, *answers])
    wrapped = world.wrap(model, subject)
    assert [world.ask(wrapped).told for _ in range(2)] == ["ConnectionError"] * 2
    assert state(subject) == "open"
    return subject, model, wrapped


def test_while_it_is_open_the_model_is_left_alone(world):
    subject, model, wrapped = opened(world)
    world.clock.advance(10)
    refused = world.ask(wrapped)
    assert isinstance(refused.error, CircuitOpen)
    assert isinstance(refused.error, CallError)
    assert refused.error.retry_after_s == 20
    assert str(refused.error) == (
        "the circuit breaker of scripted is open: too many of the last calls have failed; ask again in 20.0 s"
    )
    assert (refused.notes["breaker"], refused.attempts, len(model.calls)) == ("open", [], 2)
    assert subject.stats()["scripted"]["refused"] == 1


def test_a_probe_that_succeeds_closes_it(world):
    subject, _, wrapped = opened(world, "back")
    world.clock.advance(30)
    probe = world.ask(wrapped)
    assert (probe.told, probe.notes["breaker"], state(subject)) == ("back", "half-open", "closed")
    assert world.ask(wrapped).notes["breaker"] == "closed"


def test_a_probe_that_fails_opens_it_again(world):
    subject, model, wrapped = opened(world, DOWN, "back")
    world.clock.advance(30)
    assert world.ask(wrapped).told == "ConnectionError"
    assert (state(subject), world.ask(wrapped).told, len(model.calls)) == ("open", "CircuitOpen", 3)
    world.clock.advance(30)
    assert world.ask(wrapped).told == "back"


def test_a_probe_that_says_nothing_lets_another_one_through(world):
    subject, _, wrapped = opened(world, FaultPlan.of("400")(None), "back")
    world.clock.advance(30)
    assert world.ask(wrapped).told == "BadRequestError"
    assert world.ask(wrapped).told == "back"
    assert state(subject) == "closed"


def test_a_probe_that_is_cancelled_lets_another_one_through(world):
    subject, model, wrapped = opened(world)
    world.clock.advance(30)
    model.enqueue(Answer(chunks=["a", "b"], chunk_delay_s=1))
    cancelled = world.interrupt(model, subject)
    assert (cancelled.text, cancelled.notes["breaker"], state(subject)) == ("a", "half-open", "open")
    assert world.ask(wrapped).told == "Hi"
    assert state(subject) == "closed"


def test_a_probe_whose_consumer_has_read_enough_closes_it(world):
    subject, _, wrapped = opened(world, Answer(chunks=["a", "b"]))
    world.clock.advance(30)
    assert (world.ask(wrapped, take=1).text, state(subject)) == ("a", "closed")


def test_others_wait_for_the_probe(world):
    subject, model, wrapped = opened(world)
    world.clock.advance(30)
    probe = subject._breakers["scripted", None].allow(world.clock.monotonic())  # somebody else's
    refused = world.ask(wrapped)
    assert (refused.told, refused.notes["breaker"], len(model.calls)) == ("CircuitOpen", "half-open", 2)
    assert "half-open: one call finds out if it is back; ask again in 30.0 s" in str(refused.error)
    subject._breakers["scripted", None].record_success(probe, world.clock.monotonic())
    assert world.ask(wrapped).told == "Hi"


def test_of_many_that_come_at_once_one_is_the_probe(make_world):
    for kind in ("asyncio", "trio"):
        world = make_world(kind)
        subject, model, wrapped = opened(world, Answer(text="back", delay_s=5))
        world.clock.advance(30)
        told = sorted(outcome.told for outcome in world.ask_all([wrapped] * 9))
        assert told == ["CircuitOpen"] * 8 + ["back"]
        assert subject.stats()["scripted"]["probes"] == 1
        assert len(model.calls) == 3


def test_each_model_has_its_own(world):
    subject = breaker()
    bad = world.wrap(world.model([DOWN] * 2, model_id="bad"), subject)
    good = world.wrap(world.model(model_id="good"), subject)
    for _ in range(2):
        world.ask(bad)
    assert world.ask(bad).told == "CircuitOpen"
    assert world.ask(good).told == "Hi"
    assert {name: stats["state"] for name, stats in subject.stats().items()} == {
        "bad": "open",
        "good": "closed",
    }


def test_each_endpoint_of_a_model_has_its_own(world):
    subject = breaker()
    for host, script in (("a.test", [DOWN] * 2), ("user:secret@b.test", [])):
        model = world.model(script)
        model.api_base = f"https://{host}/v1"
        for _ in range(2):
            world.ask(world.wrap(model, subject))
    states = {name: stats["state"] for name, stats in subject.stats().items()}
    assert states == {"scripted at https://a.test/v1": "open", "scripted at b.test/v1": "closed"}


def test_inside_retry_it_counts_attempts_and_outside_it_counts_calls(world):
    retry = Retry(attempts=3, wait=tenacity.wait_none())
    inside = breaker(min_calls=4)
    world.ask(world.wrap([DOWN] * 3, retry, inside))
    outside = breaker(min_calls=4)
    world.ask(world.wrap([DOWN] * 3, outside, retry))
    calls = [subject.stats()["scripted"]["window_calls"] for subject in (inside, outside)]
    assert calls == [3, 1]


def test_a_timeout_inside_counts(world):
    subject = breaker()
    slow = Answer(text="late", delay_s=60)
    wrapped = world.wrap([slow, slow], subject, Timeout(30))
    assert [world.ask(wrapped).told for _ in range(3)] == ["CallTimeout", "CallTimeout", "CircuitOpen"]


def test_a_fallback_outside_answers_at_once(world):
    subject = breaker(min_calls=1)
    wrapped = world.wrap(world.model([DOWN]), Fallback(lambda call: "HOLD"), subject)
    assert [world.ask(wrapped).told for _ in range(2)] == ["HOLD", "HOLD"]
    assert state(subject) == "open"
    assert subject.stats()["scripted"]["refused"] == 1


def test_a_cancelled_call_says_nothing(world):
    subject = breaker(min_calls=1)
    assert world.interrupt([Answer(text="late", delay_s=1)], subject).told == "KeyboardInterrupt"
    assert subject.stats()["scripted"]["window_calls"] == 0
    assert world.ask(world.wrap([], subject)).told == "Hi"
