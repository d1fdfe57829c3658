"""Examines a usage log, and says of each thing that may be wrong with it whether it is, and what to do.

`facts_of` looks and decides nothing; `judge` decides and looks at nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from .health import Facts, facts_of
from .registry import resolve
from .schema import VERSION
from .values import timestamp

__all__ = ["Finding", "State", "examine", "judge"]

State: TypeAlias = Literal["ok", "warn", "bad"]

_MINUTE_S, _WEEK_S = 60.0, 604_800.0
_BAD_FREE_BYTES, _LOW_FREE_BYTES = 100 * 2**20, 2**30
OTHERS = 0o077
"""Permissions of everybody but the owner."""

OPEN, STICKY = 0o0002, 0o1000
REPAIR = "llmopt log doctor --repair"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing.

    Attributes:
        name: the thing, in a word.
        state: "ok", "warn": it works, but look at it; or "bad": it does not do what it is for.
        says: what was found.
        remedy: what to do about that, or None.
    """

    name: str
    state: State
    says: str
    remedy: str | None = None


def examine(path: str | os.PathLike[str] | None = None) -> list[Finding]:
    """Look at everything, and change nothing.

    Args:
        path: the file; None stands for `llmopt/usage.db` in llm's user folder.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog("usage.db")).prompt("What now?").text()
        'HOLD'
        >>> llmopt.usage.flush()
        True
        >>> {finding.name: finding.state for finding in examine("usage.db")}["integrity"]
        'ok'
    """
    return judge(facts_of(resolve(path)), time.time())


def judge(facts: Facts, now_s: float) -> list[Finding]:
    """Decide what is right and what is wrong.

    Args:
        facts: what was seen.
        now_s: the time, in seconds since the epoch.
    """
    found = [finding for check in _CHECKS for finding in check(facts, now_s)]
    if facts.error is not None or not facts.exists:
        return [finding for finding in found if finding.name in _WITHOUT_DATABASE]
    return found


_Findings: TypeAlias = Iterator[Finding]


def _sqlite(facts: Facts, _now_s: float) -> _Findings:
    text = ".".join(map(str, facts.sqlite))
    if has_wal_reset_bug(facts.sqlite):
        yield Finding(
            "sqlite",
            "warn",
            f"{text} may corrupt a WAL database that two processes write at the same instant. llmopt writes "
            "under a lease, so that it does not happen to it alone",
            "let no other program write to the log, or use SQLite 3.51.3 or newer",
        )
    else:
        yield Finding("sqlite", "ok", text)


def has_wal_reset_bug(version: tuple[int, int, int]) -> bool:
    """Tell whether a release of SQLite has the WAL-reset bug: https://sqlite.org/wal.html#walresetbug.

    Example:
        >>> [has_wal_reset_bug(version) for version in ((3, 40, 1), (3, 44, 6), (3, 50, 7), (3, 51, 3))]
        [True, False, False, False]
    """
    mended = (3, 44, 6) <= version < (3, 45, 0) or (3, 50, 7) <= version < (3, 51, 0)
    return (3, 7, 0) <= version < (3, 51, 3) and not mended


def _file(facts: Facts, _now_s: float) -> _Findings:
    if not facts.exists:
        yield Finding("file", "ok", f"{facts.path} is not there yet")
    elif facts.error is not None:
        yield Finding("file", "bad", f"{facts.path} cannot be read as a usage log: {facts.error}", REPAIR)
    else:
        yield Finding("file", "ok", f"{facts.path}, {bytes_text(facts.size_bytes)}")


def _integrity(facts: Facts, _now_s: float) -> _Findings:
    if facts.damage:
        more = f" and {len(facts.damage) - 1} more" if len(facts.damage) > 1 else ""
        told = f"the database is damaged: {facts.damage[0]}{more}"
        yield Finding("integrity", "bad", told, f"{REPAIR} puts it aside and saves what can be read")
    else:
        yield Finding("integrity", "ok", "SQLite finds nothing wrong")


def _schema(facts: Facts, _now_s: float) -> _Findings:
    if facts.version > VERSION:
        told = f"version {facts.version}, by a newer llmopt; this one knows version {VERSION}"
        yield Finding("schema", "warn", told, "update llmopt here")
    elif facts.version < VERSION:
        told = f"version {facts.version}; version {VERSION} comes with the next record"
        yield Finding("schema", "warn", told, REPAIR)
    else:
        yield Finding("schema", "ok", f"version {VERSION}")
    if facts.missing_views:
        told = f"{', '.join(facts.missing_views)}: not there, or not in order"
        yield Finding("views", "bad", told, REPAIR)
    else:
        yield Finding("views", "ok", "all are there")


def _journal(facts: Facts, _now_s: float) -> _Findings:
    if facts.journal == "wal":
        yield Finding("journal", "ok", "WAL: readers and the writer do not wait for each other")
    else:
        told = f"{facts.journal} in the place of WAL: readers and the writer wait for each other"
        yield Finding("journal", "warn", told, "sqlite3 FILE 'PRAGMA journal_mode = WAL' on a local disk")


