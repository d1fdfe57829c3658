"""Whatever llm does with a model, it does with a wrapped one: 27 features, for all four kinds of models."""

from __future__ import annotations

import contextlib
import gc
import json

import anyio
import anyio.lowlevel
import llm
import pytest
import sqlite_utils

import llmopt
from llmopt.errors import Abandoned
from llmopt.testing import Answer, AsyncScriptedModel
from llmopt.types import Usage

pytestmark = pytest.mark.anyio
PNG = llm.Attachment(type="image/png", content=b"abc")
FULL = Answer(
    chunks=["HO", "LD"],
    usage=Usage(10, 2, {"cached_tokens": 8}),
    response_json={"id": "r1"},
    resolved_model="scripted-2026",
    attributes={"citations": ["a"]},
    delay_s=0.5,
)


def add(a: int, b: int) -> int:
    return a + b


SUM = Answer(tool_calls=[llm.ToolCall(name="add", arguments={"a": 1, "b": 2}, tool_call_id="t1")])


def cache():
    return llmopt.Cache(max_entries=16)


def shape(events):
    return [(event.type, event.chunk, event.part_index, event.tool_call_id) for event in events]


# What it is


async def test_01_it_is_what_the_model_is_by_every_isinstance(lab):
    wrapped = lab.wrap()
    kinds = (llm.Model, llm.KeyModel, llm.AsyncModel, llm.AsyncKeyModel)
    assert [isinstance(wrapped, kind) for kind in kinds] == [isinstance(lab.model, kind) for kind in kinds]


async def test_02_it_is_of_the_concrete_class(lab):
    wrapped = lab.wrap()
    assert isinstance(wrapped, lab.kind)
    assert (type(wrapped).__name__, str(wrapped), repr(wrapped)) == (
        lab.kind.__name__,
        str(lab.model),
        repr(lab.model),
    )


# What it says


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_03_text_and_a_prompt_that_a_middleware_changes(lab, squeezing):
    wrapped = lab.wrap(["HOLD"], squeezing)
    assert await lab.ask(wrapped.prompt("a   b")) == "HOLD"
    assert await lab.ask(wrapped.prompt("c  \n d", stream=False)) == "c d"
    assert [call.text for call in lab.model.calls] == ["a b", "c d"]
    assert [call.stream for call in lab.model.calls] == [True, False]


async def test_04_the_consumers_prompt_stays_the_original(lab, squeezing):
    response = lab.wrap(None, squeezing).prompt("a   b")
    await lab.ask(response)
    assert response.prompt.prompt == response.prompt.messages[-1].parts[0].text == "a   b"
    assert lab.model.calls[0].response is not response
    assert lab.model.calls[0].response.prompt is lab.model.calls[0].prompt
    assert lab.model.calls[0].response.id == response.id


async def test_05_what_the_model_reports_reaches_the_response(lab, squeezing):
    for middlewares in ((), (squeezing,)):
        response = lab.wrap([FULL], *middlewares).prompt("x")
        assert await lab.ask(response) == "HOLD"
        assert await lab.settle(response.usage()) == llm.Usage(10, 2, {"cached_tokens": 8})
        assert await lab.settle(response.json()) == {"id": "r1"}
        assert response.resolved_model == "scripted-2026"
        assert response.citations == ["a"]
        assert response.llmopt.source == "model"


# Hits


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_06_a_repeated_prompt_hits_the_cache(lab):
    wrapped = lab.wrap([FULL], cache())
    said = [await lab.ask(wrapped.prompt("x")) for _ in range(2)]
    assert said == ["HOLD", "HOLD"]
    assert len(lab.model.calls) == 1
    assert len(lab.watch.seen) == 2


async def test_07_a_hit_says_all_that_the_answer_said_under_an_id_of_its_own(lab):
    wrapped = lab.wrap([FULL], cache())
    responses = [wrapped.prompt("x"), wrapped.prompt("x")]
    for response in responses:
        await lab.ask(response)
    first, second = responses
    assert (first.llmopt.source, second.llmopt.source) == ("model", "cache")
    assert first.id != second.id
    assert await lab.settle(first.messages()) == await lab.settle(second.messages())
    assert await lab.settle(first.usage()) == await lab.settle(second.usage())
    assert await lab.settle(first.json()) == await lab.settle(second.json()) == {"id": "r1"}
    assert first.resolved_model == second.resolved_model == "scripted-2026"
    assert second.citations == ["a"]


