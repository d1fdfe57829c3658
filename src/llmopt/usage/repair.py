"""Mends what can be mended of a usage log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import StoreError
from .doctor import OTHERS
from .health import facts_of
from .migrations import create_views
from .registry import resolve
from .salvage import salvage
from .upkeep import drain, writing

__all__ = ["repair"]


def repair(path: str | os.PathLike[str] | None = None) -> list[str]:
    """Save what can be read of a damaged log, write what waits, put permissions and views in order.

    Args:
        path: the file; None stands for `llmopt/usage.db` in llm's user folder.

    Returns:
        What was done, a line for each thing.

    Raises:
        StoreError: something could not be done.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog("usage.db")).prompt("What now?").text()
        'HOLD'
        >>> llmopt.usage.flush(), repair("usage.db")
        (True, [])
    """
    return list(_repair(resolve(path)))


def _repair(path: str) -> Iterator[str]:
    facts = facts_of(path)
    if facts.error and not facts.damage:
        raise StoreError(f"{path} is no usage log: {facts.error}")
    if not facts.exists and not facts.backlogs:
        return
    if facts.damage:
        saved = salvage(path)
        rows = ", ".join(f"{count} {table}" for table, count in saved.rows.items() if count) or "nothing"
        yield f"Saved {rows}. The damaged file is {saved.aside} now."
    drained = drain(path)
    if drained:
        yield f"Wrote {drained} records that waited in the spool."
    facts = facts_of(path)
    if facts.missing_views:
        with writing(path) as connection:
            create_views(connection)
        yield f"Made anew: {', '.join(facts.missing_views)}."
    for each, mode in facts.modes.items():
        if mode & OTHERS and each != facts.folder:
            Path(each).chmod(mode & ~OTHERS)
            yield f"Only the owner can read {each} now."
