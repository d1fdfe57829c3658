"""What the tests of the spool share: a database that takes any payload, and disks that fail."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from llmopt.usage.drain import Drain
from llmopt.usage.segments import spool_folder
from llmopt.usage.spool import Spool

PATIENCE_S = 10.0
HELLO = b'["hello",1]'


def payload(number, text=""):
    """A record."""
    return b'["record",%d,"%s"]' % (number, text.encode())


def write(connection, payloads):
    """Put payloads into a table that takes them as they are."""
    connection.execute("CREATE TABLE IF NOT EXISTS payloads (payload TEXT)")
    connection.executemany("INSERT INTO payloads VALUES (?)", [(each.decode(),) for each in payloads])


def write_half(connection, payloads):
    """Write half of them, and fail."""
    write(connection, payloads[::2])
    raise ConnectionError


def written(path):
    """All payloads in the database, in order."""
    if not Path(path).exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'payloads'").fetchone():
            return []
        return [row[0].encode() for row in connection.execute("SELECT payload FROM payloads ORDER BY rowid")]


def records(path):
    """Those among them that are records."""
    return [each for each in written(path) if each.startswith(b'["record"')]


def drops(path):
    """What was lost, by reason, as the database has it."""
    found = {}
    for each in written(path):
        if each.startswith(b'["drop"'):
            _, _, _, reason, lost = eval(each)  # noqa: S307 - our own payloads
            found[reason] = found.get(reason, 0) + lost
    return found


def names_in(folder):
    return sorted(file.name for file in Path(folder).iterdir())


def positions(path):
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, position FROM spools"))


def spool_of(path, **configuration):
    return Spool(spool_folder(path), lambda: HELLO, **configuration)


def drain_of(path, own=None):
    return Drain(path, own, write)


def drained(path, own=None):
    """Drain once; return how many payloads were moved."""
    drain = drain_of(path, own)
    try:
        return drain.once(PATIENCE_S)
    finally:
        drain.close(PATIENCE_S)


def die(spool):
    """Have a spool end as that of a process that is killed: nothing is drained, and its lock is free."""
    spool._files.disown()
    spool._reset()


class Disk:
    """Stands before os.write, and fails as it is told: an error, or a number of bytes that are written."""

    def __init__(self, monkeypatch):
        self._write = os.write
        self.plan = []
        monkeypatch.setattr(os, "write", self)

    def fail(self, *plan):
        """Have the next writes fail: by name of the error, or by the number of bytes that are written."""
        self.plan += plan

    def __call__(self, descriptor, data):
        if not self.plan:
            return self._write(descriptor, data)
        planned = self.plan.pop(0)
        if isinstance(planned, int):
            return self._write(descriptor, bytes(data)[:planned])
        code = getattr(errno, planned)
        raise OSError(code, os.strerror(code))
