"""What callers, middlewares and the limits of llmopt itself do."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import tenacity

from llmopt import Budget, Cache, CircuitBreaker, Fallback, RateLimit, Retry, Run, Timeout
from llmopt.errors import Abandoned
from llmopt.testing import Answer, FaultPlan

from ..middleware.conftest import Outcome
from .stage import Caller, Fault, Gate, Logged, Stage, full_stack, scripted, until

DOWN = ConnectionError("down")
TWO = Answer(chunks=["one", "two"])
LATE = Answer(text="late", delay_s=60)


# Limits


def at_once() -> Retry:
    return Retry(attempts=3, wait=tenacity.wait_none(), budget_ratio=None)


def breaker_open(stage: Stage) -> Outcome:
    stage.wrap([DOWN], CircuitBreaker(window=1, min_calls=1, cooldown_s=30))
    assert stage.ask().told == "ConnectionError"
    return stage.ask()


def budget_spent(stage: Stage) -> Outcome:
    stage.wrap([], Budget(tokens_per_hour=300))
    assert stage.ask().told == "Hi"
    return stage.ask("x" * 1200)


def rate_limited(stage: Stage) -> Outcome:
    stage.wrap([], RateLimit(requests_per_minute=1, burst_s=1, max_wait_s=10))
    assert stage.ask("first").told == "first"
    return stage.ask()


def queued(stage: Stage) -> Outcome:
    """One caller is gone while it waits for its turn; the next one gets the place."""
    limit = RateLimit(requests_per_minute=1, burst_s=1)
    stage.wrap([], limit)
    assert stage.ask("first").told == "first"
    outcome = stage.world.interrupt(stage.world.model(), stage.log, limit)
    assert limit.stats()["waiting"] == 0
    return outcome


def out_of_time_in_the_queue(stage: Stage) -> Outcome:
    stage.wrap([], Timeout(10), RateLimit(requests_per_minute=1, burst_s=1))
    assert stage.ask("first").told == "first"
    return stage.ask()


def slow_tier() -> tuple[Any, ...]:
    return Fallback(lambda call: "HOLD"), Timeout(5)


def broken_tier(call: Any) -> str:
    raise LookupError("no rule")


# Single flight


def shared(
    answer: Answer, happens: Callable[[Stage, Caller, Caller, Gate], Outcome]
) -> Callable[[Stage], Outcome]:
    """One caller asks and waits for the model, another follows; then something happens."""

    def play(stage: Stage) -> Outcome:
        cache, gate = Cache(), Gate()
        model = stage.world.model([answer])
        model.clock = gate
        stage.wrap(model, cache)
        leader = stage.call()
        until(gate.waiting.is_set)
        follower = stage.call()
        until(lambda: cache._flights.stats().followed)
        outcome = happens(stage, leader, follower, gate)
        assert cache._flights.stats().open == 0
        return outcome

    return play


def leader_leaves(stage: Stage, leader: Caller, follower: Caller, gate: Gate) -> Outcome:
    leader.cancel(gate)
    assert leader.wait().told == "KeyboardInterrupt"
    assert stage.row(leader.outcome).status == "cancelled"
    gate.opened.set()
    return follower.wait()


def leader_fails(stage: Stage, leader: Caller, follower: Caller, gate: Gate) -> Outcome:
    gate.opened.set()
    assert leader.wait().error is follower.wait().error
    return follower.outcome


def follower_leaves(stage: Stage, leader: Caller, follower: Caller, gate: Gate) -> Outcome:
    left = stage.ask(take=1)  # a third one, who is content with the first event
    assert (left.text, stage.row(left).status) == ("one", "abandoned")
    gate.opened.set()
    assert follower.wait().told == "onetwo"
    return leader.wait()


def follower_is_late(stage: Stage) -> Outcome:
    cache, gate = Cache(), Gate()
    model = stage.world.model([Answer(text="ok", delay_s=1)])
    model.clock = gate
    stage.wrap(model, cache)
    leader = stage.call()
    until(gate.waiting.is_set)
    patient = stage.wrapped
    stage.wrap(model, Timeout(0.05), cache)
    outcome = stage.ask()
    gate.opened.set()
    assert leader.wait().told == "ok"
    stage.wrapped = patient
    return outcome


# Callers that leave


def garbage(stage: Stage) -> Outcome:
    stage.wrap([TWO], *full_stack())
    outcome = Outcome()

    class Left:
        id = ""

    def begin(response: Any) -> None:
        outcome.response = Left()
        Left.id = response.id

    if stage.world.is_async:

        async def main() -> None:
            response = stage.wrapped.prompt("Hi")
            begin(response)
            assert await anext(aiter(response)) == "one"
            del response
            with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # trio's remark
                gc.collect()
                for _ in range(9):
                    await anyio.sleep(0.001)

        stage.world.run(main)
    else:
        response = stage.wrapped.prompt("Hi")
        begin(response)
        assert next(iter(response)) == "one"
        del response
        gc.collect()
    return outcome


# Middlewares that are wrong


def no_generator(call: Any) -> Any:
    return call


def nonsense(call: Any) -> Any:
    yield 42


def no_answer(call: Any) -> Any:
    if False:
        yield call


def swallowing(call: Any) -> Any:
    with suppress(Exception):
        yield call


def twice(call: Any) -> Any:
    yield call
    yield call


def returning(call: Any) -> Any:
    reply = yield call
    return reply


def raising_first(call: Any) -> Any:
    raise LookupError("first")
    yield call


def raising_last(call: Any) -> Any:
    yield call
    raise LookupError("last")


def failing_step(call: Any) -> Any:
    """What it does with the answer fails, and it gets over that."""
    yield call
    with suppress(ZeroDivisionError):
        yield Run(lambda: 1 / 0)


def raising_tap(call: Any) -> Any:
    def see(event: Any) -> None:
        raise LookupError("tap")

    yield call.tap(see)


def greedy(call: Any) -> Any:
    """Nobody is there any more, and it asks all the same."""
    try:
        yield call
    except Abandoned:
        yield call


def clumsy(call: Any) -> Any:
    try:
        yield call
    finally:
        yield Run(lambda: 1 / 0)


def wrong(*middlewares: Any) -> Callable[[Stage], Outcome]:
    """These stand in the chain once; the next call goes without them."""

    def play(stage: Stage) -> Outcome:
        stack = full_stack()
        stage.wrap([TWO], *stack, *middlewares)
        outcome = stage.ask(take=1 if {clumsy, greedy} & {*middlewares} else None)
        stage.wrap([], *stack)
        return outcome

    return play


def clumsy_clean_up(stage: Stage) -> Outcome:
    outcome = wrong(clumsy)(stage)
    assert "the clean-up of clumsy has failed" in stage.caplog.text
    return outcome


FLOW_ERROR = "`FlowError`, which names the middleware"

FAULTS = (
    Fault("circuit open", "The model has failed too often", "`CircuitOpen`, at once, with `retry_after_s`",
          breaker_open, "CircuitOpen", Logged("error", 0, "refused"), rest_s=30),
    Fault("budget spent", "What is left of the hour does not suffice for the call",
          "`BudgetExceeded`, at once, with `retry_after_s`", budget_spent, "BudgetExceeded",
          Logged("error", 0, "refused"), rest_s=3600),
    Fault("rate limit, too long a wait", "The queue is longer than `max_wait_s`",
          "`RateLimited`, at once, with `retry_after_s`", rate_limited, "RateLimited",
          Logged("error", 0, "refused"), rest_s=60),
    Fault("rate limit, caller gone", "The caller is cancelled while it waits for its turn",
          "Its own cancellation; the next caller gets its place", queued, "KeyboardInterrupt",
          Logged("cancelled", 0)),
    Fault("deadline in the back-off", "The next attempt would come after the deadline",
          "The error of the last attempt, at once",
          scripted(FaultPlan.of("429:20")(None), stack=lambda: (Timeout(10), at_once())),
          "RateLimitError", Logged("error", 1, "too_many_requests", 429)),
    Fault("deadline in the queue", "The rate limit would hold the call back beyond its deadline",
          "`RateLimited`, at once", out_of_time_in_the_queue, "RateLimited", Logged("error", 0, "refused"),
          rest_s=60),
    Fault("slow model, with a fallback", "The model takes longer than `Timeout` allows",
          "The answer of the next tier", scripted(LATE, stack=slow_tier), "HOLD", Logged("ok", 1)),
    Fault("a tier that raises", "The fallback's first tier has a bug", "The answer of the next tier",
          scripted(DOWN, stack=lambda: (Fallback(broken_tier, lambda call: "HOLD"),)), "HOLD",
          Logged("ok", 1)),
    Fault("all tiers fail", "Nobody has an answer", "`FallbackFailed`, with every tier's error",
          scripted(DOWN, stack=lambda: (Fallback(broken_tier),)), "FallbackFailed",
          Logged("error", 1, "connection")),
    Fault("shared call, leader cancelled", "The caller whom others follow is cancelled",
          "Those who follow: the answer; one of them asks again",
          shared(Answer(text="ok", delay_s=1), leader_leaves), "Hi", Logged("ok", 1, cache="miss")),
    Fault("shared call, leader fails", "The call that others follow fails",
          "Those who follow: the same error; nobody asks again",
          shared(Answer(delay_s=1, error=DOWN), leader_fails), "ConnectionError",
          Logged("error", 0, "connection", cache="coalesced")),
    Fault("shared call, follower gone", "A caller who follows another's call leaves",
          "The others: the whole answer", shared(Answer(chunks=["one", "two"], chunk_delay_s=1),
                                                 follower_leaves),
          "onetwo", Logged("ok", 1, cache="miss")),
    Fault("shared call, follower out of time", "The deadline of a caller passes who follows another's call",
          "`CallTimeout`; the other goes on", follower_is_late, "CallTimeout",
          Logged("error", 0, "timeout", cache="coalesced")),
    Fault("clock set on", "The wall clock jumps a day forwards during the call", "The answer",
          scripted(Answer(text="ok", clock_jump_s=86_400)), "ok", Logged("ok", 1)),
    Fault("clock set back", "The wall clock jumps a day backwards during the call", "The answer",
          scripted(Answer(text="ok", clock_jump_s=-86_400)), "ok", Logged("ok", 1)),
    Fault("garbage", "A stream is dropped half read, and never closed",
          "Nothing: it is closed when it is collected", garbage, "", Logged("abandoned", 1)),
    Fault("middleware: no generator", "It returns something else", FLOW_ERROR, wrong(no_generator),
          "FlowError", Logged("error", 0, "other")),
    Fault("middleware: nonsense", "It yields what is no step", FLOW_ERROR, wrong(nonsense), "FlowError",
          Logged("error", 0, "other")),
    Fault("middleware: a value", "It returns a value", f"The answer, then {FLOW_ERROR}", wrong(returning),
          "FlowError", Logged("error", 1, "other"), heard="onetwo"),
    Fault("middleware: no answer", "It ends without one", "`NoAnswer`, which names the middleware",
          wrong(no_answer), "NoAnswer", Logged("error", 0, "other")),
    Fault("middleware: a swallowed error", "It takes the model's error and says nothing",
          "`NoAnswer`, which names the middleware", scripted(DOWN, stack=lambda: (swallowing,)), "NoAnswer",
          Logged("error", 1, "other")),
    Fault("middleware: twice", "It asks again when the answer has been delivered",
          "The answer, then `StreamStarted`", wrong(twice), "StreamStarted", Logged("error", 1, "other"),
          heard="onetwo"),
    Fault("middleware: raises first", "It has a bug before the call", "Its error", wrong(raising_first),
          "LookupError", Logged("error", 0, "other")),
    Fault("middleware: raises last", "It has a bug after the call", "The answer, then its error",
          wrong(raising_last), "LookupError", Logged("error", 1, "other"), heard="onetwo"),
    Fault("middleware: a step that fails", "Its own I/O after the call fails, and it gets over that",
          "The answer", wrong(failing_step), "onetwo", Logged("ok", 1)),
    Fault("middleware: raises in a tap", "It has a bug while events pass", "Its error", wrong(raising_tap),
          "LookupError", Logged("error", 1, "other")),
    Fault("middleware: raises in its clean-up", "The caller leaves, and its clean-up fails",
          "Nothing; the failure is logged, and the other middlewares clean up", clumsy_clean_up, "one",
          Logged("abandoned", 1)),
    Fault("middleware: asks in its clean-up", "The caller leaves, and it asks for another answer",
          "Nothing; it is closed instead", wrong(greedy), "one", Logged("abandoned", 1)),
)  # fmt: skip
