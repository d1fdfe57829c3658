"""Opens a usage log for those who ask it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from ..errors import StoreError


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
