"""The usage log's file: where it lies, how it is opened, and how several processes take turns in it."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from .migrations import migrate

if sys.platform == "win32":  # pragma: no cover

    def _locked(_descriptor: int) -> bool:
        return True  # SQLite's own locks alone keep the writers apart

    def _unlock(_descriptor: int) -> None:
        pass

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for the others."""

PAGE_BYTES = 8192
"""Rows of the log are long and come in order: measured 7 % cheaper to insert than with SQLite's 4096."""

CACHE_KIB = 512
"""SQLite's own memory. Rows are appended and hardly ever read here, so that its usual 2 MiB gain nothing."""

_POLL_S, _POLL_MAX_S = 0.001, 0.05


def default_path() -> Path:
    """Return `llmopt/usage.db` in llm's user folder."""
    import click
    import llm

    user_dir: Callable[[], Path] = llm.user_dir  # llm does not annotate it
    try:
        folder = user_dir()
    except OSError:  # it cannot be made; that is found out again, and counted, where the log is written
        folder = Path(os.environ.get("LLM_USER_PATH") or click.get_app_dir("io.datasette.llm"))
    return folder / "llmopt" / "usage.db"


def private_file(path: str) -> int:
    """Open a file, and make it (0600) and its folder (0700) where they are missing. Return its descriptor."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - realpath made a str
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def connect(path: str) -> sqlite3.Connection:
    """Open the log for writing; create the file (0600), its folder (0700) and its tables where needed.

    Raises:
        sqlite3.Error: the file is no database, or cannot be written.
        OSError: the file or the folder cannot be made.
    """
    os.close(private_file(path))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


class Lease:
    """A file beside the log that one process at a time holds while it writes.

    SQLite keeps writers apart, but up to 3.51.2 a commit and a checkpoint of two processes at the same
    instant may corrupt a WAL file (fixed in 3.51.3). Under the lease neither happens.
    """

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        self._path = path + "-lease"
        self._descriptor: int | None = None

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Wait for the lease and hold it.

        Raises:
            TimeoutError: others held it for `BUSY_TIMEOUT_S`.
        """
        if self._descriptor is None:
            self._descriptor = private_file(self._path)
        self._lock(self._descriptor)
        try:
            yield
        finally:
            _unlock(self._descriptor)

    def _lock(self, descriptor: int) -> None:
        """Take the lock. flock() itself has no time limit, so it is asked again and again."""
        give_up_at, pause_s = time.monotonic() + BUSY_TIMEOUT_S, _POLL_S
        while not _locked(descriptor):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{self._path} was held by others for {BUSY_TIMEOUT_S} s")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_MAX_S)

    def close(self) -> None:
        """Close the file; a lock that this process holds ends with it, one of its parent's does not."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
