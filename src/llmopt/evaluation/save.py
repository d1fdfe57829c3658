"""Keeps the choice where `Compress("auto")` looks for it."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import orjson

from ..compress.choice import JSON, choices, choices_path
from ..errors import ConfigurationError, StoreError
from .exam import BASELINE
from .report import Report

__all__ = ["save"]


def save(report: Report, path: Path | str | None = None) -> Path:
    """Write the choice of a report to the file that `Compress("auto")` reads; other models keep theirs.

    Args:
        report: a report that has a choice.
        path: the file; that of llm's user folder by default.

    Returns:
        The file.

    Raises:
        ConfigurationError: the report has no choice, or the file is not such a one.
        StoreError: the file cannot be written; what it held before is still there.
    """
    if report.choice is None:
        raise ConfigurationError("the evaluation has chosen no profile: there is nothing to save")
    path = choices_path() if path is None else Path(path)
    known = choices(path)  # refuses what is no such file
    entries: dict[str, Any] = orjson.loads(path.read_bytes()) if known else {}
    entries[report.model_id] = _entry(report)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, orjson.dumps(entries, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise StoreError(f"the choice cannot be kept in {path}: {error.strerror or error}") from error
    return path


def _entry(report: Report) -> dict[str, Any]:
    chosen = report.result(BASELINE if report.choice == JSON else report.choice or "")
    return {
        "profile": report.choice,
        "accuracy": chosen.accuracy,
        "date": report.date,
        "interval": list(chosen.interval),
        "questions": chosen.asked,
        "baseline_accuracy": report.result(BASELINE).accuracy,
        "difference_interval": list(chosen.difference_interval),
        "margin": report.margin,
        "role": report.exam.role,
    }


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: it may be read at any time."""
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(content)
            file.close()
            os.replace(file.name, path)  # noqa: PTH105 - str on both sides
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
