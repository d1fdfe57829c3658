"""What a call costs, in integer nano-dollars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TypeAlias, cast

from ..errors import ConfigurationError
from ..resilience._common import is_number, require
from ..types import Usage
from ..usage.prices import Pricing, UserPrices
from ..usage.tokens import normalise
from ._configured import check_function

Prices: TypeAlias = "UserPrices | Callable[[str, Usage], float]"
"""By model id: dollars per million input, output and, where they have prices of their own, tokens read from
and written to the provider's prefix cache. Or what a usage of a model costs, in dollars."""

NanoUsd: TypeAlias = "Callable[[str, Usage], int]"
"""Returns what a usage of a model costs."""

NANO = 1e9
_UNKNOWN = "no price is known for {!r}: add it with prices={{...}}, (0, 0) if it costs nothing"
_RIGHT = "a mapping from model id to (input, output) dollars per million tokens, or a function"


def nano_usd(prices: Prices | None) -> NanoUsd:
    """Return what reckons the costs of calls, in nano-dollars (1 USD = 10**9), rounded to the nearest.

    Args:
        prices: the user's prices, see `Pricing`, or a function that returns dollars; None to ask the
            `genai-prices` package. What is returned raises ConfigurationError where the price is not known.

    Raises:
        ConfigurationError: they are wrong, and the message names the model whose price it is; or there are
            none, and the package is missing.

    Example:
        >>> nano_usd({"local": (0.5, 2.0)})("local", Usage(1_000_000, 500_000))
        1500000000
        >>> cached = Usage(1_000_000, 0, {"prompt_tokens_details": {"cached_tokens": 600_000}})
        >>> nano_usd({"local": (0.5, 2.0, 0.05)})("local", cached)
        230000000
    """
    if prices is None and find_spec("genai_prices") is None:
        msg = "Budget in dollars needs prices: give prices={...}, or pip install llmopt[cost]"
        raise ConfigurationError(msg)
    if callable(prices):
        check_function("Budget: prices", prices, _RIGHT)
        return _by_function(prices)
    if prices is None or isinstance(cast("object", prices), Mapping):
        return _by_prices(Pricing(prices, use_genai=prices is None, owner="Budget"))
    raise ConfigurationError(f"Budget: prices={prices!r} is wrong: it must be {_RIGHT}")


def _by_prices(pricing: Pricing) -> NanoUsd:
    def nano_usd_of(model_id: str, usage: Usage) -> int:
        total, _, read, write, output, _ = normalise(usage)
        price = pricing.find(None, model_id, total or 0)
        cost = None if price is None else price.nano_usd(total or 0, read, write, output or 0)
        if cost is None:
            raise ConfigurationError(_UNKNOWN.format(model_id))
        return cost

    return nano_usd_of


def _by_function(dollars: Callable[[str, Usage], float]) -> NanoUsd:
    def nano_usd_of(model_id: str, usage: Usage) -> int:
        usd = dollars(model_id, usage)
        right = f"dollars from 0 up for {model_id!r}; raise ConfigurationError where no price is known"
        require(usd == 0 or is_number(usd, above=0), "Budget: prices(...)", usd, right)
        return round(usd * NANO)

    return nano_usd_of
