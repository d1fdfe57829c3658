"""Timeout: the first token, the pace and the deadline; what shares them, and what is left behind."""

from __future__ import annotations

import threading
import time

import pytest
import tenacity

import llmopt
from llmopt import Fallback, RateLimit, Retry, Timeout
from llmopt.chain.clock import SystemClock
from llmopt.errors import CallTimeout
from llmopt.testing import Answer
from llmopt.testing.server import Answer as Served

# The SDK's own streams are left to the garbage collector when they are through, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator '(openai|httpx|httpcore):ResourceWarning")

REAL = SystemClock()
LATE = Answer(text="late", delay_s=60)
DRIP = Answer(chunks=["a", "b", "c"], chunk_delay_s=20)

CASES = {
    "in time": (["ok"], Timeout(30), "ok", None),
    "the whole answer takes too long": ([LATE], Timeout(30), "CallTimeout", ("total", 30)),
    "the first token takes too long": ([LATE], Timeout(first_token_s=5), "CallTimeout", ("first_token", 5)),
    "the shorter of two limits": ([LATE], Timeout(30, first_token_s=5), "CallTimeout", ("first_token", 5)),
    "the drip takes too long in all": ([DRIP], Timeout(30), "CallTimeout", ("total", 30)),
    "a pace that is kept": ([DRIP], Timeout(between_tokens_s=90), "abc", None),
    "no token but the first is meant": ([LATE], Timeout(between_tokens_s=5), "late", None),
    "a model that fails in time": ([ConnectionError("no")], Timeout(30), "ConnectionError", None),
}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    for thread in left_behind():
        thread.join(5)
    assert not left_behind()


def left_behind():
    return [thread for thread in threading.enumerate() if thread.name == "llmopt-timeout"]


@pytest.mark.parametrize("case", CASES)
def test_limits(world, case):
    script, timeout, told, limit = CASES[case]
    outcome = world.ask(world.wrap(script, timeout))
    assert outcome.told == told
    if limit:
        name, seconds = limit
        assert isinstance(outcome.error, CallTimeout)
        assert isinstance(outcome.error, TimeoutError)  # what others expect a timeout to be
        assert (outcome.error.limit, outcome.error.limit_s) == limit
        what = {"total": "complete answer", "first_token": "first token"}[name]
        assert str(outcome.error) == f"no {what} within {seconds} s"
        assert outcome.attempts == ["CallTimeout"]


def test_a_stall_between_two_tokens_is_not_waited_for(world):
    stalls = Answer(chunks=["a", "b"], chunk_delay_s=3.0)
    model = world.model([stalls])
    model.clock = REAL
    began = time.monotonic()
    outcome = world.ask(world.wrap(model, Timeout(between_tokens_s=0.03), clock=REAL))
    assert time.monotonic() - began < 3.0
    assert (outcome.text, outcome.told) == ("a", "CallTimeout")
    assert (outcome.error.limit, str(outcome.error)) == ("between_tokens", "no further token within 0.03 s")


NESTED = {
    "the earlier deadline, outside": ((Timeout(20), Timeout(30)), ("total", 20)),
    "the earlier deadline, inside": ((Timeout(30), Timeout(20)), ("total", 20)),
    "the shorter pace, outside": ((Timeout(first_token_s=3), Timeout(first_token_s=7)), ("first_token", 3)),
    "the shorter pace, inside": ((Timeout(first_token_s=7), Timeout(first_token_s=3)), ("first_token", 3)),
    "one of each": ((Timeout(30), Timeout(first_token_s=3)), ("first_token", 3)),
    "one of each, the other way round": ((Timeout(first_token_s=3), Timeout(30)), ("first_token", 3)),
}


@pytest.mark.parametrize("case", NESTED)
def test_nested(world, case):
    stack, limit = NESTED[case]
    error = world.ask(world.wrap([LATE], *stack)).error
    assert (error.limit, error.limit_s) == limit


def test_attempts_share_a_deadline_that_is_outside(world):
    slow = Answer(delay_s=8, error=ConnectionError("reset"))
    stack = (Timeout(20), Retry(attempts=9, wait=tenacity.wait_fixed(1), budget_ratio=None))
    outcome = world.ask(world.wrap([slow, slow, LATE], *stack))
    assert outcome.attempts == ["ConnectionError", "ConnectionError", "CallTimeout"]
    assert world.clock.sleeps.count(1) == 2


def test_tiers_share_a_deadline_that_is_outside_and_have_their_own_inside(world):
    late = world.model([LATE] * 2, model_id="late")
    tier = world.model([LATE, "in time"], model_id="tier")
    outcome = world.ask(world.wrap(late, Timeout(30), Fallback(tier)))
    assert outcome.attempts == ["CallTimeout", "CallTimeout"]
    assert [error.limit_s for error in outcome.error.errors] == [30, 30]

    inside = world.ask(world.wrap(late, Fallback(tier), Timeout(30)))
    assert (inside.told, inside.attempts) == ("in time", ["CallTimeout", "ok"])


def test_a_wait_in_the_queue_of_a_rate_limit_counts(world):
    nearly = Answer(text="just in time", delay_s=29.5)
    wrapped = world.wrap([nearly, nearly], Timeout(30), RateLimit(requests_per_minute=2, burst_s=1))
    assert world.ask(wrapped).told == "just in time"
    assert world.ask(wrapped).told == "CallTimeout"  # it had to wait for half a second


def test_each_call_has_a_deadline_of_its_own(world):
    wrapped = world.wrap(["a", "b"], Timeout(30))
    assert world.ask(wrapped).told == "a"
    world.clock.advance(3600)
    assert world.ask(wrapped).told == "b"


def test_the_answer_of_a_middleware_has_to_be_in_time_too(world):
    def slow(call):
        yield llmopt.Sleep(40)
        yield llmopt.Reply.of_text("too late", source="slow")

    assert world.ask(world.wrap([], Timeout(30), slow)).told == "CallTimeout"


def test_a_thread_that_is_left_behind_ends(make_world):
    world = make_world("sync")
    hang, closed = threading.Event(), threading.Event()

    class Hanging(type(world.model())):
        def execute(self, prompt, stream, response, conversation=None):
            try:
                hang.wait(10)
                yield "late"
            finally:
                closed.set()

    model = llmopt.wrap(Hanging(), Timeout(0.03))
    with pytest.raises(CallTimeout):
        model.prompt("Hi").text()
    assert [thread.daemon for thread in left_behind()] == [True]  # it keeps no process from ending
    hang.set()
    assert closed.wait(5)


def test_a_consumer_that_leaves_ends_the_thread(make_world):
    world = make_world("sync")
    outcome = world.ask(world.wrap([Answer(chunks=["a"] * 9)], Timeout(30)), take=1)
    assert outcome.text == "a"  # and the fixture sees that the thread has ended


def test_context_variables_reach_the_model(world):
    from contextvars import ContextVar

    tenant: ContextVar[str] = ContextVar("tenant")
    tenant.set("blue")
    model = world.model(lambda prompt: tenant.get())
    assert world.ask(world.wrap(model, Timeout(30))).told == "blue"


def test_a_server_that_hangs_is_given_up(world, server):
    chat = world.chat(server.url)
    world.ask(llmopt.wrap(chat, default=False))  # the first client of all reads the certificates
    server.script(Served(hang=True))
    outcome = world.ask(llmopt.wrap(chat, Timeout(0.2)))
    assert (outcome.told, len(server.requests)) == ("CallTimeout", 2)
    if world.is_async:  # a thread that waits for a socket cannot be interrupted; see the class
        assert server.wait_for(lambda: server.disconnects == 1)
