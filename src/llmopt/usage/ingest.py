"""From payloads to rows: what the spools hold is written here, inside the transaction of who reads them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import orjson

from .price_table import PriceTable
from .prices import Pricing
from .record_batch import NAMES
from .rows import inserts
from .values import timestamp

CALL = "call"

_ID, _WALL_S = NAMES.index("id"), NAMES.index("wall_s")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"  # in lower case, as llm writes its ids
_TIME_CHARACTERS, _RANDOM_CHARACTERS = 10, 16  # of a ULID
_BITS = 5  # in a character of it
_OF_A_PAYLOAD = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


def write(connection: sqlite3.Connection, payloads: Sequence[bytes], pricing: Pricing | None = None) -> None:
    """Write the rows for these payloads.

    A payload that cannot become a row spoils no other: it is left out, and counted in `drops` by the class of
    the error. The same payload again changes nothing.

    Args:
        connection: the log's file, in a transaction that the caller ends.
        payloads: JSON arrays whose first element is their kind: "hello", "call", "batch" or "drop".
        pricing: what knows prices; None asks `genai-prices` alone.

    Raises:
        sqlite3.Error: the file itself is at fault: it is locked, full, unreadable or corrupt. What was
            written is for the caller to roll back; likewise
        OSError: on a disk that fails.

    Example:
        >>> from llmopt.usage.migrations import migrate
        >>> connection = sqlite3.connect(":memory:", isolation_level=None)
        >>> migrate(connection)
        >>> write(connection, [b'["drop",0,7,"no space left",3]', b"?"])
        >>> connection.execute("SELECT reason, records FROM drops ORDER BY reason").fetchall()
        [('JSONDecodeError', 1), ('no space left', 3)]
    """
    lost: Counter[str] = Counter()
    calls: list[list[Any]] = []
    for payload in _parsed(payloads, lost):
        kind = payload[0] if payload else None
        if kind == CALL and len(payload) >= len(NAMES) and type(payload[_ID]) is str:
            calls.append(payload)
        elif type(kind) is str and kind in _OTHERS:
            _write_other(connection, payload, lost)
        else:
            lost["ValueError" if kind == CALL else "unknown kind"] += 1
    if calls:
        _write_calls(connection, calls, PriceTable(connection, pricing or Pricing()), lost)
    if lost:
        now, pid = timestamp(time.time()), os.getpid()
        connection.executemany(
            "INSERT INTO drops (at, pid, reason, records) VALUES (?, ?, ?, ?)",
            [(now, pid, reason, records) for reason, records in lost.items()],
        )


def _parsed(payloads: Sequence[bytes], lost: Counter[str]) -> list[list[Any]]:
    """Return what the payloads say. One array of all is read faster than each by itself."""
    return [payload if type(payload) is list else [] for payload in _loaded(payloads, lost)]


def _loaded(payloads: Sequence[bytes], lost: Counter[str]) -> list[Any]:
    try:
        found: list[Any] = orjson.loads(b"[%b]" % b",".join(payloads))
    except ValueError:
        found = []
    if len(found) == len(payloads):  # else one is no JSON, or is more than one
        return found
    found = []
    for payload in payloads:
        try:
            found.append(orjson.loads(payload))
        except ValueError as error:
            lost[type(error).__name__] += 1
    return found


def _write_calls(
    connection: sqlite3.Connection, calls: list[list[Any]], prices: PriceTable, lost: Counter[str]
) -> None:
    """Write calls. Where an id is there, it is the same call again, or a response of llm's that ran twice."""
    present = _present(connection, [call[_ID] for call in calls])
    fresh: dict[str, list[Any]] = {}
    again: list[list[Any]] = []
    for call in calls:
        if call[_ID] in present or call[_ID] in fresh:
            again.append(call)
        else:
            fresh[call[_ID]] = call
    _insert(connection, list(fresh.values()), prices, lost)
    for call in again:
        other = _under_another_id(call)
        if timestamp(call[_WALL_S]) not in _present(connection, [call[_ID], other[_ID]]).values():
            _insert(connection, [other], prices, lost)