async def test_08_a_hit_replays_the_stream_events(lab):
    wrapped = lab.wrap([FULL], cache())
    first, second = [await lab.events(wrapped.prompt("x")) for _ in range(2)]
    assert shape(first) == shape(second)
    assert "".join(event.chunk for event in second) == "HOLD"
    assert len(lab.model.calls) == 1


async def test_09_a_hit_needs_no_key(lab, monkeypatch):
    wrapped = lab.wrap(["HOLD"], cache())
    await lab.ask(wrapped.prompt("x"))
    monkeypatch.delenv("SCRIPTED_API_KEY")
    assert await lab.ask(wrapped.prompt("x")) == "HOLD"
    if lab.keyed:
        with pytest.raises(llm.NeedsKeyException):
            await lab.ask(wrapped.prompt("y"))


# Conversations and tools


async def test_10_conversations_go_through_and_keep_the_original_history(lab, squeezing):
    conversation = lab.wrap(None, squeezing).conversation()
    await lab.ask(conversation.prompt("a  1"))
    assert await lab.ask(conversation.prompt("b  2")) == "b 2"
    assert len(lab.watch.seen) == len(conversation.responses) == 2
    assert [message.role for message in lab.model.calls[-1].prompt.messages] == ["user", "assistant", "user"]
    history = [message.parts[0].text for message in conversation.responses[-1].prompt.messages]
    assert history == ["a  1", "a 1", "b  2"]


async def test_11_a_repeated_conversation_hits_the_cache(lab):
    wrapped = lab.wrap(["one", "two"], cache())
    for _ in range(2):
        conversation = wrapped.conversation()
        assert [await lab.ask(conversation.prompt(text)) for text in "ab"] == ["one", "two"]
    assert len(lab.model.calls) == 2


async def test_12_every_round_of_a_chain_goes_through(lab):
    chain = lab.wrap([SUM]).chain("sum", tools=[add])
    assert await lab.ask(chain) == "3"
    assert len(lab.watch.seen) == len(lab.model.calls) == len(chain._responses) == 2
    assert chain._responses[0].llmopt.source == "model"


async def test_13_a_repeated_chain_is_replayed_with_its_tool_calls(lab):
    wrapped, ran = lab.wrap([SUM], cache()), []

    def count(tool, call):
        ran.append(call.arguments)

    async def acount(tool, call):
        count(tool, call)

    before = acount if lab.asynchronous else count
    tool = llm.Tool.function(add)
    said = [await lab.ask(wrapped.chain("sum", tools=[tool], before_call=before)) for _ in range(2)]
    assert said == ["3", "3"]
    assert len(lab.model.calls) == 2
    assert ran == [{"a": 1, "b": 2}] * 2


async def test_14_reply_goes_through(lab):
    response = lab.wrap(["one", "two"]).prompt("a")
    await lab.ask(response)
    reply = response.reply("b")
    assert await lab.ask(await reply if lab.asynchronous else reply) == "two"
    assert len(lab.watch.seen) == 2
    assert [message.role for message in lab.model.calls[-1].prompt.messages] == ["user", "assistant", "user"]


# What is passed on


async def test_15_schema(lab):
    await lab.ask(lab.wrap().prompt("x", schema={"type": "object"}))
    assert lab.model.calls[0].prompt.schema == {"type": "object"}
    with pytest.raises(ValueError, match="does not support schemas"):
        lab.wrap(supports_schema=False).prompt("x", schema={"type": "object"})


async def test_16_attachments(lab):
    await lab.ask(lab.wrap().prompt("x", attachments=[PNG]))
    parts = lab.model.calls[0].prompt.messages[-1].parts
    assert [part.attachment for part in parts if hasattr(part, "attachment")] == [PNG]
    with pytest.raises(ValueError, match="does not support attachments of type"):
        lab.wrap().prompt("x", attachments=[llm.Attachment(type="text/csv", content=b"a")])


async def test_17_options_system_and_fragments(lab):
    response = lab.wrap().prompt("q", temperature=0.3, system="s", fragments=["f"], system_fragments=["sf"])
    await lab.ask(response)
    prompt = lab.model.calls[0].prompt
    assert (prompt.options.temperature, prompt.system, prompt.prompt) == (0.3, "sf\n\ns", "f\nq")
    with pytest.raises(ValueError, match="Extra inputs"):
        lab.wrap().prompt("q", heat=1)


