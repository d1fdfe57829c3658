"""Some thousand calls from all over the log: what single calls are like, without reading all."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Final, NamedTuple

from .log import Log
from .selection import Selection

__all__ = ["SAMPLE_CALLS", "Sample", "Sampled", "sampled"]

SAMPLE_CALLS: Final = 4_000
"""Calls of a sample. A share is then known to within 1.6 percentage points, 95 times of 100."""

_SEED: Final = 7  # the same report of the same log
_WINDOWS: Final = 40
_WINDOW_CALLS: Final = 60  # calls of a window: those of a few ticks
_IN_ORDER: Final = 0.99  # of neighbours in time: that many ids must sort as they do


class Sampled(NamedTuple):
    """One call of a sample.

    Attributes:
        id: its id.
        started_at: when it began.
        model: the model that was called.
        role: its role; empty where there is none.
        agent: its agent; None where there is none.
        batch_id: its batch; None where there is none.
        price: number of its price; None where it is unknown.
        runs: runs of a model.
        ok: whether it ended well.
        input_tokens: input tokens of the answer.
        output_tokens: its output tokens.
        read_tokens: input tokens that the provider read from its prefix cache.
        tokens_before: input tokens before compression; None where it was not at work.
        tokens_after: input tokens after it.
    """

    id: str
    started_at: str
    model: str
    role: str
    agent: str | None
    batch_id: str | None
    price: int | None
    runs: int
    ok: int
    input_tokens: int | None
    output_tokens: int | None
    read_tokens: int | None
    tokens_before: int | None
    tokens_after: int | None

    @property
    def is_answered(self) -> bool:
        """Whether a model answered."""
        return bool(self.runs and self.ok)


class Tick(NamedTuple):
    """A call as it stands among its neighbours in time.

    Attributes:
        model: the model that was called.
        role: its role; empty where there is none.
        agent: its agent; None where there is none.
        batch_id: its batch; None where there is none.
        began_s: when it began, in seconds since the epoch.
        ended_s: when it ended.
    """

    model: str
    role: str
    agent: str | None
    batch_id: str | None
    began_s: float
    ended_s: float


@dataclass(slots=True)
class Sample:
    """Calls in the order of time.

    Attributes:
        calls: the calls.
        of: how many there are in all.
        texts: (digest, kind) of the texts of each call, by its id.
        ticks: calls that were written one after the other, from several places of the log.
    """

    calls: list[Sampled]
    of: int
    texts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict[str, Any])
    ticks: Sequence[Sequence[Tick]] = ()

    @property
    def ids_tell_time(self) -> bool:
        """Whether the ids sort as the times do."""
        pairs = list(zip(self.calls, self.calls[1:], strict=False))
        return sum(first.id <= second.id for first, second in pairs) >= _IN_ORDER * len(pairs)

    @property
    def recent(self) -> list[Sampled]:
        """The last quarter of them: what still holds shows there as well."""
        return self.calls[-max(1, len(self.calls) // 4) :] if self.calls else []

    def roles(self) -> Counter[str]:
        """Return the calls of each role."""
        return Counter(call.role for call in self.calls)

    def with_text(self) -> dict[str, list[Sampled]]:
        """Return the calls with each text, by its digest."""
        found: defaultdict[str, list[Sampled]] = defaultdict(list)
        for call in self.calls:
            for digest in {digest for digest, _ in self.texts.get(call.id, ())}:
                found[digest].append(call)
        return found


def sampled(log: Log, selection: Selection, calls: int) -> Sample:
    """Return a sample of the calls of a selection, with their texts.

    Args:
        log: the log.
        selection: which calls.
        calls: how many there are.
    """
    where, values = selection.where()
    ends = (f"SELECT {end}(calls.rowid) FROM calls WHERE {where}" for end in ("min", "max"))  # noqa: S608
    first, last = (log.row(sql, values)[0] for sql in ends)
    if first is None:
        return Sample([], 0)
    chosen = "SELECT value FROM json_each(?)"
    if calls <= SAMPLE_CALLS:
        chosen, picked = where, values
    else:
        # At random: where every hundredth call is a special one, every fiftieth would have them all or none.
        rows = Random(_SEED).sample(  # noqa: S311 - no cryptography here
            range(first, last + 1), min(SAMPLE_CALLS, last + 1 - first)
        )
        chosen, picked = f"calls.rowid IN ({chosen}) AND {where}", [json.dumps(rows), *values]
    found = log.rows(
        "SELECT id, started_at, model_requested, coalesce(role, ''), agent, batch_id, price_id, attempts, "  # noqa: S608
        "status = 'ok', input_tokens, output_tokens, cache_read_tokens, tokens_before, tokens_after "
        f"FROM calls WHERE {chosen} ORDER BY started_at",
        picked,
    )
    texts = _texts(log, [row[0] for row in found])
    return Sample([Sampled(*row) for row in found], calls, texts, _ticks(log, selection, first, last))


def _texts(log: Log, ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    rows = log.rows(
        "SELECT call_id, digest, kind FROM json_each(?) CROSS JOIN call_fragments ON call_id = value "
        "WHERE kind <> 'reply'",
        [json.dumps(ids)],
    )
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for call_id, digest, kind in rows:
        found[call_id].append((digest, kind))
    return dict(found)


def _ticks(log: Log, selection: Selection, first: int, last: int) -> list[list[Tick]]:
    """Return calls that were written one after the other, from several places of the log."""
    where, values = selection.where()
    step = max(_WINDOW_CALLS, (last - first + 1) // _WINDOWS)
    rows = log.rows(
        "SELECT value, model_requested, coalesce(role, ''), agent, batch_id, started_at, duration_ms "  # noqa: S608
        "FROM json_each(?) CROSS JOIN calls ON calls.rowid BETWEEN value AND value + ? "
        f"WHERE {where} ORDER BY value, started_at",
        [json.dumps(list(range(first, last + 1, step))), _WINDOW_CALLS - 1, *values],
    )
    found: defaultdict[int, list[Tick]] = defaultdict(list)
    for window, model, role, agent, batch_id, started_at, duration_ms in rows:
        began_s = datetime.fromisoformat(started_at).timestamp()
        tick = Tick(model, role, agent, batch_id, began_s, began_s + duration_ms / 1000)
        found[window].append(tick)
    return list(found.values())
