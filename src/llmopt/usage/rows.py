"""Turns records into rows, column by column. Decides what is written, and writes nothing.

Whole columns are computed at once: Python's part of an insert costs as much as SQLite's. What that leaves for
`statements` is to bind each value as few times as it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from ..types import Attempt, Usage
from .record import Fault, Labels, Record, Values
from .schema import VERSION
from .statements import Columns, Insert, insert
from .tokens import normalise_all
from .values import digest, endpoint_of, timestamp, timestamps

_WELL = Fault("ok")

_FAULT, _FRAGMENTS = map(Record._fields.index, ("fault", "fragments"))


def inserts(records: Sequence[Values]) -> list[Insert]:
    """Return what writes these records, given by their values, in order.

    Raises:
        Exception: whatever is wrong with one of them; nothing can then be said of the others.
    """
    found: list[Insert] = []
    # Calls that ended well fill other columns than those that did not.
    ill = [record for record in records if record[_FAULT] is not None]
    well = [record for record in records if record[_FAULT] is None] if ill else records
    for group in (well, ill):
        if group:
            batch = _Batch(group)
            found += insert("calls", call_columns(batch))
            if batch.runs:
                found += insert("attempts", attempt_columns(batch))
    told = [record for record in records if record[_FRAGMENTS]]
    if told:
        found += fragment_inserts(map(Record._make, told))
    return found


class _Batch:
    """Records column by column, all of which ended well, or all not.

    Attributes:
        given: the attributes of the records.
        providers: the providers of their models.
        hosts: the hosts of these.
        model_ids: the ids of these.
        tokens: the columns that count the tokens of the answers.
        runs: the attributes of the attempts of all records, or nothing if there are none.
        single: whether there is one attempt for each record, and all went well.
    """

    def __init__(self, records: Sequence[Values]) -> None:
        self.given: Columns = dict(zip(Record._fields, zip(*records, strict=True), strict=True))
        models, attempts = self.given["model"], self.given["attempts"]
        keys = list(map(id, models))
        known = {
            key: (*endpoint_of(model), model.model_id)
            for key, model in dict(zip(keys, models, strict=True)).items()
        }
        self.providers, self.hosts, self.model_ids = zip(*map(known.__getitem__, keys), strict=True)
        self.tokens = token_columns(self.given["usage"], self.providers)
        self.runs: Columns = dict(
            zip(Attempt._fields, zip(*chain.from_iterable(attempts), strict=True), strict=False)
        )
        self.single = not any(self.given["faults"]) and set(map(len, attempts)) == {1}

    def of_runs(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return for each run what belongs to its call."""
        if self.single:
            return values
        return [value for value, runs in zip(values, self.given["attempts"], strict=True) for _ in runs]


def call_columns(batch: _Batch) -> Columns:
    """Return the columns of `calls`."""
    given, tokens = batch.given, batch.tokens
    began_s, ended_s = given["began_s"], given["ended_s"]
    counted = zip(tokens["input_tokens"], tokens["output_tokens"], strict=True)
    return {
        "id": given["id"],
        "llm_turn_id": given["turn_id"],
        "conversation_id": given["conversation_id"],
        "provider": batch.providers,
        "model_requested": batch.model_ids,
        "model_resolved": given["resolved_model"],
        "endpoint_host": batch.hosts,
        "stream": [1 if stream else 0 for stream in given["stream"]],
        "started_at": timestamps(given["wall_s"]),
        "ttft_ms": between_ms(began_s, first_events_s(batch)),
        "duration_ms": between_ms(began_s, ended_s),
        **tokens,
        "tokens_source": [None if i is None and o is None else "provider" for i, o in counted],
        "finish_reason": given["finish_reason"],
        **fault_columns(given["fault"]),
        "attempts": list(map(len, given["attempts"])),
        "deadline_ms": [None if limit_s is None else limit_s * 1000 for limit_s in given["limit_s"]],
        "options_json": given["options_json"],
        "schema_version": [VERSION] * len(began_s),
        **noted_columns(given["notes"], given["labels"], given["source"]),
    }


def first_events_s(batch: _Batch) -> Sequence[float | None]:
    """Return when the first event of the run that counts came; a replayed answer comes all at once."""
    given = batch.given
    if batch.single and None not in batch.runs["first_event_at"]:
        return batch.runs["first_event_at"]
    first_s = [runs[-1].first_event_at if runs else None for runs in given["attempts"]]
    if given["fault"][0] is not None:
        return first_s
    return [
        ended if first is None or (faults is not None and faults[-1] is not None) else first
        for first, ended, faults in zip(first_s, given["ended_s"], given["faults"], strict=True)
    ]


