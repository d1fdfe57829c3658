"""Adds up the cells of a scan: all calls, each day, each group."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, NamedTuple, TypeAlias

from .latency import Times, latency, merged, percentiles, times_of
from .log import Log
from .pricing import NANO
from .runs import Billed
from .selection import Selection
from .tally import Cell, Sums
from .types import Figures, Latency

__all__ = ["NOBODY", "Ledger", "Rolled", "rolled", "times_by"]

NOBODY: Final = "-"
"""Name of the group of calls that the log gives none."""

_MOST_DAYS: Final = 400  # of a chart: a clock that was wrong once must not make it one of fifty years
_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = "T00:00:00.000000Z"


class Rolled(NamedTuple):
    """The sums of a day of calls that were removed from the log.

    Attributes:
        day: the day.
        model: the model.
        role: the role; empty where there was none.
        calls: calls that asked for the model.
        ok: those that ended well.
        runs: runs of the model.
        cost_nano: their price in nano-dollars, as far as it is known.
        sums: their tokens.
    """

    day: str
    model: str
    role: str
    calls: int
    ok: int
    runs: int
    cost_nano: int | None
    sums: Sums

    def as_billed(self) -> Billed:
        """Return what they were billed."""
        told = 0 if self.sums.input is None else self.runs
        priced = 0 if self.cost_nano is None else told
        return Billed(self.day, "", self.model, None, self.runs, told, priced, self.cost_nano, self.sums)


def rolled(log: Log, selection: Selection) -> list[Rolled]:
    """Return the sums of the days that begin in the period of a selection."""
    rows = log.rows(
        "SELECT day, model, role, calls, calls - not_ok, attempts, cost_usd_nano, billed_input_tokens, "  # noqa: S608
        "billed_output_tokens, billed_cache_read_tokens, billed_cache_write_tokens FROM usage_rollup "
        f"WHERE day || '{_MIDNIGHT}' >= ? AND day || '{_MIDNIGHT}' < ? ORDER BY day",
        [selection.since or "", selection.until or "~"],
    )
    found: list[Rolled] = []
    for day, model, role, calls, ok, runs, cost_nano, *tokens in rows:
        found.append(Rolled(day, model, role, calls, ok, runs, cost_nano, Sums(*tokens)))
    return found


@dataclass(slots=True)
class _Account:
    """What a set of calls has come to, while it is added up."""

    calls: int = 0
    ok: int = 0
    served: int = 0
    missed: int = 0
    runs: int = 0
    told: int = 0
    priced: int = 0
    cost_nano: int = 0
    sums: Sums = field(default_factory=Sums)

    def count(self, cell: Cell) -> None:
        """Add calls, but not what they were billed."""
        self.calls += cell.counts.calls
        self.ok += cell.counts.ok
        self.served += cell.counts.served
        self.missed += cell.counts.missed

    def bill(self, row: Billed) -> None:
        """Add what was billed."""
        self.runs += row.runs
        self.told += row.told
        self.priced += row.priced
        self.cost_nano += row.cost_nano or 0
        self.sums = self.sums.plus(row.sums)

    @property
    def cost_usd(self) -> float | None:
        """What is known of the price; nothing was run, nothing is to be paid."""
        return self.cost_nano / NANO if self.priced or (self.calls and not self.runs) else None

    def figures(self, name: str, durations: Times, ttfts: Times) -> Figures:
        """Return it as part of a report."""
        sums = self.sums if self.told else Sums()
        return Figures(
            name,
            self.calls,
            self.ok,
            self.served,
            self.missed,
            self.runs,
            self.told - self.priced,
            sums.input,
            sums.read,
            sums.write,
            sums.output,
            sums.reasoning,
            self.cost_usd,
            *percentiles(durations, (0.5, 0.95)),
            *percentiles(ttfts, (0.5, 0.95)),
        )


Entry: TypeAlias = "Cell | Billed | Rolled"
Pair: TypeAlias = "tuple[Times, Times]"
"""Durations, and times to the first event."""

_NOTHING: Final[Pair] = ((), ())


@dataclass(frozen=True, slots=True)
class Ledger:
    """All calls of a selection, to be added up in several ways.

    Attributes:
        cells: the calls.
        billed: what they were billed.
        rolled: sums of calls that were removed.
        by: what they are grouped by.
        times: how long they took, by model.
    """

    cells: list[Cell]
    billed: list[Billed]
    rolled: list[Rolled]
    by: str
    times: Mapping[str, Pair]

    def total(self) -> Figures:
        """Return the figures of all calls."""
        account = self._accounts(lambda _: "all").get("all", _Account())
        return account.figures("all", *self.all_times())

    def all_times(self) -> Pair:
        """Return how long all calls took."""
        pairs = list(self.times.values())
        return merged(durations for durations, _ in pairs), merged(ttfts for _, ttfts in pairs)

    def days(self) -> tuple[Figures, ...]:
        """Return the figures of each day in order, those without calls included."""
        accounts, times = self._accounts(lambda entry: entry.day), times_by(self.cells, lambda cell: cell.day)
        nothing = _Account()
        return tuple(
            accounts.get(day, nothing).figures(day, *times.get(day, _NOTHING)) for day in _calendar(accounts)
        )

    def groups(self) -> tuple[Figures, ...]:
        """Return the figures of each group, the dearest first; of days, in order."""
        if self.by == "day":
            return self.days()
        if self.by == "model":
            return self.by_model()
        return self._grouped(_role if self.by == "role" else _agent, times_by(self.cells, _agent))

    def by_model(self) -> tuple[Figures, ...]:
        """Return the figures of each model, the dearest first."""
        return self._grouped(lambda entry: entry.model, self.times)

    def _grouped(self, name: Callable[[Entry], str], times: Mapping[str, Pair]) -> tuple[Figures, ...]:
        accounts = self._accounts(name)
        found = [account.figures(key, *times.get(key, _NOTHING)) for key, account in accounts.items()]
        return tuple(sorted(found, key=lambda group: (-(group.cost_usd or 0), -group.calls, group.name)))

    def latencies(self, queues_ms: Sequence[float]) -> tuple[Latency, ...]:
        """Return how long calls took, all models together first.

        Args:
            queues_ms: how long rate limits held calls back.
        """
        pairs = {"all": self.all_times(), **(self.times if len(self.times) > 1 else {})}
        queue = sorted(Counter(queues_ms).items())
        measured = [
            *(("duration", model, pair[0]) for model, pair in pairs.items()),
            *(("ttft", model, pair[1]) for model, pair in pairs.items()),
            ("queue", "all", queue),
        ]
        return tuple(latency(model, measure, times) for measure, model, times in measured if times)

    def _accounts(self, name: Callable[[Entry], str]) -> dict[str, _Account]:
        accounts: defaultdict[str, _Account] = defaultdict(_Account)
        for cell in self.cells:
            accounts[name(cell)].count(cell)
        for billed in self.billed:
            accounts[name(billed)].bill(billed)
        for row in self.rolled:
            account = accounts[name(row)]
            account.calls += row.calls
            account.ok += row.ok
            account.bill(row.as_billed())
        return accounts


def times_by(cells: Iterable[Cell], name: Callable[[Cell], str]) -> dict[str, Pair]:
    """Return how long the calls of each group took, those with most calls first."""
    durations: defaultdict[str, list[array[int]]] = defaultdict(list)
    ttfts: defaultdict[str, list[array[int]]] = defaultdict(list)
    for cell in cells:
        if cell.durations_us:
            durations[name(cell)].append(cell.durations_us)
            ttfts[name(cell)].append(cell.ttfts_us)
    most_first = sorted(durations, key=lambda key: (-sum(map(len, durations[key])), key))
    return {key: (times_of(durations[key]), times_of(ttfts[key])) for key in most_first}


def _role(entry: Entry) -> str:
    return (entry.role if isinstance(entry, Rolled) else entry.name) or NOBODY


def _agent(entry: Entry) -> str:
    return NOBODY if isinstance(entry, Rolled) else entry.name or NOBODY


def _calendar(days: Iterable[str]) -> list[str]:
    """Return all days from the first to the last one, unless that are too many."""
    found = sorted(days)
    if not found:
        return []
    first, last = date.fromisoformat(found[0]), date.fromisoformat(found[-1])
    between = (last - first).days
    return found if between > _MOST_DAYS else [(first + n * _DAY).isoformat() for n in range(between + 1)]