def _permissions(facts: Facts, _now_s: float) -> _Findings:
    mine = [path for path, mode in facts.modes.items() if path != facts.folder and mode & OTHERS]
    if mine:
        names = ", ".join(Path(path).name for path in mine[:3]) + (" ..." if len(mine) > 3 else "")  # noqa: PLR2004
        yield Finding("permissions", "bad", f"others may read or write {names}", REPAIR)
    elif facts.modes.get(facts.folder, 0) & (OPEN | STICKY) == OPEN:
        told = f"anybody may put another file into {facts.folder} in the place of the log"
        yield Finding("permissions", "bad", told, f"chmod o-w {facts.folder}")
    elif facts.modes and facts.exists:
        yield Finding("permissions", "ok", "only the owner can read the files")


def _spool(facts: Facts, now_s: float) -> _Findings:
    waiting = [backlog for backlog in facts.backlogs if backlog.undrained_bytes]
    if not waiting:
        yield Finding("spool", "ok", "nothing waits to be written")
    for backlog in waiting:
        process = f"process {backlog.pid}" + ("" if backlog.alive else " (gone)")
        told = f"{bytes_text(backlog.undrained_bytes)} of {process} wait to be written"
        waited_s = 0.0 if backlog.oldest_s is None else now_s - backlog.oldest_s
        if backlog.oldest_s is not None:
            told += f", the oldest record since {timestamp(backlog.oldest_s)[:19]} UTC"
        late = waited_s > _MINUTE_S or not backlog.alive
        yield Finding("spool", "warn" if late else "ok", told, REPAIR if late else None)


def _lease(facts: Facts, _now_s: float) -> _Findings:
    holder = "" if facts.lease_pid is None else f" by process {facts.lease_pid}"
    yield Finding("lease", "ok", f"held{holder}, which writes to the log" if facts.leased else "free")


def _drops(facts: Facts, now_s: float) -> _Findings:
    if not facts.drops:
        yield Finding("drops", "ok", "no record was lost")
        return
    lost = ", ".join(f"{drop.records} ({drop.reason})" for drop in facts.drops)
    last = max(drop.last_at for drop in facts.drops)
    recent = last > timestamp(now_s - _WEEK_S)
    told = f"records that were lost: {lost}; the last {last[:19]} UTC"
    yield Finding("drops", "warn" if recent else "ok", told, "llmopt log query drops" if recent else None)


def _disk(facts: Facts, _now_s: float) -> _Findings:
    told = f"{bytes_text(facts.free_bytes)} free"
    if facts.free_bytes >= _LOW_FREE_BYTES:
        yield Finding("disk", "ok", told)
    else:
        state: State = "bad" if facts.free_bytes < _BAD_FREE_BYTES else "warn"
        yield Finding("disk", state, told, "make room, or llmopt log prune --max-bytes 500MB")


def _clock(facts: Facts, now_s: float) -> _Findings:
    if facts.newest is not None and facts.newest > timestamp(now_s + _MINUTE_S):
        told = f"a call began at {facts.newest[:19]} UTC, which is still to come"
        yield Finding(
            "clock", "warn", told, "set the clock; reports count such calls when their time has come"
        )
    else:
        yield Finding("clock", "ok", "no call began later than now")


def _prices(facts: Facts, _now_s: float) -> _Findings:
    if not facts.unpriced:
        yield Finding("prices", "ok", "every attempt with tokens has a price")
        return
    models = ", ".join(f"{model} ({count})" for model, count in facts.unpriced[:3])
    more = f" and {len(facts.unpriced) - 3} more models" if len(facts.unpriced) > 3 else ""  # noqa: PLR2004
    told = f"attempts without a price: {models}{more}"
    yield Finding("prices", "warn", told, "llmopt log reprice, with --prices FILE for models of your own")


def _exports(facts: Facts, _now_s: float) -> _Findings:
    for target, behind in facts.behind:
        yield Finding("exports", "ok", f"{target} has all but the last {behind} calls")


_CHECKS: tuple[Callable[[Facts, float], _Findings], ...] = (
    _sqlite,
    _file,
    _integrity,
    _schema,
    _journal,
    _permissions,
    _spool,
    _lease,
    _drops,
    _disk,
    _clock,
    _prices,
    _exports,
)
_WITHOUT_DATABASE = {"sqlite", "file", "permissions", "spool", "lease", "disk"}


def bytes_text(size_bytes: int) -> str:
    """Return a size as a person says it.

    Example:
        >>> bytes_text(999), bytes_text(1_234_567)
        ('999 B', '1.2 MB')
    """
    if size_bytes < 1000:  # noqa: PLR2004
        return f"{size_bytes} B"
    power = min(len(_UNITS), (len(str(size_bytes)) - 1) // 3)
    return f"{size_bytes / 1000**power:.1f} {_UNITS[power - 1]}"


_UNITS = ("kB", "MB", "GB", "TB")
