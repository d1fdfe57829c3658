"""What providers, networks and SDKs do."""

from __future__ import annotations

import socket
from typing import Any

from llmopt.chain.clock import SystemClock
from llmopt.testing.server import Answer, ToolCall

from ..middleware.conftest import Outcome
from .stage import Fault, Logged, Stage, full_stack, served

REAL = SystemClock()
DATE = {"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}  # half a minute after the virtual clock starts
QUOTA = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
HTML = {"content-type": "text/html"}
EVENTS = {"content-type": "text/event-stream"}


def waits(play: Any, least_s: float) -> Any:
    """Check that the second attempt was made after `least_s` seconds, or a tenth later at most."""

    def played(stage: Stage) -> Outcome:
        outcome = play(stage)
        assert least_s <= outcome.waits[1] <= 1.1 * least_s
        return outcome

    return played


def refused(stage: Stage) -> Outcome:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stage.wrap(stage.world.chat(f"http://127.0.0.1:{port}/v1"), *full_stack())
    return stage.ask()


def unknown_host(stage: Stage) -> Outcome:
    def fail(*_args: Any, **_given: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    stage.wrap(stage.world.chat("http://llm.test/v1"), *full_stack())
    stage.patch.setattr(socket, "getaddrinfo", fail)
    return stage.ask()


def closed_client(stage: Stage) -> Outcome:
    wrapped = stage.wrap(stage.world.chat(stage.server.url), *full_stack())
    outcome = Outcome()
    if not stage.world.is_async:
        stage.ask("first")
        wrapped.get_client(None).close()
        return stage.ask("Hi")

    async def main() -> None:
        await stage.world.consumed(wrapped.prompt("first"), Outcome())
        await wrapped.get_client(None, async_=True).close()
        await stage.world.consumed(wrapped.prompt("Hi"), outcome)

    stage.world.run(main)
    return outcome


def closed_loop(stage: Stage) -> Outcome:
    stage.wrap(stage.world.chat(stage.server.url), *full_stack())
    assert stage.ask("first").told == "Echo: first"  # in an event loop, or a thread, that is gone now
    return stage.ask("Hi")


ONCE_MORE = Logged("ok", 2)
ANSWER = "The answer; a second attempt was made"

FAULTS = (
    Fault("429", "Too many requests", f"{ANSWER} after a back-off",
          served(Answer(status=429)), "Echo: Hi", ONCE_MORE),
    Fault("429, Retry-After in seconds", "Too many requests: come back in 7 s", f"{ANSWER} after 7 s",
          waits(served(Answer(status=429, headers={"retry-after": "7"})), 7), "Echo: Hi", ONCE_MORE),
    Fault("429, Retry-After a date", "Too many requests: come back at a certain time",
          f"{ANSWER} at that time", waits(served(Answer(status=429, headers=DATE)), 30), "Echo: Hi",
          ONCE_MORE),
    Fault("429, Retry-After too long", "Too many requests: come back in a quarter of an hour",
          "`RateLimitError`, at once", served(Answer(status=429, headers={"retry-after": "900"})),
          "RateLimitError", Logged("error", 1, "too_many_requests", 429)),
    Fault("quota", "429, because nothing is left on the account", "`RateLimitError`, at once",
          served(Answer(status=429, json_error_body=QUOTA)), "RateLimitError",
          Logged("error", 1, "quota", 429)),
    Fault("500", "The provider has an error, every time", "`InternalServerError`, after all attempts",
          served(*[Answer(status=500)] * 3), "InternalServerError", Logged("error", 3, "server", 500)),
    Fault("502 in HTML", "A proxy's error page", ANSWER,
          served(Answer(status=502, raw_body=b"<html>Bad gateway", headers=HTML)), "Echo: Hi", ONCE_MORE),
    Fault("503", "The provider is not available, every time", "`InternalServerError`, after all attempts",
          served(*[Answer(status=503)] * 3), "InternalServerError", Logged("error", 3, "overloaded", 503)),
    Fault("529", "The provider is overloaded, once", ANSWER,
          served(Answer(status=529)), "Echo: Hi", ONCE_MORE),
    Fault("400", "The request is wrong", "`BadRequestError`, at once",
          served(Answer(status=400)), "BadRequestError", Logged("error", 1, "bad_request", 400)),
    Fault("401", "The key is wrong", "`AuthenticationError`, at once",
          served(Answer(status=401)), "AuthenticationError", Logged("error", 1, "auth", 401)),
    Fault("connection refused", "Nobody listens", "`APIConnectionError`, after all attempts",
          refused, "APIConnectionError", Logged("error", 3, "connection"), again="APIConnectionError"),
    Fault("connection closed", "The connection is closed without a byte", ANSWER,
          served(Answer(cut_after_chunks=0)), "Echo: Hi", ONCE_MORE),
    Fault("unknown host", "The name of the provider's host cannot be resolved",
          "`APIConnectionError`, after all attempts", unknown_host, "APIConnectionError",
          Logged("error", 3, "connection"), again="APIConnectionError"),
    Fault("closed client", "Somebody has closed the HTTP client that the model uses",
          "The answer, through a new client", closed_client, "Echo: Hi", Logged("ok", 1)),
    Fault("closed event loop", "The event loop, or thread, of the last call is gone", "The answer",
          closed_loop, "Echo: Hi", Logged("ok", 1)),
    Fault("no first token", "The provider takes the request and says nothing, once",
          f"{ANSWER} when `Timeout(first_token_s=)` was over",
          served(Answer(hang=True), first_token_s=1.5), "Echo: Hi", ONCE_MORE),
    Fault("stall", "The stream stops after its first event, and stays open",
          "The first event, then `CallTimeout` after `Timeout(between_tokens_s=)`",
          served(Answer(chunks=["one", "two"], cut_after_chunks=1, hang=True), between_tokens_s=0.1),
          "CallTimeout", Logged("error", 1, "timeout"), heard="one"),
    Fault("slow drip", "Each event is in time, but there is no end",
          "What came so far, then `CallTimeout` after `Timeout(total_s=)`",
          served(Answer(chunks=["drip"] * 99, chunk_delay_s=0.15), clock=REAL, total_s=0.35),
          "CallTimeout", Logged("error", 1, "timeout"), heard="drip"),
    Fault("cut stream", "The connection is closed in the middle of the answer",
          "What came so far, then `APIConnectionError`",
          served(Answer(chunks=["one", "two"], cut_after_chunks=1)), "APIConnectionError",
          Logged("error", 1, "connection"), heard="one"),
    Fault("error in a 200 stream, at once", "An error event, before anything else", ANSWER,
          served(Answer(chunks=["one"], cut_after_chunks=0, error_in_stream=True)), "Echo: Hi", ONCE_MORE),
    Fault("error in a 200 stream, later", "An error event in the middle of the answer",
          "What came so far, then `APIError`",
          served(Answer(chunks=["one", "two"], cut_after_chunks=1, error_in_stream=True)), "APIError",
          Logged("error", 1, "server", 500), heard="one"),
    Fault("broken stream", "An event that is no JSON", "`JSONDecodeError`, as the SDK raises it",
          served(Answer(raw_body=b"data: {not json\n\n", headers=EVENTS)), "JSONDecodeError",
          Logged("error", 1, "other")),
    Fault("broken tool arguments", "The model asks for a tool with half a JSON",
          "`JSONDecodeError`, as the plugin raises it",
          served(Answer(tool_calls=[ToolCall("move_to", '{"x": ')])), "JSONDecodeError",
          Logged("error", 1, "other")),
    Fault("empty reply", "The model says nothing", "An empty answer, which no cache keeps",
          served(Answer(empty=True)), "", Logged("ok", 1)),
    Fault("200 in HTML", "A login page in the place of an answer",
          "An empty answer, as the SDK reads it, which no cache keeps",
          served(Answer(raw_body=b"<html>Log in", headers=HTML)), "", Logged("ok", 1)),
    Fault("no usage", "The provider states no tokens", "The answer; budgets keep their estimate",
          served(Answer(text="fine", omit_usage=True)), "fine", Logged("ok", 1)),
)  # fmt: skip
