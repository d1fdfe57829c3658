"""Records that nothing has to survive: a queue in memory instead of a spool."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import RLock

from ..forks import PATIENCE_S
from .losses import Losses

BOUND_BYTES = 2**21
"""Bytes in the queue, beyond which those who append help to drain it. At twice as many, records are lost."""


class Memory:
    """The records of this process that are still to be written, for `durability="none"`.

    Args:
        hello: returns the payload that comes before all others.

    Attributes:
        help_out: drains the queue on the thread that calls it.
        written: records that were appended.
        lightened: those among them that were appended without contents.
        fault: what went wrong the last time, in a word, or None.
    """

    def __init__(self, hello: Callable[[], bytes]) -> None:
        self.help_out: Callable[[], object] = lambda: None
        self._hello = hello
        self._reset()

    def _reset(self) -> None:
        self.written = self.lightened = 0
        self.fault: str | None = None
        self._lock = RLock()  # a signal's handler or the garbage collector may append while it is held
        self._payloads: deque[bytes] = deque()
        self._bytes = 0
        self._losses = Losses()
        self._greeted = False

    def append(self, payload: bytes, lighter: bytes | None = None) -> bool:
        """Append a record. Return False if there is no room for it: it is counted as lost."""
        if self._bytes > BOUND_BYTES:
            self.help_out()
        with self._lock:
            room = 2 * BOUND_BYTES - self._bytes
            light = len(payload) > room and lighter is not None
            payload = lighter if lighter is not None and light else payload
            if len(payload) > room:
                self.fault = "quota"
                self._losses.add(self.fault, 1)
                return False
            self.lightened += light
            self._payloads.append(payload)
            self._bytes += len(payload)
            self.written += 1
            return True

    def lose(self, reason: str, records: int) -> None:
        """Count records as lost."""
        with self._lock:
            self._losses.add(reason, records)

    def take(self, size: int) -> list[bytes]:
        """Take the oldest payloads, of that many bytes or one more, and before them what is to be said."""
        with self._lock:
            taken = self._losses.payloads()
            self._losses.settle()
            if not self._greeted and (taken or self._payloads):
                taken.insert(0, self._hello())
                self._greeted = True
            while self._payloads and size > 0:
                payload = self._payloads.popleft()
                self._bytes -= len(payload)
                size -= len(payload)
                taken.append(payload)
            return taken

    def put_back(self, taken: list[bytes]) -> None:
        """Have payloads that could not be written taken again."""
        with self._lock:
            self._payloads.extendleft(reversed(taken))
            self._bytes += sum(map(len, taken))

    def stats(self) -> dict[str, int]:
        """Return what was counted: records `written`, `lightened`, `failed`, and bytes that wait."""
        with self._lock:
            return {
                "written": self.written,
                "lightened": self.lightened,
                "unconfirmed": 0,
                "failed": self._losses.total,
                "undrained_bytes": self._bytes,
            }

    def end(self) -> None:
        """Do nothing: there is no file."""

    def close(self) -> None:
        """Do nothing: what is queued stays queued."""

    def pause(self) -> bool:
        """Wait for the record that is being appended, and let none begin: see `forks`."""
        return self._lock.acquire(timeout=PATIENCE_S)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lock.release()

    def disown(self) -> None:
        """Begin anew in the child of a fork: what is queued is its parent's."""
        self._reset()
