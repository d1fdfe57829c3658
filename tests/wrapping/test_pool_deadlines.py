"""A thread that waits for a provider's bytes ends soon after nobody waits for it any more."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import openai
import pytest
from llm.default_plugins.openai_models import Chat, Responses
from llm_anthropic import ClaudeMessages

import llmopt
from llmopt.chain.clock import SystemClock
from llmopt.chain.limits import Pace, Waiter, waiter
from llmopt.errors import Abandoned, CallTimeout
from llmopt.testing import VirtualClock
from llmopt.testing.server import Answer
from llmopt.types import Limits
from llmopt.wrapping import _http

pytestmark = pytest.mark.usefixtures("pool")
SOON_S = 1.5  # 0.25 s after the deadline, then the SDK's pause before it would ask again: at most 0.5 s
NAMES = ("connect", "read", "write", "pool")


@pytest.fixture(params=[Chat, Responses, ClaudeMessages])
def plain(request, server, monkeypatch):
    """A model whose provider is the local server, its client made already."""
    if request.param is ClaudeMessages:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url.removesuffix("/v1"))
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
        made = ClaudeMessages("claude-test")
    else:
        made = request.param("echo", api_base=server.url)
        made.needs_key = None
    assert llmopt.wrap(made, default=False).prompt("x").text().startswith("Echo: x")
    return made


@pytest.fixture
def read_timeouts(monkeypatch):
    """The read timeouts with which requests were sent, and their bodies read."""
    seen = []
    watch = _http._watch

    def watched(response):
        sent = response.request.extensions["timeout"]["read"]
        watch(response)
        seen.append((sent, response.request.extensions["timeout"]["read"]))

    monkeypatch.setattr(_http, "_watch", watched)
    return seen


def left_behind():
    return [thread for thread in threading.enumerate() if thread.name == "llmopt-timeout"]


def gone_after_s():
    """Wait until no thread is left behind, and return the seconds that it took."""
    began = time.monotonic()
    for thread in left_behind():
        thread.join(10)
    assert not left_behind()
    return time.monotonic() - began


SILENT = Answer(hang=True)
STALLED = Answer(chunks=("a", "b"), cut_after_chunks=1, hang=True)
STALLS = {
    "no answer until the deadline": (SILENT, llmopt.Timeout(0.3), "total"),
    "no first token": (SILENT, llmopt.Timeout(first_token_s=0.3), "first_token"),
    "a stalled stream until the deadline": (STALLED, llmopt.Timeout(0.3), "total"),
    "a stalled stream": (STALLED, llmopt.Timeout(between_tokens_s=0.3), "between_tokens"),
}


@pytest.mark.parametrize("case", STALLS)
def test_the_thread_ends_soon_after_the_call(server, plain, case):
    answer, timeout, limit = STALLS[case]
    server.script(answer)
    began = time.monotonic()
    with pytest.raises(CallTimeout) as error:
        llmopt.wrap(plain, timeout).prompt("x").text()
    assert time.monotonic() - began >= 0.3
    assert error.value.limit == limit
    assert gone_after_s() < SOON_S
    assert server.wait_for(lambda: server.disconnects == 1)
    assert len(server.requests) == 2  # the SDK has not asked again
    assert llmopt.wrap(plain, timeout).prompt("next").text().startswith("Echo: next")


def test_an_answer_that_is_no_stream_stalls_half_way(server, plain):
    server.script(Answer(text="half", cut_after_chunks=1, hang=True))
    with pytest.raises(CallTimeout):
        llmopt.wrap(plain, llmopt.Timeout(0.3)).prompt("x", stream=False).text()
    assert gone_after_s() < SOON_S


def test_a_consumer_that_leaves_ends_a_read_that_blocks(server, plain):
    server.script(STALLED)
    for chunk in llmopt.wrap(plain, llmopt.Timeout(60)).prompt("x"):
        assert chunk == "a"
        break
    assert gone_after_s() < SOON_S


def test_a_token_may_take_longer_than_the_first_one(server, plain):
    server.script(Answer(chunks=("a", "b"), chunk_delay_s=0.6))
    timeout = llmopt.Timeout(first_token_s=0.3)  # 0.25 s of slack on top
    assert llmopt.wrap(plain, timeout).prompt("x").text() == "ab"


def test_connections_are_kept_under_limits(server, plain):
    model = llmopt.wrap(plain, llmopt.Timeout(30))
    with ThreadPoolExecutor(4) as threads:
        texts = list(threads.map(lambda number: model.prompt(f"n{number}").text(), range(40)))
    assert [text.split()[:2] for text in texts] == [["Echo:", f"n{number}"] for number in range(40)]
    assert server.connections <= 4


def test_read_timeouts(server, read_timeouts):
    plain = Chat("echo", api_base=server.url)
    plain.needs_key = None
    default_s = openai.DEFAULT_TIMEOUT.read
    llmopt.wrap(plain, default=False).prompt("x").text()
    assert read_timeouts.pop() == (default_s, default_s)
    llmopt.wrap(plain, llmopt.Timeout(between_tokens_s=9)).prompt("x").text()
    assert read_timeouts.pop() == (default_s, default_s)
    for timeout in (llmopt.Timeout(5), llmopt.Timeout(60, first_token_s=5)):
        llmopt.wrap(plain, timeout).prompt("x").text()
        sent_s, body_s = read_timeouts.pop()
        assert (4 < sent_s <= 5 + _http.SLACK_S, body_s) == (True, default_s)
    llmopt.wrap(plain, llmopt.Timeout(5000)).prompt("x").text()
    assert read_timeouts.pop() == (default_s, default_s)


# The parts


def waiting_within(**limits):
    clock = VirtualClock()
    return clock, Waiter(Pace(Limits(**limits), clock))


def hurried(waiting, extensions=None, **timeouts):
    """What becomes of a request's extensions in a call for which somebody waits."""
    request = SimpleNamespace(extensions=extensions or ({"timeout": timeouts} if timeouts else {}))
    reset = waiter.set(waiting)
    try:
        _http._hurry(request)
    finally:
        waiter.reset(reset)
    return request.extensions


