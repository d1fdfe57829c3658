"""What becomes of a connection when its stream ends: well, slowly, or not at all."""

from __future__ import annotations

import asyncio
import gc
import time
from types import SimpleNamespace

import openai
import pytest
from llm.default_plugins.openai_models import AsyncChat, AsyncResponses, Chat, Responses

from llmopt.testing.server import Answer
from llmopt.wrapping import _http, wrap
from llmopt.wrapping._opened import Opened, tidy

pytestmark = pytest.mark.usefixtures("pool")
SLOW = Answer(chunks=("a", "b", "c", "d"), chunk_delay_s=0.2)
HTTPX = _http._library(openai.DefaultHttpxClient)
LATE_S = 3.0


def model(server, cls):
    plain = cls("echo", api_base=server.url)
    plain.needs_key = None
    return wrap(plain, default=False)


def passes(call):
    yield call


@pytest.mark.parametrize("end_delay_s", [0.0, 0.01])
def test_the_end_of_a_stream_is_read(server, end_delay_s):
    asked = model(server, Chat)
    server.default = Answer(text="HOLD", end_delay_s=end_delay_s)
    for _ in range(3):
        assert asked.prompt("x").text() == "HOLD"
    assert server.connections == 1


def test_an_end_that_does_not_come_is_not_waited_for(server):
    asked = model(server, Chat)
    server.default = Answer(text="HOLD", end_delay_s=LATE_S)
    started = time.monotonic()
    assert asked.prompt("x").text() == "HOLD"
    assert _http.DRAIN_S <= time.monotonic() - started < LATE_S
    assert asked.prompt("x").text() == "HOLD"
    assert server.connections == 2


@pytest.mark.parametrize("cls", [Chat, Responses])
def test_nothing_waits_where_the_sdk_reads_to_the_end(server, cls, monkeypatch):
    monkeypatch.setattr(_http, "DRAIN_S", 5.0)
    started = time.monotonic()
    model(server, cls).prompt("x").text()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("middlewares", [(), (passes,)])
@pytest.mark.parametrize("cls", [Chat, Responses])
def test_a_stream_that_is_left_is_closed_at_once_and_its_connection_dropped(server, cls, middlewares):
    asked = wrap(model(server, cls), *middlewares, default=False)
    server.script(SLOW)
    gc.disable()
    try:
        for chunk in asked.prompt("x"):
            assert chunk == "a"
            break
        assert server.wait_for(lambda: server.disconnects == 1, timeout_s=2)
    finally:
        gc.enable()
    assert asked.prompt("next").text() == "Echo: next"
    assert server.connections == 2


def test_a_failing_stream_drops_its_connection(server):
    asked = model(server, Chat)
    server.script(Answer(chunks=("a", "b"), cut_after_chunks=1))
    with pytest.raises((openai.APIError, HTTPX.HTTPError)):
        asked.prompt("x").text()
    assert asked.prompt("next").text() == "Echo: next"
    assert server.connections == 2


def test_a_stream_stays_open_while_others_begin_and_end(server):
    asked = model(server, Chat)
    server.default = Answer(chunks=("a", "b"), chunk_delay_s=0.01)
    first, second = iter(asked.prompt("x")), iter(asked.prompt("y"))
    client = asked.get_client(None)
    assert next(first) == next(second) == "a"
    direct = iter(
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "z"}], stream=True)
    )
    next(direct)
    assert list(first) == list(second) == ["b"]
    assert "b" in [chunk.choices[0].delta.content for chunk in direct if chunk.choices]


async def first_of(asked):
    """Take the first event of a stream and leave."""
    response = asked.prompt("x")
    events = response.astream_events()
    async for _ in events:
        break
    await events.aclose()
    await response._generator.aclose()  # newer versions of llm do so themselves


@pytest.mark.parametrize("cls", [AsyncResponses, AsyncChat])
@pytest.mark.parametrize("middlewares", [(), (passes,)])
# openai leaves its own generators behind, as it does without llmopt; only trio complains about it.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_async_stream_that_is_left_is_closed_at_once(server, run, cls, middlewares):
    asked = wrap(model(server, cls), *middlewares, default=False)

    async def main():
        import anyio

        server.script(SLOW)
        gc.disable()
        try:
            await first_of(asked)
            await anyio.to_thread.run_sync(server.wait_for, lambda: server.disconnects == 1)
        finally:
            gc.enable()
        assert server.disconnects == 1
        assert await asked.prompt("next").text() == "Echo: next"

    run(main)
    assert server.connections == 2


