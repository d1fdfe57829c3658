"""One meaning for the token counts of all providers, whose own words for them differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, cast

from ..types import Usage


class NormalisedUsage(NamedTuple):
    """Tokens of one reply; None where the provider did not say.

    Attributes:
        input_total: all input tokens, cached ones included.
        input_uncached: input tokens that were neither read from nor written to the provider's prefix cache.
        cache_read: input tokens read from the provider's prefix cache.
        cache_write: input tokens written to it.
        output: all output tokens, reasoning included.
        reasoning: output tokens spent on reasoning.
    """

    input_total: int | None = None
    input_uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None


def normalise(usage: Usage | Sequence[Any], provider: str | None = None) -> NormalisedUsage:
    """Return the token counts of a reply in one meaning.

    The wire format is known by the keys of the provider's own breakdown, as llm's plugins hand it on:

    =====================  ====================================================  =====================
    format                 cached tokens                                         input as given
    =====================  ====================================================  =====================
    OpenAI chat            `prompt_tokens_details.cached_tokens`                 includes cached
    OpenAI responses       `input_tokens_details.cached_tokens`                  includes cached
    Anthropic messages     `cache_read_input_tokens`,                            excludes both
                           `cache_creation_input_tokens`
    Gemini                 `cachedContentTokenCount`, `thoughtsTokenCount`       includes cached
    =====================  ====================================================  =====================

    Anything else is passed on as given, with nothing claimed about caches or reasoning.

    Args:
        usage: tokens as llm has them: input, output, and the provider's own breakdown.
        provider: the provider's name. llm leaves zeros out of the breakdown of OpenAI's chat API, so that
            what is missing there is zero for "openai", and unknown for others.

    Returns:
        The counts.

    Example:
        >>> normalise(Usage(10, 5, {"cache_read_input_tokens": 90, "cache_creation_input_tokens": 0}))
        NormalisedUsage(input_total=100, input_uncached=10, cache_read=90, cache_write=0, output=5,
        reasoning=None)
    """
    given, output, details = usage
    if type(given) is not int or not 0 <= given <= _MOST:
        given = _count(given)
    if type(output) is not int or not 0 <= output <= _MOST:
        output = _count(output)
    openai = provider == "openai"
    if not details:
        zero = 0 if openai and given is not None else None
        counts = (given, given if openai else None, zero, zero, output, zero)
        return tuple.__new__(NormalisedUsage, counts)  # in half the time of a call of the class
    for wire_format in (_openai, _anthropic, _gemini):
        cached = wire_format(details)
        if cached is not None:
            return _sum(given, output, cached, excludes=wire_format is _anthropic)
    return NormalisedUsage(input_total=given, output=output)


def normalise_all(
    usages: Sequence[Usage | Sequence[Any] | None], providers: Sequence[str | None]
) -> Iterable[Sequence[int | None]]:
    """Return `normalise` of each, column by column: mostly there is nothing to normalise."""
    if None not in usages and "openai" not in providers:
        given, output, details = zip(*cast("Sequence[Sequence[Any]]", usages), strict=True)
        if not any(details) and _are_counts(given) and _are_counts(output):
            nothing = (None,) * len(usages)
            return given, nothing, nothing, nothing, output, nothing
    used = zip(usages, providers, strict=True)
    told = [normalise(usage, provider) if usage else _UNKNOWN for usage, provider in used]
    return zip(*told, strict=True)


_UNKNOWN = NormalisedUsage()


def replace_unknown(
    tokens: MutableMapping[str, Sequence[int | None]], counted: Sequence[Sequence[Any] | None]
) -> list[str | None]:
    """Put tokens that we counted ourselves where the provider said nothing, and return who counted.

    Args:
        tokens: the columns `input_tokens` and `output_tokens`, which are replaced.
        counted: our own count of each reply, (input, output, source), or None.

    Returns:
        For each reply "provider", or our own source as soon as one of its counts is ours; None where there
        is no count.

    Example:
        >>> tokens = {"input_tokens": [10, None], "output_tokens": [5, None]}
        >>> replace_unknown(tokens, [None, (7, None, "estimate")]), tokens["input_tokens"]
        (['provider', 'estimate'], (10, 7))
    """
    given, output = tokens["input_tokens"], tokens["output_tokens"]
    if not any(counted):
        told = zip(given, output, strict=True)
        return [None if i is None and o is None else "provider" for i, o in told]
    rows = [_replaced(*row) for row in zip(given, output, counted, strict=True)]
    tokens["input_tokens"], tokens["output_tokens"], sources = zip(*rows, strict=True)
    return list(sources)


def _replaced(
    given: int | None, output: int | None, counted: Sequence[Any] | None
) -> tuple[int | None, int | None, str | None]:
    our_given, our_output, source = counted or (None, None, None)
    if (given is None and our_given is not None) or (output is None and our_output is not None):
        return our_given if given is None else given, our_output if output is None else output, source
    return given, output, None if given is None and output is None else "provider"


def _are_counts(values: Sequence[Any]) -> bool:
    """Tell whether all of these are whole numbers of tokens."""
    return set(map(type, values)) == {int} and min(values) >= 0 and max(values) <= _MOST


def _sum(
    given: int | None, output: int | None, cached: tuple[int | None, ...], *, excludes: bool
) -> NormalisedUsage:
    """Put the input together from its parts, or take it apart."""
    read, write, reasoning = cached
    parts = (read or 0) + (write or 0)
    if given is None:
        return NormalisedUsage(None, None, read, write, output, reasoning)
    if excludes:
        return NormalisedUsage(given + parts, given, read, write, output, reasoning)
    return NormalisedUsage(given, max(0, given - parts), read, write, output, reasoning)


def _openai(details: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """Read the breakdown of OpenAI's chat (`prompt_...`) or responses (`input_...`) API."""
    of_input = _part(details, "prompt_tokens_details") or _part(details, "input_tokens_details")
    of_output = _part(details, "completion_tokens_details") or _part(details, "output_tokens_details")
    if not of_input and not of_output:
        return None
    if "cache_read_input_tokens" in details or "thinking_tokens" in of_output:
        return None  # Anthropic's: it breaks the output down under the same name as the responses API
    return (
        _count(of_input.get("cached_tokens", 0)),
        _count(of_input.get("cache_write_tokens", 0)),
        _count(of_output.get("reasoning_tokens", 0)),
    )


