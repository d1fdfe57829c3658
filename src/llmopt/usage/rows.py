"""Turns records into rows, column by column. Decides what is written, and writes nothing.

Two facts of sqlite3 shape it: Python's part of an insert costs as much as SQLite's, so that whole columns are
computed at once; and one None takes longer to bind than ten integers, so that empty columns are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..types import Attempt, Usage
from .record import Fault, Labels, Record
from .schema import VERSION
from .tokens import NormalisedUsage, normalise
from .values import Endpoint, digest, endpoint_of, options_json, timestamp

Columns: TypeAlias = "dict[str, Sequence[Any]]"
"""Values of some rows by the name of their column; all have one length."""

_WELL = Fault("ok")


class Insert(NamedTuple):
    """A statement and the rows that it is to be executed with."""

    sql: str
    rows: list[tuple[Any, ...]]


def inserts(records: Sequence[Record]) -> list[Insert]:
    """Return what writes these records, in order.

    Raises:
        Exception: whatever is wrong with one of them; nothing can then be said of the others.
    """
    found: list[Insert] = []
    known = _Known()
    # Calls that ended well fill other columns than those that did not.
    for group in ([r for r in records if r.fault is None], [r for r in records if r.fault is not None]):
        if group:
            found.append(insert("calls", call_columns(group, known)))
            runs = list(runs_of(group))
            if runs:
                found.append(insert("attempts", attempt_columns(runs, known)))
    if any(record.fragments for record in records):
        found += fragment_inserts(records)
    return found


def insert(table: str, columns: Columns) -> Insert:
    """Return the statement for those columns that hold anything.

    Example:
        >>> insert("t", {"a": [1, 2], "b": [None, None], "c": [None, "x"]})
        Insert(sql='INSERT INTO t (a,c) VALUES (?,?)', rows=[(1, None), (2, 'x')])
    """
    filled = {
        name: values
        for name, values in columns.items()
        if values[0] is not None or values.count(None) < len(values)
    }
    marks = ",".join("?" * len(filled))
    sql = f"INSERT INTO {table} ({','.join(filled)}) VALUES ({marks})"  # noqa: S608 - our own names
    return Insert(sql, list(zip(*filled.values(), strict=True)))


class _Known:
    """What is found out once per batch: models and the usage of answers come up again and again."""

    def __init__(self) -> None:
        self._endpoints: dict[int, Endpoint] = {}
        self._tokens: dict[int, NormalisedUsage] = {id(None): NormalisedUsage()}

    def endpoint(self, model: Any) -> Endpoint:
        found = self._endpoints.get(id(model))
        if found is None:
            found = self._endpoints[id(model)] = endpoint_of(model)
        return found

    def tokens(self, usage: Usage | None, provider: str | None) -> NormalisedUsage:
        found = self._tokens.get(id(usage))
        if found is None:
            found = self._tokens[id(usage)] = normalise(usage or Usage(), provider)
        return found


def call_columns(records: Sequence[Record], known: _Known) -> Columns:
    """Return the columns of `calls`."""
    given: Columns = dict(zip(Record._fields, zip(*records, strict=True), strict=True))
    endpoints = [known.endpoint(model) for model in given["model"]]
    used = list(map(known.tokens, given["usage"], [endpoint.provider for endpoint in endpoints]))
    times_s = zip(given["began_s"], given["ended_s"], strict=True)
    return {
        "id": given["id"],
        "llm_turn_id": given["turn_id"],
        "conversation_id": given["conversation_id"],
        "provider": [endpoint.provider for endpoint in endpoints],
        "model_requested": [model.model_id for model in given["model"]],
        "model_resolved": given["resolved_model"],
        "endpoint_host": [endpoint.host for endpoint in endpoints],
        "stream": [1 if stream else 0 for stream in given["stream"]],
        "started_at": [timestamp(wall_s) for wall_s in given["wall_s"]],
        "ttft_ms": [ttft_ms(record) for record in records],
        "duration_ms": [(ended_s - began_s) * 1000 for began_s, ended_s in times_s],
        **token_columns(used),
        "tokens_source": [None if u.input_total is None and u.output is None else "provider" for u in used],
        "finish_reason": given["finish_reason"],
        **fault_columns(given["fault"]),
        "attempts": [len(runs) for runs in given["attempts"]],
        "deadline_ms": [_ms(limit_s) for limit_s in given["limit_s"]],
        "options_json": [options_json(options) for options in given["options"]],
        "tags_json": [labels.tags_json for labels in given["labels"]],
        "schema_version": [VERSION] * len(records),
        **noted_columns(given["notes"], given["labels"], given["source"]),
    }


def noted_columns(
    notes: Sequence[Mapping[str, Any]], labels: Sequence[Labels], sources: Sequence[str | None]
) -> Columns:
    """Return the columns of `calls` that other middlewares know best."""
    roles, agents = [label.role for label in labels], [label.agent for label in labels]
    if not any(notes) and "cache" not in sources:
        return {"role": roles, "agent": agents}
    hits = ["hit" if source == "cache" else None for source in sources]
    return {
        "role": [note.get("role") or role for note, role in zip(notes, roles, strict=True)],
        "agent": [note.get("agent") or agent for note, agent in zip(notes, agents, strict=True)],
        "cache_outcome": [note.get("cache") or hit for note, hit in zip(notes, hits, strict=True)],
        "queue_ms": [_ms(note.get("queue_s")) for note in notes],
        **{name: [note.get(name) for note in notes] for name in _NOTED},
    }


_NOTED = ("tier", "tokens_before", "tokens_after", "compressor")


Run: TypeAlias = "tuple[Record, int, Attempt, Fault | None]"
"""One run of a model: for which call, its number, and what went wrong."""


def runs_of(records: Sequence[Record]) -> Iterator[Run]:
    """Yield every run of a model on behalf of these calls."""
    for record in records:
        faults = record.faults
        for index, attempt in enumerate(record.attempts):
            yield record, index + 1, attempt, None if faults is None else faults[index]


def attempt_columns(runs: Sequence[Run], known: _Known) -> Columns:
    """Return the columns of `attempts`."""
    records, numbers, attempts, faults = zip(*runs, strict=True)
    providers = [
        known.endpoint(record.model).provider if attempt.model_id == record.model.model_id else None
        for record, attempt in zip(records, attempts, strict=True)
    ]
    used = list(map(known.tokens, (attempt.usage for attempt in attempts), providers))
    begun_s = [r.wall_s - r.began_s + a.started_at for r, a in zip(records, attempts, strict=True)]
    return {
        "call_id": [record.id for record in records],
        "n": numbers,
        "provider": providers,
        "model": [attempt.model_id for attempt in attempts],
        "started_at": [timestamp(began_s) for began_s in begun_s],
        "ttft_ms": [_ms(attempt.first_event_at, attempt.started_at) for attempt in attempts],
        "duration_ms": [_ms(attempt.ended_at, attempt.started_at) for attempt in attempts],
        **fault_columns(faults),
        "retry_after_ms": [None if fault is None else fault.retry_after_ms for fault in faults],
        "wait_ms": [attempt.waited_s * 1000 for attempt in attempts],
        "breaker_state": [
            record.notes.get("breaker") if n == len(record.attempts) else None
            for record, n in zip(records, numbers, strict=True)
        ],
        **token_columns(used),
    }


def token_columns(used: Sequence[NormalisedUsage]) -> Columns:
    """Return the columns that count tokens."""
    input_total, _, cache_read, cache_write, output, reasoning = zip(*used, strict=True)
    return {
        "input_tokens": input_total,
        "output_tokens": output,
        "cache_read_tokens": cache_read,
        "cache_write_tokens": cache_write,
        "reasoning_tokens": reasoning,
    }


def fault_columns(faults: Sequence[Fault | None]) -> Columns:
    """Return the columns that tell how something ended."""
    if not any(faults):
        return {"status": [_WELL.status] * len(faults)}
    status, error_type, error_class, http_status, _ = zip(*(fault or _WELL for fault in faults), strict=True)
    return {
        "status": status,
        "error_type": error_type,
        "error_class": error_class,
        "http_status": http_status,
    }


def ttft_ms(record: Record) -> float | None:
    """Return the time to the first event of the run that counts; a replayed answer comes all at once."""
    attempts, faults = record.attempts, record.faults
    first_s = attempts[-1].first_event_at if attempts else None
    replayed = first_s is None or (faults is not None and faults[-1] is not None)
    if replayed and record.fault is None:
        first_s = record.ended_s
    return _ms(first_s, record.began_s)


def _ms(seconds: float | None, since_s: float = 0.0) -> float | None:
    return None if seconds is None else (seconds - since_s) * 1000


def fragment_inserts(records: Sequence[Record]) -> list[Insert]:
    """Return what writes the fragments of the prompts; each text is hashed once."""
    seen: dict[str, tuple[str, int, str]] = {}
    uses: list[tuple[str, str, str, int]] = []
    for record in records:
        for kind, texts in record.fragments or ():
            for position, text in enumerate(texts):
                if text not in seen:
                    seen[text] = (*digest(text), timestamp(record.wall_s))
                uses.append((record.id, seen[text][0], kind, position))
    return [
        Insert(
            "INSERT OR IGNORE INTO fragments (digest, bytes, first_seen) VALUES (?,?,?)", [*seen.values()]
        ),
        Insert("INSERT INTO call_fragments (call_id, digest, kind, position) VALUES (?,?,?,?)", [*uses]),
    ]
