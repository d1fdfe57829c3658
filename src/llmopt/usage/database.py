"""The usage log's file: where it lies, how it is opened, and how several processes take turns in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from .disk import private_file as private_file  # noqa: PLC0414 - those who write files beside the log import it here
from .locks import Lock
from .migrations import migrate

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for the others."""

PAGE_BYTES = 8192
"""Rows of the log are long and come in order: measured 7 % cheaper to insert than with SQLite's 4096."""

CACHE_KIB = 512
"""SQLite's own memory. Rows are appended and hardly ever read here, so that its usual 2 MiB gain nothing."""


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


def connect(path: str, timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """Open the log for writing; create the file (0600), its folder (0700) and its tables where needed.

    Args:
        path: the file, absolute.
        timeout_s: how long to wait for those that have it locked.

    Raises:
        sqlite3.Error: the file is no database, or cannot be written.
        OSError: the file or the folder cannot be made.
    """
    with suppress(FileExistsError):  # to open and close one that is there would end the locks of its readers
        os.close(private_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # what is pruned shrinks the file; before WAL
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


class Lease(Lock):
    """A file beside the log that one process at a time holds while it writes.

    SQLite keeps writers apart, but up to 3.51.2 a commit and a checkpoint of two processes at the same
    instant may corrupt a WAL file (fixed in 3.51.3). Under the lease neither happens.

    Args:
        path: the log's file, absolute.
    """

    __slots__ = ()

    def __init__(self, path: str) -> None:
        super().__init__(path + "-lease")

    @contextmanager
    def held(self, timeout_s: float = BUSY_TIMEOUT_S) -> Generator[None, None, None]:
        """Wait for the lease and hold it.

        Raises:
            TimeoutError: others held it for that long.
            OSError: its file cannot be made, or not be locked.
        """
        with super().held(timeout_s):
            yield
