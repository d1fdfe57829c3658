"""What a cache and its stores check of their arguments."""

from __future__ import annotations

from math import inf

from ..errors import ConfigurationError


def count_of(name: str, value: object) -> int:
    """Return `value`, or raise ConfigurationError unless it is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name}={value!r} is wrong: it must be a whole number of at least 1")
    return value


def seconds_of(name: str, value: object, *, least: float = 0.0) -> float:
    """Return `value`, or raise ConfigurationError unless it is a finite number of at least `least`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value < inf:
        return value
    right = f"it must be a finite number of seconds, at least {least:g}"
    raise ConfigurationError(f"{name}={value!r} is wrong: {right}")
