"""UsageLog through wrap(): every outcome in threads, asyncio and trio, and what must never be written."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import pickle
import re
from contextlib import suppress
from decimal import Decimal
from enum import Enum

import anyio
import llm
import pytest
import trio

from llmopt import usage
from llmopt.errors import ConfigurationError, StoreError
from llmopt.middleware.usage_log import UsageLog
from llmopt.types import Reply, Sleep, Usage
from llmopt.usage.batches import Batch
from llmopt.usage.record import trace
from llmopt.usage.recorder import Recorder
from llmopt.usage.token_counts import counter_of
from llmopt.wrapping import wrap

SECRET = "the-submarine-is-at-dawn"


class Overloaded(Exception):
    status_code = 529


class Effort(Enum):
    HIGH = "high"


class Options(llm.Options):
    temperature: float | None = None
    prefill: str | None = None
    effort: Effort | None = None


class Played:
    """Plays one item per run: chunks of text, an error, or "hang" for a stream that never goes on."""

    model_id = "played"
    needs_key = None
    can_stream = True
    api_base = f"https://user:{SECRET}@models.example:8443/v1"
    Options = Options

    def __init__(self, *script):
        self.script = list(script) or [["HOLD"]]

    def play(self, response):
        item = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(item, BaseException):
            raise item
        yield from item
        response.set_usage(input=10, output=5, details={"prompt_tokens_details": {"cached_tokens": 4}})
        response.set_resolved_model("played-2026-11-01")
        response.response_json = {"content": SECRET, "finish_reason": "stop"}


class SyncModel(Played, llm.Model):
    def execute(self, prompt, stream, response, conversation):
        for event in self.play(response):
            if event == "hang":
                raise KeyboardInterrupt
            yield event


class AsyncModel(Played, llm.AsyncModel):
    async def execute(self, prompt, stream, response, conversation):
        for event in self.play(response):
            if event == "hang":
                await anyio.sleep_forever()
            yield event


class InThreads:
    """How a consumer uses a model in a world."""

    model = SyncModel

    def text(self, model, *args, **kwargs):
        return model.prompt(*args, **kwargs).text()

    def interrupt(self, model):
        """Begin to read an answer that does not go on, and be interrupted meanwhile."""
        with pytest.raises(KeyboardInterrupt):
            model.prompt(SECRET).text()

    def leave(self, model):
        """Read one event and close the stream."""
        events = model.execute(*begun(model))
        assert next(events)
        events.close()


class InEventLoop:
    model = AsyncModel

    def __init__(self, run):
        self.run = run

    def text(self, model, *args, **kwargs):
        async def main():
            return await model.prompt(*args, **kwargs).text()

        return self.run(main)

    def interrupt(self, model):
        async def main():
            with anyio.move_on_after(0.05):
                await model.prompt(SECRET).text()

        self.run(main)

    def leave(self, model):
        async def main():
            events = model.execute(*begun(model))
            assert await anext(events)
            await events.aclose()

        self.run(main)


def begun(model):
    response = model.prompt(SECRET)
    return response.prompt, True, response, None


WORLDS = {
    "threads": InThreads(),
    "asyncio": InEventLoop(lambda main: asyncio.run(main())),
    "trio": InEventLoop(trio.run),
}


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "usage.db"


def rows(path, sql="SELECT * FROM calls ORDER BY started_at, id"):
    database = usage.open(path)
    try:
        return list(database.query(sql))
    finally:
        database.close()


def attempts(path):
    return rows(path, "SELECT * FROM attempts ORDER BY call_id, n")


def check(row, **expected):
    assert {name: row[name] for name in expected} == expected


def columns(row, names):
    return {name: row[name] for name in names.split()}


# outcomes


def test_a_call_that_ends_well(world, path):
    log = UsageLog(path, role="tactical", agent="A1", tags={"run": 7})
    model = wrap(world.model(), log)
    assert world.text(model, SECRET) == "HOLD"
    (call,) = rows(path)
    check(
        call,
        role="tactical",
        agent="A1",
        tags_json='{"run": 7}',
        operation="chat",
        provider=__name__.partition(".")[0],
        model_requested="played",
        model_resolved="played-2026-11-01",
    )
    check(
        call,
        status="ok",
        error_type=None,
        http_status=None,
        attempts=1,
        stream=1,
        finish_reason="stop",
        endpoint_host="models.example",
    )
    check(
        call,
        input_tokens=10,
        output_tokens=5,
        cache_read_tokens=4,
        tokens_source="provider",
        cost_usd_nano=None,
    )
    assert 0 < call["ttft_ms"] <= call["duration_ms"]
    (attempt,) = attempts(path)
    check(
        attempt,
        call_id=call["id"],
        n=1,
        model="played",
        status="ok",
        input_tokens=10,
        output_tokens=5,
        wait_ms=0.0,
    )
    assert call["started_at"] <= attempt["started_at"] < call["started_at"][:10] + "U"
    assert attempt["duration_ms"] <= call["duration_ms"]
    assert (log.stats()["written"], log.stats()["failed"]) == (1, 0)


def test_a_call_that_fails(world, path):
    error = Overloaded(SECRET)
    with pytest.raises(Overloaded) as caught:
        world.text(wrap(world.model(error), UsageLog(path)), SECRET)
    assert caught.value is error
    (call,) = rows(path)
    check(
        call,
        status="error",
        error_class="overloaded",
        http_status=529,
        attempts=1,
        input_tokens=None,
        ttft_ms=None,
        tokens_source=None,
    )
    assert call["error_type"].endswith(".Overloaded")
    (attempt,) = attempts(path)
    check(attempt, status="error", error_class="overloaded", http_status=529)


def test_a_call_whose_task_is_cancelled(world, path):
    world.interrupt(wrap(world.model(["HO", "hang"]), UsageLog(path)))
    (call,) = rows(path)
    assert call["status"] == "cancelled"
    assert call["error_type"].split(".")[-1] in {"KeyboardInterrupt", "CancelledError", "Cancelled"}
    assert call["ttft_ms"] is not None
    assert [attempt["status"] for attempt in attempts(path)] == ["cancelled"]


def test_a_stream_that_its_consumer_closes(world, path):
    world.leave(wrap(world.model(["HO", "LD"]), UsageLog(path)))
    (call,) = rows(path)
    check(call, status="abandoned", error_type=None, attempts=1)
    assert [attempt["status"] for attempt in attempts(path)] == ["abandoned"]


def cached(call):
    reply = Reply.of_text("HOLD", source="cache")
    reply.usage = Usage(100, 20)
    yield reply


def test_an_answer_out_of_the_cache_is_served_and_not_billed(world, path):
    model = wrap(world.model(), UsageLog(path), cached)
    assert world.text(model, SECRET) == "HOLD"
    (call,) = rows(path)
    check(call, status="ok", cache_outcome="hit", attempts=0, input_tokens=100, output_tokens=20)
    assert call["ttft_ms"] == call["duration_ms"]
    assert attempts(path) == []
    (day,) = rows(path, "SELECT * FROM usage_daily")
    check(
        day, calls=1, attempts=0, billed_input_tokens=None, served_input_tokens=100, served_output_tokens=20
    )


def noted(**notes):
    def flow(call):
        call.trace.notes.update(notes)
        yield call

    return flow


def test_what_other_middlewares_have_noted(world, path):
    notes = {"cache": "miss", "queue_s": 0.25, "tier": 0, "tokens_before": 90, "tokens_after": 40}
    notes |= {"compressor": "dense", "breaker": "closed", "role": "stealth", "agent": "B2"}
    world.text(wrap(world.model(), UsageLog(path, role="tactical"), noted(**notes)), SECRET)
    (call,) = rows(path)
    check(
        call,
        cache_outcome="miss",
        queue_ms=250.0,
        tier=0,
        tokens_before=90,
        tokens_after=40,
        compressor="dense",
        role="stealth",
        agent="B2",
    )
    assert [attempt["breaker_state"] for attempt in attempts(path)] == ["closed"]


def retrying(call):
    try:
        yield call
    except Overloaded:
        yield Sleep(0.01)
        yield call


def test_each_attempt_of_a_retried_call(world, path):
    error = Overloaded(SECRET)
    error.response = type("Response", (), {"headers": {"retry-after": "2"}, "status_code": 529})()
    model = wrap(world.model(error, ["HOLD"]), UsageLog(path), retrying)
    assert world.text(model, SECRET) == "HOLD"
    (call,) = rows(path)
    check(call, status="ok", attempts=2, input_tokens=10)
    first, second = attempts(path)
    check(first, n=1, status="error", http_status=529, retry_after_ms=2000.0, wait_ms=0.0, input_tokens=None)
    check(second, n=2, status="ok", http_status=None, retry_after_ms=None, input_tokens=10)
    assert second["wait_ms"] >= 10
    assert first["started_at"] < second["started_at"]
    assert call["ttft_ms"] >= 10


def heuristic(call):
    try:
        yield call
    except Overloaded:
        call.trace.notes["tier"] = 1
        yield Reply.of_text("WAIT", source="fallback")


def test_an_answer_of_a_lower_tier(world, path):
    model = wrap(world.model(Overloaded()), UsageLog(path), heuristic)
    assert world.text(model, SECRET) == "WAIT"
    (call,) = rows(path)
    check(call, status="ok", attempts=1, tier=1, input_tokens=None, http_status=None)
    assert call["ttft_ms"] == call["duration_ms"]
    assert [attempt["status"] for attempt in attempts(path)] == ["error"]


def test_another_model_in_the_place_of_the_one_called(world, path):
    other = world.model(["ELSE"])
    other.model_id = "other"

    def elsewhere(call):
        yield call.replace(model=other)

    assert world.text(wrap(world.model(), UsageLog(path), elsewhere), SECRET) == "ELSE"
    assert [call["model_requested"] for call in rows(path)] == ["played"]
    assert [columns(a, "model provider") for a in attempts(path)] == [{"model": "other", "provider": None}]


# who it was for


def test_roles_and_agents_of_a_block(world, path):
    model = wrap(world.model(), UsageLog(path, role="tactical", tags={"run": 1}))
    with usage.role("support"):
        world.text(model, "a")
        with usage.agent("A7"):
            world.text(model, "b")
    world.text(model, "c")
    assert [columns(call, "role agent tags_json") for call in rows(path)] == [
        {"role": "support", "agent": None, "tags_json": '{"run": 1}'},
        {"role": "support", "agent": "A7", "tags_json": '{"run": 1}'},
        {"role": "tactical", "agent": None, "tags_json": '{"run": 1}'},
    ]


def test_conversations_are_told_apart(path):
    model = wrap(SyncModel(), UsageLog(path))
    conversation = model.conversation()
    conversation.prompt("a").text()
    conversation.prompt("b").text()
    model.prompt("c").text()
    assert [call["conversation_id"] for call in rows(path)] == [conversation.id] * 2 + [None]


def test_ids_join_llms_own_log(path):
    response = wrap(SyncModel(), UsageLog(path)).prompt("a")
    response.text()
    (call,) = rows(path)
    assert call["id"] == call["llm_turn_id"] == response.id


def test_a_response_that_runs_twice_is_two_calls(path):
    response = wrap(SyncModel(Overloaded(), ["HOLD"]), UsageLog(path)).prompt("a")
    with pytest.raises(Overloaded):
        response.text()
    assert response.text() == "HOLD"
    first, second = rows(path)
    assert {call["llm_turn_id"] for call in (first, second)} == {response.id}
    assert len({first["id"], second["id"]}) == 2
    assert {call["status"] for call in (first, second)} == {"error", "ok"}
    assert len(attempts(path)) == 2


def test_two_logs_of_one_file_in_a_chain_write_one_row(world, path):
    logs = UsageLog(path, role="outer"), UsageLog(path, role="inner")
    model = wrap(world.model(Overloaded(), ["HOLD"]), logs[0], retrying, logs[1])
    assert world.text(model, "a") == "HOLD"
    assert [columns(call, "role attempts") for call in rows(path)] == [{"role": "outer", "attempts": 2}]


def test_logs_of_two_files_both_write(world, path, tmp_path):
    other = tmp_path / "other.db"
    world.text(wrap(world.model(), UsageLog(path), UsageLog(other)), "a")
    assert [call["id"] for call in rows(path)] == [call["id"] for call in rows(other)]


def test_a_log_inside_a_retry_writes_a_row_for_each_run(world, path):
    model = wrap(world.model(Overloaded(), ["HOLD"]), retrying, UsageLog(path))
    assert world.text(model, "a") == "HOLD"
    assert sorted(call["status"] for call in rows(path)) == ["error", "ok"]
    assert [attempt["n"] for attempt in attempts(path)] == [1, 1]


def meddling(call):
    """Asks again, and changes meanwhile all that it can lay hands on."""
    try:
        yield call
    except Overloaded:
        call.prompt.options.temperature = 2.0
        call.trace.notes.update(tier=1, cache="stale", breaker="open", role="later")
        reply = yield call
        reply.usage = Usage(99, 99)
        reply.source = "cache"
        call.trace.attempts.clear()
        call.trace.notes.update(tier=2)


def test_a_record_shows_nothing_of_what_happens_later(world, path):
    model = wrap(world.model(Overloaded(), ["HOLD"]), meddling, UsageLog(path))
    assert world.text(model, "a", temperature=0.5) == "HOLD"
    failed, answered = sorted(rows(path), key=lambda call: call["status"])
    check(failed, status="error", tier=None, cache_outcome=None, role=None, attempts=1, input_tokens=None)
    check(failed, options_json='{"temperature":0.5}')
    check(answered, status="ok", tier=1, cache_outcome="stale", role="later", attempts=1, input_tokens=10)
    check(answered, options_json='{"temperature":2.0}')
    assert {a["call_id"]: columns(a, "n status breaker_state input_tokens") for a in attempts(path)} == {
        failed["id"]: {"n": 1, "status": "error", "breaker_state": None, "input_tokens": None},
        answered["id"]: {"n": 1, "status": "ok", "breaker_state": "open", "input_tokens": 10},
    }


def test_logs_of_two_files_know_each_other_apart(world, path, tmp_path):
    other = tmp_path / "other.db"
    logs = UsageLog(path), UsageLog(other), UsageLog(other)
    assert world.text(wrap(world.model(Overloaded(), ["HOLD"]), logs[0], logs[1], retrying, logs[2]), "a")
    assert [call["attempts"] for call in rows(path)] == [call["attempts"] for call in rows(other)] == [2]


def test_the_trace_of_the_response_keeps_no_trace_of_the_log(path):
    response = wrap(SyncModel(), UsageLog(path), noted(cache="miss")).prompt("a")
    response.text()
    assert response.llmopt.notes == {"cache": "miss"}


# what is kept of the prompt


def test_options_are_kept_without_their_texts(path):
    model = wrap(SyncModel(), UsageLog(path))
    model.prompt("a", temperature=0, prefill=SECRET, effort="high").text()
    model.prompt("b").text()
    with_options, without = rows(path)
    assert json.loads(with_options["options_json"]) == {"temperature": 0, "prefill": None, "effort": "high"}
    assert without["options_json"] is None


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_texts_are_known_by_their_digest(path):
    model = wrap(SyncModel(), UsageLog(path))
    large = "x" * 10_000
    model.prompt("a", fragments=["shared", large], system_fragments=["shared"]).text()
    model.prompt("b", fragments=["shared"], system="s").text()
    sizes = {row["digest"]: row["bytes"] for row in rows(path, "SELECT * FROM fragments")}
    texts = ("a", "b", "s", "shared", large)
    assert sizes == {digest(text): len(text) for text in texts}
    uses = rows(path, "SELECT kind, position, digest FROM call_fragments ORDER BY call_id, kind, position")
    assert [(use["kind"], use["position"], use["digest"]) for use in uses] == [
        ("context", 0, digest("shared")),
        ("context", 1, digest(large)),
        ("prompt", 0, digest("a")),
        ("system", 0, digest("shared")),
        ("context", 0, digest("shared")),
        ("prompt", 0, digest("b")),
        ("system", 0, digest("s")),
    ]
    assert {row["content"] for row in rows(path, "SELECT content FROM fragments")} == {None}


def test_calls_that_ask_the_same_share_a_digest(world, path):
    model = wrap(world.model(), UsageLog(path))
    for asked in ("a", "a", "b"):
        world.text(model, asked)
    first, second, third = (call["prompt_digest"] for call in rows(path))
    assert first == second != third


def contents(path):
    sql = "SELECT kind, content, redacted FROM call_fragments JOIN fragments USING (digest) ORDER BY call_id, kind"
    return [tuple(row.values()) for row in rows(path, sql)]


def test_contents_are_written_where_that_is_asked_for(world, path):
    log = UsageLog(path, content="redacted", secrets=["correct horse"])
    asked = "Say correct horse to ann@example.org, password: hunter2"
    assert world.text(wrap(world.model(["HO", "LD"]), log), asked, system="Be short.") == "HOLD"
    assert contents(path) == [
        ("prompt", "Say [redacted:secret] to [redacted:email], password: [redacted:secret]", 1),
        ("reply", "HOLD", 0),
        ("system", "Be short.", 0),
    ]


def test_contents_in_full_lack_certain_secrets_only(world, path):
    log = UsageLog(path, content="full", secrets=["correct horse"])
    asked = "Say correct horse, sk-abcDEF0123456789abcd to ann@example.org, password: hunter2"
    world.text(wrap(world.model(), log), asked)
    told = "Say [redacted:secret], [redacted:openai-key] to ann@example.org, password: hunter2"
    assert contents(path) == [("prompt", told, 1), ("reply", "HOLD", 0)]


def test_a_reply_that_breaks_off_is_kept_as_far_as_it_came(world, path):
    log = UsageLog(path, content="full")
    world.leave(wrap(world.model(["HO", "LD"]), log))
    world.interrupt(wrap(world.model(["HOL", "hang"]), log))
    assert [row[1] for row in contents(path) if row[0] == "reply"] == ["HO", "HOL"]


def test_no_text_of_prompt_reply_or_error_is_written(world, path, tmp_path):
    log = UsageLog(path, role="tactical")
    for answer in ([SECRET], Overloaded(SECRET), [SECRET, "hang"]):
        model = wrap(world.model(answer), log)
        if answer[-1:] == ["hang"] if isinstance(answer, list) else False:
            world.interrupt(model)
        else:
            with suppress(Overloaded):
                world.text(model, SECRET, system=SECRET, fragments=[SECRET * 3], prefill=SECRET)
    usage.flush()
    assert log.stats()["written"] == 3
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "usage.db-wal" for file in files)
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == []


# faults of the log


def spoil_with_a_folder(path):
    path.mkdir(parents=True)


def spoil_with_garbage(path):
    path.parent.mkdir()
    path.write_bytes(b"no database at all, " * 1000)


def spoil_with_a_file_in_the_place_of_the_folder(path):
    path.parent.write_text("")


SPOILED = [spoil_with_a_folder, spoil_with_garbage, spoil_with_a_file_in_the_place_of_the_folder]


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


# what others put into a call


class Fancy(tuple):
    __slots__ = ()

    def __iter__(self):
        raise RuntimeError(SECRET)


def itself():
    value = {}
    value["self"] = [value] * 9
    return value


ODD = {
    "decimal": {"cost": Decimal("0.1")},
    "surrogates": {"\ud800": "\udfff"},
    "not a number": {"a": float("nan"), "b": float("inf")},
    "huge": {"a": 2**200, "b": -(2**63)},
    "itself": itself(),
    "keys": {1: 2, None: 3, (1, 2): 4, True: 5, 2.5: 6},
    "bytes": {"a": b"\0", "b": {1, 2}, "c": object()},
    "named": {"a": Usage(1, 2)},
    "fancy": {"a": Fancy((1, 2))},
    "no details": [1, 2],
    "text": "details",
}


@pytest.mark.parametrize("odd", ODD)
def test_nothing_that_others_put_into_a_call_loses_its_row(world, path, odd):
    def meddle(call):
        call.trace.notes.update(cache=ODD[odd], tier=ODD[odd], mine=ODD[odd], role=7, queue_s=0.5)
        reply = yield call
        reply.usage = Usage(10, 2**70, ODD[odd])
        reply.resolved_model = ODD[odd]
        reply.source = ["model"]

    log = UsageLog(path, tags={"\ud800": "a\udfff"})
    assert world.text(wrap(world.model(), log, meddle), "a\ud800", system="\udfff") == "HOLD"
    (call,) = rows(path)
    check(call, status="ok", input_tokens=10, tags_json='{"?": "a?"}', queue_ms=500.0)
    assert log.stats()["failed"] == 0
    assert rows(path, "SELECT * FROM drops") == []


def test_a_usage_of_another_shape_is_none(path):
    def meddle(call):
        reply = yield call
        reply.usage = (1, 2)

    wrap(SyncModel(), UsageLog(path), meddle).prompt("a").text()
    (call,) = rows(path)
    check(call, status="ok", tokens_source="estimate")


def test_a_prompt_that_cannot_be_read_costs_its_texts_alone(path):
    def meddle(call):
        call.prompt.fragments = 7
        yield Reply.of_text("HOLD", source="mine")

    wrap(SyncModel(), UsageLog(path), meddle).prompt("a").text()
    (call,) = rows(path)
    check(call, status="ok", prompt_digest=None)


def test_an_error_that_cannot_be_read_is_an_error(world, path):
    class Hostile(Exception):
        @property
        def response(self):
            raise RuntimeError(SECRET)

    with pytest.raises(Hostile):
        world.text(wrap(world.model(Hostile()), UsageLog(path)), "a")
    (call,) = rows(path)
    check(call, status="error", error_class="other", http_status=None)
    assert call["error_type"].endswith("Hostile")


def test_a_record_that_cannot_be_made_is_counted(world, path, monkeypatch):
    monkeypatch.setattr(Recorder, "payloads", lambda *_: 1 / 0)
    log = UsageLog(path)
    assert world.text(wrap(world.model(), log), "a") == "HOLD"
    assert log.stats()["failed"] == 1
    with pytest.raises(StoreError, match=r"usage\.db could not be written"):
        world.text(wrap(world.model(), UsageLog(path, strict=True)), "a")


# how rows are kept


@pytest.mark.parametrize("durability", ["process", "power", "none"])
def test_every_outcome_is_kept_as_safely_as_is_asked_for(world, path, durability):
    log = UsageLog(path, durability=durability)
    assert world.text(wrap(world.model(), log), "a") == "HOLD"
    with pytest.raises(Overloaded):
        world.text(wrap(world.model(Overloaded()), log), "a")
    world.interrupt(wrap(world.model(["HO", "hang"]), log))
    world.leave(wrap(world.model(["HO", "LD"]), log))
    assert [call["status"] for call in rows(path)] == ["ok", "error", "cancelled", "abandoned"]
    assert log.stats()["written"] == 4


def test_logs_of_one_file_have_to_agree(path):
    log = UsageLog(path, keep_days=30)
    with pytest.raises(ConfigurationError, match=r"30.*7|7.*30"):
        UsageLog(path, keep_days=7)
    assert UsageLog(path, keep_days=30, content="full")._writer is log._writer


def test_a_strict_log_appends_before_the_call_returns(world, path):
    log = UsageLog(path, strict=True)
    world.text(wrap(world.model(), log), SECRET)
    assert log.stats()["written"] == 1


@pytest.fixture
def unwritable(path):
    path.parent.write_text("a file in the place of the folder")
    return path


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_folder_that_cannot_be_made_breaks_no_call(world, unwritable, durability, caplog):
    log = UsageLog(unwritable, durability=durability)
    model = wrap(world.model(["HOLD"], Overloaded(), ["HOLD"]), log)
    assert world.text(model, SECRET) == "HOLD"
    with pytest.raises(Overloaded):
        world.text(model, SECRET)
    assert world.text(model, SECRET) == "HOLD"
    assert (log.stats()["written"], log.stats()["failed"]) == (0, 3)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_strict_log_fails_the_call_that_it_cannot_write(world, unwritable, durability):
    log = UsageLog(unwritable, strict=True, durability=durability)
    with pytest.raises(StoreError, match=r"usage\.db could not be written"):
        world.text(wrap(world.model(), log), SECRET)
    with pytest.raises(Overloaded):
        world.text(wrap(world.model(Overloaded()), log), SECRET)


# arguments


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"path": ":memory:"}, "path=':memory:' is wrong"),
        ({"path": 7}, "path=7 is wrong"),
        ({"path": b"usage.db"}, "the path of a file"),
        ({"role": ""}, "role='' is wrong: it must be a name"),
        ({"agent": 7}, "agent=7"),
        ({"tags": [1]}, "tags="),
        ({"tags": {"a": None}}, "tags="),
        ({"tags": {"a": float("nan")}}, "tags="),
        ({"strict": 1}, "True or False"),
        ({"durability": "disk"}, '"process", "power" or "none"'),
        ({"content": True}, '"redacted" or "full"'),
        ({"secrets": "letmein-please"}, "secrets= is wrong"),
        ({"secrets": ["short"]}, "8 characters"),
        ({"secrets": [7]}, "8 characters"),
        ({"digest_key": "too short"}, "16 bytes"),
        ({"digest_key": 7}, "digest_key= is wrong"),
        ({"prices": {"m": 1}}, "prices"),
        ({"keep_days": 0}, "keep_days=0"),
        ({"keep_content_days": "7"}, "a number of days"),
        ({"max_bytes": 10}, "a number of bytes"),
    ],
)
def test_arguments_are_checked(wrong, says):
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        UsageLog(**wrong)


def test_neither_a_message_nor_a_repr_shows_a_secret(path):
    secrets = {"secrets": ["correct horse"], "digest_key": "0123456789abcdefghij"}
    tags = {"note": "correct horse", "k": "sk-abcDEF0123456789abcd"}
    log = UsageLog(path, tags=tags, role="correct horse", **secrets)
    shown = repr(log) + str(log) + repr(log._recorder)
    wrong = [{**secrets, "tags": {**tags, "a": None}}, {**secrets, "secrets": ("correct horse", "x")}]
    for arguments in wrong:
        with pytest.raises(ConfigurationError) as caught:
            UsageLog(path, **arguments)
        shown += str(caught.value)
    for secret in ("correct horse", "0123456789abcdefghij", "sk-abcDEF0123456789abcd"):
        assert secret not in shown
    assert "UsageLog(path=" in shown


def test_a_copy_logs_on(path):
    log = UsageLog(path, digest_key=b"0123456789abcdef", secrets=["correct horse"])
    for twin in (copy.deepcopy(log), pickle.loads(pickle.dumps(log))):  # noqa: S301
        wrap(SyncModel(), twin).prompt("a").text()
    assert len(rows(path)) == 2
    assert twin == log


def test_without_a_path_the_file_is_looked_up_at_the_first_call(monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    log = UsageLog()
    assert log._writer is None
    wrap(SyncModel(), log).prompt("a").text()
    assert len(rows(tmp_path / "llmopt" / "usage.db")) == 1
    assert UsageLog().stats()["written"] == 1
