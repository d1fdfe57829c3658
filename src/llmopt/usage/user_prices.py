"""Prices that the user gives for models of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, TypeAlias, cast

from ..errors import ConfigurationError
from .rates import NANO_PER_MTOK, USER, Price

UserPrices: TypeAlias = "Mapping[str, Sequence[float | Decimal] | Mapping[str, float | Decimal]]"
"""Dollars per million tokens by model id: (input, output[, cache read[, cache write]]), or these by name.

An id that ends in `*` stands for all that begin so; the longest one counts. (0, 0) is free.
"""

_NAMES = ("input", "output", "cache_read", "cache_write")
_LEAST = 2  # input and output
_RIGHT = (
    "(input, output) or (input, output, cached input) or (input, output, cached input, cache write), "
    "or these by name ('input', 'output', 'cache_read', 'cache_write'): dollars per million tokens, from 0 up"
)


def user_prices(prices: object, owner: str) -> dict[str, Price]:
    """Return the user's prices, in nano-dollars per token.

    Raises:
        ConfigurationError: one is wrong; the message names its model.
    """
    if not isinstance(prices, Mapping):
        right = "a mapping from model id to (input, output) dollars per million tokens"
        raise ConfigurationError(f"{owner}: prices={prices!r} is wrong: it must be {right}")
    found: dict[str, Price] = {}
    for model_id, told in cast("Mapping[object, object]", prices).items():
        rates = _rates(told)
        if rates is None or not isinstance(model_id, str) or not model_id:
            raise ConfigurationError(f"{owner}: prices[{model_id!r}]={told!r} is wrong: it must be {_RIGHT}")
        given = rates["input"]
        read, write = (rates.get(name, given) for name in ("cache_read", "cache_write"))
        found[model_id] = Price(model_id, USER, given, read, write, rates["output"])
    return found


def _rates(told: object) -> dict[str, Decimal] | None:
    """Return nano-dollars per token by their names, or None if these are no prices."""
    if isinstance(told, Mapping):
        named = dict(cast("Mapping[str, Any]", told))
    elif isinstance(told, (tuple, list)):
        parts = cast("Sequence[Any]", told)
        if not _LEAST <= len(parts) <= len(_NAMES):
            return None
        named = dict(zip(_NAMES, parts, strict=False))
    else:
        return None
    if not named.keys() <= set(_NAMES) or not {"input", "output"} <= named.keys():
        return None
    if not all(map(_is_price, named.values())):
        return None
    return {name: Decimal(str(usd)) * NANO_PER_MTOK for name, usd in named.items()}


def _is_price(usd: object) -> bool:
    """Tell whether this is a number of dollars from 0 up."""
    if isinstance(usd, bool) or not isinstance(usd, (int, float, Decimal)):
        return False
    return isfinite(usd) and usd >= 0
