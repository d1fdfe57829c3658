"""Records become rows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import count as counting

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.usage.rows import inserts
from llmopt.usage.schema import VERSION
from llmopt.usage.statements import ROWS, insert
from llmopt.usage.values import digest, endpoint_of, timestamp, timestamps

FAILED = ("error", "x.Error", "server", 500, 1500.0)
DETAILS = {"prompt_tokens_details": {"cached_tokens": 4}}


class Free:
    """A token costs a nano-dollar, by the price of number 7; what was not counted has no cost."""

    def bill(self, asked, moments, tokens):
        self.asked = list(asked)
        totals, _, _, outputs = tokens
        costs = [None if None in pair else sum(pair) for pair in zip(totals, outputs, strict=True)]
        return costs, [7] * len(costs)


def as_json(record):
    """What the file has of a record."""
    return orjson.loads(orjson.dumps(["call", *record]))


def statements_of(records, bills=None):
    return inserts([as_json(record) for record in records], bills or Free())


def rows_of(records, table="calls", bills=None):
    """The rows of a table, by column."""
    return [
        row
        for statement in statements_of(records, bills)
        if statement.sql.startswith(f"INSERT OR FAIL INTO {table} ")
        for row in written(statement)
    ]


def columns_of(records, table="calls"):
    (row,) = rows_of(records, table)
    return row


def run(model_id="m-1", began_s=50.0, first_s=None, ended_s=50.1, usage=None):
    return (model_id, began_s, 0.0, first_s, ended_s, usage)


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
        "cost_usd_nano": 15,
        "price_id": 7,
        "status": "ok",
        "attempts": 1,
        "schema_version": VERSION,
    }


def test_all_that_a_call_may_have(record):
    given = {"trace_id": "t", "parent_id": "p", "conversation_id": "c", "batch_id": "b", "host": "h.example"}
    given |= {"prompt_digest": "d", "role": "r", "agent": "a", "tags_json": "{}", "finish_reason": "stop"}
    given |= {
        "resolved_model": "m-1-2026",
        "options_json": '{"temperature":1}',
        "limit_s": 30.0,
        "stream": False,
    }
    notes = {"queue_s": 0.5, "cache": "miss", "tier": 2, "tokens_before": 9, "tokens_after": 3}
    call = columns_of([record(**given, usage=(10, 5, DETAILS), notes={**notes, "compressor": "dense"})])
    expected = {**given, "deadline_ms": 30_000.0, "model_resolved": "m-1-2026", "endpoint_host": "h.example"}
    expected |= {"stream": 0, "queue_ms": 500.0, "cache_outcome": "miss", "tier": 2, "compressor": "dense"}
    expected |= {"tokens_before": 9, "tokens_after": 3, "cache_read_tokens": 4, "cache_write_tokens": 0}
    expected["usage_json"] = orjson.dumps(DETAILS).decode()
    for name in ("limit_s", "resolved_model", "host"):
        del expected[name]
    assert {name: call[name] for name in expected} == expected


def test_notes_know_the_role_and_the_agent_best(record):
    records = [record(role="r", agent="a", notes={"role": "s"}), record(role="r", agent="a")]
    assert [(row["role"], row["agent"]) for row in rows_of(records)] == [("s", "a"), ("r", "a")]


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
        "cost_usd_nano": 15,
        "price_id": 7,
    }


def test_an_attempt_that_never_ended_has_no_duration(record):
    attempt = columns_of([record(attempts=[run("m-2", ended_s=None)])], "attempts")
    assert not {"duration_ms", "ttft_ms", "provider", "input_tokens", "cost_usd_nano"} & attempt.keys()


@pytest.mark.parametrize(
    ("changes", "ttft_ms"),
    [
        ({}, 40),
        ({"attempts": []}, 100),
        ({"attempts": [run()]}, 100),
        ({"faults": [FAILED]}, 100),
        ({"fault": FAILED, "faults": [FAILED]}, 40),
        ({"fault": FAILED, "attempts": []}, None),
        ({"fault": FAILED, "attempts": [run(ended_s=None)], "faults": [FAILED]}, None),
    ],
)
def test_the_time_to_the_first_event(record, changes, ttft_ms):
    call = columns_of([record(**changes)])
    assert call.get("ttft_ms") == (None if ttft_ms is None else pytest.approx(ttft_ms))


def test_calls_that_ended_otherwise_go_in_a_statement_of_their_own(record):
    well, ill = record(), record(fault=FAILED, faults=[FAILED], usage=None)
    statements = statements_of([well, ill, well])
    assert [(s.sql.split()[4], len(s.parameters)) for s in statements] == [
        ("calls", 2),
        ("attempts", 2),
        ("calls", 1),
        ("attempts", 1),
    ]
    assert "error_class" not in statements[0].sql
    assert "error_class" in statements[2].sql
    assert 1500.0 in statements[3].parameters[0]


def test_attempts_of_one_batch_that_differ_in_number_and_model(record):
    other = run("m-2", 50.02, 50.03, 50.05, (1, 1, None))
    twice = record(notes={"breaker": "closed"})
    twice = twice._replace(attempts=[other, *twice.attempts], faults=[FAILED, None])
    never = record(attempts=[], source="cache", notes={"cache": "hit"})
    rows = rows_of([record(), twice, never], "attempts")
    names = ["n", "model", "provider", "status", "input_tokens", "cache_read_tokens", "breaker_state"]
    assert [[row[name] for name in names] for row in rows] == [
        [1, "m-1", "openai", "ok", 10, 0, None],
        [1, "m-2", None, "error", 1, None, None],
        [2, "m-1", "openai", "ok", 10, 0, "closed"],
    ]
    assert [row["call_id"] for row in rows[1:]] == [twice.id] * 2
    assert [row["cost_usd_nano"] for row in rows_of([record(), twice, never])] == [15, 17, 0]


def test_who_is_asked_for_a_price(record):
    bills = Free()
    tier = record(host="h", resolved_model="m-1-2026", attempts=[run("m-1"), run("m-2")], faults=None)
    rows_of([tier], bills=bills)
    assert bills.asked == [("openai", "h", "m-1", "m-1-2026")]  # the call itself, last
    bills = Free()
    rows_of([record(attempts=[run("m-2", usage=(10, 5, None))])], "attempts", bills)
    assert bills.asked == [(None, None, "m-2", None)]


def test_a_cached_answer_costs_nothing_and_has_a_price(record):
    hits = [record(attempts=[], source="cache"), record(attempts=[], notes={"cache": "stale"})]
    assert [(row["cost_usd_nano"], row["price_id"], row["cache_outcome"]) for row in rows_of(hits)] == [
        (0, 7, "hit"),
        (0, 7, "stale"),
    ]


COUNTED = {
    "nothing was said": (None, (7, 3, "tokenizer"), (7, 3, "tokenizer")),
    "the output was not": ((10, None, None), (7, 3, "estimate"), (10, 3, "estimate")),
    "all was said": ((10, 5, None), (7, 3, "estimate"), (10, 5, "provider")),
    "nobody knows": (None, (None, None, "estimate"), (None, None, None)),
    "nobody counted": (None, None, (None, None, None)),
}


@pytest.mark.parametrize("case", COUNTED)
def test_tokens_that_we_counted_ourselves(record, case):
    usage, counted, expected = COUNTED[case]
    call = record(usage=usage, counted=counted, attempts=[run(usage=usage)])
    for batch in (
        [call],
        [call, record(attempts=[run(), run(usage=(1, 1, None))])],
    ):  # alone, and among others
        row = rows_of(batch)[0]
        assert tuple(row.get(name) for name in ("input_tokens", "output_tokens", "tokens_source")) == expected
        attempt = rows_of(batch, "attempts")[0]
        assert (attempt.get("input_tokens"), attempt.get("output_tokens")) == expected[:2]


def test_only_the_last_run_is_the_one_whose_tokens_were_counted(record):
    call = record(attempts=[run(), run()], faults=[FAILED, None], usage=None, counted=(7, 3, "estimate"))
    assert [row["input_tokens"] for row in rows_of([call], "attempts")] == [None, 7]


def text_of(kind="prompt", position=0, name="a", *, content=None, tokens=None, redacted=0):
    return (kind, position, name, 1, tokens, tokens and "tokenizer", content, redacted)


def test_texts(record):
    first = record(texts=[text_of(), text_of("system", 0, "b")])
    later = record(
        wall_s=first.wall_s + 1,
        texts=[text_of("reply", content="A", tokens=1, redacted=1), text_of("prompt", 1, "b")],
    )
    batch = [later, record(), first]
    fragments = sorted(rows_of(batch, "fragments"), key=lambda row: row["digest"])
    early = "2026-11-21T12:00:00.000000Z"
    names = ("digest", "bytes", "tokens", "tokens_source", "content", "redacted", "first_seen")
    assert [tuple(row[name] for name in names) for row in fragments] == [
        ("a", 1, 1, "tokenizer", "A", 1, early),
        ("b", 1, None, None, None, 0, early),
    ]
    uses = {
        (row["call_id"], row["kind"], row["position"], row["digest"])
        for row in rows_of(batch, "call_fragments")
    }
    assert uses == {
        (later.id, "reply", 0, "a"),
        (later.id, "prompt", 1, "b"),
        (first.id, "prompt", 0, "a"),
        (first.id, "system", 0, "b"),
    }


def test_a_later_version_may_add_to_a_record(record):
    assert inserts([[*as_json(record()), "more"]], Free())


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
    head, marks = statement.sql.partition("\n")[0].split(" VALUES ")
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
        ({"base_url": "https://k:s@Proxy.example/x?key=1"}, "llm_anthropic", ("anthropic", "Proxy.example")),
        ({"api_base": None, "base_url": 7}, "llm_x", ("x", None)),
        ({"api_base": "http://[broken"}, "llm_x", ("x", None)),
    ],
)
def test_endpoints(attributes, module, expected):
    model_class = type("Model", (Named,), {"__module__": module})
    assert endpoint_of(model_class(**attributes)) == expected
