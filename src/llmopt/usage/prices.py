"""What calls cost: prices of the user's own, and those of the `genai-prices` package for all other models."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from .price_list import Model, listed, source
from .rates import Price, price_at
from .tokens import NormalisedUsage
from .user_prices import UserPrices, user_prices
from .values import timestamp

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database

__all__ = ["Priced", "Pricing", "UserPrices", "reprice", "user_prices"]

log = logging.getLogger("llmopt")


class Priced(NamedTuple):
    """What something costs.

    Attributes:
        nano_usd: nano-dollars (1 USD = 10**9), or None where tokens that cost something were not counted.
        price: the price that it was reckoned with.
    """

    nano_usd: int | None
    price: Price


class Pricing:
    """Knows prices. It looks for those of the user first, then in the `genai-prices` package.

    That package takes half a second to be imported, so that is put off until it is asked.

    Args:
        prices: the user's: see `UserPrices`. Where cached input has no price of its own, it costs what other
            input does.
        use_genai: whether to ask the package; without it installed (`pip install llmopt[cost]`) it is not.
        owner: whose argument `prices` is, for the message of an error.

    Attributes:
        prices: the user's prices by model id, or by its beginning and a `*`.
        use_genai: the same.

    Raises:
        ConfigurationError: a price is wrong; the message names its model.

    Example:
        >>> pricing = Pricing({"my-model": (0.5, 2.0), "ft:gpt-4o*": {"input": 3.75, "output": 15}})
        >>> used = NormalisedUsage(input_total=1_000_000, output=500_000)
        >>> pricing.price_of(None, "my-model", used).nano_usd
        1500000000
        >>> pricing.price_of(None, "ft:gpt-4o-mini:me", used).nano_usd
        11250000000
        >>> pricing.price_of(None, "another-model", used) is None
        True
    """

    def __init__(
        self, prices: UserPrices | None = None, *, use_genai: bool = True, owner: str = "Pricing"
    ) -> None:
        self.prices = user_prices(prices or {}, owner)
        self.use_genai = use_genai
        self._beginnings = sorted((name[:-1] for name in self.prices if name.endswith("*")), key=len)[::-1]
        self._listed: dict[Model, tuple[Price, ...] | None] = {}

    def __eq__(self, other: object) -> bool:
        """Tell whether everything costs the same."""
        if not isinstance(other, Pricing):
            return NotImplemented
        return (self.prices, self.use_genai) == (other.prices, other.use_genai)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Pricing({self.prices!r}, use_genai={self.use_genai})"

    @cached_property
    def source(self) -> str | None:
        """The package that is asked, with its version; None if none is."""
        return source() if self.use_genai else None

    def own(self, model_id: str) -> Price | None:
        """Return the user's price of a model."""
        price = self.prices.get(model_id)
        if price is not None or not self._beginnings:
            return price
        return next((self.prices[name + "*"] for name in self._beginnings if model_id.startswith(name)), None)

    def listed(self, model: Model) -> tuple[Price, ...] | None:
        """Return the package's prices of a model with their conditions: none if it does not know it.

        None stands for a package that cannot be read; that is logged once for each model.
        """
        if model not in self._listed:
            try:
                self._listed[model] = listed(model, self.source) if self.source else ()
            except Exception as error:  # noqa: BLE001 - neither a call nor its record may be lost by that
                log.warning("prices of %r cannot be read: %r", model.model_id, error)
                self._listed[model] = None
        return self._listed[model]

    def price_of(
        self,
        provider: str | None,
        model_id: str,
        counts: NormalisedUsage,
        at: float | None = None,
        *,
        host: str | None = None,
    ) -> Priced | None:
        """Return what a reply costs.

        Args:
            provider: the provider, as `endpoint_of` names it; None where only the model's id is known.
            model_id: llm's id of the model.
            counts: the tokens.
            at: when it was asked, in seconds since the epoch; None stands for now.
            host: the host of the model's own endpoint, if it has one.

        Returns:
            The cost and the price, or None where no price is known.
        """
        total, _, read, write, output, _ = counts
        price = self.find(provider, model_id, total or 0, at, host=host)
        return None if price is None else Priced(price.nano_usd(total, read, write, output), price)

    def find(
        self,
        provider: str | None,
        model_id: str,
        input_tokens: int,
        at: float | None = None,
        *,
        host: str | None = None,
    ) -> Price | None:
        """Return the price of a prompt of so many tokens; the other arguments are those of `price_of`."""
        price = self.own(model_id)
        if price is not None:
            return price
        prices = self.listed(Model(provider, host, model_id))
        if not prices or (len(prices) == 1 and prices[0].is_for_all):
            return prices[0] if prices else None
        return price_at(prices, timestamp(time.time() if at is None else at), input_tokens)


def reprice(
    database: sqlite3.Connection | Database,
    since: str | datetime | None = None,
    model: str | None = None,
    pricing: Pricing | None = None,
) -> int:
    """Reckon the costs of calls anew, with the prices that are known now.

    What no price is known for keeps the cost that it has. So do the sums of calls that were removed.

    Args:
        database: the log's file, not in a transaction, under the lease: a connection, or sqlite-utils' own.
        since: only calls that began then or later (as ISO-8601 in UTC), or None.
        model: only calls of this model, by llm's id or the provider's word, or None.
        pricing: what knows prices; None asks `genai-prices` alone.

    Returns:
        How many rows of calls and attempts have another cost or price now; 0 if it is done again.

    Raises:
        sqlite3.Error: the file cannot be written. What was reckoned before stays so.
    """
    from .repricing import reprice_all

    connection = cast("sqlite3.Connection", getattr(database, "conn", database))
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(since, datetime) else since
    return reprice_all(connection, pricing or Pricing(), moment or "", model)
