"""What leaves the usage log: its calls as JSON lines or CSV, or a copy of the whole file.

Rows are read and written one by one, in one read transaction: memory does not grow with the log, and what
others write meanwhile is left out. Texts of prompts and replies leave it only where that is asked for.
"""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import orjson

from ..errors import StoreError
from .disk import private_file

__all__ = ["Out", "calls", "copy", "to_csv", "to_jsonl"]


class Out(Protocol):
    """What text can be written to."""

    def write(self, text: str, /) -> object:
        """Write a piece of text."""
        ...


_RUNS = "SELECT * FROM attempts WHERE call_id = ? ORDER BY n"
_TEXTS = (
    "SELECT kind, position, digest, bytes, tokens, tokens_source{content} FROM call_fragments "
    "JOIN fragments USING (digest) WHERE call_id = ? ORDER BY kind, position"
)


def calls(
    connection: sqlite3.Connection, *, since: str | None = None, until: str | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the calls of a log, the oldest first.

    Args:
        connection: a connection to it.
        since: only those that began then or later, as `calls.started_at` has it.
        until: only those that began before.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog("usage.db")).prompt("What now?").text()
        'HOLD'
        >>> [call["status"] for call in calls(llmopt.usage.open("usage.db").conn)]
        ['ok']
    """
    cursor = connection.execute(
        "SELECT * FROM calls WHERE started_at >= coalesce(?, '') AND started_at < coalesce(?, '~') "
        "ORDER BY started_at, rowid",
        (since, until),
    )
    yield from _rows(cursor)


def _rows(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Have all that is read inside the block be of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def to_jsonl(
    connection: sqlite3.Connection,
    out: Out,
    *,
    since: str | None = None,
    until: str | None = None,
    content: bool = False,
) -> int:
    """Write a JSON object for each call, with its attempts in `runs` and its texts' digests in `fragments`.

    Args:
        connection: a connection to the log.
        out: where to write.
        since: only calls that began then or later.
        until: only calls that began before.
        content: have the texts themselves in it, where the log has kept them.

    Returns:
        How many calls were written.
    """
    texts, count = _TEXTS.format(content=", content" if content else ""), 0
    with _snapshot(connection):
        for count, call in enumerate(calls(connection, since=since, until=until), 1):  # noqa: B007
            call["runs"] = [_without_call(run) for run in _rows(connection.execute(_RUNS, (call["id"],)))]
            call["fragments"] = list(_rows(connection.execute(texts, (call["id"],))))
            out.write(orjson.dumps(call).decode() + "\n")
    return count


def _without_call(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name != "call_id"}


def to_csv(
    connection: sqlite3.Connection, out: Out, *, since: str | None = None, until: str | None = None
) -> int:
    """Write the columns of `calls` as CSV, with a head.

    Args:
        connection: a connection to the log.
        out: where to write.
        since: only calls that began then or later.
        until: only calls that began before.

    Returns:
        How many calls were written.
    """
    names = [name for _, name, *_ in connection.execute("PRAGMA table_info(calls)")]
    writer, count = csv.writer(out, lineterminator="\n"), 0
    writer.writerow(names)
    with _snapshot(connection):
        for count, call in enumerate(calls(connection, since=since, until=until), 1):  # noqa: B007
            writer.writerow(call.values())
    return count


def copy(connection: sqlite3.Connection, path: str | os.PathLike[str], *, content: bool = False) -> None:
    """Copy the whole log into one file, as it is at this moment, while others go on writing to it.

    Args:
        connection: a connection to the log.
        path: the copy. It is not there before it is whole, and only its owner can read it (0600).
        content: keep the texts, if the log has any.

    Raises:
        StoreError: it cannot be written, or is the log itself.
    """
    target = os.path.realpath(path)
    if target == os.path.realpath(connection.execute("PRAGMA database_list").fetchone()[2]):
        raise StoreError(f"{target} is the log itself; name another file for the copy")
    if Path(target).exists() and not Path(target).is_file():
        raise StoreError(f"the copy {target} could not be written: it is no file")
    part = Path(f"{target}.part")
    try:
        part.unlink(missing_ok=True)  # what an earlier one has left behind
        os.close(private_file(str(part)))
        with closing(sqlite3.connect(part, isolation_level=None)) as made:
            _fill(made, connection, content=content)
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{part}{suffix}").unlink(missing_ok=True)
        raise StoreError(f"the copy {target} could not be written: {error}") from error


def _fill(made: sqlite3.Connection, log: sqlite3.Connection, *, content: bool) -> None:
    log.backup(made)
    made.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL beside it
    if not content:
        made.execute("UPDATE fragments SET content = NULL WHERE content IS NOT NULL")
    made.execute("VACUUM")  # pages that the log no longer uses may still hold texts
