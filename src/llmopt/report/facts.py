"""All that a report and its findings rest on, read from a log in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from .batches import Batched, batched, batches
from .figures import Ledger, rolled, times_by
from .fragments import Texts, fixed_tokens, texts
from .log import Log
from .pricing import Price, prices_of
from .repeats import Repeats
from .runs import Waste, billed, looked_at, retries, tiers, wasted
from .sample import Sample, sampled
from .scan import scan
from .selection import Selection, stamp
from .troubles import drops, errors
from .types import DropCount, ErrorCount, Figures, Latency, Period, RetryCount, TierCount

__all__ = ["Facts", "facts"]

EARLIEST: Final = "2020"
"""Calls that are dated before that year were dated by a clock that was wrong: there was nobody to call."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a log says of a selection of its calls.

    Attributes:
        ledger: the calls, to be added up.
        total: their figures.
        period: when they began.
        prices: the prices by number.
        repeats: prompts that came more than once.
        sample: some of the calls.
        texts: what they have sent.
        batches: batches by role.
        latencies: how long calls took.
        errors: calls that did not end well.
        retries: runs that failed.
        tiers: tiers of fallbacks that answered.
        wasted: calls that nobody waited for.
        drops: what the log has lost.
    """

    ledger: Ledger
    total: Figures
    period: Period
    prices: Mapping[int, Price]
    repeats: Repeats
    sample: Sample
    texts: Texts
    batches: Sequence[Batched]
    latencies: tuple[Latency, ...]
    errors: tuple[ErrorCount, ...]
    retries: tuple[RetryCount, ...]
    tiers: tuple[TierCount, ...]
    wasted: Sequence[Waste]
    drops: tuple[DropCount, ...]


def facts(log: Log, selection: Selection, by: str, now: datetime) -> Facts:
    """Return what a log says.

    Args:
        log: the log.
        selection: which calls.
        by: what they are grouped by.
        now: the present.
    """
    where, values = selection.where()
    calls: int = log.row(f"SELECT count(*) FROM calls WHERE {where}", values)[0]  # noqa: S608
    prices = prices_of(log)
    with ThreadPoolExecutor(1, "llmopt-report") as aside:
        beside = aside.submit(_beside, log, selection, calls, prices)
        found = scan(log, selection, calls, by)
        with looked_at(log, found.hard, by):
            paid, failed = billed(log, found.cells), retries(log)
            tiered, lost = tiers(log, found.cells), wasted(log)
        removed = rolled(log, selection)
        ledger = Ledger(found.cells, paid, removed, by, times_by(found.cells, lambda cell: cell.model))
        sample, sent, planned = beside.result()
    return Facts(
        ledger,
        ledger.total(),
        period_of(log, selection, [row.day for row in removed], now),
        prices,
        found.repeats,
        sample,
        sent,
        planned,
        ledger.latencies(found.queues_ms),
        errors(log, selection),
        failed,
        tiered,
        lost,
        drops(log, selection),
    )


def _beside(
    log: Log, selection: Selection, calls: int, prices: Mapping[int, Price]
) -> tuple[Sample, Texts, list[Batched]]:
    """Read what does not need all calls, while these are read."""
    with closing(log.again()) as other:
        sample = sampled(other, selection, calls)
        sent = texts(other, selection, sample)
        found = batches(other, selection)
        return sample, sent, batched(other, found, prices, fixed_tokens(sample, sent.frequent))


def period_of(log: Log, selection: Selection, removed: Sequence[str], now: datetime) -> Period:
    """Return when the calls of a selection began.

    Args:
        log: the log.
        selection: which calls.
        removed: days whose calls were removed.
        now: the present: what is dated after it does not count for the length of the period.
    """
    midnights = [f"{day}T00:00:00.000000Z" for day in removed]
    every = sorted((*log.ends(selection), *midnights))
    if not every:
        return Period(selection.name, selection.since, selection.until)
    likely = sorted((*log.ends(selection, EARLIEST, stamp(now)), *midnights)) or every
    length = datetime.fromisoformat(likely[-1]) - datetime.fromisoformat(likely[0])
    days = max(1.0, length / timedelta(days=1))
    return Period(selection.name, selection.since, selection.until, every[0], every[-1], days)
