"""Values that commands take: files, times and sizes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["FILE", "database", "moment", "size"]

FILE = click.Path(dir_okay=False, path_type=Path)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

_F = TypeVar("_F", bound=Callable[..., Any])


def database(command: _F) -> _F:
    """Give a command the option that names the usage log, as `db`."""
    return click.option("--db", type=FILE, help="Usage log, if not the one in llm's folder.")(command)


def moment(value: str) -> str:
    """Return a time as the usage log has them, so that the two can be compared.

    Args:
        value: how long ago (`90s`, `30m`, `1h`, `7d`, `2w`), or ISO-8601, in UTC unless it says otherwise.

    Raises:
        BadParameter: it is none of these.

    Example:
        >>> moment("2026-11-21T13:00+01:00")
        '2026-11-21T12:00:00.000000Z'
    """
    from ..usage.values import timestamp

    ago = re.fullmatch(r"(\d+)([smhdw])", value)
    try:
        if ago:
            return timestamp(time.time() - int(ago[1]) * _SECONDS[ago[2]])
        named = datetime.fromisoformat(value)
        return timestamp((named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError, OSError) as error:
        wrong = f"{value!r} is no time; say 1h, 7d, 2026-11-21 or 2026-11-21T12:00"
        raise click.BadParameter(wrong) from error


def size(value: str) -> int:
    """Return a number of bytes.

    Args:
        value: `500MB` (decimal), `2GiB` (binary) or `1000`.

    Raises:
        BadParameter: it is none of these.

    Example:
        >>> size("1.5kB"), size("2MiB")
        (1500, 2097152)
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?", value.lower())
    if not parts or (parts[3] and not parts[2]):
        raise click.BadParameter(f"{value!r} is no size; say 500MB, 2GiB or a number of bytes")
    return int(float(parts[1]) * (1024 if parts[3] else 1000) ** _UNITS[parts[2]])
