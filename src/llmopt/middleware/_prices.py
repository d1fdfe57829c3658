"""What a call costs, in integer nano-dollars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigurationError
from ..types import Usage

_NANO = 1e9
_PER_MILLION = 1e6


def nano_usd_of(
    model_id: str,
    usage: Usage,
    prices: Mapping[str, tuple[float, float]] | Callable[[str, Usage], float] | None,
) -> int:
    """Return the price of `usage`.

    Args:
        model_id: the model.
        usage: its tokens.
        prices: the user's prices (dollars per million input and output tokens by model id, or a function
            that returns dollars), or None to ask the `genai-prices` package.

    Returns:
        Nano-dollars (1 USD = 10**9), rounded to the nearest.

    Raises:
        ConfigurationError: the price is not known.

    Example:
        >>> nano_usd_of("local", Usage(1_000_000, 500_000), {"local": (0.5, 2.0)})
        1500000000
    """
    if prices is None:
        return round(_listed_usd(model_id, usage) * _NANO)
    if callable(prices):
        return round(prices(model_id, usage) * _NANO)
    if model_id not in prices:
        msg = f"no price is known for {model_id!r}: add it to prices={{...}}, 0 if it costs nothing"
        raise ConfigurationError(msg)
    input_usd, output_usd = prices[model_id]
    tokens_usd = (usage.input_tokens or 0) * input_usd + (usage.output_tokens or 0) * output_usd
    return round(tokens_usd / _PER_MILLION * _NANO)


def _listed_usd(model_id: str, usage: Usage) -> float:
    try:
        import genai_prices
    except ImportError:
        msg = "Budget in dollars needs prices: give prices={...}, or pip install llmopt[cost]"
        raise ConfigurationError(msg) from None
    tokens: Any = genai_prices.Usage(
        input_tokens=usage.input_tokens or 0, output_tokens=usage.output_tokens or 0
    )
    try:
        price: Any = genai_prices.calc_price(tokens, model_ref=model_id.rpartition("/")[2])
    except LookupError:
        msg = f"no price is known for {model_id!r}: add it with prices={{...}}, 0 if it costs nothing"
        raise ConfigurationError(msg) from None
    return float(price.total_price)
