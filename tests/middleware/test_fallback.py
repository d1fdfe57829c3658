"""Fallback: who answers in the model's place, with what, and when nobody can."""

from __future__ import annotations

import functools
import json
import threading

import llm
import pytest

import llmopt
from llmopt import Fallback, Retry, Timeout
from llmopt.errors import CallError, ConfigurationError, FallbackFailed, FlowError, StreamStarted
from llmopt.resilience import is_transient
from llmopt.testing import Answer, FaultPlan
from llmopt.types import Usage

DOWN = ConnectionError("down")


def hold(call):
    return f"HOLD {call.prompt.prompt}"


async def ahold(call):
    return f"HOLD {call.prompt.prompt}"


class Heuristic:
    def __call__(self, call):
        return "HOLD Hi"


class AsyncHeuristic:
    async def __call__(self, call):
        return "HOLD Hi"


def replying(call):
    return llmopt.Reply(events=("HOLD ", "Hi"), usage=Usage(0, 0), response_json={"by": "rule"})


def naming(call):
    return llmopt.Reply.of_text("HOLD Hi", source="rules")


def broken(call):
    raise LookupError("no rule")


CALLABLES = {
    "a function": (hold, "hold", "fallback"),
    "an object": (Heuristic(), "Heuristic", "fallback"),
    "one that returns a Reply": (replying, "replying", "fallback"),
    "one that names its source": (naming, "naming", "rules"),
}
ASYNC_CALLABLES = {
    "an async function": (ahold, "ahold"),
    "an object with an async call": (AsyncHeuristic(), "AsyncHeuristic"),
    "a part of an async function": (functools.partial(ahold), "partial"),
}


@pytest.mark.parametrize("case", CALLABLES)
def test_a_callable_answers(world, case):
    tier, name, source = CALLABLES[case]
    outcome = world.ask(world.wrap([DOWN], Fallback(tier)))
    assert outcome.told == "HOLD Hi"
    assert (outcome.notes["tier"], outcome.notes["tier_name"]) == (1, name)
    assert outcome.response.llmopt.source == source
    assert outcome.response.response_json == ({"by": "rule"} if tier is replying else None)


@pytest.mark.parametrize("case", ASYNC_CALLABLES)
def test_an_async_callable_answers_an_async_call(world, case):
    tier, name = ASYNC_CALLABLES[case]
    model = world.model([DOWN])
    outcome = world.ask(world.wrap(model, Fallback(tier)))
    if world.is_async:
        assert (outcome.told, outcome.notes["tier_name"]) == ("HOLD Hi", name)
    else:  # and before it is needed
        assert str(outcome.error) == (
            f"Fallback: tier {name} is async and scripted is not: both must be alike"
        )
        assert (type(outcome.error), len(model.calls)) == (ConfigurationError, 0)


def test_an_event_loop_goes_on_while_a_plain_callable_thinks(world):
    threads = []
    tier = Fallback(lambda call: threads.append(threading.current_thread().name) or "HOLD")
    asked_in = []

    def where(call):
        asked_in.append(threading.current_thread().name)
        yield call

    world.ask(world.wrap([DOWN], where, tier))
    assert (threads == asked_in) is not world.is_async


def test_a_model_answers(world):
    second = world.model(["I can"], model_id="second")
    outcome = world.ask(world.wrap([DOWN], Fallback(second, hold)), system="Be brief.")
    assert (outcome.told, outcome.attempts) == ("I can", ["ConnectionError", "ok"])
    assert (outcome.notes["tier"], outcome.notes["tier_name"]) == (1, "second")
    asked = second.calls[0]
    assert (asked.text, asked.prompt.system) == ("Hi", "Be brief.")
    assert outcome.response.model.model_id == "scripted"  # what the caller asked is what it sees
    assert outcome.response.prompt.model is not second


def test_the_model_itself_is_tier_0(world):
    fallback = Fallback(hold)
    outcome = world.ask(world.wrap(["fine"], fallback))
    assert (outcome.notes["tier"], outcome.notes["tier_name"]) == (0, "scripted")
    assert (outcome.response.llmopt.source, fallback.stats()) == ("model", {0: 1})


def test_tiers_are_tried_in_order(world):
    models = [world.model([DOWN], model_id=f"m{number}") for number in range(3)]
    fallback = Fallback(*models[1:], broken, hold)
    outcome = world.ask(world.wrap(models[0], fallback))
    assert (outcome.told, outcome.notes["tier"]) == ("HOLD Hi", 4)
    assert [len(model.calls) for model in models] == [1, 1, 1]
    assert fallback.stats() == {4: 1}


def test_when_all_have_failed_the_caller_gets_every_error(world):
    second = world.model([TimeoutError("slow")], model_id="second")
    outcome = world.ask(world.wrap([DOWN], Fallback(second, broken)))
    error = outcome.error
    assert isinstance(error, FallbackFailed)
    assert str(error) == (
        "all 3 tiers have failed: scripted (ConnectionError), second (TimeoutError), broken (LookupError)"
    )
    assert [type(one) for one in error.errors] == [ConnectionError, TimeoutError, LookupError]
    assert error.__cause__ is DOWN
    assert "tier" not in outcome.notes


