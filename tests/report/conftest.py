"""Usage logs for reports: a large one that is made up, and small ones of which every row is known."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from itertools import count

import pytest

from llmopt.testing.usage import fill_log
from llmopt.usage.migrations import migrate, statements

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
PRICES = {"input": "100", "cache_read": "10", "cache_write": "125", "output": "400"}
ANSWERED = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_usd_nano",
    "price_id",
)


class SmallLog:
    """A usage log whose rows are given one by one; what a row does not say is as in an ordinary call."""

    def __init__(self, path, version=2):
        self.path = path
        self.number = count(1)
        self.version = version
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = MEMORY")
        self.connection.execute("PRAGMA synchronous = OFF")
        if version == 1:
            for statement in statements(1):
                self.connection.execute(statement)
        else:
            migrate(self.connection)

    def insert(self, table, **row):
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608
        self.connection.execute(sql, [*row.values()])
        return row

    def price(self, number=1, model="m", **nano):
        text = json.dumps({**PRICES, **nano})
        self.insert(
            "prices", id=number, provider="p", model=model, valid_from="2026-01-01", nano_usd_json=text
        )

    def call(self, *, runs=None, texts=(), **given):
        """Add a call and its runs: one that answered, unless others are given as rows."""
        number = next(self.number)
        call = {
            "id": f"01{number:024d}",
            "model_requested": "m",
            "stream": 0,
            "started_at": f"2026-11-20T{10 + number // 3600}:{number // 60 % 60:02}:{number % 60:02}.000000Z",
            "duration_ms": 1000.0,
            "ttft_ms": 200.0,
            "status": "ok",
            "attempts": 1,
            "input_tokens": 100,
            "output_tokens": 10,
            "tokens_source": "provider",
            "schema_version": self.version,
            **given,
        }
        self.insert("calls", **call)
        own = ANSWERED if self.version > 1 else ANSWERED[:-1]
        answer = {name: call[name] for name in own if name in call}
        rows = [answer] if runs is None and call["attempts"] else runs or ()
        for n, row in enumerate(rows, 1):
            kept = {"model": call["model_requested"], "started_at": call["started_at"], "status": "ok", **row}
            self.insert("attempts", call_id=call["id"], n=n, **kept)
        for position, (kind, digest) in enumerate(texts):
            self.insert("call_fragments", call_id=call["id"], digest=digest, kind=kind, position=position)
        return call

    def text(self, digest, size=400, **given):
        row = {"digest": digest, "bytes": size, "first_seen": "2026-11-20T10:00:00.000000Z", **given}
        self.insert("fragments", **row)

    def served(self, outcome="hit", **given):
        """Add a call that llmopt's own cache answered."""
        return self.call(
            attempts=0, cache_outcome=outcome, duration_ms=0.2, ttft_ms=0.1, cost_usd_nano=0, **given
        )

    def refused(self, kind="too_many_requests", *, retried=True, **given):
        """Add a call whose first run failed."""
        failed = {"status": "error", "error_class": kind, "error_type": "openai.Error", "http_status": 429}
        again = {"input_tokens": 100, "output_tokens": 10, "wait_ms": 1500.0}
        if retried:
            return self.call(attempts=2, runs=[failed, again], **given)
        nothing = {"input_tokens": None, "output_tokens": None, "tokens_source": None, "status": "error"}
        return self.call(attempts=1, runs=[failed], **{**nothing, "error_class": kind, **given})


@pytest.fixture
def small_log(tmp_path):
    log = SmallLog(tmp_path / "small.db")
    yield log
    log.connection.close()


@pytest.fixture
def old_log(tmp_path):
    """A log as the first version of the schema has it."""
    log = SmallLog(tmp_path / "old.db", version=1)
    yield log
    log.connection.close()


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """The path of a log of 3,000 made-up calls in 14 days, better in the second half."""
    path = tmp_path_factory.mktemp("report") / "made_up.db"
    fill_log(path, 3000, now=NOW)
    return path


@pytest.fixture
def ask(made_up):
    """Ask the made-up log in SQL."""
    with closing(sqlite3.connect(made_up)) as connection:
        yield lambda sql, *values: connection.execute(sql, values).fetchall()
