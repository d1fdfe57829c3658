"""The scripted models: real llm models, in all four kinds, that do what they are told."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import pickle

import anyio
import llm
import pytest
from llm.parts import StreamEvent

import llmopt.testing
from llmopt.errors import ConfigurationError
from llmopt.testing import (
    Answer,
    AsyncScriptedKeyModel,
    AsyncScriptedModel,
    ScriptedKeyModel,
    ScriptedModel,
    VirtualClock,
)
from llmopt.testing.script import Asked
from llmopt.types import Usage

KINDS = {
    ScriptedModel: llm.Model,
    ScriptedKeyModel: llm.KeyModel,
    AsyncScriptedModel: llm.AsyncModel,
    AsyncScriptedKeyModel: llm.AsyncKeyModel,
}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request, monkeypatch):
    monkeypatch.setenv("SCRIPTED_API_KEY", "from-env")
    return request.param


def settled(value):
    """What a sync method returns, or what an async one does when it is awaited."""
    if not inspect.isawaitable(value):
        return value

    async def wait():
        return await value

    return asyncio.run(wait())


def events_of(response):
    if isinstance(response, llm.Response):
        return list(response.stream_events())

    async def gather():
        return [event async for event in response.astream_events()]

    return asyncio.run(gather())


def test_they_are_llms_four_kinds_of_models(kind):
    assert isinstance(kind(), KINDS[kind])
    assert sum(isinstance(kind(), base) for base in KINDS.values()) == 1
    assert str(kind(model_id="stub")).endswith(": stub")


def test_without_a_script_they_echo(kind):
    model = kind()
    assert settled(model.prompt("What now?").text()) == "What now?"
    assert settled(model.prompt(messages=[llm.user("a"), llm.assistant("b"), llm.user("c")]).text()) == "c"
    assert settled(model.prompt("").text()) == ""


def test_a_script_is_followed_in_order_and_then_they_echo(kind):
    model = kind(["one", Answer(text="two"), ValueError("three")])
    model.enqueue("four", Answer())
    said = []
    for _ in range(6):
        try:
            said.append(settled(model.prompt("echo").text()))
        except ValueError as error:
            said.append(error.args)
    assert said == ["one", "two", ("three",), "four", "echo", "echo"]


def test_a_script_may_be_a_function_of_the_prompt(kind):
    model = kind(lambda prompt: f"to {prompt.prompt}: {prompt.options.temperature}")
    assert settled(model.prompt("x", temperature=0.5).text()) == "to x: 0.5"
    model.enqueue("first")
    assert settled(model.prompt("x").text()) == "first"
    assert settled(model.prompt("x").text()) == "to x: None"


def test_runs_are_recorded_with_prompt_key_and_stream(kind):
    model = kind()
    settled(model.prompt("a", system="s").text())
    settled(model.prompt("b", stream=False, key="given").text())
    conversation = model.conversation()
    settled(conversation.prompt("c").text())
    keyed = "Key" in kind.__name__
    assert [(call.text, call.stream) for call in model.calls] == [("a", True), ("b", False), ("c", True)]
    assert [call.key for call in model.calls] == (["from-env", "given", "from-env"] if keyed else [None] * 3)
    assert model.calls[0].prompt.system == "s"
    assert model.calls[2].conversation is conversation
    assert "given" not in repr(model.calls[1])


def test_a_model_that_needs_a_key_has_it_looked_up(monkeypatch):
    monkeypatch.delenv("SCRIPTED_API_KEY", raising=False)
    with pytest.raises(llm.NeedsKeyException):
        ScriptedKeyModel().prompt("x").text()


def test_chunks_are_streamed_only_when_a_stream_is_asked_for(kind):
    answer = Answer(chunks=["HO", "LD"])
    model = kind([answer, answer])
    assert [event.chunk for event in events_of(model.prompt("x"))] == ["HO", "LD"]
    assert [event.chunk for event in events_of(model.prompt("x", stream=False))] == ["HOLD"]


def test_events_are_copied_so_that_an_answer_can_be_given_twice(kind):
    thought = StreamEvent("reasoning", "hm", redacted=False, provider_metadata={"signature": "s"})
    answer = Answer(events=[thought, "yes"])
    model = kind([answer, answer])
    first, second = events_of(model.prompt("x")), events_of(model.prompt("x"))
    assert [(event.type, event.chunk) for event in first] == [("reasoning", "hm"), ("text", "yes")]
    assert first == second
    assert thought.part_index is None
    assert answer.said == "yes"


def test_tool_calls_reach_the_response_and_its_messages(kind):
    calls = [llm.ToolCall(name="move", arguments={"x": 3}, tool_call_id="t1")]
    model = kind([Answer(tool_calls=calls), Answer(text="going", tool_calls=calls)])
    response = model.prompt("x")
    assert settled(response.text()) == ""
    assert response._tool_calls == calls
    (message,) = response._messages_now()
    assert [(part.name, part.arguments, part.tool_call_id) for part in message.parts] == [
        ("move", {"x": 3}, "t1")
    ]
    assert settled(model.prompt("x").text()) == "going"


def test_tools_are_run_and_their_results_are_echoed(kind):
    def double(n: int) -> int:
        return 2 * n

    model = kind([Answer(tool_calls=[llm.ToolCall(name="double", arguments={"n": 21}, tool_call_id="t1")])])
    assert settled(model.chain("x", tools=[double]).text()) == "42"
    assert len(model.calls) == 2


def test_what_a_provider_reports_is_reported(kind):
    answer = Answer(
        text="HOLD",
        usage=Usage(10, 2, {"cached_tokens": 8}),
        response_json={"id": "r1"},
        resolved_model="scripted-2026",
        attributes={"citations": ["a"]},
    )
    response = kind([answer]).prompt("x")
    assert settled(response.text()) == "HOLD"
    assert settled(response.usage()) == llm.Usage(input=10, output=2, details={"cached_tokens": 8})
    assert settled(response.json()) == {"id": "r1"}
    assert response.resolved_model == "scripted-2026"
    assert response.citations == ["a"]


def test_usage_is_the_number_of_words_unless_given(kind):
    model = kind(["three words here", Answer(text="x", usage=Usage())])
    response = model.prompt("two words", system="and three more")
    settled(response.text())
    assert settled(response.usage()) == llm.Usage(input=5, output=3)
    silent = model.prompt("x")
    settled(silent.text())
    assert settled(silent.usage()) == llm.Usage()


def test_delays_pass_on_the_models_clock(kind):
    clock = VirtualClock()
    model = kind([Answer(chunks="abc", delay_s=30, chunk_delay_s=5)], clock=clock)
    times = []
    response = model.prompt("x")
    response_events = response.stream_events() if isinstance(response, llm.Response) else None

    async def gather():
        async for _ in response.astream_events():
            times.append(clock.monotonic())

    if response_events is None:
        asyncio.run(gather())
    else:
        times += [clock.monotonic() for _ in response_events]
    assert times == [30, 35, 40]


def test_async_models_run_under_trio():
    clock = VirtualClock()

    async def ask():
        model = AsyncScriptedModel([Answer(chunks=["HO", "LD"], chunk_delay_s=1)], clock=clock)
        return await model.prompt("x").text()

    assert anyio.run(ask, backend="trio") == "HOLD"
    assert clock.monotonic() == 1


def test_the_wall_clock_may_jump(kind):
    clock = VirtualClock(wall_s=1000)
    settled(kind([Answer(clock_jump_s=-600)], clock=clock).prompt("x").text())
    assert (clock.time(), clock.monotonic()) == (400, 0)


@pytest.mark.parametrize(("after", "expected"), [(0, []), (1, ["a"]), (2, ["a", "b"]), (None, ["a", "b"])])
def test_errors_come_after_so_many_events(kind, after, expected):
    answer = Answer(chunks=["a", "b"], error=lambda: OSError("gone"), error_after=after, response_json={})
    response = kind([answer]).prompt("x")
    with pytest.raises(OSError, match="gone"):
        settled(response.text())
    assert response._chunks == expected
    assert response.response_json is None


def test_switches_that_llm_reads_can_be_set(kind):
    model = kind(supports_schema=False, supports_tools=False, attachment_types=())
    png = llm.Attachment(type="image/png", content=b"p")
    with pytest.raises(ValueError, match="does not support schemas"):
        model.prompt("x", schema={"type": "object"})
    with pytest.raises(ValueError, match="does not support tools"):
        model.prompt("x", tools=[llm.Tool.function(len, name="len")])
    with pytest.raises(ValueError, match="does not support attachments"):
        model.prompt("x", attachments=[png])
    assert settled(kind().prompt("x", attachments=[png], schema={"type": "object"}).text()) == "x"


def test_an_answer_says_what_is_wrong_with_it():
    for wrong, message in [
        ({"text": "a", "chunks": ["a"]}, "one of text=, chunks= and events="),
        ({"chunks": ["a"], "events": ["a"]}, "one of text=, chunks= and events="),
        ({"delay_s": -1}, "delay_s must be finite"),
        ({"chunk_delay_s": float("inf")}, "chunk_delay_s must be finite"),
        ({"error_after": -1}, "error_after counts events"),
        ({"error": "boom"}, "error is an exception"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            Answer(**wrong)


def test_a_script_says_what_is_wrong_with_it():
    with pytest.raises(ConfigurationError, match=r"so not 'HOLD' but \['HOLD'\]"):
        ScriptedModel("HOLD")
    with pytest.raises(ConfigurationError, match="not of 3"):
        ScriptedModel([3])
    with pytest.raises(ConfigurationError, match="not of None"):
        ScriptedModel(lambda prompt: None).prompt("x").text()


def test_a_prompt_without_messages_asks_nothing():
    prompt = llm.Prompt("", model=ScriptedModel(), messages=[])
    assert Asked(prompt, False, None, None, None).text == ""


def test_they_can_be_copied_and_pickled():
    model = ScriptedModel(["one", Answer(text="two")], clock=None)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own
        assert [twin.prompt("x").text() for _ in range(3)] == ["one", "two", "x"]
    assert model.calls == []
    shallow = copy.copy(model)
    assert shallow.prompt("x").text() == "one"
    assert model.prompt("x").text() == "two"


def test_the_room_names_what_it_has():
    assert llmopt.testing.__all__ == sorted(llmopt.testing._NAMES)
    assert dir(llmopt.testing) == llmopt.testing.__all__
    assert all(getattr(llmopt.testing, name) for name in llmopt.testing.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = llmopt.testing.no_such_name


def test_events_with_json_arguments_are_whole():
    call = llm.ToolCall(name="move", arguments={"x": 3}, tool_call_id="t1")
    events = events_of(ScriptedModel([Answer(tool_calls=[call])]).prompt("x"))
    assert json.loads(events[-1].chunk) == {"x": 3}