NO_ANSWERS = {"None": None, "a number": 7, "a dict": {"steps": []}, "bytes": b"HOLD"}


@pytest.mark.parametrize("case", NO_ANSWERS)
def test_what_is_no_answer_counts_as_a_failure(world, case):
    def tier(call):
        return NO_ANSWERS[case]

    outcome = world.ask(world.wrap([DOWN], Fallback(tier)))
    assert outcome.told == "FallbackFailed"
    what = type(NO_ANSWERS[case]).__name__
    assert str(outcome.error.errors[1]) == f"the tier tier returned a {what}; it returns a text or a Reply"
    assert world.ask(world.wrap([DOWN], Fallback(tier, hold))).told == "HOLD Hi"


ON = {
    "an error that moves on": (ConnectionError("down"), "HOLD Hi"),
    "an error that does not": (ValueError("bug"), "ValueError"),
}


@pytest.mark.parametrize("case", ON)
def test_on_chooses_the_errors_that_move_on(world, case):
    error, told = ON[case]
    outcome = world.ask(world.wrap([error], Fallback(hold, on=is_transient)))
    assert outcome.told == told
    assert outcome.error in {None, error}


def is_json(reply):
    json.loads(reply.text)
    return True


ACCEPT = {
    "accepted at once": (['{"x": 1}'], [], '{"x": 1}', 0),
    "accept returns False": ([""], ['{"x": 2}'], '{"x": 2}', 1),
    "accept raises": (["Sure!"], ['{"x": 2}'], '{"x": 2}', 1),
    "the model fails": ([DOWN], ['{"x": 2}'], '{"x": 2}', 1),
    "cut in the middle": ([Answer(chunks=['{"x"', ": 1}"], error=DOWN, error_after=1)], ['{"x": 2}'],
                          '{"x": 2}', 1),
    "nothing is accepted, and a callable is not judged": (["no"], ["neither"], "HOLD Hi", 2),
}  # fmt: skip


@pytest.mark.parametrize("on", [None, is_transient], ids=["on all", "on transient"])
@pytest.mark.parametrize("case", ACCEPT)
def test_accept_judges_the_whole_reply(world, case, on):
    first, second, told, tier = ACCEPT[case]

    def accept(reply):
        return reply.text != "" and is_json(reply)

    subject = Fallback(world.model(second, model_id="second"), hold, accept=accept, on=on)
    outcome = world.ask(world.wrap(first, subject))
    assert (outcome.told, outcome.notes["tier"]) == (told, tier)


def test_a_reply_that_nobody_accepts_is_named(world):
    def never(reply):
        return False

    second = world.model(["b"], model_id="second")
    outcome = world.ask(world.wrap(["a"], Fallback(second, accept=never)))
    assert (outcome.events, outcome.told) == ([], "FallbackFailed")
    assert [str(error) for error in outcome.error.errors] == [
        "the reply of scripted was not accepted",
        "the reply of second was not accepted",
    ]
    assert isinstance(outcome.error.errors[0], CallError)


def test_options_that_a_tier_does_not_know_are_left_out(world):
    class Plain(type(world.model())):
        class Options(llm.Options):
            temperature: float | None = None

    second = Plain(["I can"], model_id="plain")
    wrapped = world.wrap([DOWN], Fallback(second))
    outcome = world.ask(wrapped, temperature=0.5, max_tokens=9, seed=1)
    assert outcome.told == "I can"
    options = second.calls[0].prompt.options
    assert options.model_dump(exclude_none=True) == {"temperature": 0.5}
    assert outcome.notes["dropped_options"] == ["max_tokens", "seed"]
    assert outcome.response.prompt.options.seed == 1
    assert "dropped_options" not in world.ask(world.wrap([DOWN], Fallback(second)), temperature=1).notes


def test_an_option_that_a_tier_refuses_is_its_failure(world):
    class Strict(type(world.model())):
        class Options(llm.Options):
            temperature: int | None = None

    outcome = world.ask(world.wrap([DOWN], Fallback(Strict(), hold)), temperature=0.5)
    assert (outcome.told, outcome.notes["tier"]) == ("HOLD Hi", 2)


