"""Compress with a vault: ids go as handles and come back, however the reply arrives."""

from __future__ import annotations

import json

import llm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm.models import ToolCall
from llm.parts import ReasoningPart, StreamEvent, ToolCallPart, ToolResultPart

import llmopt
from llmopt.compress import Vault, decode
from llmopt.compress.data import Data
from llmopt.middleware._compress_restore import Restoring
from llmopt.middleware.compress import Compress
from llmopt.testing import Answer, ScriptedModel
from llmopt.trace import Trace

IDS = [f"8f14e45f-ceea-467f-a1bb-9dd5{n:08x}" for n in range(1, 13)]
PODS = [{"pod": one, "ready": True, "restarts": n} for n, one in enumerate(IDS)]


def sent(model, at=-1):
    """Return the texts, results and arguments that the model was sent."""
    parts = [part for message in model.calls[at].prompt.messages for part in message.parts]
    return [
        getattr(part, "text", None) or getattr(part, "output", None) or getattr(part, "arguments", "")
        for part in parts
    ]


def ask(world, script, prompt="Which?", **given):
    model = world.model(script)
    wrapped = world.wrap(model, Compress("dense", vault=True))
    return model, world.ask(wrapped, prompt, fragments=[Data(PODS)], **given)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        (["@1"], IDS[0]),
        (["@", "1", "2"], IDS[11]),
        (["@1", "2, @", "3"], f"{IDS[11]}, {IDS[2]}"),
        (["a@1", " b@2.com @99 @0"], "a@1 b@2.com @99 @0"),
        (["mail @", " home"], "mail @ home"),
        (["done @"], "done @"),
        (['{"pod": "@', '2"}'], f'{{"pod": "{IDS[1]}"}}'),
    ],
)
def test_ids_come_back_in_texts(world, chunks, told, stream):
    model, outcome = ask(world, [Answer(chunks=chunks)], stream=stream)
    assert outcome.told == told
    assert "8f14e45f" not in str(sent(model))
    hidden = decode(sent(model)[0].removesuffix("\nWhich?"))
    assert [pod["pod"] for pod in hidden] == [f"@{n}" for n in range(1, 13)]


def test_nothing_is_held_back_longer_than_needed(world):
    chunks = ["Restart ", "@", "1", " now", ", please."]
    _, outcome = ask(world, [Answer(chunks=chunks)])
    assert [event.chunk for event in outcome.events] == ["Restart ", f"{IDS[0]} now", ", please."]


def test_ids_are_hidden_in_every_message_but_not_in_reasoning_or_names(world):
    one, other = IDS[:2]
    messages = [
        llm.system(f"You serve {one}."),
        llm.user(f"What of {other}?"),
        llm.assistant(
            ReasoningPart(text=f"hm, {one}"), f"{other} is up.", ToolCallPart("look", {"at": [one]}, one)
        ),
        llm.tool_message(ToolResultPart("look", f"{one}: ok", one)),
    ]
    model = world.model([f"@2, not {other[:8]}"])
    outcome = world.ask(world.wrap(model, Compress(vault=True)), None, messages=messages)
    assert sent(model) == [
        "You serve @1.",
        "What of @2?",
        f"hm, {one}",
        "@2 is up.",
        {"at": ["@1"]},
        "@1: ok",
    ]
    call, result = (model.calls[0].prompt.messages[at].parts[-1] for at in (2, 3))
    assert (call.tool_call_id, result.tool_call_id) == (one, one)
    assert outcome.text == f"{other}, not {other[:8]}"


def test_what_looks_like_a_handle_comes_back_as_it_is(world):
    model = world.model(lambda prompt: prompt.messages[-1].parts[0].text)
    text = f"@1 is no @02 of {IDS[5]}"
    outcome = world.ask(world.wrap(model, Compress(vault=True)), text)
    assert sent(model) == ["@01 is no @002 of @1"]
    assert outcome.text == text


def test_what_looks_like_a_handle_may_take_a_token_more(world):
    model = world.model(lambda prompt: prompt.messages[-1].parts[0].text)
    outcome = world.ask(world.wrap(model, Compress(vault=True)), "is it @123?")
    assert (sent(model), outcome.text) == (["is it @0123?"], "is it @123?")


def test_arguments_of_tool_calls(world):
    calls = [ToolCall("restart", {"pod": "@3", "why": ["@1", 2]}, "t1"), ToolCall("rest", {}, "t2")]
    _, outcome = ask(world, [Answer(text="", tool_calls=calls)])

    async def later():
        return await outcome.response.tool_calls()

    made = world.run(later if world.is_async else outcome.response.tool_calls)
    assert [(call.name, call.arguments, call.tool_call_id) for call in made] == [
        ("restart", {"pod": IDS[2], "why": [IDS[0], 2]}, "t1"),
        ("rest", {}, "t2"),
    ]
    assert calls[0].arguments == {"pod": "@3", "why": ["@1", 2]}


EVENTS = [
    StreamEvent("reasoning", "is it @1?", provider_metadata={"signature": "s"}),
    StreamEvent("text", "It is @"),
    StreamEvent("text", "2", provider_metadata={"cited": 1}),
    StreamEvent("tool_call_name", "look", tool_call_id="t1"),
    StreamEvent("tool_call_args", '{"at": "@', tool_call_id="t1"),
    StreamEvent("tool_call_name", "look", tool_call_id="t2"),
    StreamEvent("tool_call_args", '{"at": "@', tool_call_id="t2"),
    StreamEvent("tool_call_args", '1"}', tool_call_id="t1"),
    StreamEvent("tool_call_args", '3"}', tool_call_id="t2"),
    StreamEvent("tool_call_name", "search", tool_call_id="s1", server_executed=True),
    StreamEvent("tool_call_args", '{"q": "@1"}', tool_call_id="s1", server_executed=True),
    StreamEvent("tool_result", "@1", tool_call_id="s1", server_executed=True),
    StreamEvent("text", "Then @4", message_index=1),
]


