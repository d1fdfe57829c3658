"""UsageLog: which calls belong together, and tokens that nobody has told."""

from __future__ import annotations

import llm
import pytest

from llmopt import usage
from llmopt.middleware.usage_log import UsageLog
from llmopt.usage.batches import Batch
from llmopt.usage.record import BATCH, trace
from llmopt.usage.token_counts import counter_of
from llmopt.wrapping import wrap

from .logged import WORLDS, AsyncModel, Overloaded, Played, SyncModel, check, contents, heuristic, rows


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "usage.db"


# what belongs together


def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}: fog"


def asks_for_tools(cls):
    """A model that asks for one tool in each of its first answers."""

    class Asking(cls):
        supports_tools = True

        def play(self, response):
            if self.script:
                self.script.pop(0)
                response.add_tool_call(llm.ToolCall(name="weather", arguments={"city": "Rome"}))
            yield "looked"
            response.set_usage(input=10, output=5)

    return Asking


def chained(world, model, text, **more):
    if world.model is SyncModel:
        return model.chain(text, tools=[weather], **more).text()

    async def main():
        return await model.chain(text, tools=[weather], **more).text()

    return world.run(main)


def test_a_loop_of_tools_is_a_trace(world, path):
    model = wrap(asks_for_tools(world.model)("tool", "tool"), UsageLog(path, content="full"))
    chained(world, model, "What now?")
    first, second, third = rows(path)
    assert (first["parent_id"], first["trace_id"]) == (None, None)
    assert (second["parent_id"], second["trace_id"]) == (first["id"], first["id"])
    assert (third["parent_id"], third["trace_id"]) == (second["id"], first["id"])
    assert first["prompt_digest"]
    assert second["prompt_digest"] is None
    told = [row for row in contents(path) if row[0] == "context"]
    assert told[0] == ("context", "Rome: fog", 0)


def test_calls_of_ones_own_are_a_trace_too(world, path):
    model = wrap(world.model(), UsageLog(path))
    with trace() as trace_id:
        world.text(model, "a")
        with trace("mine"), usage.role("r"):
            world.text(model, "b")
        world.text(model, "c")
    world.text(model, "d")
    assert len(trace_id) == 26
    assert [call["trace_id"] for call in rows(path)] == [trace_id, "mine", trace_id, None]


def test_a_loop_of_tools_belongs_to_the_trace_around_it(world, path):
    model = wrap(asks_for_tools(world.model)("tool"), UsageLog(path))
    with trace("mine"):
        chained(world, model, "What now?")
    first, second = rows(path)
    assert {first["trace_id"], second["trace_id"]} == {"mine"}
    assert second["parent_id"] == first["id"]


def test_only_what_has_no_history_has_a_digest(path):
    model = wrap(SyncModel(), UsageLog(path))
    conversation = model.conversation()
    conversation.prompt("a").text()
    conversation.prompt("a").text()
    model.prompt("a").text()
    model.prompt(messages=[llm.user("a")]).text()
    first, second, third, fourth = (call["prompt_digest"] for call in rows(path))
    assert first == third is not None
    assert second is None
    assert fourth is None


def test_a_batch_knows_where_its_calls_are_logged(world, path, tmp_path):
    batch = Batch(0.0)
    logs = UsageLog(path), UsageLog(tmp_path / "other.db")
    with batch.calls():
        world.text(wrap(world.model(), *logs), "a")
    world.text(wrap(world.model(), *logs), "b")
    assert [call["batch_id"] for call in rows(path)] == [batch.id, None]
    assert {writer.path for writer in batch.writers} == {str(log._writer.path) for log in logs}


def test_a_batch_that_cannot_be_joined_breaks_no_call(world, path):
    token = BATCH.set(object())
    try:
        assert world.text(wrap(world.model(), UsageLog(path)), "a") == "HOLD"
    finally:
        BATCH.reset(token)
    assert [call["batch_id"] for call in rows(path)] == [None]


# tokens that nobody has told


class Silent(Played):
    def play(self, response):
        yield "one two three"


class SilentSync(Silent, SyncModel):
    pass


class SilentAsync(Silent, AsyncModel):
    pass


@pytest.mark.parametrize("content", [None, "full"])
def test_tokens_are_counted_where_the_provider_says_nothing(world, path, content):
    model = (SilentSync if world.model is SyncModel else SilentAsync)()
    world.text(wrap(model, UsageLog(path, content=content)), "four five six", system="seven")
    (call,) = rows(path)
    asked, answered = (counter_of("played").count(text) for text in ("four five six", "one two three"))
    asked += counter_of("played").count("seven")
    check(call, input_tokens=asked, output_tokens=answered, tokens_source="estimate")


def test_what_an_outer_middleware_changes_is_not_counted(path):
    def shouting(call):
        yield call.tap(lambda event: [event.upper()])

    wrap(SilentSync(), shouting, UsageLog(path)).prompt("a").text()
    (call,) = rows(path)
    check(call, input_tokens=counter_of("played").count("a"), output_tokens=None, tokens_source="estimate")


def test_a_heuristic_has_no_tokens(world, path):
    world.text(wrap(world.model(Overloaded()), UsageLog(path), heuristic), "a")
    (call,) = rows(path)
    check(call, input_tokens=None, tokens_source=None)
