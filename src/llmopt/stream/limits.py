"""The limits of a stream: how large, deep, late and many plans may be."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import ConfigurationError, LimitExceeded

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reply may ask of memory and stack. Sizes are characters where str is fed.

    Args:
        max_element_bytes: the size of one plan.
        max_depth: brackets within each other in one plan, its own included. orjson itself goes to 1024.
        max_preamble_bytes: the text before the first plan, and beside the list in a wrapper object.
        max_plans: how many plans there may be; None for any number.

    Raises:
        ConfigurationError: a limit is not a whole number of at least 1.

    Example:
        >>> Limits(max_depth=3).max_element_bytes
        1048576
    """

    max_element_bytes: int = 1 << 20
    max_depth: int = 128
    max_preamble_bytes: int = 1 << 20
    max_plans: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "max_plans":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                msg = f"{field.name} must be a whole number of at least 1, not {value!r}"
                raise ConfigurationError(msg)

    def element_too_large(self, offset: int) -> LimitExceeded:
        """Return the error for an element that begins at `offset` and does not end in time."""
        return LimitExceeded(
            f"the plan at offset {offset} is larger than max_element_bytes={self.max_element_bytes}"
        )

    def too_deep(self, offset: int) -> LimitExceeded:
        """Return the error for an element that begins at `offset`."""
        return LimitExceeded(f"the plan at offset {offset} is nested deeper than max_depth={self.max_depth}")

    def preamble_too_large(self) -> LimitExceeded:
        """Return the error for text that goes on without a plan."""
        return LimitExceeded(
            f"no plan within max_preamble_bytes={self.max_preamble_bytes} of the reply, or beside the list"
        )

    def too_many(self) -> LimitExceeded:
        """Return the error for one plan too many."""
        return LimitExceeded(f"there are more plans than max_plans={self.max_plans}")
