"""The store in an SQLite file, which processes of one machine may share.

The file may hold other tables as well. It is opened at the first use, with one connection for each process:
a lock keeps the threads apart, and it is closed while the process forks. Which entries were used is
remembered here and written with the next entry, so that a hit only reads.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

from ..errors import ConfigurationError
from ._sqlite_file import SQLiteFile
from .checks import count_of, seconds_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS llmopt_cache_entries (
    key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL, put_at REAL NOT NULL, used INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS llmopt_cache_entries_used ON llmopt_cache_entries (used);
CREATE TABLE IF NOT EXISTS llmopt_cache_leases (
    key BLOB PRIMARY KEY NOT NULL, owner TEXT NOT NULL, expires_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS llmopt_cache_totals (
    id INTEGER PRIMARY KEY CHECK (id = 1), entries INTEGER NOT NULL, bytes INTEGER NOT NULL,
    evictions INTEGER NOT NULL, uses INTEGER NOT NULL
);
INSERT OR IGNORE INTO llmopt_cache_totals VALUES (1, 0, 0, 0, 0);
CREATE TRIGGER IF NOT EXISTS llmopt_cache_put AFTER INSERT ON llmopt_cache_entries BEGIN
    UPDATE llmopt_cache_totals SET entries = entries + 1, bytes = bytes + length(new.key) + length(new.value);
END;
CREATE TRIGGER IF NOT EXISTS llmopt_cache_gone AFTER DELETE ON llmopt_cache_entries BEGIN
    UPDATE llmopt_cache_totals SET entries = entries - 1, bytes = bytes - length(old.key) - length(old.value);
END;
"""

_GET = "SELECT value, put_at FROM llmopt_cache_entries WHERE key = ?"
_PUT = "INSERT INTO llmopt_cache_entries VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM llmopt_cache_entries WHERE key = ?"
_CLEAR = "DELETE FROM llmopt_cache_entries"
_KEYS = "SELECT key FROM llmopt_cache_entries ORDER BY used"
_OLDEST = f"{_KEYS} LIMIT 1"
_USED = "UPDATE llmopt_cache_entries SET used = ? WHERE key = ?"
_COUNT_USES = "UPDATE llmopt_cache_totals SET uses = uses + ? RETURNING uses"
_COUNT_EVICTION = "UPDATE llmopt_cache_totals SET evictions = evictions + 1"
_TOTALS = "SELECT entries, bytes, evictions FROM llmopt_cache_totals"
_LEASED = "SELECT 1 FROM llmopt_cache_leases WHERE key = ? AND owner != ? AND expires_at > ?"
_LEASE = "INSERT OR REPLACE INTO llmopt_cache_leases VALUES (?, ?, ?)"
_EXPIRE = "DELETE FROM llmopt_cache_leases WHERE expires_at <= ?"
_RELEASE = "DELETE FROM llmopt_cache_leases WHERE key = ? AND owner = ?"

_USED_MAX = 256


