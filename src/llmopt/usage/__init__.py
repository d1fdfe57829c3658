"""The usage log: one row for every call and for every attempt, in a SQLite file.

    >>> import llmopt
    >>> llmopt.usage.open("usage.db").query("SELECT * FROM usage_daily")  # doctest: +SKIP

`llmopt.UsageLog` writes it. `schema.describe()` tells what each column holds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .record import agent, role

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["agent", "flush", "open", "role"]


def open(path: str | os.PathLike[str] | None = None) -> Database:  # noqa: A001 - llmopt.usage.open, as gzip.open
    """Open a usage log for reading: its tables, and views of them.

    The views are `usage_daily`, `latency`, `cache_stats`, `retries` and `errors`.

    What this process has still to write to it is written first.

    Args:
        path: the file; None stands for `llmopt/usage.db` in llm's user folder.

    Returns:
        A read-only sqlite-utils database.

    Raises:
        StoreError: there is no such file, or it is no usage log.

    Example:
        >>> import llm, llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog("usage.db", role="tactical"))
        >>> model.prompt("What now?").text()
        'HOLD'
        >>> list(llmopt.usage.open("usage.db").query("SELECT role, status, attempts FROM calls"))
        [{'role': 'tactical', 'status': 'ok', 'attempts': 1}]
    """
    from .reading import read_only
    from .registry import REGISTRY, resolve

    resolved = resolve(path)
    REGISTRY.flush(_PATIENCE_S, resolved)
    return read_only(resolved)


def flush(timeout_s: float = 5.0) -> bool:
    """Write all records of this process that are still queued, to all files.

    Args:
        timeout_s: when to give up.

    Returns:
        Whether nothing is left. What could not be written counts as done; `UsageLog.stats()` tells of it.

    Example:
        >>> flush()
        True
    """
    from .registry import REGISTRY

    return REGISTRY.flush(timeout_s)


_PATIENCE_S = 5.0
