"""llm's own OpenAI classes and llm-anthropic's, unchanged, over real HTTP against the test server."""

from __future__ import annotations

import asyncio

import llm
import pytest
from anthropic import Anthropic
from llm.default_plugins.openai_models import (
    AsyncChat,
    AsyncResponses,
    Chat,
    Responses,
)
from llm_anthropic import AsyncClaudeMessages, ClaudeMessages
from openai import OpenAI

from llmopt.testing.server import Answer, PrefixCache, Tokens, ToolCall

pytestmark = pytest.mark.usefixtures("small_certificate_store", "one_request_a_connection")
SCHEMA = {
    "type": "object",
    "properties": {"unit": {"type": "string"}, "x": {"type": "integer"}},
    "required": ["unit", "x"],
}


def openai_model(kind, server, **options):
    model = kind("echo-1", api_base=server.url, supports_tools=True, supports_schema=True, **options)
    model.needs_key = None
    return model


def claude(kind, server, **options):
    model = kind("claude-echo", base_url=server.url, **options)
    model.key = "sk-ant-secret"
    return model


def sync_models(server):
    return [openai_model(Chat, server), openai_model(Responses, server), claude(ClaudeMessages, server)]


def async_models(server):
    return [
        openai_model(AsyncChat, server),
        openai_model(AsyncResponses, server),
        claude(AsyncClaudeMessages, server),
    ]


def fields(response):
    usage = response.usage()
    return usage.input, usage.output


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("stream", [True, False])
class TestEcho:
    def test_text_comes_in_chunks_and_with_its_tokens(self, server, index, stream):
        response = sync_models(server)[index].prompt("Hold fire, now", system="Be brief.", stream=stream)
        chunks = list(response)
        assert "".join(chunks) == "Echo: Hold fire, now"
        assert len(chunks) > 3 or not stream
        assert response.usage().output == 4
        assert response.usage().input >= 5
        assert server.requests[0].user_text == "Hold fire, now"

    def test_async_text_is_the_same(self, server, index, stream):
        async def ask():
            response = async_models(server)[index].prompt("Hold fire, now", stream=stream)
            return await response.text(), (await response.usage()).output

        assert asyncio.run(ask()) == ("Echo: Hold fire, now", 4)

    def test_a_conversation_sends_its_history(self, server, index, stream):
        conversation = sync_models(server)[index].conversation()
        conversation.prompt("First order", stream=stream).text()
        second = conversation.prompt("Second order", stream=stream)
        assert second.text() == "Echo: Second order"
        body = server.requests[1].body
        assert [turn["role"] for turn in body.get("messages", body.get("input"))] == [
            "user",
            "assistant",
            "user",
        ]

    def test_a_chain_calls_the_tool_and_gets_its_result(self, server, index, stream):
        server.script(Answer(tool_calls=[ToolCall("add", {"a": 2, "b": 3})]))
        chain = sync_models(server)[index].chain("What is 2 + 3?", tools=[add], stream=stream)
        responses = list(chain.responses())
        assert [call.arguments for call in responses[0].tool_calls()] == [{"a": 2, "b": 3}]
        assert responses[-1].text() == "Tool results: 5"
        assert len(server.requests) == 2

    def test_without_a_script_the_named_tools_are_called_with_conforming_arguments(
        self, server, index, stream
    ):
        def multiply(a: int, b: int) -> int:
            return a * b

        response = sync_models(server)[index].prompt("Please multiply", tools=[add, multiply], stream=stream)
        calls = response.tool_calls()
        assert [(call.name, call.arguments) for call in calls] == [("multiply", {"a": 0, "b": 0})]

    def test_several_tool_calls_keep_apart(self, server, index, stream):
        calls = [ToolCall("add", {"a": 1, "b": 2}), ToolCall("add", {"a": 3, "b": 4}, id="call_mine")]
        server.script(Answer(text="Let me see.", tool_calls=calls))
        response = sync_models(server)[index].prompt("Add twice", tools=[add], stream=stream)
        got = [
            (call.arguments["a"], call.arguments["b"], call.tool_call_id) for call in response.tool_calls()
        ]
        assert got == [(1, 2, "call_1_0"), (3, 4, "call_mine")]
        assert response.text().strip() == "Let me see."

    def test_an_async_chain_calls_the_tool(self, server, index, stream):
        async def ask():
            chain = async_models(server)[index].chain("Please add", tools=[add], stream=stream)
            return [await response.text() async for response in chain.responses()]

        assert asyncio.run(ask())[-1] == "Tool results: 0"

    def test_a_schema_is_conformed_to(self, server, index, stream):
        models = [*sync_models(server)[:2], claude(ClaudeMessages, server, use_structured_outputs=True)]
        response = models[index].prompt("Plan", schema=SCHEMA, stream=stream)
        assert response.text() == '{"unit": "unit", "x": 0}'

    def test_a_repeated_prefix_is_read_from_the_cache(self, server, index, stream):
        server.prefix_cache = PrefixCache(block_tokens=8)
        model = sync_models(server)[index]
        options = {"cache": True} if index == 2 else {}
        prompts = [model.prompt("same " * 40, stream=stream, **options) for _ in range(2)]
        details = [prompt.text() and prompt.usage().details for prompt in prompts]
        assert [cached(detail) for detail in details] == [0, 40]

    def test_silence_is_an_answer(self, server, index, stream):
        server.script(Answer(empty=True))
        response = sync_models(server)[index].prompt("Anyone there?", stream=stream)
        assert response.text() == ""
        assert response.usage().output == 0

    def test_the_given_token_counts_are_reported(self, server, index, stream):
        server.script(Answer(tokens=Tokens(input_tokens=900, output_tokens=70, cache_read_tokens=512)))
        response = sync_models(server)[index].prompt("x", stream=stream)
        response.text()
        assert fields(response) == ((388 if index == 2 else 900), 70)