async def test_18_an_explicit_key(lab):
    await lab.ask(lab.wrap().prompt("x", key="given"))
    assert lab.model.calls[0].key == ("given" if lab.keyed else None)


async def test_19_a_key_of_the_environment_or_of_the_model(lab):
    wrapped = lab.wrap()
    await lab.ask(wrapped.prompt("x"))
    wrapped.key = "set"
    await lab.ask(wrapped.prompt("x", key="given"))
    assert [call.key for call in lab.model.calls] == (["from-env", "set"] if lab.keyed else [None, None])
    assert wrapped.get_key() == ("set" if lab.keyed else None)


# What is seen


async def test_20_time_to_first_token_and_usage_are_seen(lab):
    await lab.ask(lab.wrap([FULL]).prompt("x"))
    (seen,) = lab.watch.seen
    assert seen.ttft_s == 0.5
    assert seen.usage == Usage(10, 2, {"cached_tokens": 8})


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_21_an_abandoned_stream_is_seen(lab):
    response = lab.wrap([Answer(chunks="abc")]).prompt("x")
    if lab.asynchronous:
        async with contextlib.aclosing(response.astream_events()) as events:
            assert (await anext(events)).chunk == "a"
    else:
        with contextlib.closing(iter(response)) as chunks:
            assert next(chunks) == "a"
    gc.collect()
    (seen,) = lab.watch.seen
    assert isinstance(seen.error, Abandoned)
    assert isinstance(seen.trace.attempts[0].error, BaseException)


async def test_22_an_error_is_seen_and_passes_through_as_it_is(lab):
    error = OSError("gone")
    response = lab.wrap([error]).prompt("x")
    with pytest.raises(OSError, match="gone") as caught:
        await lab.ask(response)
    assert caught.value is error
    assert lab.watch.seen[0].error is error


async def test_23_callbacks_are_called_once(lab):
    done = []

    async def adone(response):
        done.append(response)

    response = lab.wrap(["x"]).prompt("x")
    await lab.settle(response.on_done(adone if lab.asynchronous else done.append))
    await lab.ask(response)
    await lab.ask(response)
    assert done == [response]


# What is kept


async def test_24_llms_log_is_complete(lab):
    wrapped = lab.wrap([FULL], cache())
    db = sqlite_utils.Database(memory=True)
    try:
        for _ in range(2):
            response = wrapped.prompt("x", fragments=["f"])
            await lab.ask(response)
            done = await response.to_sync_response() if lab.asynchronous else response
            done.log_to_db(db)
        rows = list(db["turns"].rows)
    finally:
        db.close()
    assert len({row["id"] for row in rows}) == 2
    for row in rows:
        assert (row["model"], row["resolved_model"]) == ("scripted", "scripted-2026")
        assert (row["input_tokens"], row["output_tokens"]) == (10, 2)
        assert json.loads(row["response_json"]) == {"id": "r1"}
        assert json.loads(row["token_details"]) == {"cached_tokens": 8}


async def test_25_responses_become_dicts_and_come_back(lab):
    wrapped = lab.wrap(["one", "two"])
    response = wrapped.prompt("x")
    await lab.ask(response)
    data = json.loads(json.dumps(response.to_dict()))
    assert data["model"] == "scripted"
    back = type(response).from_dict(data, model=wrapped)
    assert await lab.ask(back) == "one"
    reply = back.reply("y")
    assert await lab.ask(await reply if lab.asynchronous else reply) == "two"
    assert len(lab.watch.seen) == 2


async def test_26_without_middlewares_the_answer_is_the_models(lab):
    model = lab.kind([FULL], clock=lab.clock)
    response = llmopt.wrap(model, default=False).prompt("x")
    assert await lab.ask(response) == "HOLD"
    assert await lab.settle(response.json()) == {"id": "r1"}
    assert model.calls[0].response is response


async def test_27_many_calls_at_once_do_not_mix():
    clock = llmopt.testing.VirtualClock()
    model = AsyncScriptedModel(lambda prompt: Answer(chunks=prompt.prompt, chunk_delay_s=1), clock=clock)
    wrapped, said = llmopt.wrap(model, cache(), clock=clock), {}

    async def ask(text):
        said[text] = await wrapped.prompt(text).text()

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, f"call {number}")
    assert said == {text: text for text in said}
    assert len(said) == len(model.calls) == 20
