"""What a call costs, in integer nano-dollars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, TypeAlias, cast

from ..errors import ConfigurationError
from ..resilience._common import is_number, require
from ..types import Usage
from ._configured import check_function

Prices: TypeAlias = "Mapping[str, tuple[float, float]] | Callable[[str, Usage], float]"
"""By model id: dollars per million input and output tokens. Or what a usage of a model costs, in dollars."""

NANO = 1e9
_PER_MILLION = 1e6
_UNKNOWN = "no price is known for {!r}: add it with prices={{...}}, (0, 0) if it costs nothing"
_RIGHT = "a mapping from model id to (input, output) dollars per million tokens, or a function"


def check_prices(prices: object) -> None:
    """Refuse prices that cannot be used, and None where the `genai-prices` package is missing.

    Raises:
        ConfigurationError: they are wrong; the message names the model whose price it is.
    """
    if prices is None:
        if find_spec("genai_prices") is None:
            msg = "Budget in dollars needs prices: give prices={...}, or pip install llmopt[cost]"
            raise ConfigurationError(msg)
    elif isinstance(prices, Mapping):
        for model_id, pair in cast("Mapping[object, object]", prices).items():
            fits = isinstance(model_id, str) and _is_pair(pair)
            right = "(input, output): dollars per million tokens, from 0 up"
            require(fits, f"Budget: prices[{model_id!r}]", pair, right)
    else:
        check_function("Budget: prices", prices, _RIGHT)


def _is_pair(pair: object) -> bool:
    if not isinstance(pair, (tuple, list)):
        return False
    both = cast("Sequence[object]", pair)
    return len(both) == 2 and all(price == 0 or is_number(price, above=0) for price in both)  # noqa: PLR2004


def nano_usd_of(model_id: str, usage: Usage, prices: Prices | None) -> int:
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
        return round(_listed_usd(model_id, usage) * NANO)
    if callable(prices):
        usd = prices(model_id, usage)
        right = f"dollars from 0 up for {model_id!r}; raise ConfigurationError where no price is known"
        require(usd == 0 or is_number(usd, above=0), "Budget: prices(...)", usd, right)
        return round(usd * NANO)
    if model_id not in prices:
        raise ConfigurationError(_UNKNOWN.format(model_id))
    input_usd, output_usd = prices[model_id]
    tokens_usd = (usage.input_tokens or 0) * input_usd + (usage.output_tokens or 0) * output_usd
    return round(tokens_usd / _PER_MILLION * NANO)


def _listed_usd(model_id: str, usage: Usage) -> float:
    import genai_prices

    tokens: Any = genai_prices.Usage(
        input_tokens=usage.input_tokens or 0, output_tokens=usage.output_tokens or 0
    )
    try:
        price: Any = genai_prices.calc_price(tokens, model_ref=model_id.rpartition("/")[2])
    except LookupError:
        raise ConfigurationError(_UNKNOWN.format(model_id)) from None
    return float(price.total_price)
