"""What is to be seen of a usage log's health. Nothing is decided here, and nothing is changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from .frames import MAGIC, unpack
from .locks import Lock
from .schema import describe
from .segments import lock_of, pid_of, spool_folder, survey

__all__ = ["Backlog", "Drop", "Facts", "facts_of"]

_NOT_A_LOG = "it is a database, but has no table 'calls'"
_HEAD_BYTES = 2**16


class Backlog(NamedTuple):
    """What one process has left to be written.

    Attributes:
        pid: the process.
        alive: whether it still runs.
        undrained_bytes: bytes of its files that are not in the database.
        oldest_s: when the first call of these was made, in seconds since the epoch, or None.
    """

    pid: int
    alive: bool
    undrained_bytes: int
    oldest_s: float | None


class Drop(NamedTuple):
    """Records that were lost for one reason.

    Attributes:
        reason: the reason.
        records: how many.
        last_at: when the last loss was written down.
    """

    reason: str
    records: int
    last_at: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen.

    Attributes:
        path: the file.
        folder: where it lies.
        sqlite: the release of SQLite.
        exists: whether the file is there.
        error: why it cannot be read as a usage log, or None. What comes after is then unknown.
        damage: what SQLite finds wrong with the database.
        size_bytes: size of the file.
        free_bytes: free space beside it.
        modes: permissions of the files and folders that are there, by their paths; empty on Windows.
        backlogs: what processes have left to be written.
        leased: whether somebody holds the lease.
        lease_pid: who that is, or None where it cannot be told.
        version: version of its schema.
        journal: its journal mode.
        missing_views: views that are not there, or not in order.
        drops: what was lost.
        newest: when the last call began, or None.
        unpriced: models and how many of their attempts have tokens but no price, most first.
        behind: targets of exports and how many calls they lack, if any.
    """

    path: str
    folder: str
    sqlite: tuple[int, int, int]
    exists: bool = False
    error: str | None = None
    damage: Sequence[str] = ()
    size_bytes: int = 0
    free_bytes: int = 0
    modes: Mapping[str, int] = field(default_factory=dict[str, int])
    backlogs: Sequence[Backlog] = ()
    leased: bool = False
    lease_pid: int | None = None
    version: int = 0
    journal: str = ""
    missing_views: Sequence[str] = ()
    drops: Sequence[Drop] = ()
    newest: str | None = None
    unpriced: Sequence[tuple[str, int]] = ()
    behind: Sequence[tuple[str, int]] = ()


def facts_of(path: str) -> Facts:
    """Look at a log.

    Args:
        path: the file, absolute.
    """
    leased = _leased(path)
    seen = Facts(
        path,
        os.path.dirname(path),  # noqa: PTH120 - a str is at hand
        sqlite3.sqlite_version_info,
        exists=Path(path).exists(),
        free_bytes=_free_bytes(path),
        modes=dict(_modes(path)),
        leased=leased,
        lease_pid=_holder(path + "-lease") if leased else None,
    )
    if not seen.exists:
        return replace(seen, backlogs=_backlogs(path, {}))
    try:
        with closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)) as connection:
            return _look_inside(seen, connection)
    except sqlite3.DatabaseError as error:
        damage = (str(error),) if _is_damage(error) else ()
        return replace(seen, error=str(error), damage=damage, backlogs=_backlogs(path, {}))


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


# The file


def _free_bytes(path: str) -> int:
    folder = Path(path).parent
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _modes(path: str) -> Iterator[tuple[str, int]]:
    """Yield the permissions of all files and folders."""
    if os.name == "nt":  # pragma: no cover - they say nothing there
        return
    spool = Path(spool_folder(path))
    beside = [path + suffix for suffix in ("", "-wal", "-shm", "-lease")]
    for each in (Path(path).parent, *map(Path, beside), spool, *(spool.iterdir() if spool.is_dir() else ())):
        with suppress(FileNotFoundError):
            yield str(each), each.stat().st_mode & 0o7777


def _leased(path: str) -> bool:
    return _is_locked(Lock(path + "-lease"))


def _is_locked(lock: Lock) -> bool:
    """Tell whether somebody holds a lock. One whose file is not there is nobody's, and is not made."""
    if not Path(lock.path).exists():
        return False
    try:
        return not lock.acquire()
    finally:
        lock.close()


