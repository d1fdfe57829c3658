"""Carries records from the threads that make calls to the one that writes them."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from queue import SimpleQueue

from ..errors import StoreError
from ..forks import FORKS, PATIENCE_S
from .record import Fragments, Record, Values
from .sink import Sink

log = logging.getLogger("llmopt")

BOUND = 1024
"""Records in the queue, beyond which the threads that make calls help to write them."""

BOUND_CHARACTERS = 2**25
"""The same for the texts of fragments, which the queue keeps alive until they are hashed."""

BATCH = 512
"""Records in one transaction: 40 times less written to the disk than with one each."""

LINGER_S = 0.05
"""How long the writer lets a batch grow before it writes."""

CLOSE_S = 5.0
"""How long the end of the process may wait for the last records to be written."""

_FRAGMENTS = Record._fields.index("fragments")


class Outbox:
    """The records of one file that are still to be written, and the thread that writes them.

    Putting a record costs an append. A daemon thread, started by the first one, sleeps while there are
    none, then lets a batch grow and writes it. Nothing is dropped when it cannot keep up: the threads that
    put more than `BOUND` records write a batch themselves. What cannot be written is counted.

    Args:
        path: the file, absolute.

    Attributes:
        path: the file.
        written: records written.
        failed: records that could not be written.
        helped: batches written by threads that made calls.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._sink = Sink(path)
        self._reset()
        FORKS.guard(self)

    def _reset(self) -> None:
        self.written = self.failed = self.helped = 0
        self._pending: deque[Values] = deque()
        self._characters = 0
        self._writing = threading.Lock()
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._idle = True
        self._thread: threading.Thread | None = None
        self._warned = False

    @property
    def queued(self) -> int:
        """Records that are still to be written."""
        return len(self._pending)

    def put(self, record: Values) -> None:
        """Have a record written soon, given by its values."""
        self._pending.append(record)
        if self._idle:
            self._wake()
        elif len(self._pending) > BOUND:
            self._help()
        if record[_FRAGMENTS] is not None:
            self._weigh(record[_FRAGMENTS])

    def write_now(self, record: Values) -> None:
        """Write a record, and those before it, before this returns.

        Raises:
            StoreError: it could not be written.
        """
        with self._writing:
            self._pending.append(record)
            error = None
            while self._pending:
                error = self._write_batch() or error
        if error is not None:
            raise StoreError(f"the usage log {self.path} could not be written: {error}") from error

    def flush(self, timeout_s: float) -> bool:
        """Write what is queued, on this thread. Return whether nothing is left."""
        give_up_at = time.monotonic() + timeout_s
        if not self._writing.acquire(timeout=timeout_s):
            return False
        try:
            while self._pending and time.monotonic() < give_up_at:
                self._write_batch()
            return not self._pending
        finally:
            self._writing.release()

    def close(self) -> None:
        """Write what is queued and close the file, on this thread: the process is about to end."""
        self.flush(CLOSE_S)
        if self._writing.acquire(timeout=CLOSE_S):
            self._sink.close()
            self._writing.release()

    def retire(self) -> None:
        """Have the thread write what is queued, close the file and end. It may be called at any point."""
        self._bell.put(False)

    def pause(self) -> bool:
        """Wait for the batch that is being written, let none begin, and close the file: see `forks`."""
        if not self._writing.acquire(timeout=PATIENCE_S):
            return False
        self._sink.close()
        return True

    def resume(self) -> None:
        """Go on after `pause`."""
        self._writing.release()

    def disown(self) -> None:
        """Begin anew in the child of a fork: what was queued is its parent's to write."""
        self._sink.disown()
        self._reset()

    def _wake(self) -> None:
        self._idle = False
        if self._thread is not None:
            self._bell.put(True)
            return
        with self._writing:
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        _close_in_worker(self)
        thread = threading.Thread(target=self._run, name="llmopt-usage", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, or the system allows no more threads
            self._idle = True
            self._write_batch()
        else:
            self._thread = thread

    def _run(self) -> None:
        serving = True
        while serving:
            self._idle = True  # first this, then the look into the queue: no record can slip in between
            if not self._pending:
                serving = self._bell.get()
            self._idle = False
            if serving:
                time.sleep(LINGER_S)
            self._drain()
        with self._writing:
            self._thread, self._idle = None, True
            self._sink.close()

    def _drain(self) -> None:
        while self._pending:
            with self._writing:
                self._write_batch()

    def _help(self) -> None:
        with self._writing:
            if len(self._pending) > BOUND:
                self.helped += 1
                self._write_batch()

    def _weigh(self, fragments: Fragments) -> None:
        """Count texts roughly, and write the queue where it keeps too many of them alive."""
        self._characters += sum(len(text) for _, texts in fragments for text in texts)
        if self._characters > BOUND_CHARACTERS:
            with self._writing:
                self.helped += 1
                while self._pending:
                    self._write_batch()

    def _write_batch(self) -> Exception | None:
        """Write the oldest records, and return what prevented it. The caller holds `_writing`."""
        pending = self._pending
        batch = [pending.popleft() for _ in range(min(BATCH, len(pending)))]
        error: Exception | None = None
        written = 0
        try:
            written = self._sink.write(batch)
        except Exception as caught:  # noqa: BLE001 - no fault of the log may reach a call
            error = caught
            self._sink.close()
        except BaseException:
            pending.extendleft(reversed(batch))
            raise
        if not pending:
            self._characters = 0
        self.written += written
        if written < len(batch):
            error = error or ValueError("they hold what the schema refuses")
            self.lose(len(batch) - written, error)
        return error

    def lose(self, records: int, error: Exception) -> None:
        """Count records that could not be written, and say so the first time."""
        self.failed += records
        self._sink.lose(records, getattr(error, "sqlite_errorname", type(error).__name__))
        if not self._warned:
            self._warned = True
            log.warning(
                "%d calls could not be logged in %s: %s. This is said once; UsageLog.stats() counts them.",
                *(records, self.path, error),
            )


def _close_in_worker(outbox: Outbox) -> None:
    """Have the outbox closed at the end of a process of multiprocessing, which calls no atexit function."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, outbox.close, exitpriority=0)
