"""Batches of agents that were planned for together: valid rows, times, and what they have spared."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

from .figures import NOBODY
from .latency import nearest_rank
from .log import Log
from .pricing import Price, price_of
from .selection import Selection
from .tally import Sums
from .types import BatchStats

__all__ = ["Batch", "Batched", "batched", "batches", "wilson"]

_MOST_LOOKED_AT: Final = 300  # batches of a role whose calls are looked at for their price
_Z_95: Final = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution
_LEAST_DETERMINANT: Final = (
    1e-6  # of the squares: below it, batches are too much alike to tell two parts apart
)


class Batch(NamedTuple):
    """One batch.

    Attributes:
        id: its id.
        role: the role that was planned for.
        strategy: how its requests were cut.
        flushed_by: what sent it off.
        agents: agents in it.
        prompt_tokens: input tokens of its requests.
        duration_ms: from its beginning to the last plan.
        judged: rows whose validity is known.
        valid: those of them that were valid.
        calls: calls that answered for its agents.
        first_plan_ms: from its beginning to the first plan.
    """

    id: str
    role: str
    strategy: str | None
    flushed_by: str | None
    agents: int
    prompt_tokens: int | None
    duration_ms: float | None
    judged: int
    valid: int
    calls: int
    first_plan_ms: float | None


@dataclass(frozen=True, slots=True)
class Batched:
    """The batches of one role.

    Attributes:
        stats: their figures.
        spared_calls: calls that would have been made, one for each agent.
        shared_tokens: tokens of a prompt that all agents of a request share, as far as can be told.
        nano_per_input_token: what their calls paid for a token of input, in nano-dollars.
        nano_per_row: what a row has cost, in nano-dollars.
    """

    stats: BatchStats
    spared_calls: int
    shared_tokens: float | None
    nano_per_input_token: float | None
    nano_per_row: float | None


def batches(log: Log, selection: Selection) -> list[Batch]:
    """Return the batches of a selection in order; those of a model, an agent or a tag are not known."""
    if selection.model or selection.agent or selection.tag:
        return []
    conditions = {
        "b.started_at >= ?": selection.since,
        "b.started_at < ?": selection.until,
        "b.role = ?": selection.role,
    }
    chosen = {sql: value for sql, value in conditions.items() if value is not None}
    rows = log.rows(
        f"SELECT b.id, coalesce(b.role, '{NOBODY}'), b.strategy, b.flushed_by, b.n, b.prompt_tokens, "  # noqa: S608
        "b.duration_ms, coalesce(judged, 0), coalesce(valid, 0), coalesce(calls, 0), first_plan_ms "
        "FROM batches AS b LEFT JOIN (SELECT batch_id, count(plan_ok) AS judged, sum(plan_ok) AS valid, "
        "count(DISTINCT call_id) AS calls, min(first_plan_ms) AS first_plan_ms FROM batch_slots "
        "GROUP BY batch_id) ON batch_id = b.id "
        f"WHERE {' AND '.join(chosen) or '1'} ORDER BY b.started_at, b.id",
        [*chosen.values()],
    )
    return [Batch(*row) for row in rows]


def batched(
    log: Log, found: Sequence[Batch], prices: Mapping[int, Price], fixed_tokens: Mapping[str, float]
) -> list[Batched]:
    """Return the batches by role, the most frequent first.

    Args:
        log: the log.
        found: the batches.
        prices: the prices by number.
        fixed_tokens: tokens of the parts of a role's prompts that never change: what is known to be shared
            where the batches themselves do not tell.
    """
    roles: defaultdict[str, list[Batch]] = defaultdict(list)
    for batch in found:
        roles[batch.role].append(batch)
    made = [_batched(log, role, of_role, prices, fixed_tokens.get(role)) for role, of_role in roles.items()]
    return sorted(made, key=lambda one: (-one.stats.batches, one.stats.role))


def _batched(
    log: Log, role: str, found: list[Batch], prices: Mapping[int, Price], fixed_tokens: float | None
) -> Batched:
    answered = [batch for batch in found if batch.calls]
    shared = shared_tokens(answered)
    spared = sum(max(0, batch.agents - batch.calls) for batch in answered)
    of_input, of_row = _paid(log, answered, prices)
    return Batched(_stats(role, found), spared, fixed_tokens if shared is None else shared, of_input, of_row)


def _stats(role: str, found: list[Batch]) -> BatchStats:
    judged, valid = sum(batch.judged for batch in found), sum(batch.valid for batch in found)
    sizes = [batch.prompt_tokens for batch in found if batch.prompt_tokens is not None]
    low, high = wilson(valid, judged) if judged else (None, None)
    return BatchStats(
        role,
        len(found),
        sum(batch.agents for batch in found),
        sum(batch.calls for batch in found),
        judged,
        valid,
        low,
        high,
        sum(sizes) / len(sizes) if sizes else None,
        _median([batch.duration_ms for batch in found]),
        _median([batch.first_plan_ms for batch in found]),
        _words([batch.flushed_by for batch in found]),
        _words([batch.strategy for batch in found]),
    )


def _median(values: list[float | None]) -> float | None:
    return nearest_rank(sorted(value for value in values if value is not None), 0.5)


def _words(words: list[str | None]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(word for word in words if word is not None).most_common())


def shared_tokens(found: Sequence[Batch]) -> float | None:
    """Return the tokens of a prompt that the agents of a request share, or None where that cannot be told.

    A batch of n agents in k requests has k x shared + n x own tokens; both are fitted by least squares. They
    cannot be told apart where all requests are for equally many agents.

    Example:
        >>> sizes = [Batch("", "", None, None, n, 2500 + 90 * n, None, 0, 0, 1, None) for n in (6, 12)]
        >>> round(shared_tokens(sizes))
        2500
    """
    known = [(batch.calls, batch.agents, batch.prompt_tokens) for batch in found if batch.prompt_tokens]
    kk, kn, nn = (sum(row[i] * row[j] for row in known) for i, j in ((0, 0), (0, 1), (1, 1)))
    ky, ny = (sum(row[i] * row[2] for row in known) for i in (0, 1))
    determinant = kk * nn - kn * kn
    if determinant <= _LEAST_DETERMINANT * kk * nn:
        return None
    shared = (ky * nn - ny * kn) / determinant
    return min(max(0.0, shared), sum(row[2] for row in known) / sum(row[0] for row in known))


def _paid(log: Log, found: list[Batch], prices: Mapping[int, Price]) -> tuple[float | None, float | None]:
    """Return what some of these batches paid for a token of input and for a row, in nano-dollars."""
    looked_at = found[:: 1 + len(found) // _MOST_LOOKED_AT]
    rows = log.rows(
        "SELECT price_id, sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), "
        "sum(cache_write_tokens), sum(cost_usd_nano) FROM calls "
        "WHERE attempts > 0 AND price_id IS NOT NULL AND id IN "
        "(SELECT call_id FROM batch_slots WHERE batch_id IN (SELECT value FROM json_each(?))) GROUP BY 1",
        [json.dumps([batch.id for batch in looked_at])],
    )
    priced = [
        (price, Sums(*row[1:5]), row[5]) for row in rows if (price := price_of(prices, row[0])) is not None
    ]
    tokens = sum(sums.input or 0 for _, sums, _ in priced)
    agents = sum(batch.agents for batch in looked_at)
    if not tokens or not agents:
        return None, None
    of_input = sum(price.of_input(sums) for price, sums, _ in priced) / tokens
    return of_input, sum(cost or 0 for _, _, cost in priced) / agents


def wilson(valid: int, judged: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Args:
        valid: how many were valid.
        judged: of how many, from 1 up.

    Example:
        >>> [round(end, 3) for end in wilson(20, 20)]
        [0.839, 1.0]
    """
    share = valid / judged
    z2 = _Z_95 * _Z_95
    centre = share + z2 / (2 * judged)
    spread = _Z_95 * sqrt(share * (1 - share) / judged + z2 / (4 * judged * judged))
    scale = 1 + z2 / judged
    low = (centre - spread) / scale if valid else 0.0
    high = (centre + spread) / scale if valid < judged else 1.0
    return low, high
