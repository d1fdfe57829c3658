"""Fills a usage log with made-up calls, for tests of what is asked of a log, for demos and for measurements.

    >>> import llmopt
    >>> from llmopt.testing.usage import fill_log
    >>> fill_log("usage.db", 200)
    >>> llmopt.usage.open("usage.db")["calls"].count
    200

What the calls are like stands in `llmopt.testing.traffic`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from ..errors import ConfigurationError
from ..usage.migrations import migrate
from ..usage.schema import INDEXES
from .traffic import COLUMNS, MODELS, LoggedModel, Rows, Traffic

__all__ = ["MODELS", "LoggedModel", "fill_log"]

_PAGE_BYTES, _CACHE_KIB = 8192, 65_536


def fill_log(
    path: str | os.PathLike[str],
    calls: int = 1000,
    *,
    seed: int = 7,
    days: float = 14,
    now: datetime | None = None,
    models: Sequence[LoggedModel] = MODELS,
    with_content: bool = False,
) -> None:
    """Write a usage log of made-up calls, as a game with agents and a helpdesk might leave it.

    There are roles and agents, quiet nights and weekends, prompts that come again and again, failures and
    retries, a fallback, tool loops, batches of plans, and one model that is slow and has no price. In the
    second half of the time compression, a cache and provider prefix caching are at work, so that a report
    has something to compare. Rows go straight into the tables: a million calls take about a minute.

    Args:
        path: the file; it must not hold calls already.
        calls: how many calls.
        seed: equal arguments give equal rows.
        days: length of the period in days.
        now: when it ends, with a time zone; None stands for the present.
        models: the models that are called.
        with_content: whether the texts are kept as well.

    Raises:
        ConfigurationError: an argument is wrong, or the file holds calls.

    Example:
        >>> import llmopt
        >>> fill_log("made_up.db", 100, days=1)
        >>> next(llmopt.usage.open("made_up.db").query("SELECT count(*) AS calls FROM calls"))
        {'calls': 100}
    """
    if calls < 1 or days <= 0 or not models:
        raise ConfigurationError(
            f"fill_log: calls={calls}, days={days}, models={len(models)}: each must be more than 0"
        )
    if now is not None and now.tzinfo is None:
        raise ConfigurationError(f"fill_log: now={now} has no time zone, as datetime(..., tzinfo=UTC) has")
    end_s = (now or datetime.now(UTC)).timestamp()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        migrate(connection)
        if connection.execute("SELECT 1 FROM calls LIMIT 1").fetchone():
            raise ConfigurationError(f"fill_log: {path} holds calls already: name a new file")
        _write(connection, Traffic(calls, seed, days, end_s, models, with_content=with_content))
    finally:
        connection.close()


def _write(connection: sqlite3.Connection, traffic: Traffic) -> None:
    """Write all rows in one transaction; nothing guards it against a crash, as it can be done again."""
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute("BEGIN")
    indexes = [
        row
        for index in INDEXES
        for row in connection.execute("SELECT name, sql FROM sqlite_master WHERE name = ?", (index.name,))
    ]
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    for rows in traffic.rows():
        _insert(connection, rows)
    for _, sql in indexes:  # digests come in no order: sorted at the end, they take a third of the time
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")


def _insert(connection: sqlite3.Connection, rows: Rows) -> None:
    for table, columns in COLUMNS.items():
        if rows[table]:
            marks = ",".join("?" * len(columns))
            sql = f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
            connection.executemany(sql, rows[table])