class SQLiteStore:
    """Entries in a file that processes share, the least recently used evicted first.

    The file is made for its owner only (mode 0600) and is in WAL mode. Whatever goes wrong with it (a lock
    that is held too long, a full disk, a damaged file) is a `StoreError`, which a `Cache` counts and gets
    over.

    Args:
        path: the file. Its folder must exist.
        max_entries: how many entries it holds at most.
        max_bytes: how many bytes the keys and values of all entries have at most.
        lease_s: seconds for which one process may keep the others waiting for an answer.
        busy_timeout_s: seconds to wait for a lock on the file.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with SQLiteStore(f"{folder}/cache.db") as store:
        ...         store.put(b"key", b"value", 0.0)
        ...         print(store.get(b"key"), store.stats())
        (b'value', 0.0) {'entries': 1, 'bytes': 8, 'evictions': 0}
    """

    blocking = True
    """It reads files, so an event loop asks it in a worker thread."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_entries: int = 100_000,
        max_bytes: int = 2**30,
        *,
        lease_s: float = 60.0,
        busy_timeout_s: float = 2.0,
    ) -> None:
        self.path = os.fspath(path)
        self.max_entries = count_of("SQLiteStore: max_entries", max_entries)
        self.max_bytes = count_of("SQLiteStore: max_bytes", max_bytes)
        self.lease_s = seconds_of("SQLiteStore: lease_s", lease_s)
        self.busy_timeout_s = seconds_of("SQLiteStore: busy_timeout_s", busy_timeout_s)
        if self.path in ("", ":memory:"):
            raise ConfigurationError(
                f"SQLiteStore: path={self.path!r} is no file; a cache without a store= is in memory"
            )
        self._file = SQLiteFile(self.path, _SCHEMA, busy_timeout_s)

    def get(self, key: bytes) -> tuple[bytes, float] | None:
        """Return the value and the time at which it was put, or None.

        Raises:
            StoreError: the file could not be used. So do all methods.
        """
        with self._file as file:
            found: tuple[bytes, float] | None = file.connection.execute(_GET, (key,)).fetchone()
            if found is not None:
                file.used.pop(key, None)
                file.used[key] = None
                if len(file.used) > _USED_MAX:
                    with suppress(sqlite3.Error):  # what was read is good, whether or not this is written
                        file.write(self._note_uses)
        return found

    def put(self, key: bytes, value: bytes, now: float) -> None:
        """Keep `value` under `key`, put at `now`."""

        def put(connection: sqlite3.Connection) -> None:
            self._note_uses(connection)
            connection.execute(_DELETE, (key,))
            if len(key) + len(value) <= self.max_bytes:
                (use,) = connection.execute(_COUNT_USES, (1,)).fetchone()
                connection.execute(_PUT, (key, bytes(value), now, use))
                self._evict(connection)

        with self._file as file:
            file.write(put)

    def delete(self, key: bytes) -> None:
        """Forget `key`, if it is there."""
        self._execute(_DELETE, (key,))

    def clear(self) -> None:
        """Forget everything."""
        self._execute(_CLEAR, ())

    def claim(self, key: bytes, owner: str, now: float, oldest: float) -> tuple[bytes, float] | bool:
        """Ask who is to answer.

        Args:
            key: what is asked.
            owner: a name for the one who asks.
            now: the time, in seconds since the epoch.
            oldest: when an entry that may be used was put at the earliest.

        Returns:
            The entry if there is one by now; else True if `owner` has got the lease and is to answer, or
            False while somebody else has it.
        """

        def answer(connection: sqlite3.Connection) -> tuple[bytes, float] | bool:
            found: tuple[bytes, float] | None = connection.execute(_GET, (key,)).fetchone()
            if found is not None and found[1] >= oldest:
                return found
            return connection.execute(_LEASED, (key, owner, now)).fetchone() is None

        def lease(connection: sqlite3.Connection) -> tuple[bytes, float] | bool:
            answered = answer(connection)
            if answered is True:
                connection.execute(_EXPIRE, (now,))
                connection.execute(_LEASE, (key, owner, now + self.lease_s))
            return answered

        with self._file as file:
            # Whoever waits looks often, and needs no write lock to see that nothing has changed.
            answered = answer(file.connection)
            return file.write(lease) if answered is True else answered

    def release(self, key: bytes, owner: str) -> None:
        """Give up the lease of `owner`, if it still has it."""
        self._execute(_RELEASE, (key, owner))

    def stats(self) -> dict[str, int]:
        """Return the counters, of all processes together."""
        with self._file as file:
            entries, size, evictions = file.connection.execute(_TOTALS).fetchone()
        return {"entries": entries, "bytes": size, "evictions": evictions}

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        file = self._file
        if file.opened:
            with file:
                file.write(self._note_uses)
            file.close()

    def __iter__(self) -> Iterator[bytes]:
        with self._file as file:
            file.write(self._note_uses)
            return iter([key for (key,) in file.connection.execute(_KEYS)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SQLiteStore({self.path!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _store, (self.path, self.max_entries, self.max_bytes, self.lease_s, self.busy_timeout_s)

    def _execute(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._file as file:
            file.write(lambda connection: connection.execute(statement, values))

    def _note_uses(self, connection: sqlite3.Connection) -> None:
        used = self._file.used
        if used:
            (last,) = connection.execute(_COUNT_USES, (len(used),)).fetchone()
            first = last - len(used) + 1
            connection.executemany(_USED, [(first + number, key) for number, key in enumerate(used)])
            used.clear()

    def _evict(self, connection: sqlite3.Connection) -> None:
        while True:
            entries, size, _ = connection.execute(_TOTALS).fetchone()
            if entries <= self.max_entries and size <= self.max_bytes:
                return
            connection.execute(_DELETE, connection.execute(_OLDEST).fetchone())
            connection.execute(_COUNT_EVICTION)


def _store(path: str, max_entries: int, max_bytes: int, lease_s: float, busy_timeout_s: float) -> SQLiteStore:
    return SQLiteStore(path, max_entries, max_bytes, lease_s=lease_s, busy_timeout_s=busy_timeout_s)
