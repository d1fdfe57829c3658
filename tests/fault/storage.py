"""What disks and databases do, under the cache and under the usage log."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from errno import EMFILE, ENOSPC, EROFS
from typing import Any

import llmopt
from llmopt import Cache, SQLiteStore, UsageLog
from llmopt.cache.memory import MemoryStore
from llmopt.testing import FaultPlan, FaultyStore
from llmopt.usage.database import connect
from llmopt.usage.disk import private_file

from ..middleware.conftest import Outcome
from .stage import Fault, Logged, Stage


def cached(store: Callable[[Stage], Any]) -> Callable[[Stage], Outcome]:
    """Ask twice through a cache with such a store; the second call is the one that is looked at."""

    def play(stage: Stage) -> Outcome:
        cache = Cache(store=store(stage))
        stage.wrap(["one", "two"], cache)
        stage.ask()
        outcome = stage.ask()
        assert cache.stats()["errors"] > 0
        return outcome

    return play


def faulty(*names: str) -> Callable[[Stage], FaultyStore]:
    return lambda stage: FaultyStore(MemoryStore(), FaultPlan.of(*names))


def sqlite_store(stage: Stage) -> SQLiteStore:
    return SQLiteStore(stage.folder / "cache.db", busy_timeout_s=0.02)


def file_is_locked(stage: Stage) -> Outcome:
    store = sqlite_store(stage)
    cache = Cache(store=store)
    stage.wrap(["first"], cache)
    stage.ask("first")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcome = stage.ask()
    assert cache.stats()["errors"] > 0
    return outcome


def file_is_full(stage: Stage) -> Outcome:
    store = sqlite_store(stage)
    cache = Cache(store=store)
    stage.wrap(["first", "x" * 100_000, "ok"], cache)
    stage.ask("first")
    store._file.connection.execute("PRAGMA max_page_count = 1")  # it shrinks no further than it is
    stage.ask()
    assert cache.stats()["errors"] == 1
    outcome = stage.ask()
    assert cache.stats()["entries"] == 2
    return outcome


def file_is_no_database(stage: Stage) -> SQLiteStore:
    (stage.folder / "cache.db").write_bytes(b"This is no database. " * 999)
    return sqlite_store(stage)


def folder_is_missing(stage: Stage) -> SQLiteStore:
    return SQLiteStore(stage.folder / "nowhere" / "cache.db")


def entry_is_damaged(stage: Stage) -> Outcome:
    store = sqlite_store(stage)
    cache = Cache(store=store)
    stage.wrap(["one", "two"], cache)
    stage.ask()
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("UPDATE llmopt_cache_entries SET value = x'c0ffee'")
    outcome = stage.ask()
    assert cache.stats()["errors"] == 1
    assert stage.ask().told == "two"  # which has taken its place
    return outcome


# The log


def logging(stage: Stage, **configuration: Any) -> UsageLog:
    """Have calls logged into a file of their own."""
    stage.log = UsageLog(stage.folder / "log" / "usage.db", **configuration)
    stage.wrap([])
    return stage.log


def rows(stage: Stage, query: str) -> list[dict[str, Any]]:
    with closing(llmopt.usage.open(stage.log.path)) as database:
        return list(database.query(query))


def is_of(stage: Stage, path: str) -> bool:
    """Tell whether a file belongs to this test's log; other logs may be at work."""
    return path.startswith(os.path.realpath(stage.folder / "log"))


def opening(stage: Stage, opener: Callable[..., sqlite3.Connection]) -> None:
    """Have the database of this test's log opened by `opener`."""

    def opened(path: str, *rest: Any) -> sqlite3.Connection:
        return (opener if is_of(stage, path) else connect)(path, *rest)

    stage.patch.setattr("llmopt.usage.drain.connect", opened)


def without_files(stage: Stage, code: int) -> list[bool]:
    """Let no file be made for this test's log, until the list that is returned is empty."""
    broken = [True]

    def made(path: str, *rest: Any) -> int:
        if broken and is_of(stage, path):
            raise OSError(code, os.strerror(code), path)
        return private_file(path, *rest)

    for module in ("segments", "locks"):
        stage.patch.setattr(f"llmopt.usage.{module}.private_file", made)
    return broken


