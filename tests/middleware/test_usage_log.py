"""UsageLog through wrap(): every outcome in threads, asyncio and trio, and what is kept of texts."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

import pytest

from llmopt import usage
from llmopt.middleware.usage_log import UsageLog
from llmopt.types import Reply, Sleep, Usage
from llmopt.wrapping import wrap

from .logged import SECRET, WORLDS, Overloaded, SyncModel, attempts, check, columns, contents, heuristic, rows


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "usage.db"


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


def test_contents_are_written_where_that_is_asked_for(world, path):
    log = UsageLog(path, content="redacted", secrets=["correct horse"])
    asked = "Say correct horse to ann@example.org, password: hunter2"
    assert world.text(wrap(world.model(["HO", "", "LD"]), log), asked, system="Be short.") == "HOLD"
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
