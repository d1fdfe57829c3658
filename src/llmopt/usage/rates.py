"""One price of a model, and what tokens cost at it: exact decimals in, whole nano-dollars out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

ALWAYS = "1970-01-01"
"""The day that a price is valid from if nobody says when it came into force."""

USER = "user"
"""The source of a price that the user gave."""

NANO_PER_MTOK = 1000
"""Nano-dollars per token in a dollar per million tokens."""

_MOST = 2**63 - 1  # of SQLite's integers
_TOKENS = ("input", "cache_read", "cache_write", "output")
_SECONDS = slice(11, 19)  # of an ISO timestamp: the time of day
_DAY = slice(10)


class Weights(NamedTuple):
    """Prices in whole units of 1 / `scale` nano-dollars, so that sums are exact."""

    input: int
    cache_read: int
    cache_write: int
    output: int | None
    request: int
    scale: int


@dataclass(frozen=True, slots=True)
class Price:
    """What the tokens of one model cost, under some conditions.

    Attributes:
        model: the model.
        source: who says so: "user", or the list with its version.
        input: nano-dollars per input token that no prefix cache was concerned with.
        cache_read: the same per token read from the provider's prefix cache.
        cache_write: the same per token written to it.
        output: the same per output token; None if only input has a price.
        request: nano-dollars per request, on top.
        provider: the provider, and its host if that was given; empty where it does not matter.
        valid_from: the day, as ISO-8601, from which on it is valid.
        above: it is valid for prompts of more tokens than that, or None for all.
        hours: it is valid at this time of day (UTC, from and until, "HH:MM:SS"), or None for all day.

    Example:
        >>> price = Price("m", "user", Decimal(150), Decimal(75), Decimal(150), Decimal(600))
        >>> price.nano_usd(1000, 600, None, 100)
        165000
        >>> price.nano_usd_json
        '{"input":"150","cache_read":"75","cache_write":"150","output":"600"}'
    """

    model: str
    source: str
    input: Decimal
    cache_read: Decimal
    cache_write: Decimal
    output: Decimal | None
    request: Decimal = Decimal(0)
    provider: str = ""
    valid_from: str = ALWAYS
    above: int | None = None
    hours: tuple[str, str] | None = None
    weights: Weights = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _weights(self))

    @classmethod
    def from_json(cls, nano_usd_json: str, **known: Any) -> Price:
        """Return the price whose `nano_usd_json` this is; `known` are its other attributes."""
        told: dict[str, Any] = orjson.loads(nano_usd_json)
        for name in (*_TOKENS, "request"):
            if told.get(name) is not None:
                told[name] = Decimal(told[name])
        if "hours" in told:
            begin, end = told["hours"]
            told["hours"] = (begin, end)
        return cls(**told, **known)

    @property
    def nano_usd_json(self) -> str:
        """The prices of tokens as JSON, decimals as texts, and the conditions if there are any."""
        told: dict[str, Any] = {name: _text(getattr(self, name)) for name in _TOKENS}
        if self.request:
            told["request"] = _text(self.request)
        if self.above is not None:
            told["above"] = self.above
        if self.hours is not None:
            told["hours"] = self.hours
        return orjson.dumps(told).decode()

    def nano_usd(
        self, total: int | None, cache_read: int | None, cache_write: int | None, output: int | None
    ) -> int | None:
        """Return what a reply costs, rounded to the nearest nano-dollar, halves up.

        Args:
            total: all input tokens, cached ones included.
            cache_read: those of them that were read from the prefix cache; None counts as none.
            cache_write: those of them that were written to it; None counts as none.
            output: all output tokens.

        Returns:
            Nano-dollars, or None where tokens that cost something were not counted.
        """
        of_input, of_read, of_write, of_output, exact, scale = self.weights
        if output:
            if of_output is None:
                return None
            exact += output * of_output
        elif output is None and of_output:
            return None
        if total is None:
            if of_input or of_read or of_write:
                return None
        elif not cache_read and not cache_write:
            exact += total * of_input
        else:
            read = min(total, cache_read or 0)
            written = min(total - read, cache_write or 0)
            exact += (total - read - written) * of_input + read * of_read + written * of_write
        nano_usd = exact if scale == 1 else (2 * exact + scale) // (2 * scale)
        return nano_usd if nano_usd <= _MOST else None

    def holds(self, moment: str, input_tokens: int) -> bool:
        """Tell whether it is valid at a time (ISO-8601 in UTC) for a prompt of so many tokens."""
        if self.valid_from > moment[_DAY] or (self.above is not None and input_tokens <= self.above):
            return False
        if self.hours is None:
            return True
        begin, end = self.hours
        time = moment[_SECONDS]
        return begin <= time < end if begin <= end else time >= begin or time < end

    @property
    def is_plain(self) -> bool:
        """Whether it is valid for all prompts at all times of a day."""
        return self.above is None and self.hours is None

    @property
    def is_for_all(self) -> bool:
        """Whether it is valid for all prompts at all times."""
        return self.is_plain and self.valid_from == ALWAYS


def price_at(prices: Sequence[Price], moment: str, input_tokens: int) -> Price | None:
    """Return the price that is valid: the last one of those whose conditions hold.

    Args:
        prices: prices of one model; later ones go before earlier ones.
        moment: the time, as ISO-8601 in UTC.
        input_tokens: all tokens of the prompt.
    """
    return next((price for price in reversed(prices) if price.holds(moment, input_tokens)), None)


def cost_of_call(runs: Iterable[tuple[bool, int | None]]) -> int | None:
    """Return what a call costs: the sum of its runs.

    Args:
        runs: for each run whether it must have cost something (it went well, or tokens were counted), and
            its price in nano-dollars, or None.

    Returns:
        Nano-dollars: 0 without a run, for then nothing was billed; None where a run that must have cost
        something has no known price, or no run has one.

    Example:
        >>> cost_of_call([]), cost_of_call([(False, None), (True, 5)]), cost_of_call([(True, None)])
        (0, 5, None)
    """
    told = list(runs)
    if any(billed and cost is None for billed, cost in told):
        return None
    costs = [cost for _, cost in told if cost is not None]
    return sum(costs) if costs or not told else None


def _weights(price: Price) -> Weights:
    known = (price.input, price.cache_read, price.cache_write, price.output, price.request)
    digits = max(-_exponent(decimal) for decimal in known if decimal is not None)
    scale = 10 ** max(0, digits)
    given, read, write, output, request = (None if of is None else int(of * scale) for of in known)
    return Weights(given or 0, read or 0, write or 0, output, request or 0, scale)


def _exponent(decimal: Decimal) -> int:
    exponent = decimal.normalize().as_tuple().exponent
    assert isinstance(exponent, int), decimal  # noqa: S101 - infinity and NaN are refused where prices come in
    return exponent


def _text(decimal: Decimal | None) -> str | None:
    return None if decimal is None else format(decimal.normalize(), "f")
