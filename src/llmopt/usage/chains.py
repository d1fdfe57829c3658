"""The tokens of several responses together, as those of a tool loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..errors import ConfigurationError
from ..types import Usage
from .tokens import NormalisedUsage, normalise
from .values import endpoint_of

if TYPE_CHECKING:
    from llm.models import AsyncChainResponse, AsyncResponse, ChainResponse, Response

    Responses: TypeAlias = (
        Response | AsyncResponse | ChainResponse | AsyncChainResponse | Iterable["Responses"]
    )


def total(responses: Responses) -> NormalisedUsage:
    """Return how many tokens responses took together, in one meaning for all providers.

    Nothing is run or waited for: what has not ended yet, or has failed, does not count. An answer out of
    llmopt's own cache counts with the tokens that it took when it was made.

    Args:
        responses: a response of llm, a chain (what `model.chain()` returns), or any number of them; sync or
            async.

    Returns:
        The sums. One of them is None if it is unknown of any response, and all are if no response has ended.

    Raises:
        ConfigurationError: something else was given.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> model = ScriptedModel(["HOLD the line", "GO"])
        >>> first, second = model.prompt("What now?"), model.prompt("And now?")
        >>> first.text(), second.text()
        ('HOLD the line', 'GO')
        >>> total([first, second])
        NormalisedUsage(input_total=4, input_uncached=None, cache_read=None, cache_write=None, output=4,
        reasoning=None)
    """
    told = [_usage_of(response) for response in _flat(responses) if response._done]  # noqa: SLF001
    if not told:
        return NormalisedUsage()
    return NormalisedUsage(*map(_sum, zip(*told, strict=True)))


def _flat(responses: Any) -> Iterator[Any]:
    """Yield the single responses. A chain keeps those that it has got; asked for them, it would run."""
    if hasattr(responses, "token_details"):
        yield responses
        return
    parts: Any = getattr(responses, "_responses", responses)
    if isinstance(parts, str) or not isinstance(parts, Iterable):
        told = type(parts).__qualname__
        raise ConfigurationError(
            f"total: a {told} is neither a response of llm nor a chain nor several of them"
        )
    for part in cast("Iterable[Any]", parts):  # type: ignore[redundant-cast]
        yield from _flat(part)


def _usage_of(response: Any) -> NormalisedUsage:
    usage = Usage(response.input_tokens, response.output_tokens, response.token_details)
    return normalise(usage, endpoint_of(response.model).provider)


def _sum(counts: tuple[int | None, ...]) -> int | None:
    return None if None in counts else sum(cast("tuple[int, ...]", counts))
