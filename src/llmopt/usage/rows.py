"""Turns records into rows. Decides what is written; but for new prices, it writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from .attempt_rows import attempt_columns
from .fragment_rows import fragment_inserts
from .rates import cost_of_call
from .record_batch import NAMES, RUN, Batch, Bills, Values, between_ms, cost_columns, fault_columns
from .schema import VERSION
from .statements import Columns, Insert, insert

_ID, _WALL_S, _FAULT, _TEXTS = map(NAMES.index, ("id", "wall_s", "fault", "texts"))
_FIRST_EVENT = RUN.index("first_event_at")
_NOTED = ("tier", "tokens_before", "tokens_after", "compressor")
_AS_GIVEN = (
    *("trace_id", "parent_id", "conversation_id", "batch_id", "provider", "finish_reason"),
    *("options_json", "prompt_digest", "tags_json"),
)


def inserts(records: Sequence[Values], bills: Bills) -> list[Insert]:
    """Return what writes these records, in order.

    Args:
        records: the records, as JSON has them.
        bills: what knows the costs of replies.

    Raises:
        Exception: whatever is wrong with one of them; nothing can then be said of the others.
    """
    found: list[Insert] = []
    # Calls that ended well fill other columns than those that did not.
    ill = [record for record in records if record[_FAULT] is not None]
    well = [record for record in records if record[_FAULT] is None] if ill else records
    for group in (well, ill):
        if group:
            batch = Batch(group)
            attempts = attempt_columns(batch, bills) if batch.runs else {}
            found += insert("calls", call_columns(batch, attempts, bills))
            if attempts:
                found += insert("attempts", attempts)
    told = [(record[_ID], record[_WALL_S], record[_TEXTS]) for record in records if record[_TEXTS]]
    return found + fragment_inserts(told)


def call_columns(batch: Batch, attempts: Columns, bills: Bills) -> Columns:
    """Return the columns of `calls`, whose attempts have those columns."""
    given = batch.given
    began_s, ended_s = given["began_s"], given["ended_s"]
    return {
        "id": given["id"],
        "llm_turn_id": given["turn_id"],
        **{name: given[name] for name in _AS_GIVEN},
        "model_requested": given["model_id"],
        "model_resolved": given["resolved_model"],
        "endpoint_host": given["host"],
        "stream": [1 if stream else 0 for stream in given["stream"]],
        "started_at": batch.moments,
        "ttft_ms": between_ms(began_s, first_events_s(batch)),
        "duration_ms": between_ms(began_s, ended_s),
        **batch.tokens,
        "tokens_source": batch.tokens_source,
        "usage_json": batch.usage_json,
        **billed_columns(batch, attempts, bills),
        **fault_columns(given["fault"]),
        "attempts": list(map(len, batch.attempts)),
        "deadline_ms": [None if limit_s is None else limit_s * 1000 for limit_s in given["limit_s"]],
        "schema_version": [VERSION] * len(began_s),
        **noted_columns(given),
    }


def first_events_s(batch: Batch) -> Sequence[float | None]:
    """Return when the first event of the run that counts came; a replayed answer comes all at once."""
    given = batch.given
    if batch.single and None not in batch.runs["first_event_at"]:
        return batch.runs["first_event_at"]
    first_s: list[float | None] = [runs[-1][_FIRST_EVENT] if runs else None for runs in batch.attempts]
    if given["fault"][0] is not None:
        return first_s
    return [
        ended if first is None or (faults is not None and faults[-1] is not None) else first
        for first, ended, faults in zip(first_s, given["ended_s"], given["faults"], strict=True)
    ]


def billed_columns(batch: Batch, attempts: Columns, bills: Bills) -> Columns:
    """Return what calls cost: what their attempts do, of whose prices the last one is the answer's.

    Nothing is billed for a call without any. It has its model's price, which tells what was saved by that.
    """
    if batch.single:
        return {"cost_usd_nano": attempts["cost_usd_nano"], "price_id": attempts["price_id"]}
    _, of_models = cost_columns(batch.asked, batch.moments, batch.tokens, bills)
    runs = list(billed_runs(attempts)) if attempts else []
    found: list[tuple[int | None, int | None]] = []
    first = 0
    for of_call, of_model in zip(batch.attempts, of_models, strict=True):
        last = first + len(of_call)
        price_id = attempts["price_id"][last - 1] if of_call else of_model
        found.append((cost_of_call(runs[first:last]), price_id))
        first = last
    costs, price_ids = zip(*found, strict=True)
    return {"cost_usd_nano": costs, "price_id": price_ids}


def billed_runs(attempts: Columns) -> Iterator[tuple[bool, int | None]]:
    """Yield what `cost_of_call` has to know of each run."""
    names = ("status", "input_tokens", "output_tokens", "cost_usd_nano")
    for status, given, output, cost in zip(*(attempts[name] for name in names), strict=True):
        yield status == "ok" or given is not None or output is not None, cost


def noted_columns(given: Columns) -> Columns:
    """Return the columns of `calls` that their callers and other middlewares know best."""
    notes: Sequence[Mapping[str, Any] | None] = given["notes"]
    said = set(chain.from_iterable(note for note in notes if note))
    unsaid = [None] * len(notes)
    sources = given["source"]
    hits = ["hit" if source == "cache" else None for source in sources] if "cache" in sources else unsaid

    def noted(name: str, otherwise: Sequence[Any] = unsaid) -> Sequence[Any]:
        if name not in said:
            return otherwise
        told = zip(notes, otherwise, strict=True)
        return [other if not note or (value := note.get(name)) is None else value for note, other in told]

    return {
        "role": noted("role", given["role"]),
        "agent": noted("agent", given["agent"]),
        "cache_outcome": noted("cache", hits),
        "queue_ms": [None if queue_s is None else queue_s * 1000 for queue_s in noted("queue_s")],
        **{name: noted(name) for name in _NOTED},
    }
