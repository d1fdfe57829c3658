"""Prices out of the `genai-prices` package: its tiers, times of day and starting days taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .rates import NANO_PER_MTOK, Price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

PACKAGE = "genai-prices"

NANO_PER_KCOUNT = 1_000_000
"""Nano-dollars per request in a dollar per thousand requests."""

_IMITATION = "openai-compatible"  # the package would take it for OpenAI: it looks for parts of names
_KINDS = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok", "requests_kcount")


class Model(NamedTuple):
    """Whom a call went to.

    Attributes:
        provider: the provider, or None where nothing but the model's id is known.
        host: the host of the model's own endpoint, or None.
        model_id: the model.
    """

    provider: str | None
    host: str | None
    model_id: str

    @property
    def whose(self) -> str:
        """The provider, and the host where one is known, as `prices.provider` has it."""
        return (self.provider or "") + (f"@{self.host}" if self.host else "")


def source() -> str | None:
    """Return the name and version of the package, or None where it is missing. It is not imported.

    Example:
        >>> source().split()[0]
        'genai-prices'
    """
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return None


def listed(model: Model, source: str) -> tuple[Price, ...]:
    """Return the prices of a model, each with its conditions; later ones go before earlier ones.

    The provider is known by the host, or else by its name. What only looks like a provider's model, on a
    server of one's own, has no price here.

    Args:
        model: the model and its provider.
        source: what the prices are to say where they come from.

    Returns:
        The prices, or nothing if the package does not know the model.

    Example:
        >>> [price.output for price in listed(Model("openai", None, "gpt-4o-mini"), "a list")]
        [Decimal('600.0')]
        >>> listed(Model("openai-compatible", "localhost", "gpt-4o-mini"), "a list")
        ()
    """
    info = _find(model)
    if info is None:
        return ()
    known = {"model": model.model_id, "provider": model.whose, "source": source}
    if not isinstance(info.prices, list):
        return tuple(_tiers(info.prices, **known))
    found: list[Price] = []
    for number, part in enumerate(info.prices):
        # What comes first holds where nothing else does, whenever it began.
        found += _tiers(part.prices, **known, **_conditions(part.constraint if number else None))
    return tuple(found)


def _find(model: Model) -> ModelInfo | None:
    import genai_prices

    nothing = genai_prices.Usage()
    for where in _providers(model):
        for name in _names(model):
            try:
                return genai_prices.calc_price(nothing, model_ref=name, **where).model
            except LookupError:
                continue
    return None


def _providers(model: Model) -> Iterator[dict[str, Any]]:
    """Yield how the provider may be known to the package, the surest first."""
    if model.host:
        yield {"provider_api_url": f"https://{model.host.lower()}/"}
    if model.provider and model.provider != _IMITATION:
        yield {"provider_id": model.provider}
    if not model.host and not model.provider:
        yield {}


def _names(model: Model) -> Iterator[str]:
    """Yield what the model may be called there: llm's plugins put the provider's name before it."""
    name = model.model_id
    if model.provider:
        yield name.removeprefix(f"{model.provider}/")
        yield name
    yield name.rpartition("/")[2]


def _conditions(constraint: Any) -> dict[str, Any]:
    """Return since when, or at what times of day a price is valid."""
    if constraint is None:
        return {}
    if hasattr(constraint, "start_date"):
        return {"valid_from": constraint.start_date.isoformat()}
    return {"hours": (_utc(constraint.start_time), _utc(constraint.end_time))}


def _utc(moment: time) -> str:
    """Return a time of day in UTC; one without a zone is meant so."""
    if moment.tzinfo is not None:
        moment = datetime.combine(date(1970, 1, 1), moment).astimezone(UTC).time()
    return moment.isoformat("seconds")


def _tiers(prices: ModelPrice, **known: Any) -> Iterator[Price]:
    """Yield one price for each length of prompt from which on another one holds.

    Input that was read from or written to a cache costs what other input does, if the list has no price of
    its own for it. The length decides for all tokens of the call.
    """
    of_kinds: list[Any] = [getattr(prices, kind) for kind in _KINDS]
    starts = {tier.start for price in of_kinds if hasattr(price, "tiers") for tier in price.tiers}
    for above in (None, *sorted(starts)):
        given, read, write, output, request = (_usd(price, above) for price in of_kinds)
        if given is None:
            return  # tokens have no price there
        yield Price(
            input=given * NANO_PER_MTOK,
            cache_read=(given if read is None else read) * NANO_PER_MTOK,
            cache_write=(given if write is None else write) * NANO_PER_MTOK,
            output=None if output is None else output * NANO_PER_MTOK,
            request=(request or Decimal(0)) * NANO_PER_KCOUNT,
            above=above,
            **known,
        )


def _usd(price: Any, above: int | None) -> Decimal | None:
    """Return the price for prompts above that length, of which its `TieredPrices` may speak."""
    if hasattr(price, "tiers"):
        reached: list[Decimal] = [t.price for t in price.tiers if above is not None and t.start <= above]
        return reached[-1] if reached else cast("Decimal", price.base)
    return cast("Decimal | None", price)
