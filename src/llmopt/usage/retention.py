"""Removes what is too old, or too much. What calls add up to is kept, so that the sums of days do not change.

All is done in small transactions, so that nobody who writes waits long. The caller holds the lease.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import NamedTuple, Protocol

import orjson

from ..errors import ConfigurationError
from .retention_sql import (
    EXPIRED_BATCHES,
    EXPIRED_CALLS,
    EXPIRED_CONTENTS,
    FORGET_BATCHES,
    FORGET_CALLS,
    FORGET_CONTENTS,
    FORGET_PROCESSES,
    USES,
)
from .values import timestamp

EVERY_S = 3600.0
"""How often a log is looked after."""

PATIENCE_S = 1.0
"""How long `maintain` goes on at a time."""

ROWS = 256
"""Calls or texts in one transaction, which takes some 10 ms."""

PAGES = 256
"""Pages that are given back to the system in one transaction."""

_DAY_S = 86_400


class Retention(Protocol):
    """What is to be kept of a log; see `prune`."""

    @property
    def keep_days(self) -> float | None: ...  # noqa: D102
    @property
    def keep_content_days(self) -> float | None: ...  # noqa: D102
    @property
    def max_bytes(self) -> int | None: ...  # noqa: D102


class Pruned(NamedTuple):
    """What was removed.

    Attributes:
        calls: calls, each with its attempts and the uses of its texts.
        contents: texts that were taken out of fragments which stay.
        bytes_freed: bytes that were given back to the system.
        finished: whether that is all; False if time was up.
    """

    calls: int = 0
    contents: int = 0
    bytes_freed: int = 0
    finished: bool = True

    def plus(self, other: Pruned) -> Pruned:
        """Return both together; the other one is the later."""
        calls, contents, freed, finished = other
        return Pruned(self.calls + calls, self.contents + contents, self.bytes_freed + freed, finished)


def due(settings: Retention, last_s: float | None, now_s: float) -> bool:
    """Tell whether it is time for `maintain`.

    Args:
        settings: what is to be kept.
        last_s: when it was done last, in seconds; None for never.
        now_s: the time now, by the same clock.

    Example:
        >>> from llmopt.usage.settings import Settings
        >>> due(Settings(keep_days=30), None, 0.0), due(Settings(keep_days=30), 0.0, 60.0)
        (True, False)
    """
    if settings.keep_days is None and settings.keep_content_days is None and settings.max_bytes is None:
        return False
    return last_s is None or not 0 <= now_s - last_s < EVERY_S  # a clock may be set back


def maintain(connection: sqlite3.Connection, settings: Retention, now: float) -> Pruned:
    """Prune for a moment (`PATIENCE_S`). If that was not enough, it goes on at the next call.

    Args:
        connection: as for `prune`.
        settings: what is to be kept.
        now: the time, in seconds since the epoch.
    """
    kept = (settings.keep_days, settings.keep_content_days, settings.max_bytes)
    return prune(connection, *kept, now=now, limit_s=PATIENCE_S)


def prune(
    connection: sqlite3.Connection,
    keep_days: float | None = None,
    keep_content_days: float | None = None,
    max_bytes: int | None = None,
    now: float | None = None,
    *,
    limit_s: float | None = None,
) -> Pruned:
    """Remove calls and texts that are too old, then the oldest days until the file is small enough.

    With a call go its attempts, the uses of its texts, the texts that no other call uses, and in the end its
    batch. Sums by day, provider, model and role are kept in `usage_rollup`, so that `usage_daily` says the
    same as before. A text alone is removed where no call has used it for so long.

    Args:
        connection: the log's file, not in a transaction, under the lease. A file shrinks only if it was made
            with `PRAGMA auto_vacuum = INCREMENTAL`; otherwise the pages are used again.
        keep_days: days after which calls are removed, or None.
        keep_content_days: days since its last use after which a text is removed, or None.
        max_bytes: bytes that the file may have, or None. Whole days are removed, the oldest first; of the
            last day the oldest calls.
        now: the time, in seconds since the epoch; None asks the clock.
        limit_s: seconds after which to stop, or None. One step is always made.

    Returns:
        What was removed.

    Raises:
        ConfigurationError: a bound is not above 0.
        sqlite3.Error: the file cannot be written. What was removed before stays so.
    """
    for name, bound in (("days", keep_days), ("content_days", keep_content_days), ("max_bytes", max_bytes)):
        _check(name if name == "max_bytes" else f"keep_{name}", bound)
    ends_at = None if limit_s is None else time.monotonic() + limit_s
    now_s = time.time() if now is None else now
    pages = _pages(connection)
    total = Pruned()
    with _erasing(connection):
        for step in _steps(connection, keep_days, keep_content_days, max_bytes, now_s):
            total = total.plus(step)
            if ends_at is not None and time.monotonic() >= ends_at:
                total = total._replace(finished=False)
                break
    freed = max(0, pages - _pages(connection)) * _pragma(connection, "page_size")
    return total._replace(bytes_freed=freed)


def _steps(
    connection: sqlite3.Connection,
    keep_days: float | None,
    keep_content_days: float | None,
    max_bytes: int | None,
    now_s: float,
) -> Iterator[Pruned]:
    """Remove one thing after the other; each step is a transaction."""
    if keep_content_days is not None:
        yield from _remove_contents(connection, timestamp(now_s - keep_content_days * _DAY_S))
    if keep_days is not None:
        yield from _remove_calls(connection, timestamp(now_s - keep_days * _DAY_S))
    if max_bytes is not None:
        yield from _shrink(connection, max_bytes)
    yield from _vacuum(connection)


def _remove_contents(connection: sqlite3.Connection, before: str) -> Iterator[Pruned]:
    """Remove texts whose last use was before that time; their digests stay."""
    last = 0
    while True:
        with _transaction(connection):
            rows = connection.execute(EXPIRED_CONTENTS, (before, last, before, ROWS)).fetchall()
            found = [row for row, is_expired in rows if is_expired]
            connection.execute(FORGET_CONTENTS, (_json(found),))
        if not rows:
            return
        last = rows[-1][0]
        yield Pruned(contents=len(found))


def _remove_calls(connection: sqlite3.Connection, before: str) -> Iterator[Pruned]:
    """Remove calls that began before that time, and what belongs to them alone."""
    while True:
        with _transaction(connection):
            ids = [row[0] for row in connection.execute(EXPIRED_CALLS, (before, ROWS))]
            given = _json(ids)
            digests = _json([row[0] for row in connection.execute(USES, (given,))])
            for sql in FORGET_CALLS:
                connection.execute(sql, {"calls": given, "digests": digests})
        if not ids:
            break
        yield Pruned(calls=len(ids))
    yield from _remove_batches(connection, before)


def _remove_batches(connection: sqlite3.Connection, before: str) -> Iterator[Pruned]:
    """Remove batches without a call that is left, and processes of that time."""
    while True:
        with _transaction(connection):
            ids = _json([row[0] for row in connection.execute(EXPIRED_BATCHES, (before, ROWS))])
            for sql in FORGET_BATCHES:
                connection.execute(sql, (ids,))
            connection.execute(FORGET_PROCESSES, (before,))
        if ids == "[]":
            return
        yield Pruned()


def _shrink(connection: sqlite3.Connection, max_bytes: int) -> Iterator[Pruned]:
    """Remove the oldest day, again and again, until all that is left has room in so many bytes."""
    while _used_bytes(connection) > max_bytes:
        oldest, newest = connection.execute("SELECT min(started_at), max(started_at) FROM calls").fetchone()
        if oldest is None:
            return
        is_last = oldest[:10] == newest[:10]
        before = newest + "~" if is_last else oldest[:10] + "T~"  # "~" is behind all that a time may have
        for step in _remove_calls(connection, before):
            yield step
            if is_last and _used_bytes(connection) <= max_bytes:
                return


def _vacuum(connection: sqlite3.Connection) -> Iterator[Pruned]:
    """Give pages back that nothing is on. The driver would stop after the first one in `execute`."""
    pages = _pages(connection)
    while _pragma(connection, "freelist_count"):
        connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")
        before, pages = pages, _pages(connection)
        if pages == before:
            return
        yield Pruned()


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages = _pages(connection) - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _pages(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "page_count")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


@contextmanager
def _erasing(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Have what is removed overwritten: a text must not stay in the file where no query finds it."""
    before = _pragma(connection, "secure_delete")
    connection.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA secure_delete = {before}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None, None, None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _json(values: list[str] | list[int]) -> str:
    return orjson.dumps(values).decode()


def _check(name: str, bound: float | None) -> None:
    if bound is not None and (isinstance(bound, bool) or not isfinite(bound) or bound <= 0):
        raise ConfigurationError(f"prune: {name}={bound!r} is wrong: it must be a number above 0, or None")
