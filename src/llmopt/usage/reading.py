"""Opens a usage log for those who ask it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlite_utils import Database

from ..errors import StoreError
from .drain import Drain
from .registry import REGISTRY
from .segments import spool_folder, survey


def read_only(path: str) -> Database:
    """Return a database that cannot be written to.

    Args:
        path: the file, absolute.

    Raises:
        StoreError: there is no such file, or it is no usage log.
    """
    try:
        connection = sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise StoreError(f"there is no usage log {path} yet ({error})") from error
    try:
        known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'calls'").fetchone()[0]
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be read as a usage log: {error}") from error
    if not known:
        connection.close()
        raise StoreError(f"{path} is a database, but no usage log: it has no table 'calls'")
    return Database(connection)


def catch_up(path: str, timeout_s: float) -> None:
    """Have the records of all processes moved to a database before it is read, as far as that is possible.

    A database that has no spool is left as it is: it may be no usage log at all, or not be ours to write.

    Args:
        path: the file, absolute.
        timeout_s: how long it may take.
    """
    if REGISTRY.drainers(path):
        REGISTRY.flush(timeout_s, path)
        return
    with suppress(OSError, sqlite3.Error):
        if survey(spool_folder(path)):
            drain = Drain(path)
            drain.once(timeout_s)
            drain.close(timeout_s)
