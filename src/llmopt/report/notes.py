"""What a reader has to know before using the figures of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from .facts import EARLIEST, Facts
from .log import Log
from .selection import Selection, stamp
from .worth import counted

__all__ = ["notes"]

_MOST_NAMES: Final = 5


def notes(
    log: Log, selection: Selection, found: Facts, sources: Mapping[str, int], now: datetime
) -> Iterator[str]:
    """Yield what is missing, estimated or doubtful.

    Args:
        log: the log.
        selection: which calls.
        found: what it says of them.
        sources: calls by who counted their tokens.
        now: the present.
    """
    if not found.total.calls:
        yield from _nothing(log)
        return
    yield from _losses(found)
    yield from _prices(found)
    yield from _tokens(sources)
    yield from _clocks(log, selection, now)
    if not found.repeats.is_complete:
        yield "There are more prompts than were remembered: some that came again have not been seen."


def _nothing(log: Log) -> Iterator[str]:
    ends = log.ends(Selection())
    if not ends:
        yield "There are no calls in this log yet."
    else:
        yield f"There are no calls in this period. The log has some from {ends[0]:.16} to {ends[-1]:.16} UTC."


def _losses(found: Facts) -> Iterator[str]:
    lost = sum(drop.records for drop in found.drops)
    if lost:
        yield f"{counted(lost, 'record')} of the log {'was' if lost == 1 else 'were'} lost, and missing here."
    removed = sum(row.calls for row in found.ledger.rolled)
    if removed:
        yield (
            f"Of {counted(removed, 'call')} only sums by day are left: they count for calls, tokens and "
            "cost, and not for times, savings and texts."
        )


def _prices(found: Facts) -> Iterator[str]:
    names = [row.name for row in found.ledger.by_model() if row.unpriced_attempts]
    if names:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        yield (
            f"No price is known for {', '.join(names[:_MOST_NAMES])}{more}: costs and savings leave "
            f"{counted(found.total.unpriced_attempts, 'run')} out."
        )


def _tokens(sources: Mapping[str, int]) -> Iterator[str]:
    own = sources.get("tokenizer", 0) + sources.get("estimate", 0)
    if own:
        yield f"The tokens of {counted(own, 'call')} were counted by llmopt, not by the provider."


def _clocks(log: Log, selection: Selection, now: datetime) -> Iterator[str]:
    where, values = selection.where()
    sql = f"SELECT count(*) FROM calls WHERE started_at {{}} ? AND {where}"  # noqa: S608
    for compared, bound, what in ((">", stamp(now), "in the future"), ("<", EARLIEST, f"before {EARLIEST}")):
        wrong = log.row(sql.format(compared), [bound, *values])[0]
        if wrong:
            are = "is" if wrong == 1 else "are"
            yield f"{counted(wrong, 'call')} {are} dated {what}: some clock was wrong."
