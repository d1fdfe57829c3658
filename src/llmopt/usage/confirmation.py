"""Waits for the disk, once for all threads that wait at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import NamedTuple

from .disk import sync
from .segments import Segment


class Written(NamedTuple):
    """What has been written so far.

    Attributes:
        records: how many.
        closed: files that nothing more is appended to, and that the disk has not confirmed.
        current: the file that is appended to, if there is one.
    """

    records: int
    closed: Sequence[Segment]
    current: Segment | None


class Confirmation:
    """Has the disk confirm records, in groups: those that are written while it works are the next group."""

    def __init__(self) -> None:
        self._confirmed = 0
        self._lock = RLock()  # a signal's handler or the garbage collector may append while it is held

    def wait(self, record: int, so_far: Callable[[], Written]) -> None:
        """Wait until a record survives a loss of power.

        Args:
            record: its number, from 1 on.
            so_far: tells what has been written so far.

        Raises:
            OSError: the disk does not confirm it.
        """
        with self._lock:
            if self._confirmed >= record:
                return
            records, closed, current = so_far()
            for segment in closed:
                _sync(segment)
                segment.synced = True
            if current is not None:
                _sync(current)
            self._confirmed = max(records, self._confirmed)


def _sync(segment: Segment) -> None:
    try:
        sync(segment.descriptor)
    except OSError:
        if segment.descriptor >= 0:  # otherwise it is in the database by now, and that on the disk
            raise
