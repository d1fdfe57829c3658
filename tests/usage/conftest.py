"""Records as calls leave them, without calls."""

from __future__ import annotations

import sqlite3
from itertools import count as counting

import pytest

from llmopt.usage.record import Record

NUMBERS = counting()
NOON_S = 1_795_262_400.0  # 2026-11-21T12:00:00Z


def make_record(**changes) -> Record:
    """A call of one attempt that went well, 100 ms long, the first event after 40 ms."""
    ulid = f"01{next(NUMBERS):024d}"
    usage = (10, 5, None)
    record = Record(
        id=ulid,
        turn_id=ulid,
        trace_id=None,
        parent_id=None,
        conversation_id=None,
        batch_id=None,
        provider="openai",
        host=None,
        model_id="m-1",
        options_json=None,
        prompt_digest=None,
        texts=None,
        stream=True,
        limit_s=None,
        role=None,
        agent=None,
        tags_json=None,
        wall_s=NOON_S,
        began_s=50.0,
        ended_s=50.1,
        fault=None,
        source="model",
        resolved_model=None,
        finish_reason=None,
        usage=usage,
        counted=None,
        attempts=[("m-1", 50.01, 0.0, 50.04, 50.1, usage)],
        faults=None,
        notes=None,
    )
    return record._replace(**changes)


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "usage.db")


@pytest.fixture
def count():
    """Counts the rows of a table of a file."""

    def count(path, table="calls"):
        connection = sqlite3.connect(path)
        try:
            return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        finally:
            connection.close()

    return count
