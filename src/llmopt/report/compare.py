"""Two periods, roles or tags beside each other: has what was changed made a difference?"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from operator import attrgetter
from typing import Final, NamedTuple

from .batches import Batch, batches
from .bootstrap import BLOCKS, LEAST_BLOCKS, RESAMPLES, SEED, Figure, interval
from .latency import Quantiles, times_of
from .log import Log
from .pricing import NANO
from .scan import pieces, read
from .selection import Selection
from .tally import Cell
from .types import Change, Comparison, Verdict

__all__ = ["compare"]

METHOD: Final = (
    f"95 % bootstrap intervals of the difference: {RESAMPLES:,} resamples of some {BLOCKS} blocks of calls "
    f"that follow each other (seed {SEED}); none for less than {LEAST_BLOCKS} blocks."
)


@dataclass(slots=True)
class _Block:
    """Some calls that follow each other."""

    calls: int = 0
    failed: int = 0
    served: int = 0
    looked_up: int = 0
    priced: int = 0
    cost_usd: float = 0.0
    tokens: int = 0
    input_tokens: int = 0
    read_tokens: int = 0
    durations_us: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, cell: Cell) -> None:
        """Add calls."""
        counts = cell.counts
        self.calls += counts.calls
        self.failed += counts.calls - counts.ok
        self.served += counts.served
        self.looked_up += counts.served + counts.missed
        self.priced += counts.calls - max(0, counts.told - counts.priced)
        self.cost_usd += (cell.cost_nano or 0) / NANO
        self.tokens += cell.ran.tokens
        if cell.ran.read is not None:
            self.input_tokens += cell.ran.input or 0
            self.read_tokens += cell.ran.read
        self.durations_us += cell.durations_us


class _Side(NamedTuple):
    """One side of a comparison: its calls and its batches in blocks."""

    blocks: Sequence[_Block]
    batches: Sequence[Sequence[Batch]]


class _Measure(NamedTuple):
    """What is compared.

    Attributes:
        name: its name.
        title: its name for people.
        unit: "usd", "tokens", "ms" or "share".
        more_is_better: whether a greater figure is the better one.
        part: the attribute of a block that is a part, if the figure is a ratio.
        whole: that of what it is a part.
        level: the quantile, if it is one.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool
    part: str = ""
    whole: str = ""
    level: float = 0.0

    def of(self, side: _Side) -> Figure:
        """Return the figure of a side."""
        if self.level:
            return _quantile_ms(side.blocks, self.level)
        if not self.part:
            return Figure(
                [(sum(b.valid for b in part), sum(b.judged for b in part)) for part in side.batches]
            )
        part, whole = attrgetter(self.part), attrgetter(self.whole)
        return Figure([(part(block), whole(block)) for block in side.blocks])


def _quantile_ms(blocks: Sequence[_Block], level: float) -> Figure:
    times = times_of(block.durations_us for block in blocks)
    if not times:
        return Figure([])
    quantiles = Quantiles(times)
    limit_us = round(quantiles.at(level) * 1000)
    shares = [(sum([us <= limit_us for us in b.durations_us]), len(b.durations_us)) for b in blocks]
    return Figure(shares, quantiles, level)


_MEASURES: Final = (
    _Measure("cost_per_call_usd", "cost a call", "usd", False, "cost_usd", "priced"),
    _Measure("tokens_per_call", "tokens a call", "tokens", False, "tokens", "calls"),
    _Measure("duration_p50_ms", "duration p50", "ms", False, level=0.50),
    _Measure("duration_p95_ms", "duration p95", "ms", False, level=0.95),
    _Measure("failure_rate", "failure rate", "share", False, "failed", "calls"),
    _Measure("hit_rate", "cache hit rate", "share", True, "served", "looked_up"),
    _Measure("provider_cache_rate", "prefix cache rate", "share", True, "read_tokens", "input_tokens"),
    _Measure("valid_rate", "valid-row rate", "share", True),
)


def compare(log: Log, first: Selection, second: Selection) -> Comparison:
    """Return two sides beside each other.

    Args:
        log: the log.
        first: the first side, such as the period before a change.
        second: the second side.
    """
    before, after = _side(log, first), _side(log, second)
    return Comparison(
        first.name,
        second.name,
        sum(block.calls for block in before.blocks),
        sum(block.calls for block in after.blocks),
        tuple(_change(measure, measure.of(before), measure.of(after)) for measure in _MEASURES),
        METHOD,
    )


def _change(measure: _Measure, before: Figure, after: Figure) -> Change:
    first, second = before.value, after.value
    ends = None if first is None or second is None else interval(before, after)
    low, high = ends or (None, None)
    verdict = _verdict(low, high, more_is_better=measure.more_is_better)
    return Change(measure.name, measure.title, measure.unit, first, second, low, high, verdict)


def _verdict(low: float | None, high: float | None, *, more_is_better: bool) -> Verdict:
    if low is None or high is None:
        return "unknown"
    if low <= 0 <= high:
        return "no difference shown"
    return "better" if (low > 0) == more_is_better else "worse"


def _side(log: Log, selection: Selection) -> _Side:
    where, values = selection.where()
    ends = (f"SELECT {end}(calls.rowid) FROM calls WHERE {where}" for end in ("min", "max"))  # noqa: S608
    first, last = (log.row(sql, values)[0] for sql in ends)
    if first is None:
        return _Side((), ())
    calls = ceil((last - first + 1) / BLOCKS)
    blocks = (_block(part.cells) for part in read(log, selection, pieces(log, selection, calls)))
    found = batches(log, selection)
    size = ceil(len(found) / BLOCKS)
    parts = [found[start : start + size] for start in range(0, len(found), size)] if found else []
    return _Side([block for block in blocks if block.calls], parts)


def _block(cells: Iterable[Cell]) -> _Block:
    block = _Block()
    for cell in cells:
        block.add(cell)
    return block
