"""Everything that may go wrong, scripted, and met by llm's own classes: the error they raise is the point."""

from __future__ import annotations

import asyncio
import gc

import anthropic
import httpx2
import openai
import pytest
from llm.default_plugins.openai_models import AsyncChat, AsyncResponses, Chat, Responses
from llm_anthropic import AsyncClaudeMessages, ClaudeMessages

from llmopt.testing.server import Answer, ToolCall

pytestmark = pytest.mark.usefixtures("small_certificate_store", "one_request_a_connection")
FINAL = {"x-should-retry": "false"}


class Impatient(Chat):
    """A chat model whose client waits 0.1 s and never tries again."""

    def get_client(self, key, *, async_=False):
        return super().get_client(key, async_=async_).with_options(timeout=0.1, max_retries=0)


def model_of(kind, server):
    if kind in (ClaudeMessages, AsyncClaudeMessages):
        model = kind("claude-echo", base_url=server.url)
        model.key = "x"
        return model
    model = kind("echo-1", api_base=server.url)
    model.needs_key = None
    return model


def ask(kind, server, **options):
    return model_of(kind, server).prompt("Hold fire, now", **options).text()


def streamed(kind, server):
    """Return the text that came, and the error after it."""
    came, error = [], None
    try:
        came.extend(model_of(kind, server).prompt("x"))
    except (openai.OpenAIError, anthropic.AnthropicError, httpx2.HTTPError) as raised:
        error = raised
    return "".join(came), error


KINDS = [Chat, Responses, ClaudeMessages]


class TestStatus:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("stream", [True, False])
    def test_429_is_a_rate_limit_error_with_its_headers(self, server, kind, stream):
        server.script(Answer(status=429, headers=FINAL | {"retry-after": "7"}))
        with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as raised:
            ask(kind, server, stream=stream)
        assert raised.value.response.headers["retry-after"] == "7"
        assert raised.value.body["error" if kind is ClaudeMessages else "type"]
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("status", "name"), [(500, "InternalServerError"), (403, "PermissionDeniedError")]
    )
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_status_becomes_the_error_of_the_sdk(self, server, kind, status, name):
        server.script(Answer(status=status, headers=FINAL))
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
            ask(kind, server)
        assert type(raised.value).__name__ == name

    def test_the_sdk_tries_again_by_itself_unless_it_is_told_not_to(self, server):
        busy = Answer(status=503, headers={"retry-after-ms": "1"})
        server.script(busy, busy, Answer(text="at last"))
        assert ask(Chat, server) == "at last"
        assert len(server.requests) == 3

    def test_an_error_body_of_ones_own(self, server):
        server.script(
            Answer(status=400, json_error_body={"error": {"message": "too long", "code": "context"}})
        )
        with pytest.raises(openai.BadRequestError, match="too long") as raised:
            ask(Chat, server)
        assert raised.value.code == "context"

    def test_a_body_that_is_no_json(self, server):
        html = FINAL | {"content-type": "text/html"}
        server.script(
            Answer(raw_body=b'{"id": '), Answer(status=502, raw_body=b"<h1>Bad gateway</h1>", headers=html)
        )
        with pytest.raises(ValueError, match="Expecting value"):
            ask(Chat, server, stream=False)
        with pytest.raises(openai.InternalServerError) as raised:
            ask(Chat, server)
        assert raised.value.response.text == "<h1>Bad gateway</h1>"

    def test_a_wrong_key(self, server):
        server.require_key = "sk-right"
        with pytest.raises(openai.AuthenticationError):
            ask(Chat, server)
        with pytest.raises(anthropic.AuthenticationError):
            ask(ClaudeMessages, server)


class TestCut:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_cut_stream_gives_what_came_before(self, server, kind):
        server.script(Answer(text="one two three four", cut_after_chunks=2))
        text, error = streamed(kind, server)
        assert text == "one two"
        assert isinstance(error, (openai.APIConnectionError, httpx2.RemoteProtocolError))
        assert server.disconnects == 0

    @pytest.mark.parametrize("kind", KINDS)
    def test_cut_after_the_last_chunk_the_end_is_missing(self, server, kind):
        server.script(Answer(text="one two", cut_after_chunks=9, chunk_delay_s=0.001))
        text, error = streamed(kind, server)
        assert text == "one two"
        assert error is not None

    @pytest.mark.parametrize("stream", [True, False])
    def test_closed_without_a_byte(self, server, stream):
        server.script(Answer(cut_after_chunks=0))
        with pytest.raises(openai.APIConnectionError) as raised:
            ask(Impatient, server, stream=stream)
        assert isinstance(raised.value.__cause__, httpx2.RemoteProtocolError)
        assert server.stats["tokens"] == {}

    @pytest.mark.parametrize("kind", [Impatient, Responses])
    def test_half_a_body(self, server, kind):
        server.script(Answer(cut_after_chunks=1), Answer(text="again"))
        model = model_of(kind, server)
        if kind is Impatient:
            with pytest.raises(openai.APIConnectionError):
                model.prompt("x", stream=False).text()
        else:
            assert model.prompt("x", stream=False).text() == "again"

    def test_tool_arguments_are_cut_too(self, server):
        server.script(Answer(tool_calls=[ToolCall("add", {"a": 1, "b": 2})], cut_after_chunks=3))
        response = model_of(Chat, server).prompt("x")
        events = []
        with pytest.raises(openai.APIConnectionError):
            events.extend(response.stream_events())
        assert [(event.type, event.chunk) for event in events] == [
            ("tool_call_name", "add"),
            *(("tool_call_args", piece) for piece in ('{"', "a", '":')),
        ]


