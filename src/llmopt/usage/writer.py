"""What the logs of one file share in a process: where they put their records."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from functools import partial
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from weakref import finalize

import orjson

from . import ingest
from .drain import Drain
from .drainer import Drainer
from .losses import HELLO
from .memory import Memory
from .prices import Pricing
from .segments import spool_folder
from .settings import Settings
from .spool import Spool
from .transfer import Write


class Writer:
    """Takes the records of one file. When the last log of it is gone, they are drained and the files closed.

    Args:
        path: the file, absolute.
        settings: how the records are kept.
        write: writes the rows of payloads; None stands for `ingest.write`.

    Attributes:
        path: the same.
        settings: the same.
        drainer: the thread, and what it works with.
        put: puts a record; see `Drainer.put`.
    """

    __slots__ = ("__weakref__", "drainer", "path", "put", "settings")

    def __init__(self, path: str, settings: Settings | None = None, write: Write | None = None) -> None:
        self.path = path
        self.settings = settings or Settings()
        self.drainer = _drainer(path, self.settings, write)
        self.put = self.drainer.put
        finalize(self, self.drainer.retire).atexit = False

    def flush(self, timeout_s: float) -> bool:
        """Drain on this thread. Return whether all that was put before is in the database."""
        return self.drainer.flush(timeout_s)

    def lose(self, reason: str, records: int = 1) -> None:
        """Count records that could not even be put.

        Args:
            reason: why, in a word.
            records: how many.
        """
        self.drainer.source.lose(reason, records)

    @property
    def fault(self) -> str | None:
        """What kept a record from being written the last time, in a word, or None."""
        return self.drainer.source.fault

    def stats(self) -> dict[str, int]:
        """Return what was counted in this process.

        Returns:
            `written`: records that were put and are safe; `lightened`: those among them that went without
            contents; `unconfirmed`: those that no disk has confirmed, with `durability="power"`; `failed`:
            records that were lost; `undrained_bytes`: bytes that are not known to be in the database;
            `drained`: payloads of any process that this one has moved there; `damaged_bytes`: bytes of their
            files that belonged to no whole record; `drain_faults`: how often the database failed.
        """
        return self.drainer.stats()


def _drainer(path: str, settings: Settings, write: Write | None) -> Drainer:
    hello = Hello()
    write = partial(ingest.write, pricing=Pricing(settings.prices)) if write is None else write
    if settings.durability == "none":
        memory = Memory(hello)
        drainer = Drainer(memory, Drain(path, memory, write), settings)
        memory.help_out = drainer.help_out
        return drainer
    spool = Spool(spool_folder(path), hello, durability=settings.durability)
    return Drainer(spool, Drain(path, spool, write), settings)


class Hello:
    """Returns the payload by which a process introduces itself: the same one in all of its files."""

    __slots__ = ("_payload", "_pid")

    def __init__(self) -> None:
        self._pid, self._payload = 0, b""

    def __call__(self) -> bytes:
        """Return the payload; in the child of a fork it is another one."""
        if self._pid != os.getpid():
            self._pid, self._payload = os.getpid(), _introduction()
        return self._payload


def _introduction() -> bytes:
    host = sha256(platform.node().encode()).hexdigest()[:32]
    packages = (_version("llmopt"), _version("llm"))
    releases = (platform.python_version(), sqlite3.sqlite_version)
    return orjson.dumps([HELLO, os.getpid(), host, time.time(), *packages, *releases])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