def test_no_timeout_of_a_request_is_longer_than_its_call():
    clock, waiting = waiting_within(deadline=10.0, total_s=10)
    assert hurried(waiting)["timeout"] == dict.fromkeys(NAMES, 10.25)
    clock.advance(4)
    given = {"connect": 5.0, "read": 600, "write": None}
    extensions = hurried(waiting, **given)
    assert extensions["timeout"] == {"connect": 5.0, "read": 6.25, "write": 6.25, "pool": 6.25}
    assert extensions[_http._GIVEN] == given
    clock.advance(7)
    assert hurried(waiting)["timeout"] == dict.fromkeys(NAMES, 0.25)


def test_a_redirected_request_keeps_what_it_was_given():
    _, waiting = waiting_within(deadline=10.0, total_s=10)
    first = hurried(waiting, read=600)
    assert hurried(waiting, first)[_http._GIVEN] == {"read": 600}


@pytest.mark.parametrize("waiting", [None, waiting_within(between_tokens_s=1)[1]])
def test_a_request_without_a_bound_is_left_as_it_is(waiting):
    assert hurried(waiting, read=600) == {"timeout": {"read": 600}}


def test_after_the_first_event_the_deadline_alone_bounds_a_request():
    clock = VirtualClock()
    pace = Pace(Limits(first_token_s=2, between_tokens_s=1, deadline=9.0, total_s=9), clock)
    assert pace.answer_left() == 2
    pace.came()
    clock.advance(3)
    assert pace.answer_left() == 6


def test_nobody_asks_for_those_who_have_left():
    _, waiting = waiting_within(deadline=10.0, total_s=10)
    waiting.leave()
    with pytest.raises(Abandoned):
        hurried(waiting, read=600)


def test_what_is_opened_is_interrupted_once_nobody_waits():
    _, waiting = waiting_within(deadline=10.0, total_s=10)
    told = []
    first, second, third = (lambda name=name: told.append(name) for name in ("first", "second", "third"))
    waiting.add(first)
    waiting.add(second)
    waiting.remove(first)
    assert (told, waiting.gone) == ([], False)
    waiting.leave()
    assert (told, waiting.gone) == (["second"], True)
    waiting.add(third)
    assert told == ["second", "third"]


def test_an_error_that_comes_too_late_is_a_timeout():
    class Late(type(llmopt.testing.ScriptedModel())):
        def execute(self, prompt, stream, response, conversation=None):
            clock.advance(31)
            raise ConnectionError("the transport's own")
            yield

    clock = VirtualClock()
    with pytest.raises(CallTimeout):
        llmopt.wrap(Late(), llmopt.Timeout(30), clock=clock).prompt("x").text()


def test_a_transport_without_sockets_is_left_alone():
    _, waiting = waiting_within(deadline=10.0, total_s=10)
    response = SimpleNamespace(stream=iter(()), extensions={}, is_error=False)
    _http._Draining(response).wait_with(waiting)
    assert waiting._interrupts == []


def test_the_real_clock_is_no_different():
    clock = SystemClock()
    left_s = Pace(Limits(deadline=clock.monotonic() + 5, total_s=5), clock).answer_left()
    assert 4 < left_s <= 5
