"""What cache, compression, batching and prefix caching have saved, by stated formulas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .batches import Batched
from .pricing import NANO, Price, effective_saved, price_of
from .runs import Billed
from .tally import Cell
from .types import Saving

__all__ = ["savings"]

_CACHE: Final = "tokens of the answers from the cache, at the price of their model"
_COMPRESSION: Final = "tokens before less after, at what these calls paid for a token of input"
_BATCHING: Final = (
    "(agents - calls) x tokens that the agents of a request share, "
    "at what these calls paid for a token of input"
)
_PREFIX: Final = (
    "read x (1 - price of reading) - written x (price of writing - 1), the price of input being 1"
)


def savings(
    cells: Sequence[Cell], billed: Sequence[Billed], batches: Sequence[Batched], prices: Mapping[int, Price]
) -> tuple[Saving, ...]:
    """Return what each means has saved; those that were not at work are left out.

    Args:
        cells: all calls.
        billed: what they were billed.
        batches: the batches by role.
        prices: the prices by number.
    """
    found = (_cache(cells, prices), _compression(cells, prices), _batching(batches), _prefix(billed, prices))
    return tuple(saving for saving in found if saving is not None)


def _cache(cells: Sequence[Cell], prices: Mapping[int, Price]) -> Saving | None:
    served = [cell for cell in cells if cell.counts.served]
    if not served:
        return None
    worth = [(price_of(prices, cell.price), cell.served) for cell in served]
    doubtful = sum(cell.counts.doubtful for cell in served)
    counted = doubtful <= sum(cell.counts.counted for cell in served) / 2
    calls = sum(cell.counts.served for cell in served)
    return Saving(
        "cache",
        "Cache",
        calls,
        calls,
        sum(cell.served.tokens for cell in served),
        _usd(price.of(sums) for price, sums in worth if price is not None),
        "measured" if counted else "estimated",
        _CACHE,
    )


def _compression(cells: Sequence[Cell], prices: Mapping[int, Price]) -> Saving | None:
    shrunk = [cell for cell in cells if cell.shrunk is not None]
    if not shrunk:
        return None
    return Saving(
        "compression",
        "Compression",
        sum(cell.counts.shrunk for cell in shrunk),
        None,
        sum(cell.shrunk or 0 for cell in shrunk),
        _usd(
            (cell.shrunk or 0) * price.of_input(cell.ran) / cell.ran.input
            for cell in shrunk
            if cell.ran.input and (price := price_of(prices, cell.price)) is not None
        ),
        "estimated",
        _COMPRESSION,
    )


def _batching(batches: Sequence[Batched]) -> Saving | None:
    if not batches:
        return None
    tokens = [one.spared_calls * one.shared_tokens for one in batches if one.shared_tokens is not None]
    return Saving(
        "batching",
        "Batching",
        sum(one.stats.calls for one in batches),
        sum(one.spared_calls for one in batches),
        round(sum(tokens)) if tokens else None,
        _usd(
            one.spared_calls * one.shared_tokens * one.nano_per_input_token
            for one in batches
            if one.shared_tokens is not None and one.nano_per_input_token is not None
        ),
        "estimated",
        _BATCHING,
    )


def _prefix(billed: Sequence[Billed], prices: Mapping[int, Price]) -> Saving | None:
    cached = [row for row in billed if row.sums.read or row.sums.write]
    if not cached:
        return None
    worth = [(row, price_of(prices, row.price)) for row in cached]
    return Saving(
        "prefix_cache",
        "Prefix cache",
        max(0, sum(row.runs for row in cached)),
        None,
        round(sum(effective_saved(row.model, row.sums, price) for row, price in worth)),
        _usd(price.discount(row.sums) for row, price in worth if price is not None),
        "measured" if all(price is not None for _, price in worth) else "estimated",
        _PREFIX,
    )


def _usd(nanos: Iterable[float]) -> float | None:
    """Return the sum in dollars; None where there is nothing whose price is known."""
    known = list(nanos)
    return sum(known) / NANO if known else None
