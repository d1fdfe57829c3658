"""Writes what spool files hold into the database: a batch and where it ends, in one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from .frames import Unpacked, is_unfinished
from .losses import drop
from .segments import Segment, pid_of

Write: TypeAlias = "Callable[[sqlite3.Connection, Sequence[bytes]], None]"
"""Writes the rows of some payloads, inside of a transaction that is under way."""

BATCH_BYTES = 2**18
"""Bytes of records in one transaction: some hundred rows, so that each of them costs the disk little."""

_REACHED = (
    "INSERT INTO spools (name, position) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET position = excluded.position"
)


class TurnIsOver(Exception):
    """Others may take the lease now."""


class Transfer:
    """A turn of writing: as much as is written while the lease is held once.

    Args:
        connection: the database. Nobody else writes to it.
        write: writes the rows of payloads.
        ends_at: when the turn is over, in monotonic seconds. At least one batch is written.

    Attributes:
        payloads: how many were written.
        lost_bytes: bytes that belonged to no whole record.
    """

    def __init__(self, connection: sqlite3.Connection, write: Write, ends_at: float) -> None:
        self.payloads = self.lost_bytes = 0
        self._connection, self._write, self._ends_at = connection, write, ends_at
        self._positions: dict[str, int] = dict(connection.execute("SELECT name, position FROM spools"))
        self._synchronize("NORMAL")

    def end(self) -> None:
        """Have the turn be over after the batch that is being written."""
        self._ends_at = 0.0

    def write(self, payloads: Sequence[bytes]) -> None:
        """Write payloads that come from no file.

        Raises:
            TurnIsOver: they are written, and that is enough for now.
        """
        self._commit(payloads)
        self._take_turns()

    def move(self, segment: Segment, end: int, *, final: bool) -> None:
        """Write the whole records of a file.

        Args:
            segment: the file.
            end: how far it is read.
            final: whether nothing more is appended to it: what is behind the last whole record is given up.

        Raises:
            TurnIsOver: there is more, which can wait.
        """
        segment.position = self._positions.get(segment.name, 0)
        if segment.position < end:
            self._synchronize("FULL" if segment.has_to_survive_power else "NORMAL")
        while segment.position < end:
            found = _next_batch(segment, end)
            if not found.payloads:
                break
            self.lost_bytes += found.lost
            damaged = [_damage(segment)] if found.lost else []
            self._commit(found.payloads + damaged, segment, segment.position + found.consumed)
            self._take_turns()
        rest = segment.rest(end) if final and segment.position < end else b""
        self.lost_bytes += len(rest)
        if not is_unfinished(rest):
            self._commit([_damage(segment)], segment, end)

    def forget(self, segment: Segment) -> None:
        """Forget how far a file was read: it is removed."""
        self._connection.execute("DELETE FROM spools WHERE name = ?", (segment.name,))

    def forget_all(self, owner: str) -> None:
        """Forget all files of an owner: it is gone, and they are removed."""
        names = (owner + ".", owner + "/")  # the character after the dot
        self._connection.execute("DELETE FROM spools WHERE name > ? AND name < ?", names)

    def _commit(self, payloads: Sequence[bytes], segment: Segment | None = None, position: int = 0) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")  # a lock that is taken in the middle cannot be waited for
        try:
            self._write(connection, payloads)
            if segment is not None:
                connection.execute(_REACHED, (segment.name, position))
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        self.payloads += len(payloads)
        if segment is not None:
            segment.position = self._positions[segment.name] = position

    def _synchronize(self, how: str) -> None:
        """Have the disk confirm each transaction, or not: then a loss of power may undo the last ones."""
        self._connection.execute(f"PRAGMA synchronous = {how}")

    def _take_turns(self) -> None:
        if time.monotonic() > self._ends_at:
            raise TurnIsOver


def _next_batch(segment: Segment, end: int) -> Unpacked:
    """Return the next whole frames of a file, as many as a transaction should hold, or one long one."""
    size = min(BATCH_BYTES, end - segment.position)
    found = segment.unpack(size)
    while not found.payloads and size < end - segment.position:
        size = min(2 * size, end - segment.position)
        found = segment.unpack(size)
    if found.lost:  # it may have been read while it was written: then it is whole by now
        found = segment.unpack(size)
    return found


def _damage(segment: Segment) -> bytes:
    """Return the payload that tells of damage: one record at least was there."""
    return drop(pid_of(segment.owner), "damaged", 1)
