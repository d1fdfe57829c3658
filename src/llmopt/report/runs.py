"""The runs of calls that took more than one, or not the one that was asked for: billed run by run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from .latency import nearest_rank
from .log import Log
from .pricing import NANO
from .tally import Cell, Sums
from .types import RetryCount, TierCount

__all__ = ["Billed", "Waste", "billed", "looked_at", "retries", "tiers", "wasted"]

_TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class Billed(NamedTuple):
    """What runs of models were billed for; of calls that are taken back, less than nothing.

    Attributes:
        day: the day of their calls.
        name: role or agent of these, if that is what calls are grouped by; else empty.
        model: the model that was run.
        price: number of the price; None where it is unknown.
        runs: how many.
        told: runs whose tokens are known.
        priced: those of them whose price is.
        cost_nano: what they have cost, in nano-dollars, as far as it is known.
        sums: their tokens.
    """

    day: str
    name: str
    model: str
    price: int | None
    runs: int
    told: int
    priced: int
    cost_nano: int | None
    sums: Sums


@contextmanager
def looked_at(log: Log, ids: list[str], by: str) -> Generator[None, None, None]:
    """Have calls and their runs in the temporary tables `hard` and `hard_runs`.

    Args:
        log: the log.
        ids: the calls.
        by: what they are grouped by.
    """
    name = f"coalesce({by}, '')" if by in ("role", "agent") else "''"
    tokens = ", ".join(_TOKENS)
    calls = (
        f"SELECT id, substr(started_at, 1, 10) AS day, {name} AS name, model_requested AS model, price_id, "  # noqa: S608
        f"status, tier, attempts, duration_ms, cost_usd_nano, {tokens} "
        "FROM (SELECT value AS id FROM json_each(?)) CROSS JOIN calls USING (id)"
    )
    runs = (
        "SELECT hard.day, hard.name, hard.status AS ended, hard.attempts AS last, runs.*, "
        "later.wait_ms AS next_wait_ms "
        "FROM hard CROSS JOIN attempts AS runs ON runs.call_id = hard.id "
        "LEFT JOIN attempts AS later ON later.call_id = runs.call_id AND later.n = runs.n + 1"
    )
    with log.table("hard", calls, [json.dumps(ids)]), log.table("hard_runs", runs):
        yield


def billed(log: Log, cells: Iterable[Cell]) -> list[Billed]:
    """Return what was billed, by day, group and model.

    Most calls took one run of the model that was asked for: what their answer tells was billed. For those
    that are looked at that is taken back, and their runs count.

    Args:
        log: the log, with the tables of `looked_at`.
        cells: all calls.
    """
    found = [
        Billed(*cell[:4], counts.runs, counts.told, counts.priced, cell.cost_nano, cell.ran)
        for cell in cells
        for counts in (cell.counts,)
    ]
    counts = ("count(input_tokens)", "count(cost_usd_nano)")
    sums = ", ".join((*counts, *(f"sum({column})" for column in ("cost_usd_nano", *_TOKENS))))
    groups = "day, name, model, price_id"
    taken = f"SELECT {groups}, sum(attempts), {sums} FROM hard WHERE attempts > 0"  # noqa: S608
    run = f"SELECT {groups}, count(*), {sums} FROM hard_runs"  # noqa: S608
    found += [_billed(row, -1) for row in log.rows(f"{taken} GROUP BY {groups}")]
    return found + [_billed(row) for row in log.rows(f"{run} GROUP BY {groups}")]


def _billed(row: Sequence[Any], times: int = 1) -> Billed:
    day, name, model, price, *counts, cost_nano = row[:8]
    runs, told, priced = (times * number for number in counts)
    cost_nano = None if cost_nano is None else times * cost_nano
    return Billed(day, name, model, price, runs, told, priced, cost_nano, Sums().plus(Sums(*row[8:]), times))


def retries(log: Log) -> tuple[RetryCount, ...]:
    """Return the runs that failed, the most frequent kind first.

    Args:
        log: the log, with the tables of `looked_at`.
    """
    rows = log.rows(
        "SELECT model, error_class, error_type, count(*) AS failures, sum(n < last), "
        "sum(n < last AND ended = 'ok'), sum(next_wait_ms) FROM hard_runs WHERE status = 'error' "
        "GROUP BY 1, 2, 3 ORDER BY failures DESC, model, error_class, error_type"
    )
    return tuple(RetryCount(*row) for row in rows)


def tiers(log: Log, cells: Iterable[Cell]) -> tuple[TierCount, ...]:
    """Return which tiers of fallbacks answered; nothing where it was always the first.

    Args:
        log: the log, with the tables of `looked_at`.
        cells: all calls.
    """
    rows = log.rows(
        "SELECT tier, hard.model, iif(runs.status = 'ok', runs.model, NULL), attempts > 0, "
        "hard.cost_usd_nano, hard.duration_ms FROM hard LEFT JOIN hard_runs AS runs "
        "ON runs.call_id = hard.id AND runs.n = attempts WHERE tier > 0 AND hard.status = 'ok'"
    )
    if not rows:
        return ()
    groups: defaultdict[tuple[Any, ...], list[tuple[int | None, float]]] = defaultdict(list)
    for *group, _, cost_nano, duration_ms in rows:
        groups[tuple(group)].append((cost_nano, duration_ms))
    later = [_tier(group, calls) for group, calls in groups.items()]
    first = Counter({group[1]: 0 for group in groups})
    for cell in cells:
        if cell.model in first:
            first[cell.model] += len(cell.durations_us)
    first.subtract(Counter(row[1] for row in rows if row[3]))
    found = [TierCount(0, model, model, calls) for model, calls in first.items() if calls > 0] + later
    return tuple(sorted(found, key=lambda tier: (tier.model, tier.tier, -tier.calls)))


def _tier(group: tuple[Any, ...], calls: list[tuple[int | None, float]]) -> TierCount:
    tier, model, answered_by = group
    costs_nano = [cost for cost, _ in calls if cost is not None]
    cost_usd = sum(costs_nano) / NANO if len(costs_nano) == len(calls) else None
    durations_ms = sorted(duration_ms for _, duration_ms in calls)
    return TierCount(tier, model, answered_by, len(calls), cost_usd, nearest_rank(durations_ms, 0.5))


class Waste(NamedTuple):
    """Calls that nobody waited for to the end, though a model was at work.

    Attributes:
        model: the model.
        price: number of its price; None where it is unknown.
        calls: how many.
        input_tokens: their input tokens, as far as somebody has counted them.
        output_tokens: the output tokens that had come.
        cost_nano: what the provider has said they cost, in nano-dollars; None where it has said nothing.
    """

    model: str
    price: int | None
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_nano: int | None


def wasted(log: Log) -> list[Waste]:
    """Return the calls that were cancelled or abandoned, by model.

    Args:
        log: the log, with the tables of `looked_at`.
    """
    rows = log.rows(
        "SELECT model, price_id, count(*), sum(input_tokens), sum(output_tokens), sum(cost_usd_nano) "
        "FROM hard WHERE status IN ('abandoned', 'cancelled') AND attempts > 0 GROUP BY 1, 2"
    )
    return [Waste(*row) for row in rows]
