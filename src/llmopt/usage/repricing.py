"""Reckons costs anew, some hundred calls in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import orjson

from .price_table import PriceTable
from .prices import Pricing
from .rates import cost_of_call

if TYPE_CHECKING:
    import sqlite3

ROWS = 256
"""Calls in one transaction."""

Bill: TypeAlias = "tuple[int | None, int | None]"
"""A cost in nano-dollars, and the number of the price that it was reckoned with."""

Counts: TypeAlias = "tuple[int | None, int | None, int | None, int | None]"
"""All input tokens, those read from and written to the prefix cache, and all output tokens."""

_CALLS = """
SELECT rowid, id, provider, endpoint_host, model_requested, model_resolved, started_at,
    input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, cost_usd_nano, price_id
FROM calls AS c
WHERE rowid > :last AND started_at >= :since AND (
    :model IS NULL OR model_requested = :model OR model_resolved = :model
    OR EXISTS (SELECT 1 FROM attempts WHERE call_id = c.id AND model = :model)
)
ORDER BY rowid LIMIT :rows
"""
_RUNS = """
SELECT call_id, n, model, status, started_at,
    input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, cost_usd_nano, price_id
FROM attempts WHERE call_id IN (SELECT value FROM json_each(?)) ORDER BY call_id, n
"""


class Call(NamedTuple):
    """What is asked of a row of `calls`."""

    row: int
    id: str
    asked: tuple[str | None, str | None, str, str | None]
    moment: str
    counts: Counts
    bill: Bill


class Run(NamedTuple):
    """What is asked of a row of `attempts`."""

    call_id: str
    n: int
    model: str
    status: str
    moment: str
    counts: Counts
    bill: Bill


def reprice_all(connection: sqlite3.Connection, pricing: Pricing, since: str, model: str | None) -> int:
    """Go once through the calls of a file. Return how many rows have changed.

    Args:
        connection: the file.
        pricing: what knows prices.
        since: the first time (ISO-8601 in UTC) that is asked for.
        model: the model that is asked for, or None for all.
    """
    changed, wanted = 0, {"last": 0, "since": since, "model": model, "rows": ROWS}
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            rows = connection.execute(_CALLS, wanted).fetchall()
            calls = [Call(row[0], row[1], row[2:6], row[6], row[7:11], row[11:]) for row in rows]
            changed += _reprice(connection, calls, PriceTable(connection, pricing))
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        if not calls:
            return changed
        wanted["last"] = calls[-1].row


def _reprice(connection: sqlite3.Connection, calls: Sequence[Call], prices: PriceTable) -> int:
    """Reckon these calls anew, and write what has changed. Return how many rows that are."""
    rows = connection.execute(_RUNS, (orjson.dumps([call.id for call in calls]).decode(),))
    runs = [Run(row[0], row[1], row[2], row[3], row[4], row[5:9], row[9:]) for row in rows]
    by_id = {call.id: call for call in calls}
    asked = (_asked(run, by_id[run.call_id]) for run in runs)
    of_runs = _bills(asked, runs, prices)
    of_calls: dict[str, list[tuple[Run, Bill]]] = {call.id: [] for call in calls}
    for run, bill in zip(runs, of_runs, strict=True):
        of_calls[run.call_id].append((run, bill))
    listed = _bills((call.asked for call in calls), calls, prices)
    new = [_of_call(of_calls[call.id], bill) for call, bill in zip(calls, listed, strict=True)]
    changed_runs = [
        (*bill, run.call_id, run.n) for run, bill in zip(runs, of_runs, strict=True) if bill != run.bill
    ]
    changed = [(*bill, call.row) for call, bill in zip(calls, new, strict=True) if bill != call.bill]
    connection.executemany(
        "UPDATE attempts SET cost_usd_nano = ?, price_id = ? WHERE call_id = ? AND n = ?", changed_runs
    )
    connection.executemany("UPDATE calls SET cost_usd_nano = ?, price_id = ? WHERE rowid = ?", changed)
    return len(changed_runs) + len(changed)


def _asked(run: Run, call: Call) -> tuple[str | None, str | None, str, str | None]:
    """Return who was asked: of another model than the call's, nothing is known but its id."""
    return call.asked if run.model == call.asked[2] else (None, None, run.model, None)


def _bills(
    asked: Iterable[tuple[str | None, str | None, str, str | None]],
    rows: Sequence[Call | Run],
    prices: PriceTable,
) -> list[Bill]:
    """Return what rows cost now; without a price, what they have cost."""
    if not rows:
        return []
    counts = list(zip(*(row.counts for row in rows), strict=True))
    costs, ids = prices.bill(asked, (row.moment for row in rows), counts)
    told = zip(rows, costs, ids, strict=True)
    return [row.bill if number is None else (cost, number) for row, cost, number in told]


def _of_call(runs: Sequence[tuple[Run, Bill]], of_model: Bill) -> Bill:
    """Return what a call costs: what its runs do, of which the last one counts; without one, nothing."""
    billed = (
        (run.status == "ok" or run.counts[0] is not None or run.counts[3] is not None, bill[0])
        for run, bill in runs
    )
    return cost_of_call(billed), runs[-1][1][1] if runs else of_model[1]