class TestErrorInStream:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_follows_the_chunks_before(self, server, kind):
        server.script(Answer(text="one two three", cut_after_chunks=2, error_in_stream=True))
        text, error = streamed(kind, server)
        assert text == "one two"
        assert isinstance(error, (openai.APIError, anthropic.APIError))
        assert "The test asked for this error" in str(error)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("after", [None, 0])
    def test_it_may_come_last_or_first(self, server, kind, after):
        server.script(Answer(text="one two", error_in_stream=True, cut_after_chunks=after))
        text, error = streamed(kind, server)
        assert text == ("" if after == 0 else "one two")
        assert isinstance(error, (openai.APIError, anthropic.APIError))

    def test_its_body_may_be_ones_own(self, server):
        server.script(Answer(error_in_stream=True, json_error_body={"error": {"message": "overloaded"}}))
        assert "overloaded" in str(streamed(Chat, server)[1])

    @pytest.mark.parametrize("kind", KINDS)
    def test_without_a_stream_it_is_status_500(self, server, kind):
        server.script(Answer(error_in_stream=True, headers=FINAL))
        if kind is ClaudeMessages:  # llm-anthropic streams always
            client = anthropic.Anthropic(base_url=server.url, api_key="x")
            with client, pytest.raises(anthropic.InternalServerError):
                client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
        else:
            with pytest.raises(openai.InternalServerError):
                ask(kind, server, stream=False)


class TestHang:
    @pytest.mark.parametrize("stream", [True, False])
    def test_a_client_with_a_timeout_leaves_and_is_counted(self, server, stream):
        server.script(Answer(hang=True))
        with pytest.raises(openai.APITimeoutError):
            ask(Impatient, server, stream=stream)
        assert server.wait_for(lambda: server.disconnects == 1)
        assert server.in_flight == 0

    @pytest.mark.parametrize("stream", [True, False])
    def test_it_may_hang_half_way(self, server, stream):
        server.script(Answer(text="one two three", hang=True, cut_after_chunks=1))
        came = []
        with pytest.raises((openai.APITimeoutError, httpx2.ReadTimeout)):
            came.extend(model_of(Impatient, server).prompt("x", stream=stream))
        assert server.wait_for(lambda: server.disconnects == 1)

    @pytest.mark.parametrize("kind", [AsyncChat, AsyncResponses, AsyncClaudeMessages])
    def test_a_cancelled_task_is_seen_by_the_server(self, server, kind):
        server.script(Answer(hang=True))

        async def cancel():
            task = asyncio.ensure_future(model_of(kind, server).prompt("x").text())
            assert await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 1)
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancel())
        assert server.wait_for(lambda: server.disconnects == 1)


class TestDisconnect:
    @pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the SDK's socket, which is dropped
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_consumer_that_stops_early_is_counted(self, server, kind):
        server.script(Answer(chunks=["x"] * 1000, chunk_delay_s=0.01))
        stream = iter(model_of(kind, server).prompt("x"))
        assert next(stream) == "x"
        assert (server.in_flight, server.disconnects) == (1, 0)
        stream.close()
        if kind is not ClaudeMessages:
            gc.collect()  # openai's Stream is in a cycle with its own generator, and llm does not close it
        assert server.wait_for(lambda: server.disconnects == 1)
        assert server.in_flight == 0

    def test_a_complete_answer_is_none(self, server):
        server.keep_alive = True
        server.script(Answer(chunks=["x"] * 3, chunk_delay_s=0.005))
        assert ask(Chat, server) == "xxx"
        server.wait_for(lambda: server.in_flight == 0)
        assert server.disconnects == 0


class TestHandler:
    def test_it_answers_by_what_it_is_asked(self, server):
        server.handler = lambda request: Answer(text=request.user_text.upper())
        assert ask(Chat, server) == "HOLD FIRE, NOW"
        assert ask(ClaudeMessages, server) == "HOLD FIRE, NOW"

    def test_scripted_answers_come_first_and_the_default_last(self, server):
        server.handler = lambda request: None
        server.default = Answer(text="default")
        server.answers.append(Answer(text="scripted"))
        assert [ask(Responses, server) for _ in range(2)] == ["scripted", "default"]

    def test_what_it_raises_reaches_the_test(self, server):
        def handler(request):
            raise LookupError("no such agent")

        server.handler = handler
        with pytest.raises(openai.InternalServerError, match="no such agent"):
            ask(Chat, server)
        assert len(server.requests) == 1

    def test_a_schema_beyond_the_server_is_told(self, server):
        schema = {"name": "plan", "schema": {"$ref": "#/$defs/missing"}}
        client = openai.OpenAI(base_url=server.url, api_key="x")
        with client, pytest.raises(openai.InternalServerError, match="KeyError"):
            client.chat.completions.create(
                model="echo",
                messages=[{"role": "user", "content": "x"}],
                response_format={"type": "json_schema", "json_schema": schema},
            )


def test_equal_requests_at_once_miss_the_cache_and_a_later_one_hits(server):
    """The entry exists only once the first answer begins: the reason to send a leader ahead."""
    server.default = Answer(text="ok", delay_s=0.1)

    async def at_once():
        model = model_of(AsyncChat, server)
        responses = [model.prompt("same " * 32) for _ in range(3)]
        await asyncio.gather(*(response.text() for response in responses))
        return [await response.usage() for response in responses]

    first = asyncio.run(at_once())
    second = asyncio.run(at_once())
    assert server.max_in_flight == 3
    assert [usage.details for usage in first] == [{}] * 3
    assert [usage.details["prompt_tokens_details"]["cached_tokens"] for usage in second] == [32] * 3