UNSUPPORTED = {
    "a schema": ({"supports_schema": False}, {"schema": {"type": "object", "properties": {}}}),
    "tools": ({"supports_tools": False}, {"tools": [hold]}),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_a_tier_does_not_support_is_its_failure(world, case):
    cannot, given = UNSUPPORTED[case]
    tier = world.model(model_id="simple", **cannot)
    outcome = world.ask(world.wrap([DOWN], Fallback(tier, hold)), **given)
    assert (outcome.told, outcome.notes["tier"], tier.calls) == ("HOLD Hi", 2, [])


def keys_seen(world, needs_key, **given):
    other = world.model(keyed=True, model_id="other")
    other.needs_key, other.key_env_var = needs_key, "KEY_OF_THE_TIER"
    world.ask(world.wrap(world.model([DOWN], keyed=True), Fallback(other)), **given)
    return [call.key for call in other.calls]


def test_the_callers_key_goes_to_no_other_provider(world, monkeypatch):
    monkeypatch.setenv("KEY_OF_THE_TIER", "the tier's own")
    assert keys_seen(world, "another provider", key="sk-secret") == ["the tier's own"]
    assert keys_seen(world, "scripted", key="sk-secret") == ["sk-secret"]


def test_a_tier_without_a_key_of_its_own_fails_and_names_it(world):
    other = world.model(keyed=True, model_id="other")
    other.needs_key, other.key_env_var = "elsewhere", None
    outcome = world.ask(world.wrap(world.model([DOWN], keyed=True), Fallback(other)), key="sk-secret")
    assert isinstance(outcome.error.errors[1], llm.NeedsKeyException)
    assert "sk-secret" not in str(outcome.error.errors)


def test_after_the_first_event_it_is_too_late(world):
    cut = Answer(chunks=["half", "whole"], error=DOWN, error_after=1)
    fallback = Fallback(hold)
    outcome = world.ask(world.wrap([cut], fallback))
    assert (outcome.text, outcome.error, fallback.stats()) == ("half", DOWN, {})


def test_a_model_of_the_other_kind_is_refused_before_it_is_needed(world, make_world):
    other = make_world("sync" if world.is_async else "asyncio").model(model_id="other")
    model = world.model(["fine"])
    outcome = world.ask(world.wrap(model, Fallback(other)))
    kind = "sync" if world.is_async else "async"
    assert str(outcome.error) == f"Fallback: tier other is {kind} and scripted is not: both must be alike"
    assert (type(outcome.error), model.calls) == (ConfigurationError, [])


def test_one_instance_cannot_serve_both_kinds_with_a_model_tier(make_world):
    sync, asynchronous = make_world("sync"), make_world("asyncio")
    fallback = Fallback(sync.model(model_id="other"))
    assert sync.ask(sync.wrap(["fine"], fallback)).told == "fine"
    assert asynchronous.ask(asynchronous.wrap(["fine"], fallback)).told == "ConfigurationError"


def test_a_broken_middleware_inside_is_not_covered_up(world):
    def again(call):
        yield call
        yield call  # too late

    outcome = world.ask(world.wrap([Answer(text="a")], Fallback(hold), again))
    assert isinstance(outcome.error, StreamStarted)

    def nonsense(call):
        yield 42

    assert type(world.ask(world.wrap([], Fallback(hold), nonsense)).error) is FlowError


def test_each_tier_is_retried_by_itself(world):
    import tenacity

    retry = Retry(attempts=2, wait=tenacity.wait_none())
    second = world.model([DOWN, "second try"], model_id="second")
    outcome = world.ask(world.wrap([DOWN] * 2, Fallback(second), retry))
    assert (outcome.told, outcome.attempts) == ("second try", ["ConnectionError"] * 3 + ["ok"])
    asked = [attempt.model_id for attempt in outcome.trace.attempts]
    assert asked == ["scripted", "scripted", "second", "second"]


def test_a_wrapped_model_may_be_a_tier_and_keeps_its_own_chain(world):
    def shout(call):
        yield call.tap(lambda event: [event.upper()])

    tier = llmopt.wrap(world.model(["I can"], model_id="second"), shout)
    assert world.ask(world.wrap([DOWN], Fallback(tier))).told == "I CAN"


def test_a_tier_in_a_conversation_gets_what_was_said(world):
    second = world.model(["two"], model_id="second")
    wrapped = world.wrap(["one", DOWN], Fallback(second))
    conversation = wrapped.conversation()

    def turn(text):
        return world.ask(type("Turn", (), {"prompt": staticmethod(conversation.prompt)}), text).told

    assert [turn("first"), turn("second")] == ["one", "two"]
    texts = [part.text for message in second.calls[0].prompt.messages for part in message.parts]
    assert texts == ["first", "one", "second"]


def test_a_slow_model_is_given_up_and_the_tier_has_all_the_time_it_needs(world):
    slow = Answer(text="late", delay_s=60)
    outcome = world.ask(world.wrap([slow], Fallback(hold), Timeout(5)))
    assert (outcome.told, outcome.attempts) == ("HOLD Hi", ["CallTimeout"])


def test_without_tools_of_its_own_a_heuristic_sees_the_whole_call(world):
    seen = []

    def heuristic(call):
        seen.append((call.model_id, call.prompt.prompt, call.prompt.options.seed, call.stream))
        return "HOLD"

    plan = FaultPlan.of("503")
    world.ask(world.wrap(plan, Fallback(heuristic)), "Plan", seed=3)
    assert seen == [("scripted", "Plan", 3, True)]
