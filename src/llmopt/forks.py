"""What has to stand still, and be closed, while the process forks.

A child has one thread, and the locks of its parent as they were: one that another thread held is held in it
for ever. SQLite has such locks for the whole process, so a fork that falls into the use of it by any thread,
even of another file, would hang the child at its first use. And it remembers for the whole process which
locks it has on a file: a child in which the file seems to be open takes none, and what it writes may be lost.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet

PATIENCE_S = 5.0
"""How long a fork waits for what must not be interrupted. After that it goes on: nothing hangs."""


class Forkable(Protocol):
    """What a fork must not fall into."""

    def pause(self) -> bool:
        """Wait until nothing is under way, close it, let nothing begin. Return whether that was possible."""
        ...

    def resume(self) -> None:
        """Go on, in the parent, after a `pause` that was possible."""
        ...

    def disown(self) -> None:
        """Begin anew, in the child: what was under way is its parent's."""
        ...


class Forks:
    """Everything in this process that a fork must not fall into."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._guarded: WeakSet[Forkable] = WeakSet()
        self._paused: list[Forkable] = []
        self._installed = not hasattr(os, "register_at_fork")

    def guard(self, what: Forkable) -> None:
        """Have `what` stand still during forks, for as long as it lives.

        The hooks are installed by the first one, since nothing happens at import.
        """
        with self._lock:
            self._guarded.add(what)
            if not self._installed:
                self._installed = True
                os.register_at_fork(
                    before=self._pause, after_in_parent=self._resume, after_in_child=self._disown
                )

    def _pause(self) -> None:
        self._lock.acquire()
        self._paused = [what for what in list(self._guarded) if what.pause()]

    def _resume(self) -> None:
        for what in self._paused:
            what.resume()
        self._paused = []
        self._lock.release()

    def _disown(self) -> None:
        self._paused = []
        self._lock = Lock()
        for what in list(self._guarded):
            what.disown()


def never_free(what: object) -> None:
    """Let nothing be the end of `what`: SQLite forbids a child even to close its parent's connections."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(what))


FORKS = Forks()
"""Those of this process."""