def _anthropic(details: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """Read the breakdown of Anthropic's messages API; its cache fields are there only on some calls."""
    read, write = details.get("cache_read_input_tokens"), details.get("cache_creation_input_tokens")
    thinking = _part(details, "output_tokens_details").get("thinking_tokens")
    if read is None and write is None and thinking is None:
        return None
    return _count(read), _count(write), _count(thinking)


def _gemini(details: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """Read what llm-gemini leaves of Gemini's usageMetadata, which has no key for a count of zero."""
    if _GEMINI.isdisjoint(details):
        return None
    read, thoughts = details.get("cachedContentTokenCount", 0), details.get("thoughtsTokenCount", 0)
    return _count(read), None, _count(thoughts)


def _part(details: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of the breakdown, empty if it is not there."""
    part = details.get(name)
    if part is None:
        return _NOTHING
    return cast("Mapping[str, Any]", part) if isinstance(part, (dict, Mapping)) else _NOTHING


_NOTHING: Mapping[str, Any] = {}
_GEMINI = frozenset(
    ("candidatesTokenCount", "cachedContentTokenCount", "promptTokensDetails", "thoughtsTokenCount")
)


def _count(value: Any) -> int | None:
    """Return a whole number of tokens, or None for whatever else stands in its place."""
    if type(value) is int:
        return value if 0 <= value <= _MOST else None
    if isinstance(value, float) and value.is_integer():
        return _count(int(value))
    return None


_MOST = 2**53  # beyond that it is no count, and SQLite's integers end soon after