def _holder(path: str) -> int | None:
    """Return the process that has locked a file, where the system tells: Linux does."""
    try:
        inode, locks = Path(path).stat().st_ino, Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    for line in locks.splitlines():
        match line.split():
            case [_, _, _, _, pid, place, *_] if place.endswith(f":{inode}") and pid != "-1":
                return int(pid)
            case _:
                pass
    return None


# The spool


def _backlogs(path: str, positions: Mapping[str, int]) -> list[Backlog]:
    folder = spool_folder(path)
    return [
        Backlog(pid_of(owner), _is_locked(lock_of(folder, owner)), *_undrained(folder, names, positions))
        for owner, names in survey(folder).items()
    ]


def _undrained(folder: str, names: Sequence[str], positions: Mapping[str, int]) -> tuple[int, float | None]:
    """Return how many bytes of files are not in the database, and when the first of their calls began."""
    undrained_bytes, oldest_s = 0, None
    for name in names:
        path, position = Path(folder, name), max(positions.get(name, 0), len(MAGIC))
        try:
            left_bytes = path.stat().st_size - position
            if left_bytes > 0 and oldest_s is None:
                oldest_s = _oldest_s(path, position)
        except OSError:  # drained and removed just now
            continue
        undrained_bytes += max(0, left_bytes)
    return undrained_bytes, oldest_s


def _oldest_s(path: Path, position: int) -> float | None:
    with path.open("rb") as file:
        file.seek(position)
        payloads = unpack(file.read(_HEAD_BYTES)).payloads
    return next((began_s for began_s in map(_began_s, payloads) if began_s is not None), None)


def _began_s(payload: bytes) -> float | None:
    """Return when the call of a payload began; it may be anything else."""
    from .record import Record

    try:
        kind, *values = orjson.loads(payload)
        began_s = values[Record._fields.index("wall_s")] if kind == "call" else None
    except (ValueError, TypeError, IndexError):
        return None
    return began_s if isinstance(began_s, float) else None


# The database


def _look_inside(seen: Facts, connection: sqlite3.Connection) -> Facts:
    path = seen.path
    if not _ask(connection, "SELECT 1 FROM sqlite_master WHERE name = 'calls'"):
        return replace(seen, error=_NOT_A_LOG, backlogs=_backlogs(path, {}))
    damage = [row[0] for row in _ask(connection, "PRAGMA integrity_check(100)") if row[0] != "ok"]
    return replace(
        seen,
        damage=damage,
        size_bytes=Path(path).stat().st_size,
        backlogs=_backlogs(path, dict(_try(connection, "SELECT name, position FROM spools"))),
        version=_ask(connection, "PRAGMA user_version")[0][0],
        journal=_ask(connection, "PRAGMA journal_mode")[0][0],
        missing_views=[view.name for view in describe() if view.view and not _works(connection, view.name)],
        drops=[Drop(*row) for row in _try(connection, _DROPS)],
        newest=next((row[0] for row in _try(connection, "SELECT max(started_at) FROM calls")), None),
        unpriced=_try(connection, _UNPRICED),
        behind=_try(connection, _BEHIND),
    )


_DROPS = "SELECT reason, sum(records), max(at) FROM drops GROUP BY reason ORDER BY sum(records) DESC"
_UNPRICED = (
    "SELECT model, count(*) FROM attempts WHERE cost_usd_nano IS NULL "
    "AND (input_tokens IS NOT NULL OR output_tokens IS NOT NULL) GROUP BY model ORDER BY count(*) DESC, model"
)
_BEHIND = (
    "SELECT target, (SELECT count(*) FROM calls WHERE rowid > position) FROM exports "
    "WHERE position < (SELECT max(rowid) FROM calls) ORDER BY target"
)


def _ask(connection: sqlite3.Connection, query: str) -> list[Any]:
    return connection.execute(query).fetchall()


def _try(connection: sqlite3.Connection, query: str) -> list[Any]:
    """Return rows, or none: what is damaged, or older than a table, does not say all."""
    try:
        return _ask(connection, query)
    except sqlite3.DatabaseError:
        return []


def _works(connection: sqlite3.Connection, view: str) -> bool:
    try:
        connection.execute(f"SELECT * FROM {view} LIMIT 0")  # noqa: S608 - our own names
    except sqlite3.DatabaseError:
        return False
    return True
