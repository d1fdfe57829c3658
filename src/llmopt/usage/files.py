"""The files of a spool that this process writes: the one that it appends to, and those before it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from .disk import sync_folder
from .losses import tally
from .segments import Kind, Owner, Segment


class Files:
    """The open files of one spool. The caller keeps threads apart.

    A file stays open until it is drained, so that one which somebody deletes is drained all the same.

    Args:
        folder: where they lie.
        kind: what their records have to survive.

    Attributes:
        current: the file that is appended to, or None before the first record.
        closed: those before it that are not drained yet, in order.
    """

    def __init__(self, folder: str, kind: Kind) -> None:
        self._folder = folder
        self._kind: Kind = kind
        self._owner: Owner | None = None
        self.current: Segment | None = None
        self.closed: list[Segment] = []

    def __del__(self) -> None:
        self.disown()

    def all(self) -> list[Segment]:
        """Return all files, in order."""
        return [*self.closed] if self.current is None else [*self.closed, self.current]

    def owners(self) -> set[str]:
        """Return what this process is known by."""
        names = {segment.owner for segment in self.all()}
        return names if self._owner is None else names | {self._owner.name}

    def undrained_bytes(self) -> int:
        """Return how many bytes are not known to be in the database."""
        return sum(segment.size() - segment.position for segment in self.all())

    def begin(self) -> Segment:
        """Begin the next file.

        Raises:
            OSError: it cannot be made; the current one stays.
        """
        if self._owner is None or not self._owner.is_in_place():
            owner = Owner(self._folder)
            if self._owner is not None:
                self._owner.close()
            self._owner = owner
        segment = self._owner.new_segment(self._kind)
        try:
            self._make_findable()
        except OSError:
            segment.remove()
            raise
        self.end()
        self.current = segment
        return segment

    def _make_findable(self) -> None:
        """Have the files be found again after a loss of power, where that was promised."""
        if self._kind == "power":
            sync_folder(self._folder)
            sync_folder(os.path.dirname(self._folder))  # noqa: PTH120 - a str is at hand

    def look_after(self) -> None:
        """Begin another file where somebody has removed the current one, so that others find what comes.

        Raises:
            OSError: none can be made; the current one stays.
        """
        astray = [segment for segment in self.all() if not segment.is_in_place()]
        if any(Path(segment.path).exists() for segment in astray):
            self.abandon()
        elif self.current in astray:
            self.begin()

    def end(self) -> None:
        """Append no more to the current file."""
        if self.current is not None:
            self.closed.append(self.current)
            self.current = None

    def forget(self, segment: Segment) -> None:
        """Remove a closed file: what it held is in the database, or is not to be.

        Raises:
            OSError: it cannot be removed, and is kept.
        """
        segment.remove()
        self.closed.remove(segment)

    def sacrifice(self) -> tuple[int, Counter[str]]:
        """Remove the oldest closed file, drained or not.

        Returns:
            How many of its records nobody has drained, and what losses the rest of it told of, by reason.

        Raises:
            OSError: it cannot be removed, and is kept.
        """
        oldest = self.closed[0]
        told = tally(oldest.unpack(oldest.size()).payloads)
        self.forget(oldest)
        return told

    def leave(self) -> None:
        """Close all files. What is not drained is left to other processes, and nothing else."""
        owner, left = self._owner, self.all()
        self._owner, self.current, self.closed = None, None, []
        for segment in left:
            segment.close()
        if owner is not None:
            (owner.close if left else owner.remove)()

    def abandon(self) -> None:
        """Leave all files to others: somebody has closed one, and its descriptor may be another's by now."""
        owner, left = self._owner, self.all()
        self._owner, self.current, self.closed = None, None, []
        for segment in left:
            if not segment.is_in_place():
                segment.descriptor = -1
            segment.close()
        if owner is not None and owner.is_in_place():
            owner.close()

    def disown(self) -> None:
        """Close all files in the child of a fork, to whose parent they belong."""
        for segment in self.all():
            segment.close()
        if self._owner is not None:
            self._owner.close()
