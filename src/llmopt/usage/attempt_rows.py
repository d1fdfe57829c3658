"""The rows of attempts: every run of a model on behalf of some calls, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .record_batch import (
    Batch,
    Bills,
    Values,
    between_ms,
    cost_columns,
    details_json,
    fault_columns,
    token_columns,
)
from .statements import Columns
from .tokens import replace_unknown
from .values import timestamps

_RETRY_AFTER_MS = 4  # its place in a fault


def attempt_columns(batch: Batch, bills: Bills) -> Columns:
    """Return the columns of `attempts`."""
    given, runs = batch.given, batch.runs
    began_s = runs["started_at"]
    walls_s, zeros_s = map(batch.of_runs, (given["wall_s"], given["began_s"]))
    times_s = zip(walls_s, zeros_s, began_s, strict=True)
    moments = timestamps(wall_s - zero_s + run_s for wall_s, zero_s, run_s in times_s)
    faults = faults_of(batch)
    breakers = [note.get("breaker") if note else None for note in given["notes"]]
    return {
        "call_id": batch.of_runs(given["id"]),
        "n": numbers_of(batch),
        "model": runs["model_id"],
        "started_at": moments,
        "ttft_ms": between_ms(began_s, runs["first_event_at"]),
        "duration_ms": between_ms(began_s, runs["ended_at"]),
        **fault_columns(faults),
        "retry_after_ms": [None if fault is None else fault[_RETRY_AFTER_MS] for fault in faults],
        "wait_ms": [wait_s * 1000 for wait_s in runs["waited_s"]],
        "breaker_state": batch.of_last_runs(breakers),  # which only the last run of a call tells
        **billed_columns(batch, moments, bills),
    }


def numbers_of(batch: Batch) -> Sequence[int]:
    """Return the number of each run in its call."""
    if batch.single:
        return [1] * len(batch.attempts)
    return [n for runs in batch.attempts for n, _ in enumerate(runs, 1)]


def faults_of(batch: Batch) -> Sequence[Values | None]:
    """Return what went wrong in each run."""
    if batch.single:
        return [None] * len(batch.attempts)
    of_calls = zip(batch.given["faults"], batch.attempts, strict=True)
    return [fault for faults, runs in of_calls for fault in faults or (None,) * len(runs)]


def billed_columns(batch: Batch, moments: Sequence[str], bills: Bills) -> Columns:
    """Return who is to be paid for each run, for how many tokens, and how much."""
    runs, asked = batch.runs, batch.of_runs(batch.asked)
    providers = batch.of_runs(batch.given["provider"])
    if batch.of_runs(batch.given["model_id"]) != runs["model_id"]:
        asked, providers = known_of_runs(asked, runs["model_id"])
    if batch.single and runs["usage"] == batch.given["usage"] and providers == batch.given["provider"]:
        tokens, usage_json = batch.tokens, batch.usage_json
    else:
        tokens, usage_json = token_columns(runs["usage"], providers), details_json(runs["usage"])
        replace_unknown(tokens, batch.of_last_runs(batch.given["counted"]))
    costs, price_ids = cost_columns(asked, moments, tokens, bills)
    return {
        "provider": providers,
        **tokens,
        "cost_usd_nano": costs,
        "price_id": price_ids,
        "usage_json": usage_json,
    }


def known_of_runs(
    asked: Sequence[Any], model_ids: Sequence[str]
) -> tuple[Sequence[Any], Sequence[str | None]]:
    """Return who was asked in each run: of another model than the call's, nothing is known but its id."""
    found = [
        whom if whom[2] == model_id else (None, None, model_id, None)
        for whom, model_id in zip(asked, model_ids, strict=True)
    ]
    return found, [provider for provider, *_ in found]
