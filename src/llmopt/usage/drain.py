"""Moves records out of the spool folder into the database: those of all processes, and each exactly once.

One process at a time does so: the one that holds the lease. The rows of a batch, and the place in the file up
to which they reach, are written in one transaction. So a process may be killed anywhere, and whoever comes
next goes on from that place. A file is removed when all of it is in the database and nobody appends to it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from ..forks import FORKS, PATIENCE_S, never_free
from .database import Lease, connect
from .memory import Memory
from .segments import Segment, lock_of, spool_folder, survey
from .spool import Spool
from .transfer import BATCH_BYTES, Transfer, TurnIsOver, Write

Work: TypeAlias = "Callable[[Transfer], None]"
"""A part of what there is to do while the lease is held."""

TURN_S, PAUSE_S = 1.0, 0.015
"""How long the lease is held where there is much to do, and how long others may take it then."""


class Drain:
    """Moves the records of one log. Any number of threads may ask for that; one at a time does it.

    Args:
        path: the log's file, absolute.
        own: what this process appends, read through the files that it holds open.
        write: writes the rows of payloads; None stands for `ingest.write`.

    Attributes:
        path: the same.
        moved: payloads that were moved.
        lost_bytes: bytes of files that belonged to no whole record.
        problem: why a file of another process could not be read or removed the last time, or None.
    """

    def __init__(self, path: str, own: Spool | Memory | None = None, write: Write | None = None) -> None:
        self.path = path
        self._own = own
        self._folder = spool_folder(path)
        self._lease = Lease(path)
        self._reset()
        self._write = _ingest() if write is None else write
        FORKS.guard(self)

    def _reset(self) -> None:
        self.moved = self.lost_bytes = 0
        self.problem: OSError | None = None
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._transfer: Transfer | None = None

    def __del__(self) -> None:
        self._disconnect()

    def once(self, timeout_s: float) -> int:
        """Move everything that is there now, and take turns with other processes.

        Args:
            timeout_s: how long it may take.

        Returns:
            How many payloads were moved, by whatever thread.

        Raises:
            TimeoutError: others held the lease, or there was too much; the rest is as safe as it was.
            sqlite3.Error: the database cannot be written; likewise.
            OSError: a file of this process cannot be read or removed; likewise.
        """
        give_up_at, before = time.monotonic() + timeout_s, self.moved
        work: deque[Work] | None = None
        while work is None or work:
            with self.held(give_up_at - time.monotonic()) as connection:
                ends_at = min(give_up_at, time.monotonic() + TURN_S)
                if work is None:
                    self.problem, work = None, deque(self._work())
                self._take_turn(work, Transfer(connection, self._write, ends_at))
            if work:
                if time.monotonic() >= give_up_at:
                    raise TimeoutError(f"{timeout_s:.1f} s were too few to write what waits for {self.path}")
                time.sleep(PAUSE_S)
        return self.moved - before

    def _take_turn(self, work: deque[Work], transfer: Transfer) -> None:
        self._transfer = transfer
        try:
            with suppress(TurnIsOver):
                while work:
                    work[0](transfer)
                    work.popleft()
        finally:
            self._transfer = None
            self.moved += transfer.payloads
            self.lost_bytes += transfer.lost_bytes

    @contextmanager
    def held(self, timeout_s: float) -> Generator[sqlite3.Connection, None, None]:
        """Hold the lease: nobody else writes to the database inside the block.

        Raises:
            TimeoutError: others held it for that long.
            sqlite3.Error: the database cannot be opened.
            OSError: likewise.
        """
        give_up_at = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            raise TimeoutError(f"the usage log {self.path} was being written by another thread")
        try:
            with self._lease.held(max(0.0, give_up_at - time.monotonic())):
                try:
                    yield self._open(max(0.0, give_up_at - time.monotonic()))
                except Exception:
                    self._disconnect()
                    if isinstance(self._own, Spool):
                        self._own.relieve()
                    raise
        finally:
            self._lock.release()

    def close(self, timeout_s: float) -> None:
        """Close the database; the next call opens it again."""
        if self._lock.acquire(timeout=timeout_s):
            try:
                with suppress(OSError), self._lease.held(timeout_s):  # the last one to close it checkpoints
                    self._disconnect()
                self._disconnect()
                self._lease.close()
            finally:
                self._lock.release()

    def pause(self) -> bool:
        """Wait for the batch that is being moved, close the database, and let nothing begin: see `forks`."""
        if (transfer := self._transfer) is not None:
            transfer.end()
        if not self._lock.acquire(timeout=PATIENCE_S):
            return False
        if self._own is not None and not self._own.pause():
            self._lock.release()
            return False
        with suppress(OSError), self._lease.held(0.0):
            self._disconnect()
        self._disconnect()
        return True

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._own is not None:
            self._own.resume()
        self._lock.release()

    def disown(self) -> None:
        """Begin anew in the child of a fork: what was under way is its parent's."""
        if self._connection is not None:
            never_free(self._connection)
        self._lease.close()
        if self._own is not None:
            self._own.disown()
        self._reset()

    # The database

    def _open(self, timeout_s: float) -> sqlite3.Connection:
        """Return the connection, a new one if the file is another by now: somebody may have removed it."""
        if self._connection is not None and self._file != _identity(self.path):
            self._disconnect()
        if self._connection is None:
            self._connection = connect(self.path, timeout_s)
            self._file = _identity(self.path)
        self._connection.execute(f"PRAGMA busy_timeout = {int(timeout_s * 1000)}")
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _require_file(self) -> None:
        """Make sure that the rows are where others find them, before what they were made from is removed."""
        if self._file != _identity(self.path):
            raise sqlite3.OperationalError("it was replaced while it was written")

    # The files

    def _work(self) -> Iterator[Work]:
        """Yield what there is to do, first for this process: it may be waiting."""
        mine: set[str] = set()
        if isinstance(self._own, Memory):
            yield partial(_move_memory, self._own)
        elif self._own is not None:
            for segment, closed in self._own.segments():
                yield partial(self._move_own, self._own, segment, end=segment.size(), final=closed)
            mine = self._own.owners()
        for owner, names in survey(self._folder).items():
            if owner not in mine:
                yield partial(self._try_owner, owner, names)

    def _move_own(self, own: Spool, segment: Segment, transfer: Transfer, *, end: int, final: bool) -> None:
        """Move the records of a file of this process, and remove it if that was all."""
        if segment.descriptor < 0:  # another thread has done so between two turns
            return
        transfer.move(segment, end, final=final)
        if final:
            self._require_file()
            own.forget(segment)
            transfer.forget(segment)
        own.measure()

    def _try_owner(self, owner: str, names: list[str], transfer: Transfer) -> None:
        """Move the records of another process. If that is not possible, it does not keep those of others."""
        try:
            self._move_owner(owner, names, transfer)
        except OSError as error:
            self.problem = error

    def _move_owner(self, owner: str, names: list[str], transfer: Transfer) -> None:
        """Move the records of another process, and clear up after it if it is gone."""
        lock = lock_of(self._folder, owner)
        had_lock = Path(lock.path).exists()
        try:
            gone = lock.acquire()
            if gone:  # it may have begun another file before it went
                names = survey(self._folder).get(owner, [])
            left = [name for name in names if not self._move_file(name, transfer, final=gone)]
            if gone and not left:
                if had_lock:  # one that has lost its lock to somebody may live, and go on from where it was
                    transfer.forget_all(owner)
                lock.remove()
        finally:
            lock.close()

    def _move_file(self, name: str, transfer: Transfer, *, final: bool) -> bool:
        """Move the records of another process's file. Return whether it is gone now."""
        try:
            segment = Segment(self._folder, name)
        except FileNotFoundError:
            return True
        try:
            if segment.is_of_another_version():
                return False
            transfer.move(segment, segment.size(), final=final)
            if final:
                self._require_file()
                segment.remove()
            return final
        finally:
            segment.close()


def _move_memory(memory: Memory, transfer: Transfer) -> None:
    while payloads := memory.take(BATCH_BYTES):
        try:
            transfer.write(payloads)
        except TurnIsOver:
            raise
        except BaseException:
            memory.put_back(payloads)
            raise


def _ingest() -> Write:
    from .ingest import write

    return write


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for each turn
    except OSError:
        return None
    return status.st_dev, status.st_ino
