"""What all logs of one file in a process have to agree on, since one writer serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from .prices import UserPrices

Durability: TypeAlias = Literal["process", "power", "none"]
"""What a record that was logged survives: the death of the process, a power failure, or neither."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the records of one file are kept.

    Attributes:
        durability: what a record survives from the moment that it was logged.
        prices: the user's own prices, which go before those of the `genai-prices` package; or None. See
            `llmopt.usage.prices.Pricing`.
        keep_days: days after which calls are removed, their sums excepted; None for never.
        keep_content_days: days after which texts are removed; None for with their calls.
        max_bytes: size of the file in bytes above which the oldest calls are removed; None for no bound.

    Example:
        >>> Settings(keep_days=30) == Settings(keep_days=7)
        False
    """

    durability: Durability = "process"
    prices: UserPrices | None = None
    keep_days: float | None = None
    keep_content_days: float | None = None
    max_bytes: int | None = None
