"""What the machines of this room share: checked arguments, and the answer "not now"."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from ..errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer of a machine that does not let a call through.

    Attributes:
        reason: which rule refused it, in one word; each machine names its own.
        retry_after_s: seconds until the same question may be answered otherwise, or None for never.

    Example:
        >>> Refusal("open", retry_after_s=12.5)
        Refusal(reason='open', retry_after_s=12.5)
    """

    reason: str
    retry_after_s: float | None = None


def require(ok: object, name: str, value: object, right: str) -> None:
    """Raise ConfigurationError unless `ok`.

    Args:
        ok: whether the argument is right.
        name: whose argument and which: "Limiter: burst_s".
        value: what was given.
        right: what would be right.
    """
    if not ok:
        raise ConfigurationError(f"{name}={value!r} is wrong: it must be {right}")


def is_number(value: object, *, above: float) -> bool:
    """Tell whether `value` is a finite real number greater than `above`."""
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and value > above
    )


def is_count(value: object, *, least: int) -> bool:
    """Tell whether `value` is a whole number of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def refuse_negative(name: str, *values: int) -> None:
    """Raise ConfigurationError if one of the amounts is below zero."""
    for value in values:
        require(value >= 0, name, value, "a whole number from 0 up")
