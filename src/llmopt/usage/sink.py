"""Writes records into the file, many in one transaction."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from secrets import choice

from ..forks import never_free
from .database import Lease, connect
from .record import Record, Values
from .rows import inserts
from .statements import Insert
from .values import timestamp

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"  # in lower case, as llm writes its ids
_TIME_CHARACTERS, _RANDOM_CHARACTERS = 10, 16  # of a ULID


class Sink:
    """One file that this process writes to, by one thread at a time.

    Args:
        path: the file, absolute.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lease = Lease(path)
        self._forget()

    def _forget(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._introduced = False
        self._lost: dict[str, int] = {}

    def __del__(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def write(self, records: Sequence[Values]) -> int:
        """Write records, given by their values, in one transaction.

        Returns:
            How many were written; the others cannot be, because of what they hold.

        Raises:
            sqlite3.Error: none was written; likewise
            OSError: none was written.
        """
        prepared, lost = _prepared(records), dict(self._lost)
        with self._lease.held():
            connection = self._open()
            if prepared is not None and self._write_together(connection, prepared, lost):
                written = len(records)
            else:
                with _transaction(connection):
                    written = sum(_write_alone(connection, record) for record in records)
                    self._tell(connection, lost)
        self._introduced = True
        for reason, count in lost.items():
            self._lost[reason] -= count
        return written

    def lose(self, records: int, reason: str) -> None:
        """Note that records are lost, for the table of drops when the file can be written again."""
        self._lost[reason] = self._lost.get(reason, 0) + records

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error, OSError), self._lease.held():  # the last one to close it checkpoints
                connection.close()
            with suppress(sqlite3.Error):
                connection.close()
        self._lease.close()

    def disown(self) -> None:
        """Leave to the parent, in the child of a fork, what belongs to it."""
        if self._connection is not None:
            never_free(self._connection)
        self._lease.close()
        self._forget()

    def _open(self) -> sqlite3.Connection:
        """Return the connection, a new one if the file is another by now: somebody may have removed it."""
        if self._connection is not None and self._inode != _inode(self._path):
            self._connection.close()
            self._connection, self._introduced = None, False
        if self._connection is None:
            self._connection = connect(self._path)
            self._inode = _inode(self._path)
        return self._connection

    def _write_together(
        self, connection: sqlite3.Connection, prepared: list[Insert], lost: dict[str, int]
    ) -> bool:
        """Write what is prepared; False if one of the records is at fault, for then none was written."""
        try:
            with _transaction(connection):
                _execute(connection, prepared)
                self._tell(connection, lost)
        except Exception as error:
            if _is_of_the_file(error):
                raise
            return False
        return True

    def _tell(self, connection: sqlite3.Connection, lost: dict[str, int]) -> None:
        """Write who writes here, and what was lost."""
        now, pid = timestamp(time.time()), os.getpid()
        if not self._introduced:
            host = sha256(platform.node().encode()).hexdigest()[:32]
            packages = (_version("llmopt"), _version("llm"))
            connection.execute(
                "INSERT INTO processes (pid, host, started_at, llmopt, llm, python, sqlite)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (pid, host, now, *packages, platform.python_version(), sqlite3.sqlite_version),
            )
        connection.executemany(
            "INSERT INTO drops (at, pid, reason, records) VALUES (?, ?, ?, ?)",
            [(now, pid, reason, count) for reason, count in lost.items() if count],
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Take the write lock at once: one that is taken in the middle cannot be waited for."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _prepared(records: Sequence[Values]) -> list[Insert] | None:
    """Return what writes these records, or None if one of them is at fault."""
    try:
        return inserts(records)
    except Exception:  # noqa: BLE001 - a model's own attributes may raise anything
        return None


def _execute(connection: sqlite3.Connection, prepared: list[Insert]) -> None:
    for sql, parameters in prepared:
        connection.executemany(sql, parameters)


def _write_alone(connection: sqlite3.Connection, values: Values) -> bool:
    """Write one record, under another id if its own is taken: llm's response has then run before."""
    record = Record._make(values)
    for candidate in (record, record._replace(id=_another(record.id))):
        prepared = _prepared([candidate])
        if prepared is None:
            return False
        connection.execute("SAVEPOINT record")
        try:
            _execute(connection, prepared)
        except Exception as error:
            if _is_of_the_file(error):
                raise
            connection.execute("ROLLBACK TO record")
            connection.execute("RELEASE record")
        else:
            connection.execute("RELEASE record")
            return True
    return False


def _is_of_the_file(error: Exception) -> bool:
    """Tell whether the file is at fault, not a record: it is locked, full, unreadable or corrupt."""
    return isinstance(error, (sqlite3.OperationalError, OSError)) or type(error) is sqlite3.DatabaseError


def _another(ulid: str) -> str:
    """Return a ULID of the same millisecond."""
    return ulid[:_TIME_CHARACTERS] + "".join(choice(_CROCKFORD) for _ in range(_RANDOM_CHARACTERS))


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for each batch
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
