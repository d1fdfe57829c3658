"""How commands write to a usage log beside the processes that fill it."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager

from ..errors import StoreError
from .database import Lease
from .drain import Drain

PATIENCE_S = 10.0
"""How long a command waits until others have done with the log."""


@contextmanager
def leased(path: str) -> Generator[None, None, None]:
    """Hold the lease of a log: nobody else writes to it inside the block.

    Args:
        path: the file, absolute.

    Raises:
        StoreError: others held it for `PATIENCE_S`, or what the block does with files or SQLite has failed.
    """
    lease = Lease(path)
    try:
        with _told(path), lease.held(PATIENCE_S):
            yield
    finally:
        lease.close()


@contextmanager
def writing(path: str) -> Generator[sqlite3.Connection, None, None]:
    """Open a log for writing, under its lease.

    Args:
        path: the file, absolute.

    Raises:
        StoreError: it cannot be opened or written, or others held the lease for too long.
    """
    drain = Drain(path)
    try:
        with _told(path), drain.held(PATIENCE_S) as connection:
            yield connection
    finally:
        drain.close(PATIENCE_S)


@contextmanager
def rehearsing(path: str) -> Generator[sqlite3.Connection, None, None]:
    """Open a copy of a log, which nobody else sees and which is gone in the end.

    Args:
        path: the file, absolute.

    Raises:
        StoreError: there is none, or no room for the copy where temporary files lie.
    """
    from .reading import read_only

    with closing(read_only(path).conn) as log, _told(path), closing(_private()) as copy:
        log.backup(copy)
        yield copy


def _private() -> sqlite3.Connection:
    return sqlite3.connect("", isolation_level=None)  # SQLite's name for a temporary file without one


def drain(path: str) -> int:
    """Move what all processes have left in the spool into a log. Return how many records that were.

    Args:
        path: the file, absolute.

    Raises:
        StoreError: it cannot be written.
    """
    drain = Drain(path)
    try:
        with _told(path):
            return drain.once(PATIENCE_S)
    finally:
        drain.close(PATIENCE_S)


@contextmanager
def _told(path: str) -> Generator[None, None, None]:
    """Turn what files and SQLite raise into an error of llmopt."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the usage log {path} cannot be written: {error}") from error
