"""What tokens cost by the prices that stand in the log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..compress.prefix.cache_rules import rules_for
from .log import Log
from .tally import Sums

__all__ = ["NANO", "Price", "effective_saved", "price_of", "prices_of"]

NANO: Final = 1e9
"""Nano-dollars of a dollar."""


class Price(NamedTuple):
    """Price of a token by its kind, in nano-dollars.

    Attributes:
        input: a token of a prompt.
        read: one that the provider reads from its prefix cache.
        write: one that it writes there.
        output: a token of an answer.
    """

    input: float
    read: float
    write: float
    output: float

    def of_input(self, sums: Sums) -> float:
        """Return the price of the input tokens, in nano-dollars."""
        read, write = sums.read or 0, sums.write or 0
        plain = max(0, (sums.input or 0) - read - write)
        return plain * self.input + read * self.read + write * self.write

    def of(self, sums: Sums) -> float:
        """Return the price of all tokens, in nano-dollars.

        Example:
            >>> Price(10.0, 1.0, 12.0, 50.0).of(Sums(input=100, output=10, read=40))
            1140.0
        """
        return self.of_input(sums) + (sums.output or 0) * self.output

    def discount(self, sums: Sums) -> float:
        """Return what the provider's prefix cache has saved, in nano-dollars, less what writing has cost."""
        return (sums.read or 0) * (self.input - self.read) - (sums.write or 0) * (self.write - self.input)


def prices_of(log: Log) -> dict[int, Price]:
    """Return the prices of a log by their number; one that cannot be read is left out."""
    found: dict[int, Price] = {}
    for number, text in log.rows("SELECT id, nano_usd_json FROM prices"):
        try:
            found[number] = _price(json.loads(text))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def price_of(prices: Mapping[int, Price], number: int | None) -> Price | None:
    """Return a price by its number, or None where it is unknown."""
    return None if number is None else prices.get(number)


def _price(nano_usd: Mapping[str, str]) -> Price:
    given = float(nano_usd["input"])
    read, write = (float(nano_usd.get(name, given)) for name in ("cache_read", "cache_write"))
    return Price(given, read, write, float(nano_usd["output"]))


def effective_saved(model: str, sums: Sums, price: Price | None) -> float:
    """Return the tokens that a prefix cache has saved: in tokens at the full price of input.

    Args:
        model: the model, whose provider's rules hold where no price is known.
        sums: its tokens.
        price: its price; None where it is unknown.

    Example:
        >>> effective_saved("gpt-4o", Sums(input=2000, read=1000), Price(10.0, 1.0, 10.0, 50.0))
        900.0
    """
    if price is not None and price.input:
        return price.discount(sums) / price.input
    rules = rules_for(model)
    return (sums.read or 0) * (1 - rules.read_factor) - (sums.write or 0) * (rules.write_factor - 1)