def cached(details):
    """Return the cached input tokens, wherever this provider reports them."""
    details = details or {}
    for key in ("prompt_tokens_details", "input_tokens_details"):
        if key in details:
            return details[key].get("cached_tokens", 0)
    return details.get("cache_read_input_tokens", 0)


class TestResponses:
    @pytest.mark.parametrize("stream", [True, False])
    def test_reasoning_comes_with_its_sealed_content_and_goes_back(self, server, stream):
        server.script(Answer(reasoning="Two and three.", tool_calls=[ToolCall("add", {"a": 2, "b": 3})]))
        model = openai_model(Responses, server, reasoning=True)
        first, second = model.chain("Add", tools=[add], stream=stream).responses()
        events = list(first.stream_events())
        assert "".join(event.chunk for event in events if event.type == "reasoning") == "Two and three."
        assert first.usage().details["output_tokens_details"]["reasoning_tokens"] == 3
        sealed = "sealed-1-completed" if stream else "sealed-1-whole"
        sent_back = [item for item in server.requests[1].body["input"] if item.get("type") == "reasoning"]
        assert [item["encrypted_content"] for item in sent_back] == [sealed]
        assert second.text() == "Tool results: 5"

    def test_reasoning_is_hidden_where_no_summary_is_asked_for(self, server):
        response = openai_model(Responses, server, reasoning=True).prompt("Think", hide_reasoning=True)
        events = list(response.stream_events())
        assert [event.chunk for event in events if event.type == "reasoning"] == ["", ""]
        assert response.usage().output == 5

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_truncated_answer_is_incomplete(self, server, stream):
        server.script(Answer(text="Cut sh", finish="length"))
        model = openai_model(Responses, server)
        response = model.prompt("x", stream=stream)
        assert response.text() == "Cut sh"
        client = OpenAI(base_url=server.url, api_key="x")
        server.script(Answer(text="Cut sh", finish="length"))
        answer = client.responses.create(model="echo", input="Say it")
        assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        client.close()

    def test_every_event_is_numbered_in_order(self, server):
        server.script(Answer(text="Hold fire", reasoning="Hm hm", tool_calls=[ToolCall("add")]))
        with OpenAI(base_url=server.url, api_key="x") as client:
            events = list(
                client.responses.create(model="echo", input="x", stream=True, reasoning={"summary": "auto"})
            )
        assert [event.sequence_number for event in events] == list(range(len(events)))
        kinds = [event.type for event in events]
        assert kinds[:2] == ["response.created", "response.in_progress"]
        assert kinds[-1] == "response.completed"
        assert {"response.reasoning_summary_text.done", "response.function_call_arguments.done"} < set(kinds)

    def test_tools_and_formats_of_the_plain_sdk_are_understood(self, server):
        function = {"type": "function", "name": "add", "parameters": SCHEMA}
        with OpenAI(base_url=server.url, api_key="x") as client:
            forced = client.responses.create(
                model="echo",
                input=[{"role": "user", "content": [{"type": "input_text", "text": "Go"}]}],
                tools=[{"type": "web_search"}, function],
                tool_choice={"type": "function", "name": "add"},
            )
            plain = client.responses.create(
                model="echo", input="Go", instructions="Be brief.", tools=[function], tool_choice="none"
            )
            some = client.responses.create(
                model="echo",
                input="Go",
                text={"format": {"type": "json_object"}},
                reasoning={"effort": "none"},
            )
        assert forced.output[0].arguments == '{"unit": "unit", "x": 0}'
        assert plain.output_text == "Echo: Go"
        assert some.output_text == '{"echo": "echo"}'
        assert some.usage.output_tokens_details.reasoning_tokens == 0


