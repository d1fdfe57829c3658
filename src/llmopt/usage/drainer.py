"""The thread that drains: it sleeps while there is nothing to do, and ends with the last log of its file."""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

from ..forks import FORKS
from .drain import Drain
from .memory import Memory
from .retention import due, maintain  # here: a fork while the thread imports would hang the child's import
from .settings import Settings
from .spool import Spool

log = logging.getLogger("llmopt")

LINGER_S = 0.05
"""How long the thread lets a batch grow before it drains."""

CLOSE_S = 5.0
"""How long the end of the process may wait for the last records to be drained."""

PATIENCE_S = 1.0
"""How long the thread waits for others at a time. A fork may have to wait for it as long."""

BACK_OFF_S, BACK_OFF_MAX_S = 0.1, 5.0
"""How long it waits after a failure, first and at most."""

WARN_AFTER_S = 10.0
"""How long others may have the database locked before that is a failure to be told of."""


class Drainer:
    """Takes the records of one file, and has a daemon thread drain them. The first record starts it.

    Args:
        source: what the records are appended to.
        drain: what drains it.
        settings: how long records are kept.

    Attributes:
        source: the same.
        drain: the same.
        faults: how often draining has failed.
    """

    def __init__(self, source: Spool | Memory, drain: Drain, settings: Settings) -> None:
        self.source, self.drain = source, drain
        self._settings = settings
        self._append = source.append
        self._reset()
        FORKS.guard(self)

    def _reset(self) -> None:
        self.faults = 0
        self._failing = self._warned = False
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._idle = True
        self._maintained_s: float | None = None
        self._seen = 0  # records that had been written when the thread drained last
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def put(self, payload: bytes, lighter: bytes | None = None) -> bool:
        """Append a record, and have it drained soon.

        Args:
            payload: the record.
            lighter: the same without contents, for when there is no room for all of it.

        Returns:
            Whether it is as safe as was promised. If it is not, it is counted.
        """
        kept = self._append(payload, lighter)
        if self._idle:
            self._wake()
        if not kept:
            self._warn("calls are not logged", self.source.fault)
        return kept

    def flush(self, timeout_s: float) -> bool:
        """Drain on this thread. Return whether all that was appended before is in the database."""
        try:
            self.drain.once(timeout_s)
        except Exception as error:  # noqa: BLE001 - no fault of the log may reach a call
            self._fail(error, is_persistent=not _is_busy(error))
            return False
        self._succeed()
        return True

    def help_out(self) -> None:
        """Drain a batch on this thread, unless another one is at it, or it has just failed."""
        if not self._failing:
            self.flush(0.0)

    def stats(self) -> dict[str, int]:
        """Return what was counted; see `Writer.stats`."""
        return {
            **self.source.stats(),
            "drained": self.drain.moved,
            "damaged_bytes": self.drain.lost_bytes,
            "drain_faults": self.faults,
        }

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Drain, and close all files, on this thread: the process is about to end, or the logs are gone."""
        give_up_at = time.monotonic() + timeout_s
        self.source.end()
        if self.flush(timeout_s):
            with suppress(sqlite3.Error, OSError):
                self._maintain()
        self.source.close()
        self.drain.close(max(0.0, give_up_at - time.monotonic()))

    def retire(self) -> None:
        """Have the thread drain, close all files and end. It may be called at any point."""
        self._bell.put(False)

    def pause(self) -> bool:
        """Have a fork wait for nothing here: what it must not fall into is known to `Drain`."""
        return False

    def resume(self) -> None:
        """Go on after `pause`."""

    def disown(self) -> None:
        """Begin anew in the child of a fork, where the thread does not run."""
        self._reset()

    # The thread

    def _wake(self) -> None:
        self._idle = False
        if self._thread is not None:
            self._bell.put(True)
        elif self._starting.acquire(blocking=False):
            try:
                self._start()
            finally:
                self._starting.release()
        else:
            self._idle = True  # who is starting it may fail

    def _start(self) -> None:
        _close_in_worker(self)
        self._thread = threading.Thread(target=self._run, name="llmopt-usage", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or the system allows no more threads
            self._thread, self._idle = None, True

    def _run(self) -> None:
        while self._wait():
            time.sleep(LINGER_S)
            if not self._drain():
                break
        self._thread, self._idle = None, True
        self.close()

    def _wait(self) -> bool:
        """Wait until there is something to do. Return False if that is to end."""
        self._idle = True  # first this, then the look at what was written: no record can slip in between
        serving = self._seen != self.source.written or self._bell.get()
        self._idle = False
        return serving

    def _drain(self) -> bool:
        """Drain, again and again until that succeeds. Return False if it is to end before."""
        began_s, pause_s = time.monotonic(), BACK_OFF_S
        while True:
            written, moved = self.source.written, self.drain.moved
            try:
                self.drain.once(PATIENCE_S)
                self._maintain()
            except Exception as error:  # noqa: BLE001 - the records are safe, and the thread goes on
                if self.drain.moved > moved and isinstance(error, TimeoutError):
                    continue
                passes = _is_busy(error) and time.monotonic() - began_s < WARN_AFTER_S
                self._fail(error, is_persistent=not passes)
            else:
                self._seen = written
                self._succeed()
                return True
            if self._is_told_to_end(pause_s):
                return False
            pause_s = min(2 * pause_s, BACK_OFF_MAX_S)

    def _maintain(self) -> None:
        """Remove what is not to be kept any longer, if it is time for that."""
        now_s = time.monotonic()
        if due(self._settings, self._maintained_s, now_s):
            with self.drain.held(PATIENCE_S) as connection:
                if maintain(connection, self._settings, time.time()).finished:
                    self._maintained_s = now_s

    def _is_told_to_end(self, timeout_s: float) -> bool:
        """Wait for that long, or until the thread is told to end."""
        with suppress(Empty):
            return not self._bell.get(timeout=timeout_s)
        return False

    def _succeed(self) -> None:
        self._failing = False
        if self.drain.problem is not None:  # with files of others; to try again at once would not help
            self.faults += 1
            self._warn("calls of another process wait to be logged", self.drain.problem)

    def _fail(self, error: Exception, *, is_persistent: bool) -> None:
        if is_persistent or not isinstance(error, TimeoutError):
            self.faults += 1
            self._failing = True
        if is_persistent:
            self._warn("calls wait to be logged", error)

    def _warn(self, what: str, fault: object) -> None:
        if not self._warned:
            self._warned = True
            end = "This is said once; UsageLog.stats() counts what is lost."
            log.warning("%s in %s: %s. %s", what, self.drain.path, fault, end)


def _is_busy(error: Exception) -> bool:
    """Tell whether others are at work, which will pass."""
    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return busy or isinstance(error, TimeoutError)


def _close_in_worker(drainer: Drainer) -> None:
    """Have the files closed at the end of a process of multiprocessing, which calls no atexit function."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, drainer.close, exitpriority=0)