def log_is_full(stage: Stage) -> Outcome:
    full = [True]

    def full_for_once(path: str, *rest: Any) -> sqlite3.Connection:
        connection = connect(path, *rest)
        if full:
            connection.execute("PRAGMA max_page_count = 1")  # it shrinks no further than it is
        return connection

    opening(stage, full_for_once)
    log = logging(stage, tags={"long": "x" * 100_000})
    outcome = stage.ask()
    assert not llmopt.usage.flush()
    assert f"{log.path}: database or disk is full" in stage.caplog.text
    full.clear()
    stage.ask("another")
    assert llmopt.usage.flush()
    assert rows(stage, "SELECT count(*) AS n FROM calls") == [{"n": 2}]
    assert log.stats()["failed"] == 0
    return outcome


def log_is_locked(stage: Stage) -> Outcome:
    log = logging(stage)
    stage.ask("first")
    llmopt.usage.flush()
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcome = stage.ask()  # which does not wait
        assert log.stats()["undrained_bytes"] > 0
        other.execute("ROLLBACK")
    assert rows(stage, "SELECT status FROM calls") == [{"status": "ok"}] * 2
    return outcome


def failing_log(code: int) -> Callable[[Stage], Outcome]:
    """A log whose files cannot be made."""

    def play(stage: Stage) -> Outcome:
        without_files(stage, code)
        log = logging(stage)
        outcome = stage.ask()
        assert log.stats()["failed"] == 1
        assert "calls are not logged" in stage.caplog.text
        return outcome

    return play


def log_is_no_database(stage: Stage) -> Outcome:
    (stage.folder / "log").mkdir()
    file = stage.folder / "log" / "usage.db"
    file.write_bytes(b"This is no database. " * 999)
    log = logging(stage)
    outcome = stage.ask()
    assert not llmopt.usage.flush()
    assert file.read_bytes().startswith(b"This is no database.")
    assert log.stats()["failed"] == 0
    file.unlink()
    assert rows(stage, "SELECT count(*) AS n FROM calls") == [{"n": 1}]
    return outcome


def strict_log(stage: Stage) -> Outcome:
    broken = without_files(stage, ENOSPC)
    logging(stage, strict=True)
    outcome = stage.ask()
    broken.clear()
    return outcome


ASKED_AGAIN = "The answer: the model is asked, and the fault counted"
MISSED = Logged("ok", 1, cache="miss")
LOST = "A warning, once; `UsageLog.stats()` counts the lost row"
WAITS = "A warning, once; its row waits in the spool until"

FAULTS = (
    Fault("cache: cannot be written", "The disk under the store is full (ENOSPC)", ASKED_AGAIN,
          cached(faulty("ok", "ok", "disk_full")), "two", MISSED),
    Fault("cache: cannot be read", "The disk under the store has an error (EIO)", ASKED_AGAIN,
          cached(faulty("ok", "ok", "ok", "io_error", "io_error")), "two", MISSED),
    Fault("cache: full file", "SQLite cannot make its file any larger",
          "The answer, which is not kept; the next one that fits is", file_is_full, "ok", MISSED),
    Fault("cache: locked file", "Another process holds the file's lock for longer than `busy_timeout_s`",
          ASKED_AGAIN, file_is_locked, "Hi", MISSED),
    Fault("cache: no database", "The file is something else", f"{ASKED_AGAIN}; the file stays as it is",
          cached(file_is_no_database), "two", MISSED),
    Fault("cache: no folder", "The folder of the file is missing", ASKED_AGAIN,
          cached(folder_is_missing), "two", MISSED),
    Fault("cache: damaged entry", "Some bytes of an entry have changed",
          "The answer: the model is asked, and the entry replaced", entry_is_damaged, "two", MISSED),
    Fault("log: full database", "SQLite cannot make its file any larger", "The answer", log_is_full, "Hi",
          f"{WAITS} there is room"),
    Fault("log: locked file", "Another process holds the file's lock", "The answer, without waiting",
          log_is_locked, "Hi", "Its row, as soon as the lock is free"),
    Fault("log: full disk", "No file can be made (ENOSPC)", "The answer", failing_log(ENOSPC), "Hi", LOST),
    Fault("log: read-only folder", "No file can be made (EROFS)", "The answer",
          failing_log(EROFS), "Hi", LOST),
    Fault("log: too many files", "The process may open no more files (EMFILE)", "The answer",
          failing_log(EMFILE), "Hi", LOST),
    Fault("log: no database", "The file is something else", "The answer; the file stays as it is",
          log_is_no_database, "Hi", f"{WAITS} it is moved away"),
    Fault("log: strict", "The disk is full, and the log is `strict`", "The answer, then `StoreError`",
          strict_log, "StoreError", LOST, heard="Hi"),
)  # fmt: skip