def _present(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return those of the ids that are there, and when their calls began."""
    sql = "SELECT id, started_at FROM calls WHERE id IN (SELECT value FROM json_each(?))"
    return dict(connection.execute(sql, (orjson.dumps(ids).decode(),)).fetchall())


def _insert(
    connection: sqlite3.Connection, calls: list[list[Any]], prices: PriceTable, lost: Counter[str]
) -> None:
    """Insert calls whose ids are new; if one of them is at fault, each half by itself, down to that one."""
    try:
        for sql, parameters in inserts(calls, prices):
            connection.executemany(sql, parameters)
    except Exception as error:
        if _is_of_the_file(error):
            raise
        _take_back(connection, calls)
        if len(calls) == 1:
            lost[type(error).__name__] += 1
            return
        half = len(calls) // 2
        _insert(connection, calls[:half], prices, lost)
        _insert(connection, calls[half:], prices, lost)


def _take_back(connection: sqlite3.Connection, calls: list[list[Any]]) -> None:
    """Remove what was written of new calls. A savepoint would do that too, but costs half of the insert."""
    ids = orjson.dumps([call[_ID] for call in calls]).decode()
    for table, column in (("call_fragments", "call_id"), ("attempts", "call_id"), ("calls", "id")):
        connection.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608 - ours
            (ids,),
        )


def _under_another_id(call: list[Any]) -> list[Any]:
    """Return a call with another id of the same millisecond: llm's response has run before.

    The same call gets the same one each time, so that it is known again.
    """
    number = int.from_bytes(sha256(f"{call[_ID]} {call[_WALL_S]!r}".encode()).digest())
    letters = (_CROCKFORD[number >> _BITS * place & 31] for place in range(_RANDOM_CHARACTERS))
    return [*call[:_ID], call[_ID][:_TIME_CHARACTERS] + "".join(letters), *call[_ID + 1 :]]


def _write_other(connection: sqlite3.Connection, payload: list[Any], lost: Counter[str]) -> None:
    try:
        with _savepoint(connection):
            _OTHERS[payload[0]](connection, payload[1:])
    except Exception as error:
        if _is_of_the_file(error):
            raise
        lost[type(error).__name__] += 1


def _hello(connection: sqlite3.Connection, values: list[Any]) -> None:
    pid, host, wall_s, *versions = values
    known = (pid, host, timestamp(wall_s))
    connection.execute(_HELLO, (*known, *versions, *known))


def _batch(connection: sqlite3.Connection, values: list[Any]) -> None:
    name, wall_s, duration_ms, *told, slots = values
    connection.execute(_BATCH, (name, timestamp(wall_s), duration_ms, *told))
    connection.executemany(_SLOT, [(name, *slot) for slot in slots])


def _drop(connection: sqlite3.Connection, values: list[Any]) -> None:
    wall_s, *told = values
    loss = (timestamp(wall_s), *told)
    connection.execute(_DROP, loss * 2)


_OTHERS: Mapping[str, Callable[[sqlite3.Connection, list[Any]], None]] = {
    "hello": _hello,
    "batch": _batch,
    "drop": _drop,
}

# Each segment of a spool begins with a hello; and what was read may be read again.
_HELLO = """
INSERT INTO processes (pid, host, started_at, llmopt, llm, python, sqlite)
SELECT ?, ?, ?, ?, ?, ?, ?
WHERE NOT EXISTS (SELECT 1 FROM processes WHERE pid = ? AND host = ? AND started_at = ?)
"""
_BATCH = """
INSERT INTO batches (id, started_at, duration_ms, n, flushed_by, prompt_tokens, role, strategy)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_SLOT = """
INSERT INTO batch_slots (batch_id, slot, agent_id, call_id, plan_ok, first_plan_ms, error)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (batch_id, slot) DO NOTHING
"""
_DROP = """
INSERT INTO drops (at, pid, reason, records) SELECT ?, ?, ?, ?
WHERE NOT EXISTS (SELECT 1 FROM drops WHERE at = ? AND pid = ? AND reason = ? AND records = ?)
"""


@contextmanager
def _savepoint(connection: sqlite3.Connection) -> Generator[None, None, None]:
    connection.execute("SAVEPOINT ingest")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk may have ended it
            connection.execute("ROLLBACK TO ingest")
            connection.execute("RELEASE ingest")
        raise
    connection.execute("RELEASE ingest")


def _is_of_the_file(error: Exception) -> bool:
    """Tell whether the file is at fault, or the machine, and not a payload."""
    if isinstance(error, sqlite3.Error):
        return not isinstance(error, _OF_A_PAYLOAD)
    return isinstance(error, (OSError, MemoryError))
