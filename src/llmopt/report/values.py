"""What all figures of a report share: shares that may be unknown, and their form in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

__all__ = ["plain", "share"]


def share(part: float | None, whole: float | None) -> float | None:
    """Return a part of a whole, or None where one is unknown or there is no whole.

    Example:
        >>> share(1, 4), share(0, 0), share(None, 4)
        (0.25, None, None)
    """
    return None if part is None or not whole else part / whole


def plain(value: Any) -> Any:
    """Return a value of this module as JSON has it: fields and properties by name.

    Example:
        >>> from llmopt.report.types import Figures
        >>> plain(Figures("all", calls=4, ok_calls=3))["failure_rate"]
        0.25
    """
    if is_dataclass(value):
        names = [field.name for field in fields(value)]
        names += [name for name, member in vars(type(value)).items() if isinstance(member, property)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in cast("Sequence[object]", value)]
    return value
