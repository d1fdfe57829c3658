"""What a call costs, in integer nano-dollars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, TypeAlias, cast

from ..errors import ConfigurationError
from ..resilience._common import is_number, require
from ..types import Usage
from ..usage.tokens import normalise
from ._configured import check_function

Prices: TypeAlias = (
    "Mapping[str, tuple[float, float] | tuple[float, float, float]] | Callable[[str, Usage], float]"
)
"""By model id: dollars per million input, output and, where they have a price of their own, cached input
tokens. Or what a usage of a model costs, in dollars."""

NANO = 1e9
_PER_MILLION = 1e6
_UNKNOWN = "no price is known for {!r}: add it with prices={{...}}, (0, 0) if it costs nothing"
_RIGHT = "a mapping from model id to (input, output) dollars per million tokens, or a function"
_LENGTHS = (2, 3)


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
        for model_id, price in cast("Mapping[object, object]", prices).items():
            fits = isinstance(model_id, str) and _is_price(price)
            right = "(input, output) or (input, output, cached input): dollars per million tokens, from 0 up"
            require(fits, f"Budget: prices[{model_id!r}]", price, right)
    else:
        check_function("Budget: prices", prices, _RIGHT)


def _is_price(price: object) -> bool:
    if not isinstance(price, (tuple, list)):
        return False
    parts = cast("Sequence[object]", price)
    return len(parts) in _LENGTHS and all(part == 0 or is_number(part, above=0) for part in parts)


def nano_usd_of(model_id: str, usage: Usage, prices: Prices | None) -> int:
    """Return the price of `usage`.

    Input tokens that the provider has read from its prefix cache cost their own price where one is known,
    and else that of other input.

    Args:
        model_id: the model.
        usage: its tokens.
        prices: the user's prices (dollars per million input, output and cached input tokens by model id,
            or a function that returns dollars), or None to ask the `genai-prices` package.

    Returns:
        Nano-dollars (1 USD = 10**9), rounded to the nearest.

    Raises:
        ConfigurationError: the price is not known.

    Example:
        >>> nano_usd_of("local", Usage(1_000_000, 500_000), {"local": (0.5, 2.0)})
        1500000000
        >>> cached = Usage(1_000_000, 0, {"prompt_tokens_details": {"cached_tokens": 600_000}})
        >>> nano_usd_of("local", cached, {"local": (0.5, 2.0, 0.05)})
        230000000
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
    input_usd, output_usd, *own = prices[model_id]
    cached_usd = own[0] if own else input_usd
    total, cached, _, output = _counts(usage)
    tokens_usd = (total - cached) * input_usd + cached * cached_usd + output * output_usd
    return round(tokens_usd / _PER_MILLION * NANO)


def _counts(usage: Usage) -> tuple[int, int, int, int]:
    """Return all input tokens, those read from and written to the prefix cache, and all output tokens."""
    counts = normalise(usage)
    total = counts.input_total or 0
    cached = min(total, counts.cache_read or 0)
    return total, cached, min(total - cached, counts.cache_write or 0), counts.output or 0


def _listed_usd(model_id: str, usage: Usage) -> float:
    import genai_prices

    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    tokens: Any = genai_prices.Usage(**dict(zip(names, _counts(usage), strict=True)))
    try:
        price: Any = genai_prices.calc_price(tokens, model_ref=model_id.rpartition("/")[2])
    except LookupError:
        raise ConfigurationError(_UNKNOWN.format(model_id)) from None
    return float(price.total_price)