def between_ms(begun_s: Sequence[float], until_s: Sequence[float | None]) -> list[float | None]:
    """Return how long something took, where it is known."""
    times_s = zip(begun_s, until_s, strict=True)
    return [None if until is None else (until - begun) * 1000 for begun, until in times_s]


def noted_columns(
    notes: Sequence[Mapping[str, Any] | None], labels: Sequence[Labels], sources: Sequence[str | None]
) -> Columns:
    """Return the columns of `calls` that their callers and other middlewares know best."""
    roles, agents, tags_json = zip(*labels, strict=True)
    told = [note or _NOTHING for note in notes]
    said = set(chain.from_iterable(told))
    unsaid = [None] * len(told)
    hits = ["hit" if source == "cache" else None for source in sources] if "cache" in sources else unsaid

    def noted(name: str, otherwise: Sequence[Any] = unsaid) -> Sequence[Any]:
        if name not in said:
            return otherwise
        values = zip(told, otherwise, strict=True)
        return [other if (value := note.get(name)) is None else value for note, other in values]

    return {
        "role": noted("role", roles),
        "agent": noted("agent", agents),
        "tags_json": tags_json,
        "cache_outcome": noted("cache", hits),
        "queue_ms": [None if queue_s is None else queue_s * 1000 for queue_s in noted("queue_s")],
        **{name: noted(name) for name in _NOTED},
    }


_NOTHING: Mapping[str, Any] = {}
_NOTED = ("tier", "tokens_before", "tokens_after", "compressor")


def attempt_columns(batch: _Batch) -> Columns:
    """Return the columns of `attempts`: every run of a model on behalf of these calls."""
    given, runs = batch.given, batch.runs
    began_s, waited_s = runs["started_at"], runs["waited_s"]
    of_calls = map(batch.of_runs, (given["wall_s"], given["began_s"]))
    moments_s = [wall - zero + began for wall, zero, began in zip(*of_calls, began_s, strict=True)]
    faults = faults_of(batch)
    return {
        "call_id": batch.of_runs(given["id"]),
        "n": numbers_of(batch),
        "model": runs["model_id"],
        "started_at": timestamps(moments_s),
        "ttft_ms": between_ms(began_s, runs["first_event_at"]),
        "duration_ms": between_ms(began_s, runs["ended_at"]),
        **fault_columns(faults),
        "retry_after_ms": [fault and fault.retry_after_ms for fault in faults],
        "wait_ms": [wait_s * 1000 for wait_s in waited_s],
        "breaker_state": breakers_of(batch),
        **billed_columns(batch),
    }


def numbers_of(batch: _Batch) -> Sequence[int]:
    """Return the number of each run in its call."""
    attempts = batch.given["attempts"]
    return [1] * len(attempts) if batch.single else [n for runs in attempts for n, _ in enumerate(runs, 1)]


def billed_columns(batch: _Batch) -> Columns:
    """Return who is to be paid for each run, and for how many tokens."""
    runs = batch.runs
    providers, model_ids = batch.of_runs(batch.providers), batch.of_runs(batch.model_ids)
    if model_ids == runs["model_id"]:
        if runs["usage"] == batch.given["usage"]:
            return {"provider": providers, **batch.tokens}
    else:  # nothing is known of another model but its id
        known = zip(providers, model_ids, runs["model_id"], strict=True)
        providers = [provider if own == asked else None for provider, own, asked in known]
    return {"provider": providers, **token_columns(runs["usage"], providers)}


def token_columns(usages: Sequence[Usage | None], providers: Sequence[str | None]) -> Columns:
    """Return the columns that count tokens."""
    input_total, _, cache_read, cache_write, output, reasoning = normalise_all(usages, providers)
    return {
        "input_tokens": input_total,
        "output_tokens": output,
        "cache_read_tokens": cache_read,
        "cache_write_tokens": cache_write,
        "reasoning_tokens": reasoning,
    }


def faults_of(batch: _Batch) -> Sequence[Fault | None]:
    """Return what went wrong in each run."""
    if batch.single:
        return batch.runs["error"]  # which are all None
    of_calls = zip(batch.given["faults"], batch.given["attempts"], strict=True)
    return [fault for faults, runs in of_calls for fault in faults or (None,) * len(runs)]


def breakers_of(batch: _Batch) -> Sequence[str | None]:
    """Return the state of the circuit breaker at each run, which only the last run of a call tells."""
    notes, attempts = batch.given["notes"], batch.given["attempts"]
    states = [note.get("breaker") if note else None for note in notes]
    if batch.single:
        return states
    found: list[str | None] = []
    for state, runs in zip(states, attempts, strict=True):
        if runs:
            found += [*[None] * (len(runs) - 1), state]
    return found


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


def fragment_inserts(records: Iterable[Record]) -> list[Insert]:
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
