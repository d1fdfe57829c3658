"""The usage log: one row for every call and for every attempt, in a SQLite file.

    >>> import llmopt
    >>> llmopt.usage.open("usage.db").query("SELECT * FROM usage_daily")  # doctest: +SKIP

`llmopt.UsageLog` writes it, and `llmopt report` reads it to people. What each column holds stands in
`schema.describe()`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .record import agent, role, trace

if TYPE_CHECKING:
    from sqlite_utils import Database

    from .chains import Responses
    from .tokens import NormalisedUsage

__all__ = ["agent", "flush", "open", "role", "total", "trace"]


def open(path: str | os.PathLike[str] | None = None) -> Database:  # noqa: A001 - llmopt.usage.open, as gzip.open
    """Open a usage log for reading: its tables, and views of them.

    `schema.describe()` lists its tables and views, `llmopt log schema` prints them.

    What any process has still to write to it is written first, where the file can be written.

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
    from .reading import catch_up, read_only
    from .registry import resolve

    resolved = resolve(path)
    catch_up(resolved, _PATIENCE_S)
    return read_only(resolved)


def flush(timeout_s: float = 5.0) -> bool:
    """Write all records of this process that are still waiting, and those of processes that are gone.

    Args:
        timeout_s: when to give up.

    Returns:
        Whether nothing is left. What was lost counts as done; `UsageLog.stats()` tells of it.

    Example:
        >>> flush()
        True
    """
    from .registry import REGISTRY

    return REGISTRY.flush(timeout_s)


def total(responses: Responses) -> NormalisedUsage:
    """Return the tokens of several responses together, in one meaning for all providers.

    What has not ended well, or at all, is left out; nothing is waited for.

    Args:
        responses: a response of llm, what `chain()` returns, or any number of either; sync or async.

    Returns:
        The sums. One of them is None if a part of it is unknown.

    Raises:
        ConfigurationError: these are no responses.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> responses = [ScriptedModel(["HOLD"]).prompt(text) for text in ("What now?", "And then?")]
        >>> [response.text() for response in responses], total(responses).output
        (['HOLD', 'HOLD'], 2)
    """
    from .chains import total

    return total(responses)


_PATIENCE_S = 5.0
