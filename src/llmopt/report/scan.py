"""Reads all calls of a selection once, slice by slice, and adds them up.

A slice is small enough for SQLite to sort it in memory, which is what grouping takes. SQLite lets go of
Python's lock meanwhile, so that several threads read at a time. What is needed of each single call comes as
JSON arrays: a row for each would take longer than all the rest.
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

import orjson

from .log import Log
from .repeats import Repeats
from .selection import Selection
from .tally import Cell, Counts, Sums

__all__ = ["Part", "Scan", "Slice", "pieces", "read", "scan"]

EXACT_CALLS: Final = 200_000
"""Calls beyond which times are read to three digits."""

SLICE_CALLS: Final = 25_000
"""Calls of a slice: what SQLite needs to sort them, and what Python makes of them, is some 10 MB."""

_MOST_THREADS: Final = 4
_SPARSE: Final = 4  # a day whose calls fill less than this part of their row ids is read by its index

_ANSWERED: Final = "attempts > 0 AND status = 'ok' AND cache_outcome IS NOT 'stale'"
_HARD: Final = "attempts > 1 OR tier > 0 OR attempts = 1 AND (status <> 'ok' OR cache_outcome = 'stale')"
_NOBODY: Final = "''"
_TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_RAN: Final = "FILTER (WHERE attempts > 0)"
_COUNTS: Final = (
    "count(*)",
    "sum(status = 'ok')",
    "sum(attempts)",
    "count(tokens_source)",
    f"count(input_tokens) {_RAN}",
    f"count(cost_usd_nano) {_RAN}",
    f"count(tokens_before) {_RAN}",
)
_SUMS: Final = (
    *(f"sum({column}) {_RAN}" for column in _TOKENS),
    *(f"sum({column}) FILTER (WHERE attempts = 0 AND status = 'ok')" for column in _TOKENS[:-1]),
    f"sum(cost_usd_nano) {_RAN}",
    f"sum(tokens_before - tokens_after) {_RAN}",
)


def _us(column: str, *, exact: bool) -> str:
    """Return SQL for milliseconds as microseconds: all digits of them, or the first three.

    The fewer numbers there are, the faster they are counted.
    """
    if exact:
        return f"CAST({column} * 1000 AS INTEGER)"
    return (
        f"CASE WHEN {column} >= 1000 THEN CAST({column} / 10 AS INTEGER) * 10000 "
        f"WHEN {column} >= 100 THEN CAST({column} AS INTEGER) * 1000 "
        f"WHEN {column} >= 10 THEN CAST({column} * 10 AS INTEGER) * 100 "
        f"ELSE CAST({column} * 100 AS INTEGER) * 10 END"
    )


# What few calls have, or what is needed of each of them.
_ARRAYS: Final = (
    "json_group_array(cache_outcome) FILTER (WHERE cache_outcome IS NOT NULL)",
    "json_group_array(tokens_source) FILTER (WHERE tokens_source <> 'provider')",
    f"json_group_array(id) FILTER (WHERE {_HARD})",
    "json_group_array(queue_ms) FILTER (WHERE queue_ms IS NOT NULL)",
)
_TIMES: Final = {
    exact: (
        f"json_group_array({_us('duration_ms', exact=exact)}) FILTER (WHERE {_ANSWERED})",
        f"json_group_array({_us('ttft_ms', exact=exact)}) FILTER (WHERE {_ANSWERED} AND ttft_ms IS NOT NULL)",
    )
    for exact in (True, False)
}
_FIXED: Final = len(_ARRAYS) + 2  # the two times
_PROMPTS: Final = tuple(
    f"{function}({column}) {_RAN}"
    for function, column in (
        ("group_concat", "coalesce(prompt_digest, '')"),  # hexadecimal, so that there is nothing to escape
        ("json_group_array", "input_tokens"),
        ("json_group_array", "output_tokens"),
        ("json_group_array", "cost_usd_nano"),
    )
)


class Slice(NamedTuple):
    """Some calls of one day.

    Attributes:
        day: the day in UTC.
        since: when the first may have begun.
        until: before when the last must have.
        rows: row ids of the first and the last; None where they lie far apart.
    """

    day: str
    since: str
    until: str
    rows: tuple[int, int] | None = None


@dataclass(slots=True)
class Scan:
    """What was found.

    Attributes:
        cells: the calls by what they have in common.
        hard: ids of the calls whose runs are to be looked at one by one.
        queues_ms: how long rate limits held calls back.
        repeats: prompts that came more than once.
    """

    cells: list[Cell] = field(default_factory=list[Cell])
    hard: list[str] = field(default_factory=list[str])
    queues_ms: list[float] = field(default_factory=list[float])
    repeats: Repeats = field(default_factory=Repeats)


def scan(log: Log, selection: Selection, calls: int, by: str = "model") -> Scan:
    """Return what all calls of a selection come to.

    Args:
        log: the log.
        selection: which calls.
        calls: how many there are.
        by: what they are told apart by beside day and model: "role" or "agent".
    """
    found = Scan()
    slices = list(pieces(log, selection, SLICE_CALLS))
    for part in read(log, selection, slices, by, prompts=True, exact=calls <= EXACT_CALLS):
        found.cells += part.cells
        found.hard += part.hard
        found.queues_ms += part.queues_ms
        # In order, whichever thread was first: it is always the same call that is the first of its kind.
        for cell, digests, columns in part.prompts:
            role = cell.name if by == "role" else ""
            found.repeats.add(cell, role, digests.split(","), *map(orjson.loads, columns))
    return found


def pieces(log: Log, selection: Selection, calls: int) -> Iterator[Slice]:
    """Yield slices that hold all calls of a selection, each of them once.

    Args:
        log: the log.
        selection: which calls.
        calls: how many calls a slice may hold.
    """
    where, values = selection.where()
    next_ = f"SELECT min(started_at) FROM calls WHERE started_at >= ? AND {where}"  # noqa: S608
    rows = (
        "SELECT count(*), min(calls.rowid), max(calls.rowid) FROM calls "  # noqa: S608
        f"WHERE started_at >= ? AND started_at < ? AND {where}"
    )
    since = ""
    while since := log.row(next_, [since, *values])[0] or "":
        day, until = since[:10], f"{since[:10]}U"  # where that has a U, times have a T
        number, first, last = log.row(rows, [since, until, *values])
        if last - first > _SPARSE * number + calls:
            yield from _by_index(day, since, until, hourly=number > calls)
        else:
            for begin in range(first, last + 1, calls):
                yield Slice(day, since, until, (begin, min(last, begin + calls - 1)))
        since = until


def _by_index(day: str, since: str, until: str, *, hourly: bool) -> Iterator[Slice]:
    if not hourly:
        yield Slice(day, since, until)
        return
    for hour in range(24):
        yield Slice(day, f"{day}T{hour:02}", f"{day}T{hour:02}~")


class Part(NamedTuple):
    """What a slice holds.

    Attributes:
        cells: its calls by what they have in common.
        hard: ids of the calls whose runs are to be looked at one by one.
        queues_ms: how long rate limits held calls back.
        prompts: for a cell, what each of its calls has asked, and their tokens and prices as JSON.
    """

    cells: list[Cell]
    hard: list[str]
    queues_ms: list[float]
    prompts: list[tuple[Cell, str, list[str]]]


def read(
    log: Log,
    selection: Selection,
    slices: Iterable[Slice],
    by: str = "model",
    *,
    prompts: bool = False,
    exact: bool = True,
) -> Iterator[Part]:
    """Yield what each slice holds, in order.

    Args:
        log: the log.
        selection: which calls.
        slices: the slices.
        by: what calls are told apart by beside day and model: "role" or "agent".
        prompts: whether it is of interest what they have asked.
        exact: whether times are wanted to the microsecond, or to three digits.
    """
    where, values = selection.where()
    name = f"coalesce({by}, '')" if by in ("role", "agent") else ""
    groups = ", ".join(filter(None, ("price_id", "model_requested", name)))
    columns = (*_COUNTS, *_SUMS, *_ARRAYS, *_TIMES[exact], *(_PROMPTS if prompts else ()))
    select = f"SELECT price_id, model_requested, {name or _NOBODY}, {', '.join(columns)} FROM calls"  # noqa: S608
    rest = f"started_at >= ? AND started_at < ? AND {where} GROUP BY {groups}"

    idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()

    def one(slice_: Slice) -> Part:
        sql, rows = f"{select} WHERE {rest}", slice_.rows or ()
        if rows:
            sql = f"{select} NOT INDEXED WHERE calls.rowid BETWEEN ? AND ? AND {rest}"
        connection = idle.get()
        try:
            found = connection.execute(sql, (*rows, slice_.since, slice_.until, *values))
            return _part(found, slice_.day)
        finally:
            idle.put(connection)

    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    with ExitStack() as stack:
        for _ in range(threads):
            idle.put(stack.enter_context(closing(log.connect())))
        pool = stack.enter_context(ThreadPoolExecutor(threads, "llmopt-report"))
        yield from pool.map(one, slices)


def _part(rows: Iterable[tuple[Any, ...]], day: str) -> Part:
    part = Part([], [], [], [])
    for price, model, name, *values in rows:
        counts, rest = values[: len(_COUNTS)], values[len(_COUNTS) :]
        (*tokens, cost_nano, shrunk), arrays = rest[: len(_SUMS)], rest[len(_SUMS) :]
        outcomes, sources, hard, queues_ms, *times_us = map(orjson.loads, arrays[:_FIXED])
        cell = Cell(
            day,
            name,
            model,
            price,
            Counts._make([*counts, Counter[str](outcomes), Counter[str](sources)]),
            Sums(*tokens[: len(_TOKENS)]),
            Sums(*tokens[len(_TOKENS) :]),
            cost_nano,
            shrunk,
            *(array("Q", of_calls) for of_calls in times_us),
        )
        part.cells.append(cell)
        part.hard.extend(hard)
        part.queues_ms.extend(queues_ms)
        digests, *columns = arrays[_FIXED:] or (None,)
        if digests:
            part.prompts.append((cell, digests, columns))
    return part