class TestChat:
    def test_a_stream_without_usage(self, server):
        server.script(Answer(omit_usage=True), Answer(omit_usage=True))
        for kind in (Chat, Responses):
            response = openai_model(kind, server).prompt("x")
            assert response.text() == "Echo: x"
            assert fields(response) == (None, None)

    def test_a_whole_answer_without_usage(self, server):
        server.script(Answer(omit_usage=True))
        with OpenAI(base_url=server.url, api_key="x") as client:
            answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        assert answer.usage is None

    def test_chunks_keep_their_boundaries(self, server):
        server.script(Answer(chunks=['{"a":', ' "ü"', "}\n"]))
        assert list(openai_model(Chat, server).prompt("x")) == ['{"a":', ' "ü"', "}\n"]

    def test_reasoning_is_counted_but_not_shown(self, server):
        server.script(Answer(text="Hold", reasoning="One two three"))
        response = openai_model(Chat, server).prompt("x")
        assert response.text() == "Hold"
        assert response.usage().details["completion_tokens_details"] == {"reasoning_tokens": 3}

    def test_reasoning_effort_makes_it_think(self, server):
        response = openai_model(Chat, server, reasoning=True).prompt("x", reasoning_effort="low")
        response.text()
        assert response.usage().details["completion_tokens_details"]["reasoning_tokens"] == 3

    def test_json_mode_forced_tools_and_parts_are_understood(self, server):
        model = openai_model(Chat, server, vision=True)
        assert model.prompt("x", json_object=True).text() == '{"echo": "echo"}'
        image = llm.Attachment(type="image/png", content=b"\x89PNG")
        assert model.prompt("What is this?", attachments=[image]).text() == "Echo: What is this?"
        function = {"type": "function", "function": {"name": "add", "parameters": SCHEMA}}
        ask = {"model": "echo", "messages": [{"role": "user", "content": "Go"}], "tools": [function]}
        with OpenAI(base_url=server.url, api_key="x") as client:
            named = client.chat.completions.create(
                **ask, tool_choice={"type": "function", "function": {"name": "add"}}
            )
            required = client.chat.completions.create(**ask, tool_choice="required")
        assert named.choices[0].message.tool_calls[0].function.name == "add"
        assert required.choices[0].finish_reason == "tool_calls"

    def test_broken_tool_arguments_go_out_as_they_are(self, server):
        server.script(Answer(tool_calls=[ToolCall("add", '{"a": 1')]))
        with pytest.raises(ValueError, match="delimiter"):
            openai_model(Chat, server).prompt("x", tools=[add]).text()

    def test_a_conversation_without_a_user_echoes_nothing(self, server):
        with OpenAI(base_url=server.url, api_key="x") as client:
            answer = client.chat.completions.create(
                model="echo", messages=[{"role": "system", "content": "Be brief."}], stream=True
            )
            chunks = list(answer)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Echo: "
        assert all(chunk.usage is None for chunk in chunks)


class TestMessages:
    def test_thinking_is_signed(self, server):
        model = claude(ClaudeMessages, server, supports_thinking=True, supports_adaptive_thinking=True)
        response = model.prompt("Think", thinking=True)
        events = list(response.stream_events())
        thoughts = [event for event in events if event.type == "reasoning"]
        assert "".join(event.chunk for event in thoughts) == "Thinking about: Think"
        assert thoughts[-1].provider_metadata == {"anthropic": {"signature": "signed-1"}}
        assert response.usage().details == {"output_tokens_details": {"thinking_tokens": 3}}

    def test_hidden_thinking_is_signed_all_the_same(self, server):
        model = claude(ClaudeMessages, server, supports_thinking=True, supports_adaptive_thinking=True)
        events = list(model.prompt("Think", thinking=True, hide_reasoning=True).stream_events())
        thoughts = [event for event in events if event.type == "reasoning"]
        assert [event.chunk for event in thoughts] == [""]

    def test_the_tool_that_stands_for_a_schema_is_called(self, server):
        response = claude(ClaudeMessages, server).prompt("Plan", schema=SCHEMA)
        assert response.tool_calls()[0].arguments == {"unit": "unit", "x": 0}

    def test_breakpoints_alone_make_the_cache(self, server):
        model = claude(ClaudeMessages, server)
        for _ in range(2):
            response = model.prompt("same " * 40)
            response.text()
        assert response.response_json.get("usage") is None
        assert response.usage().input == 40
        assert server.stats["tokens"]["cache_read_tokens"] == 0
        written = model.prompt("same " * 40, cache=True)
        written.text()
        assert (written.usage().input, written.usage().details["cache_creation_input_tokens"]) == (0, 40)

    def test_a_refusal(self, server):
        server.script(Answer(empty=True, finish="content_filter"))
        with pytest.raises(llm.ModelError, match="refused"):
            claude(ClaudeMessages, server).prompt("x").text()

    def test_tokens_are_counted_on_request(self, server):
        assert claude(ClaudeMessages, server).count_tokens("how many words are these") == 5

    def test_whole_answers_of_the_plain_sdk(self, server):
        server.script(Answer(text="Hold", reasoning="Hm", tool_calls=[ToolCall("add", "no json")]))
        with Anthropic(base_url=server.url, api_key="x") as client:
            answer = client.messages.create(
                model="claude-echo",
                max_tokens=64,
                system="Be brief.",
                messages=[{"role": "user", "content": "Go"}],
                tools=[{"name": "add", "input_schema": SCHEMA}],
                tool_choice={"type": "any"},
            )
        assert [block.type for block in answer.content] == ["thinking", "text", "tool_use"]
        assert answer.content[2].input == {}
        assert answer.stop_reason == "tool_use"