@pytest.mark.parametrize("answer", [SLOW, Answer(hang=True), Answer(delay_s=5)])
def test_a_cancelled_call_drops_its_connection(server, answer):
    asked = model(server, AsyncChat)

    async def main():
        server.script(answer)
        task = asyncio.create_task(asked.prompt("x").text())
        assert await asyncio.to_thread(server.wait_for, lambda: server.requests)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asked.prompt("next").text() == "Echo: next"

    asyncio.run(main())
    assert server.connections == 2


def draining(chunks, *, library="sync", network=None, closed=None, is_error=False):
    """A draining stream over `chunks`, of which the consumer reads only the first."""
    left = iter(chunks)

    class Stream:
        def __iter__(self):
            yield from left

        async def __aiter__(self):
            for chunk in left:
                yield chunk

        def close(self):
            closed.append(list(left))

        async def aclose(self):
            closed.append(list(left))

    Stream.elapsed = "elapsed"
    response = SimpleNamespace(stream=Stream(), extensions={"network_stream": network}, is_error=is_error)
    kind = _http._Draining if library == "sync" else _http._AsyncDraining
    return _http._stream_class(kind, HTTPX)(response)


class Network:
    def read(self, max_bytes, timeout=None):
        return b""


LAST = b'data: {"x": 1}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("first", "rest", "network", "left"),
    [
        (LAST, [b"\n"], Network(), []),
        (b"event: message_stop\ndata: {}\n\n", [b"\n"], Network(), []),
        (b"data:[DONE]\r\n\r\n", [b"\n"], Network(), []),
        (b'data: {"text": "data: [DONE]"}\n\n', [b"\n"], Network(), [b"\n"]),
        (b"data: {}\n\n", [b"\n"], Network(), [b"\n"]),
        (LAST, [b"x" * 70_000, b"y"], Network(), [b"y"]),
        (LAST, [b"\n"], None, [b"\n"]),
        (LAST, [b"\n"], object(), None),
    ],
)
def test_what_is_read_after_the_last_event(first, rest, network, left):
    closed = []
    stream = draining([first, *rest], network=network, closed=closed)
    assert next(iter(stream)) == first
    stream.close()
    assert closed == [rest if left is None else left]
    assert stream.elapsed == "elapsed"
    assert isinstance(stream, HTTPX.SyncByteStream)
    assert "read" not in getattr(network, "__dict__", {})


@pytest.mark.parametrize(("is_error", "left"), [(True, []), (False, [b"x"])])
def test_the_body_of_an_error_is_read(is_error, left):
    closed = []
    draining([b"x"], network=Network(), closed=closed, is_error=is_error).close()
    assert closed == [left]


@pytest.mark.parametrize(
    ("first", "rest", "left"),
    [(LAST, [b"\n"], []), (b"data: {}\n\n", [b"\n"], [b"\n"]), (LAST, [b"x" * 70_000, b"y"], [b"y"])],
)
def test_what_is_read_after_the_last_event_in_an_event_loop(first, rest, left):
    closed = []
    stream = draining([first, *rest], library="async", closed=closed)

    async def main():
        chunks = aiter(stream)
        assert await anext(chunks) == first
        await stream.aclose()
        await chunks.aclose()

    asyncio.run(main())
    assert closed == [left]
    assert isinstance(stream, HTTPX.AsyncByteStream)


def test_a_call_closes_the_first_answer_that_it_got():
    opened, failure, answer, later = Opened(), *(SimpleNamespace(is_success=ok) for ok in (False, True, True))
    for response in (failure, answer, later):
        opened.add(response)
    assert opened.end() is answer
    opened.add(later)
    assert opened.end() is None


def test_events_that_cannot_be_closed_pass_as_well():
    class Events:
        def __init__(self):
            self.left = iter("abc")

        def __aiter__(self):
            return self

        async def __anext__(self):
            for event in self.left:
                return event
            raise StopAsyncIteration

    async def main():
        return [event async for event in tidy(Events, asynchronous=True)()]

    assert asyncio.run(main()) == ["a", "b", "c"]
    assert list(tidy(lambda: ["a", "b"], asynchronous=False)()) == ["a", "b"]
