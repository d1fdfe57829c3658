"""Records become rows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import count as counting

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.types import Attempt, Usage
from llmopt.usage.record import Fault, Labels, finish_reason
from llmopt.usage.rows import inserts
from llmopt.usage.statements import ROWS, insert
from llmopt.usage.values import digest, endpoint_of, options_json, timestamp, timestamps

FAILED = Fault("error", "x.Error", "server", 500, 1500.0)


def columns_of(records, table="calls"):
    """The values of the only row of a table, by column."""
    (row,) = (
        row
        for statement in inserts(records)
        if statement.sql.startswith(f"INSERT INTO {table} ")
        for row in written(statement)
    )
    return row


def test_a_call_that_went_well(record):
    call = columns_of([record()])
    assert call.pop("id") == call.pop("llm_turn_id")
    assert call == {
        "provider": "openai",
        "model_requested": "m-1",
        "stream": 1,
        "started_at": "2026-11-21T12:00:00.000000Z",
        "ttft_ms": pytest.approx(40),
        "duration_ms": pytest.approx(100),
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "tokens_source": "provider",
        "status": "ok",
        "attempts": 1,
        "schema_version": 1,
    }


def test_all_that_a_call_may_have(record):
    call = columns_of(
        [
            record(
                conversation_id="c",
                limit_s=30.0,
                labels=Labels("r", "a", "{}"),
                resolved_model="m-1-2026",
                finish_reason="stop",
                options_json='{"temperature":1}',
                stream=False,
                notes={"queue_s": 0.5, "cache": "miss", "tier": 2},
            )
        ]
    )
    expected = {"conversation_id": "c", "deadline_ms": 30_000.0, "role": "r", "agent": "a", "tags_json": "{}"}
    expected |= {"model_resolved": "m-1-2026", "finish_reason": "stop", "options_json": '{"temperature":1}'}
    expected |= {"stream": 0, "queue_ms": 500.0, "cache_outcome": "miss", "tier": 2}
    assert {name: call[name] for name in expected} == expected


def test_an_attempt(record):
    attempt = columns_of([record()], "attempts")
    del attempt["call_id"]
    assert attempt == {
        "n": 1,
        "provider": "openai",
        "model": "m-1",
        "started_at": "2026-11-21T12:00:00.010000Z",
        "ttft_ms": pytest.approx(30),
        "duration_ms": pytest.approx(90),
        "status": "ok",
        "wait_ms": 0.0,
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
    }


def test_an_attempt_that_never_ended_has_no_duration(record):
    attempt = columns_of([record(attempts=[Attempt("m-2", 50.0)])], "attempts")
    assert "duration_ms" not in attempt
    assert "ttft_ms" not in attempt
    assert "provider" not in attempt


@pytest.mark.parametrize(
    ("changes", "ttft_ms"),
    [
        ({}, 40),
        ({"attempts": []}, 100),
        ({"attempts": [Attempt("m-1", 50.0, ended_at=50.1)]}, 100),
        ({"faults": [FAILED]}, 100),
        ({"fault": FAILED, "faults": [FAILED]}, 40),
        ({"fault": FAILED, "attempts": []}, None),
        ({"fault": FAILED, "attempts": [Attempt("m-1", 50.0)], "faults": [FAILED]}, None),
    ],
)
def test_the_time_to_the_first_event(record, changes, ttft_ms):
    call = columns_of([record(**changes)])
    assert call.get("ttft_ms") == (None if ttft_ms is None else pytest.approx(ttft_ms))


def test_calls_that_ended_otherwise_go_in_a_statement_of_their_own(record):
    well, ill = record(), record(fault=FAILED, faults=[FAILED], usage=None)
    statements = inserts([well, ill, well])
    assert [(s.sql.split()[2], len(s.parameters)) for s in statements] == [
        ("calls", 2),
        ("attempts", 2),
        ("calls", 1),
        ("attempts", 1),
    ]
    assert "error_class" not in statements[0].sql
    assert "error_class" in statements[2].sql
    assert 1500.0 in statements[3].parameters[0]


def test_attempts_of_one_batch_that_differ_in_number_and_model(record):
    other = Attempt("m-2", 50.02, first_event_at=50.03, ended_at=50.05, usage=Usage(1, 1))
    twice = record(notes={"breaker": "closed"})
    twice = twice._replace(attempts=[other, *twice.attempts], faults=[FAILED, None])
    never = record(attempts=[], source="cache", notes={"cache": "hit"})
    rows = [
        row
        for statement in inserts([record(), twice, never])
        if "INTO attempts " in statement.sql
        for row in written(statement)
    ]
    names = ["n", "model", "provider", "status", "input_tokens", "cache_read_tokens", "breaker_state"]
    assert [[row[name] for name in names] for row in rows] == [
        [1, "m-1", "openai", "ok", 10, 0, None],
        [1, "m-2", None, "error", 1, None, None],
        [2, "m-1", "openai", "ok", 10, 0, "closed"],
    ]
    assert [row["call_id"] for row in rows[1:]] == [twice.id] * 2


def test_a_text_is_hashed_as_llm_does():
    assert digest("aé") == (hashlib.sha256("aé".encode()).hexdigest(), 3)
    assert digest("\ud800")[1] == 3


@given(st.floats(min_value=0, max_value=4e9))
def test_timestamps(seconds):
    text = timestamp(seconds)
    assert abs(datetime.fromisoformat(text).timestamp() - seconds) < 2e-6
    assert len(text) == len("2026-11-21T12:00:00.000000Z")
    assert datetime.fromisoformat(text).tzinfo == UTC


@given(st.lists(st.floats(0, 4e9) | st.integers(0, 3), max_size=5))
def test_timestamps_of_many_are_those_of_each(times_s):
    assert timestamps(times_s) == list(map(timestamp, times_s))


@given(st.floats(min_value=0, max_value=4e9), st.floats(min_value=0, max_value=4e9))
def test_timestamps_sort_as_times_do(one, other):
    assert (timestamp(one) <= timestamp(other)) or one > other


CELLS = st.none() | st.integers(0, 9)


def columns_of_length(n):
    return st.lists(
        st.lists(CELLS, min_size=n, max_size=n) | CELLS.map(lambda cell: [cell] * n), min_size=1, max_size=4
    )


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered marks", "plain marks"])
@given(st.sampled_from([1, 2, 3, ROWS, ROWS + 1, 2 * ROWS]).flatmap(columns_of_length))
def test_insert_leaves_out_what_is_empty_and_loses_nothing(numbered, columns):
    named = {"id": list(range(len(columns[0]))), **{f"c{i}": values for i, values in enumerate(columns)}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llmopt.usage.statements._NUMBERED", numbered)
        rows = [row for statement in insert("t", named) for row in written(statement)]
    kept = {name for name, values in named.items() if set(values) != {None}}
    assert [row.keys() for row in rows] == [kept] * len(rows)
    assert rows == [{name: named[name][i] for name in kept} for i in range(len(columns[0]))]


def written(statement):
    """The rows that a statement inserts, by column."""
    head, marks = statement.sql.split(" VALUES ")
    names = head.split("(")[1].rstrip(")").split(",")
    plain = counting(1)
    numbers = [[int(mark[1:] or next(plain)) for mark in row.split(",")] for row in marks[1:-1].split("),(")]
    for parameters in statement.parameters:
        assert sorted({n for row in numbers for n in row}) == list(range(1, len(parameters) + 1))
        for row in numbers:
            yield {name: parameters[n - 1] for name, n in zip(names, row, strict=True)}


class Named:
    def __init__(self, **attributes):
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("attributes", "module", "expected"),
    [
        ({"needs_key": "groq"}, "llm_groq", ("groq", None)),
        ({"needs_key": None}, "llm_gpt4all", ("gpt4all", None)),
        (
            {"api_base": "http://localhost:8000/v1"},
            "llm.default_plugins.openai_models",
            ("openai-compatible", "localhost"),
        ),
        ({"base_url": "https://k:s@Proxy.example/x?key=1"}, "llm_anthropic", ("anthropic", "proxy.example")),
        ({"api_base": None, "base_url": 7}, "llm_x", ("x", None)),
        ({"api_base": "http://[broken"}, "llm_x", ("x", None)),
    ],
)
def test_endpoints(attributes, module, expected):
    model_class = type("Model", (Named,), {"__module__": module})
    assert endpoint_of(model_class(**attributes)) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, None),
        ({}, None),
        ({"a": None}, None),
        ({"a": 1, "b": 0.5, "c": True}, '{"a":1,"b":0.5,"c":true}'),
        ({"a": "text", "b": ["text"], "c": 2**60}, '{"a":null,"b":null,"c":null}'),
    ],
)
def test_options(options, expected):
    assert options_json(options) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, None),
        ([], None),
        ({}, None),
        ({"finish_reason": "stop"}, "stop"),
        ({"stop_reason": "end_turn"}, "end_turn"),
        ({"done_reason": "length"}, "length"),
        ({"choices": [{"finish_reason": "tool_calls"}]}, "tool_calls"),
        ({"candidates": [{"finishReason": "MAX_TOKENS"}]}, "MAX_TOKENS"),
        ({"choices": []}, None),
        ({"status": "incomplete"}, "incomplete"),
        ({"finish_reason": 7}, None),
        ({"finish_reason": "x" * 65}, None),
    ],
)
def test_finish_reasons(answer, expected):
    assert finish_reason(answer) == expected
