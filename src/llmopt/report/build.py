"""Makes reports and findings of a usage log."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..errors import ConfigurationError
from .compare import compare as compared
from .facts import Facts, facts
from .findings import findings
from .fragments import odd
from .log import Log, opened
from .notes import notes
from .savings import savings
from .selection import Selection, moment, side, stamp
from .troubles import throughput
from .types import Comparison, Finding, Report

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["BY", "analyze_usage", "compare_usage", "report_of"]

BY: Final = ("model", "role", "agent", "day")
"""What a report can be grouped by."""

CANDIDATES: Final = 20
"""Prompts that are listed as worth caching."""


def report_of(
    db: str | os.PathLike[str] | Database | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    by: str = "model",
    compare: tuple[str, str] | None = None,
    now: datetime | None = None,
) -> Report:
    """Return what a usage log says of a period.

    Args:
        db: the log: its file, a database that `llmopt.usage.open` has returned, or None for
            `llmopt/usage.db` in llm's user folder.
        since: calls from then on: how long ago (`24h`, `7d`), or ISO-8601, in UTC unless it says otherwise.
        until: calls before then, likewise.
        by: what they are grouped by: "model", "role", "agent" or "day".
        compare: two sides to be put beside each other: periods (`7d`, `2026-11-01..2026-11-07`,
            `before:2026-11-10`, `after:2026-11-10`, `today`, `last-week`), or `role:NAME`, `model:NAME`,
            `agent:NAME`, `tag:NAME=VALUE`.
        now: the present; None for the clock's.

    Returns:
        The report: `print` shows it, `to_dict()` has its figures.

    Raises:
        ConfigurationError: an argument is wrong.
        StoreError: there is no such log, or it cannot be read.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog("squad.db", role="tactical"))
        >>> model.prompt("What now?").text()
        'HOLD'
        >>> report_of("squad.db", by="role").groups[0].name
        'tactical'
    """
    if by not in BY:
        raise ConfigurationError(f"by={by!r} is unknown: say one of {', '.join(BY)}")
    present = now or datetime.now(UTC)
    selection = _selected(since, until, present)
    sides = None if compare is None else [side(text, present, selection) for text in compare]
    with opened(db) as log:
        found = facts(log, selection, by, present)
        beside = None if sides is None else compared(log, *sides)
        return _report(log, selection, found, present, beside)


def analyze_usage(
    db: str | os.PathLike[str] | Database | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    now: datetime | None = None,
) -> list[Finding]:
    """Return what could be made cheaper, faster or safer, and the line of code that would do it.

    Args:
        db: the log, as for `report_of`.
        since: calls from then on.
        until: calls before then.
        now: the present; None for the clock's.

    Returns:
        The findings, the dearest first; each has its evidence in figures of the log.

    Raises:
        ConfigurationError: an argument is wrong.
        StoreError: there is no such log, or it cannot be read.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(["HOLD"] * 30), llmopt.UsageLog("usage.db"))
        >>> answers = [model.prompt("What now?").text() for _ in range(30)]
        >>> next(f.fix for f in analyze_usage("usage.db") if f.code == "repeated-prompt")
        'llmopt.Cache(ttl=3600)'
    """
    present = now or datetime.now(UTC)
    selection = _selected(since, until, present)
    with opened(db) as log:
        return list(findings(facts(log, selection, "model", present)))


def compare_usage(
    first: str,
    second: str,
    db: str | os.PathLike[str] | Database | None = None,
    *,
    now: datetime | None = None,
) -> Comparison:
    """Return two periods, roles or tags beside each other: measure, change something, and measure again.

    Args:
        first: the first side, as for `report_of`.
        second: the second side; differences are those of the second from the first.
        db: the log, as for `report_of`.
        now: the present; None for the clock's.

    Raises:
        ConfigurationError: a side is wrong.
        StoreError: there is no such log, or it cannot be read.

    Example:
        >>> from llmopt.testing.usage import fill_log
        >>> fill_log("made_up.db", 2000, now=datetime(2026, 11, 21, tzinfo=UTC))
        >>> beside = compare_usage("before:2026-11-14", "after:2026-11-14", "made_up.db")
        >>> {change.measure: change.verdict for change in beside.changes}["tokens_per_call"]
        'better'
    """
    present = now or datetime.now(UTC)
    sides = [side(text, present) for text in (first, second)]
    with opened(db) as log:
        return compared(log, *sides)


def _selected(since: str | None, until: str | None, now: datetime) -> Selection:
    if since is None and until is None:
        return Selection()
    name = f"{since or ''}..{until or ''}" if until else f"{since}"
    begins, ends = (None if text is None else moment(text, now) for text in (since, until))
    if begins is not None and ends is not None and begins >= ends:
        raise ConfigurationError(f"the period ends before it begins: from {begins} to {ends}")
    return Selection(name, begins, ends)


def _report(log: Log, selection: Selection, found: Facts, now: datetime, beside: Comparison | None) -> Report:
    ledger, sources = found.ledger, Counter[str]()
    outcomes = Counter[str]()
    for cell in ledger.cells:
        counts = cell.counts
        sources["provider"] += counts.counted - counts.doubtful
        sources["nobody"] += counts.calls - counts.counted
        sources.update(counts.sources)
        outcomes.update(counts.outcomes)
    return Report(
        path=log.path,
        made_at=stamp(now),
        period=found.period,
        total=found.total,
        by=ledger.by,
        groups=ledger.groups(),
        days=ledger.days(),
        savings=savings(ledger.cells, ledger.billed, found.batches, found.prices),
        latency=found.latencies,
        throughput=throughput(log, selection, found.period, ledger.cells),
        errors=found.errors,
        retries=found.retries,
        tiers=found.tiers,
        fragments=found.texts.frequent,
        odd_fragments=odd(found.texts, found.sample, found.period),
        candidates=found.repeats.candidates(CANDIDATES),
        batches=tuple(batch.stats for batch in found.batches),
        drops=found.drops,
        findings=findings(found),
        cache_outcomes=_known(outcomes),
        token_sources=_known(sources),
        unpriced_models=tuple(row.name for row in ledger.by_model() if row.unpriced_attempts),
        rolled_up_calls=sum(row.calls for row in ledger.rolled),
        notes=tuple(notes(log, selection, found, sources, now)),
        comparison=beside,
    )


def _known(counted: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Return what was counted at all, the most frequent first."""
    return tuple((name, number) for name, number in counted.most_common() if number)
