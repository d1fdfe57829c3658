"""One of several processes that write at the same time: `_usage_worker.py KIND FILE CALLS`.

`drain` appends calls to the spool and drains it, `raw` writes the same rows with `executemany`, 100 calls and
their attempts in a transaction; both say "ready" and wait for a line. `backlog` appends calls that nobody
drains, and prints by how many bytes that has made the process grow.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import orjson

BATCH = 100
WARM_UP = 10_000
NOON_S = 1_795_262_400.0


def call_of(number: int) -> list[Any]:
    """Return the payload of a call of one attempt, as `UsageLog` makes it."""
    ulid = f"01{os.getpid():08d}{number:016d}"
    attempt = ["gpt-4o-mini", 50.01, 0.0, 50.04, 50.1, [510, 85, None]]
    head = [
        ulid,
        ulid,
        None,
        None,
        None,
        None,
        "openai",
        None,
        "gpt-4o-mini",
        '{"temperature":0.0}',
        None,
        None,
    ]
    times_s = [NOON_S + number / 100, 50.0, 50.1 + number % 7 / 10]
    answer = [
        "model",
        "gpt-4o-mini-2024-07-18",
        "stop",
        [510, 85, None],
        None,
        [attempt],
        None,
        {"cache": "miss"},
    ]
    return ["call", *head, True, None, "tactical", f"A{number % 10}", None, *times_s, None, *answer]


def ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def drain(path: str, calls: int) -> None:
    from llmopt.usage.writer import Writer

    payloads = [orjson.dumps(call_of(number)) for number in range(calls)]
    writer = Writer(path)
    ready()
    for payload in payloads:
        writer.put(payload)
    while not writer.flush(60):
        pass


def raw(path: str, calls: int) -> None:
    rows = _rows(f"{path}-{os.getpid()}", min(calls, 2 * BATCH))
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    from llmopt.usage.database import connect

    connect(path).close()
    connection.execute("PRAGMA synchronous = NORMAL")
    prepared = []
    for begin in range(0, calls, BATCH):
        numbers = range(begin, min(begin + BATCH, calls))
        ids = [f"02{os.getpid():08d}{number:016d}" for number in numbers]
        prepared.append(
            [
                (sql, [(ulid, *row[1:]) for ulid, row in zip(ids, values, strict=False)])
                for sql, values in rows
            ]
        )
    ready()
    for statements in prepared:
        connection.execute("BEGIN IMMEDIATE")
        for sql, values in statements:
            connection.executemany(sql, values)
        connection.execute("COMMIT")
    connection.close()


def _rows(path: str, calls: int) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """Return statements, and the rows of our own log for some calls, in the columns that hold something."""
    from llmopt.usage.writer import Writer

    writer = Writer(path)
    for number in range(calls):
        writer.put(orjson.dumps(call_of(number)))
    assert writer.flush(60)
    connection = sqlite3.connect(path)
    found = []
    for table, key in (("calls", "id"), ("attempts", "call_id")):
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY {key}")  # noqa: S608
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        held = [
            at for at, name in enumerate(names) if name == key or any(row[at] is not None for row in rows)
        ]
        held.sort(key=lambda at: names[at] != key)
        marks = ", ".join("?" * len(held))
        sql = f"INSERT INTO {table} ({', '.join(names[at] for at in held)}) VALUES ({marks})"  # noqa: S608
        found.append((sql, [tuple(row[at] for at in held) for row in rows]))
    connection.close()
    return found


def backlog(path: str, calls: int) -> None:
    from llmopt.usage.spool import Spool

    spool = Spool(path + "-spool", lambda: b'["hello"]', quota_bytes=2**40)
    payload = orjson.dumps(call_of(1))
    for _ in range(WARM_UP):
        spool.append(payload)
    before = _resident_bytes()
    for number in range(calls):
        spool.append(orjson.dumps(call_of(number)))
    print(_resident_bytes() - before)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    {"drain": drain, "raw": raw, "backlog": backlog}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
