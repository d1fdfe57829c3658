"""An SQLite file as one process has it open."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from types import TracebackType
from typing import Self, TypeVar

from ..errors import StoreError
from ..forks import FORKS, PATIENCE_S, never_free

T = TypeVar("T")

_RETRY_S = 0.01


class SQLiteFile:
    """A file, opened when it is entered for the first time.

    Inside `with`, this thread has it for itself, and SQLite's errors leave as `StoreError`.

    Args:
        path: the file.
        schema: the statements that make what is missing in it.
        busy_timeout_s: seconds to wait for other processes.

    Attributes:
        connection: the connection, inside `with`.
        used: the keys that were used since the last write, in order.
    """

    def __init__(self, path: str, schema: str, busy_timeout_s: float) -> None:
        self.used: dict[bytes, None] = {}
        self.connection: sqlite3.Connection
        self._opened = False
        self._path = path
        self._schema = schema
        self._busy_timeout_s = busy_timeout_s
        # Reentrant: a garbage collection may run the end of an abandoned call on this thread at any time.
        self._lock = RLock()
        FORKS.guard(self)

    def __enter__(self) -> Self:
        self._lock.acquire()
        if not self._opened:
            try:
                self._open()
            except (sqlite3.Error, OSError) as error:
                self._lock.release()
                raise self._failed(error) from error
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._lock.release()
        if isinstance(error, sqlite3.Error):
            raise self._failed(error) from error

    def __del__(self) -> None:
        if (
            self._opened
        ):  # nobody has to close a cache; but Python warns of a connection that is left to itself
            self.connection.close()

    def write(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `fn` does in one transaction, of which either all is done or nothing."""
        if self.connection.in_transaction:
            raise sqlite3.OperationalError("a write was begun in the middle of another")
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = fn(self.connection)
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                self.connection.execute("ROLLBACK")
            raise
        return result

    def close(self) -> None:
        """Close it; it is opened again when it is entered."""
        with self._lock:
            if self._opened:
                self._opened = False
                self.connection.close()

    def pause(self) -> bool:
        """Wait for the thread that has the file, let none in, and close it: see `forks`."""
        if not self._lock.acquire(timeout=PATIENCE_S):
            return False
        with suppress(sqlite3.Error):
            self.close()
        return True

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lock.release()

    def disown(self) -> None:
        """Begin anew in the child: it has uses of its own to note, and opens the file itself."""
        self._lock = RLock()
        self.used = {}
        if self._opened:  # it could not be closed in time
            self._opened = False
            never_free(self.connection)

    @property
    def opened(self) -> bool:
        """Whether it is open."""
        return self._opened

    def _open(self) -> None:
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self.connection, self._opened = connection, True

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait when two processes turn a new file to WAL at once.
        give_up_at = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(_RETRY_S)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(f"BEGIN IMMEDIATE; {self._schema} COMMIT;")

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(f"the cache file {self._path} cannot be used: {error}")
