"""The caller's side of the log: a record is appended to a file, and that is all the call waits for.

The files are the queue. Nothing is kept in memory, and what a killed process has appended is there for the
next one that drains. No fault of theirs reaches the caller: what cannot be written is counted.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Literal

from ..errors import ConfigurationError
from ..forks import PATIENCE_S
from .confirmation import Confirmation, Written
from .disk import write_all
from .files import Files
from .frames import LIMIT_BYTES, MAGIC, pack
from .losses import Losses
from .segments import Kind, Segment

QUOTA_BYTES = 64 * 2**20
"""How much a process may have in the spool, unless it is told otherwise."""

SEGMENT_BYTES = 2**20
"""Length of a file at which the next one begins, unless it is told otherwise."""


class Spool:
    """What this process appends to a spool folder. Any number of threads may do so.

    Args:
        folder: where the files lie, absolute; it is made (0700) where it is missing.
        hello: returns the payload that every file begins with.
        durability: "process": a record survives the end of the process, whatever ends it, from the return of
            `append` on. "power": it survives a loss of power, too.
        quota_bytes: bytes that are not drained yet, beyond which records go without contents, and the oldest
            ones are given up. One file further, the newest are refused.
        segment_bytes: length of a file at which the next one begins.

    Attributes:
        folder: the same.
        written: records that were written.
        lightened: those among them that were written without contents.
        unconfirmed: those that the disk did not confirm, with durability="power".
        fault: what went wrong the last time, in a word, or None.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    def __init__(
        self,
        folder: str,
        hello: Callable[[], bytes],
        *,
        durability: Literal["process", "power"] = "process",
        quota_bytes: int = QUOTA_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        if durability not in ("process", "power"):
            raise ConfigurationError(f"durability={durability!r} is wrong: 'process' and 'power' are right")
        if quota_bytes <= 0:
            raise ConfigurationError(f"quota_bytes={quota_bytes!r} is wrong: it must be above 0")
        if not 0 < segment_bytes <= LIMIT_BYTES:
            raise ConfigurationError(f"segment_bytes={segment_bytes!r} is wrong: 1 to {LIMIT_BYTES} is right")
        self.folder = folder
        self._hello = hello
        self._kind: Kind = "power" if durability == "power" else "spool"
        self._power = durability == "power"
        self._quota_bytes, self._segment_bytes = quota_bytes, segment_bytes
        self._reset()

    def _reset(self) -> None:
        self.written = self.lightened = self.unconfirmed = 0
        self.fault: str | None = None
        self._lock = RLock()  # a signal's handler or the garbage collector may append while it is held
        self._files = Files(self.folder, self._kind)
        self._losses = Losses()
        self._descriptor = -1  # of the current file
        self._room = 0  # bytes that it takes without a second thought
        self._mending = False
        self._postponed: deque[tuple[bytes, bytes | None]] = deque()
        self._confirmation = Confirmation()

    def append(self, payload: bytes, lighter: bytes | None = None) -> bool:
        """Append a record.

        Args:
            payload: the record.
            lighter: the same without contents, for when the quota or the disk has no room for all of it.

        Returns:
            Whether it is as safe as was promised. If it is not, it is counted as lost, unless only the disk's
            confirmation is missing.
        """
        try:
            frame = pack(payload)
        except ValueError:
            return self._append_lighter(lighter)
        size = len(frame)
        with self._lock:
            if size <= self._room:
                self._room -= size
                before, descriptor = self.written, self._descriptor
                try:
                    done = os.write(descriptor, frame)
                except OSError as error:
                    done = self._blame(error)
                if done == size:
                    self.written += 1
                    kept = True
                else:
                    self._take_back(done, alone=(before, descriptor) == (self.written, self._descriptor))
                    kept = self._append_slowly(frame, lighter)
            else:
                kept = self._append_slowly(frame, lighter)
            number = self.written
        return self._confirm(number) if self._power and kept else kept

    def lose(self, reason: str, records: int) -> None:
        """Count records as lost. The next one that is written tells of them."""
        with self._lock:
            self._losses.add(reason, records)
            self._room = 0

    # Where something has to be made or mended first; the caller holds the lock

    def _append_lighter(self, lighter: bytes | None) -> bool:
        """Append what there is of a record that no frame can hold."""
        if lighter is not None:
            kept = self.append(lighter)
            self.lightened += kept
            return kept
        self.fault = "too large"
        self.lose(self.fault, 1)
        return False

    def _take_back(self, size: int, *, alone: bool) -> None:
        """Cut a part of a frame off the current file, or begin another file behind it."""
        with self._mended():
            current = self._files.current
            if not alone or current is None or not current.take_back(size):
                self._files.end()

    def _append_slowly(self, frame: bytes, lighter: bytes | None) -> bool:
        if self._mending:  # by this thread, which was interrupted in it
            self._postponed.append((frame, lighter))
            return True
        kept = False
        with self._mended():
            kept = self._place_somehow(frame, lighter)
        if kept:
            self.written += 1
        else:
            self.lose(self.fault or "unknown", 1)
        return kept

    @contextmanager
    def _mended(self) -> Generator[None, None, None]:
        self._mending, self._room = True, 0
        try:
            try:
                yield
            finally:
                self._mending = False
            self._measure()
        except Exception as error:  # noqa: BLE001 - no fault of the log may reach a call
            self._blame(error)
            self._files.abandon()
        while self._postponed:
            self._append_slowly(*self._postponed.popleft())

    def _measure(self) -> None:
        """Find out how much the current file takes without a second thought."""
        current = self._files.current
        self._room = 0
        if current is not None and not self._losses.owed:
            self._descriptor = current.descriptor
            size = current.size()
            left = min(self._segment_bytes - size, self._quota_bytes - self._files.undrained_bytes())
            self._room = max(0, left) if size else 0

    def _place_somehow(self, frame: bytes, lighter: bytes | None) -> bool:
        """Write the frame, or one without contents where there is no room for them."""
        undrained = self._files.undrained_bytes()
        if lighter is not None:
            if undrained + len(frame) <= self._quota_bytes and self._place(frame):
                return True
            frame = pack(lighter)
        if undrained + len(frame) > self._quota_bytes + self._segment_bytes:
            self.fault = "quota"
            return False
        kept = self._place(frame)
        self.lightened += kept and lighter is not None
        return kept

    def _place(self, frame: bytes) -> bool:
        """Write a frame into the current file, or else into a new one."""
        try:
            file = self._file_for(len(frame))
            if self._write(file, frame):
                return True
            return file.size() > 0 and self._write(self._files.begin(), frame)  # a file may have its limit
        except Exception as error:  # noqa: BLE001 - no fault of the log may reach a call
            self._blame(error)
            return False

    def _file_for(self, size: int) -> Segment:
        current = self._files.current
        if current is not None and not 0 < current.size() > self._segment_bytes - size:
            return current
        try:
            return self._files.begin()
        except OSError:
            if current is None:
                raise
            return current  # a long file is better than none

    def _tell(self) -> None:
        """Write down what is lost, if it can be written."""
        if self._losses.owed:
            self._place(b"")

    def _write(self, file: Segment, frame: bytes) -> bool:
        """Write a frame, and before it what has still to be said; all of it or nothing."""
        size = file.size()
        head = [] if size else [MAGIC, pack(self._hello())]
        said = [pack(payload) for payload in self._losses.payloads()]
        try:
            write_all(file.descriptor, b"".join((*head, *said, frame)))
        except OSError as error:
            self._blame(error)
            if not file.take_back(file.size() - size):
                self._files.end()
            return False
        self._losses.settle()
        return True

    def _blame(self, error: Exception) -> int:
        """Keep what went wrong, in a word. Return how much was done: nothing."""
        code = error.errno if isinstance(error, OSError) else None
        self.fault = errno.errorcode.get(code or 0, type(error).__name__)
        return 0

    def _confirm(self, record: int) -> bool:
        try:
            self._confirmation.wait(record, self._so_far)
        except OSError as error:
            self._blame(error)
            self.unconfirmed += 1
            return False
        return True

    def _so_far(self) -> Written:
        with self._lock:
            closed = [segment for segment in self._files.closed if not segment.synced]
            return Written(self.written, closed, self._files.current)

    # For the drain

    def segments(self) -> list[tuple[Segment, bool]]:
        """Return the files that are not drained, in order, and whether nothing more is appended to each.

        What was lost is written down before, and a file that others do not find is given up for a new one.
        """
        with self._lock:
            with self._mended(), suppress(OSError):
                self._tell()
                self._files.look_after()
            return [(file, file is not self._files.current) for file in self._files.all()]

    def owners(self) -> set[str]:
        """Return what this process is known by in the folder."""
        with self._lock:
            return self._files.owners()

    def forget(self, segment: Segment) -> None:
        """Remove a closed file: what it held is in the database.

        Raises:
            OSError: it cannot be removed, and is kept.
        """
        with self._lock:
            self._files.forget(segment)

    def measure(self) -> None:
        """Find out anew how much room there is: something was drained."""
        with self._lock:
            if not self._mending:
                self._measure()

    def relieve(self) -> None:
        """Give up the oldest closed files while there is more than the quota, and count what they held."""
        with self._lock, self._mended(), suppress(OSError):
            while self._files.closed and self._files.undrained_bytes() > self._quota_bytes:
                records, told = self._files.sacrifice()
                self._losses.add("quota", records)
                self._losses.owed.update(told)
            self._tell()

    # Its life

    def stats(self) -> dict[str, int]:
        """Return what was counted: records `written`, `lightened`, `failed`, and bytes that wait."""
        with self._lock:
            return {
                "written": self.written,
                "lightened": self.lightened,
                "unconfirmed": self.unconfirmed,
                "failed": self._losses.total,
                "undrained_bytes": self._files.undrained_bytes(),
            }

    def end(self) -> None:
        """Append no more to the current file; the next record begins another."""
        with self._lock, self._mended():
            self._files.end()

    def close(self) -> None:
        """Close all files. What is not drained is left to other processes; the next record begins anew."""
        with self._lock, self._mended():
            self._tell()
            self._files.leave()

    def pause(self) -> bool:
        """Wait for the record that is being written, and let none begin: see `forks`."""
        return self._lock.acquire(timeout=PATIENCE_S)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lock.release()

    def disown(self) -> None:
        """Begin anew in the child of a fork: the files are its parent's."""
        self._files.disown()
        self._reset()
