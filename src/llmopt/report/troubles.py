"""Calls that did not end well, records that were lost, and how much went through."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .log import Log
from .selection import Selection
from .tally import Cell
from .types import DropCount, ErrorCount, Period, Throughput

__all__ = ["drops", "errors", "throughput"]


def errors(log: Log, selection: Selection) -> tuple[ErrorCount, ...]:
    """Return the calls that did not end well by model and kind, the most frequent first."""
    where, values = selection.where()
    rows = log.rows(
        "SELECT model_requested, status, error_class, error_type, http_status, count(*) AS n, "  # noqa: S608
        f"max(started_at) FROM calls WHERE status <> 'ok' AND {where} "
        "GROUP BY 1, 2, 3, 4, 5 ORDER BY n DESC, 1, 2, 3, 4, 5",
        values,
    )
    return tuple(ErrorCount(*row) for row in rows)


def drops(log: Log, selection: Selection) -> tuple[DropCount, ...]:
    """Return what was lost in the period, the greatest loss first."""
    rows = log.rows(
        "SELECT reason, sum(records) AS n, max(at) FROM drops WHERE at >= ? AND at < ? "
        "GROUP BY 1 ORDER BY n DESC, 1",
        [selection.since or "", selection.until or "~"],
    )
    return tuple(DropCount(*row) for row in rows)


_HOURS = """
WITH RECURSIVE hours (hour) AS (
    SELECT substr(min(started_at), 1, 13) FROM calls WHERE {where}
    UNION ALL
    SELECT (SELECT substr(min(started_at), 1, 13) FROM calls WHERE started_at >= hour || '~' AND {where})
    FROM hours WHERE hour IS NOT NULL
)
SELECT hour, (
    SELECT count(*) FROM calls WHERE started_at >= hour AND started_at < hour || '~' AND {where}
) AS n
FROM hours WHERE hour IS NOT NULL ORDER BY n DESC, hour LIMIT 1
"""


def throughput(log: Log, selection: Selection, period: Period, cells: Iterable[Cell]) -> Throughput:
    """Return how much went through.

    Args:
        log: the log.
        selection: which calls.
        period: when they began.
        cells: the calls.
    """
    calls = output_tokens = duration_us = 0
    for cell in cells:
        calls += cell.counts.calls
        if cell.ran.output:
            output_tokens += cell.ran.output
            duration_us += sum(cell.durations_us)
    minutes = _minutes(period)
    peak_at, peak = _peak(log, selection)
    return Throughput(
        output_tokens / (duration_us / 1e6) if output_tokens and duration_us else None,
        calls / minutes if minutes else None,
        peak,
        peak_at,
    )


def _minutes(period: Period) -> float | None:
    if period.first_at is None or period.last_at is None:
        return None
    first, last = datetime.fromisoformat(period.first_at), datetime.fromisoformat(period.last_at)
    return (last - first).total_seconds() / 60


def _peak(log: Log, selection: Selection) -> tuple[str | None, int | None]:
    """Return the busiest minute of the busiest hour, and its calls."""
    where, values = selection.where()
    hour = log.rows(_HOURS.format(where=where), values * 3)
    if not hour:
        return None, None
    minute, calls = log.rows(
        "SELECT substr(started_at, 1, 16) AS minute, count(*) AS n FROM calls "  # noqa: S608
        f"WHERE started_at >= ? AND started_at < ? AND {where} GROUP BY 1 ORDER BY n DESC, 1 LIMIT 1",
        [hour[0][0], f"{hour[0][0]}~", *values],
    )[0]
    return f"{minute}:00Z", calls
