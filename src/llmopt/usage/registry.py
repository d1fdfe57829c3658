"""The files that this process writes to: one outbox each, however many logs name it."""

from __future__ import annotations

import atexit
import os
import threading
import time
from weakref import WeakSet, WeakValueDictionary, finalize

from ..forks import FORKS, PATIENCE_S
from .database import default_path
from .outbox import Outbox


class Writer:
    """What the logs of one file share. When the last of them is gone, the file is closed.

    Args:
        outbox: the records of the file.

    Attributes:
        outbox: the same.
        put: its `put`, bound once.
    """

    __slots__ = ("__weakref__", "outbox", "put")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.put = outbox.put
        finalize(self, outbox.retire).atexit = False


class Registry:
    """All writers and outboxes of the process. Several logs of one file must meet somewhere."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._writers: WeakValueDictionary[str, Writer] = WeakValueDictionary()
        self._outboxes: WeakSet[Outbox] = WeakSet()
        self._installed = False

    def writer(self, path: str | os.PathLike[str] | None) -> Writer:
        """Return the writer of a file; None stands for the default one."""
        resolved = resolve(path)
        with self._lock:
            writer = self._writers.get(resolved)
            if writer is None:
                outbox = Outbox(resolved)
                writer = self._writers[resolved] = Writer(outbox)
                self._outboxes.add(outbox)
                self._install()
            return writer

    def flush(self, timeout_s: float, path: str | None = None) -> bool:
        """Write what is queued for one file, or for all. Return whether nothing is left."""
        give_up_at = time.monotonic() + timeout_s
        done = True
        for outbox in self._all():
            if path is None or outbox.path == path:
                done &= outbox.flush(max(0.0, give_up_at - time.monotonic()))
        return done

    def _all(self) -> list[Outbox]:
        with self._lock:
            return list(self._outboxes)

    def _install(self) -> None:
        """Have the process tell when it ends or forks: at the first use, for nothing happens at import."""
        if not self._installed:
            self._installed = True
            atexit.register(self._close)
            FORKS.guard(self)

    def _close(self) -> None:
        for outbox in self._all():
            outbox.close()

    def pause(self) -> bool:
        """Wait for what looks up a writer, and let nothing do so. Return whether that was possible."""
        return self._lock.acquire(timeout=PATIENCE_S)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lock.release()

    def disown(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.RLock()


def resolve(path: str | os.PathLike[str] | None) -> str:
    """Return the absolute path of a log, by which all its writers know it."""
    return os.path.realpath(default_path() if path is None else path)


REGISTRY = Registry()