def test_events_of_all_kinds(world):
    _, outcome = ask(world, [Answer(events=EVENTS)])

    async def later():
        return await outcome.response.messages()

    first, second = world.run(later if world.is_async else outcome.response.messages)
    told = [part.to_dict() for part in (*first.parts, *second.parts)]
    assert told == [
        {"type": "reasoning", "text": "is it @1?", "provider_metadata": {"signature": "s"}},
        {"type": "text", "text": f"It is {IDS[1]}", "provider_metadata": {"cited": 1}},
        {"type": "tool_call", "name": "look", "arguments": {"at": IDS[0]}, "tool_call_id": "t1"},
        {"type": "tool_call", "name": "look", "arguments": {"at": IDS[2]}, "tool_call_id": "t2"},
        {
            "type": "tool_call",
            "name": "search",
            "arguments": {"q": "@1"},
            "tool_call_id": "s1",
            "server_executed": True,
        },
        {"type": "tool_result", "name": "", "output": "@1", "tool_call_id": "s1", "server_executed": True},
        {"type": "text", "text": f"Then {IDS[3]}"},
    ]


def test_calls_without_ids_are_told_apart_by_their_names(world):
    events = [
        StreamEvent("tool_call_name", "look"),
        StreamEvent("tool_call_args", '"@'),
        StreamEvent("tool_call_args", '1"'),
        StreamEvent("tool_call_args", ' "@2'),
        StreamEvent("tool_call_name", "look"),
        StreamEvent("tool_call_args", '"@3"'),
    ]
    _, outcome = ask(world, [Answer(events=events)])
    told = "".join(event.chunk for event in outcome.events)
    assert told == f'look"{IDS[0]}" "{IDS[1]}look"{IDS[2]}"'


def test_a_retry_inside_begins_anew(world):
    model = world.model([Answer(chunks=["@"], error=ConnectionError("reset"), error_after=1), "1 pod"])
    wrapped = world.wrap(model, Compress(vault=True), llmopt.Retry())
    assert world.ask(wrapped, fragments=[Data(PODS)]).told == "1 pod"


def test_a_cache_inside_keeps_handles_and_replays_ids(world):
    model = world.model(["see @2"])
    wrapped = world.wrap(model, Compress(vault=True), llmopt.Cache())
    outcomes = [world.ask(wrapped, fragments=[Data(PODS)]) for _ in range(2)]
    assert [outcome.told for outcome in outcomes] == [f"see {IDS[1]}"] * 2
    assert outcomes[1].trace.source == "cache"


def test_a_new_vault_for_each_call_knows_nothing_of_others(world):
    model = world.model(lambda prompt: "@1 @2")
    wrapped = world.wrap(model, Compress(vault=True))
    assert world.ask(wrapped, f"of {IDS[4]}").text == f"{IDS[4]} @2"
    assert world.ask(wrapped, f"of {IDS[5]}").text == f"{IDS[5]} @2"


def test_a_vault_of_ones_own_serves_all_calls(world):
    model = world.model(lambda prompt: "@1 @2")
    vault = Vault()
    wrapped = world.wrap(model, Compress(vault=vault))
    world.ask(wrapped, f"of {IDS[4]}")
    assert world.ask(wrapped, f"of {IDS[5]}").text == f"{IDS[4]} {IDS[5]}"
    assert len(vault) == 2


def test_without_a_handle_no_event_is_touched(world):
    taps = []

    def watch(call):
        taps.append(call.path)
        yield call

    model = world.model(["@1 it is"])
    outcome = world.ask(
        world.wrap(model, Compress(vault=True), watch), json.dumps([{"n": n} for n in range(99)])
    )
    assert (outcome.text, taps) == ("@1 it is", [()])
    assert outcome.notes["tokens_after"] < outcome.notes["tokens_before"]


def test_an_abandoned_reply_is_abandoned(world):
    model = world.model([Answer(chunks=["@1", " a", " b"])])
    wrapped = world.wrap(model, compress := Compress(vault=True))
    outcome = world.ask(wrapped, fragments=[Data(PODS)], take=1)
    assert len(outcome.events) == 1
    assert compress.stats()["compressed"] == 1


texts = st.lists(st.sampled_from(["@", "1", "2", " ", "x", "@1", "0", '"', "\\n"]), max_size=12)


@given(texts, st.booleans())
def test_chunks_do_not_matter(chunks, as_events):
    vault = Vault()
    for one in IDS:
        vault.hide(one)
    restoring = Restoring(vault, Trace())
    told = []
    for chunk in chunks:
        event = StreamEvent("text", chunk) if as_events else chunk
        seen = restoring.see(event)
        told += [event] if seen is None else seen
    told += restoring.flush()
    assert all(isinstance(event, StreamEvent) == as_events for event in told)
    text = "".join(event.chunk if as_events else event for event in told)
    assert text == vault.restore("".join(chunks))


def test_the_text_of_a_whole_call_is_restored_as_by_the_vault():
    model = ScriptedModel(lambda prompt: prompt.messages[-1].parts[0].text)
    text = f"{json.dumps(PODS, indent=1)}\nand @1 and {IDS[3]}\n```python\nx = '{IDS[2]}'\n```"
    echoed = llmopt.wrap(model, Compress("safe", vault=True, min_tokens=10**6)).prompt(text).text()
    assert echoed == text
