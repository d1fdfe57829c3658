"""Where the prompts of a session begin alike, what that saves, and what breaks it off.

The figures are those of provider bills and of engines with prefix caches: the longest beginning, in tokens,
that a call has in common with an earlier one, what of it the provider's cache can hold, and the tokens that
are then paid for.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from ...errors import ConfigurationError
from ...tokens import TokenCounter
from .breaks import Break, Part, break_between, common_bytes
from .cache_rules import CacheRules, rules_for
from .text import written

__all__ = ["PrefixCall", "PrefixReport", "paid_tokens", "prefix_report", "worth_compressing"]

PromptParts: TypeAlias = "str | Sequence[str | tuple[str, str]] | Mapping[str, str]"
"""A prompt: its text, or its parts in order, with names or without."""

_ENGINE_BLOCK: Final = 16
"""Tokens of a block. Source: vLLM, `DEFAULT_BLOCK_SIZE`."""


@dataclass(frozen=True, slots=True)
class PrefixCall:
    """One call, and the earlier one whose prompt begins most like it.

    Attributes:
        number: which call it is, from 0.
        earlier: the number of the earlier call, or None for the first.
        tokens: tokens of the prompt.
        shared_tokens: tokens that both begin with.
        cacheable_tokens: those of them that the provider's cache can hold.
        engine_tokens: those of them that fill whole blocks of an engine.
        parts_at: where the prompts part, or None where they do not.
    """

    number: int
    earlier: int | None
    tokens: int
    shared_tokens: int
    cacheable_tokens: int
    engine_tokens: int
    parts_at: Break | None


@dataclass(frozen=True, slots=True)
class PrefixReport:
    """What the prompts of a session have in common, and what it is worth. `str` of it is for people.

    Attributes:
        calls: each call with the earlier one that it shares most with.
        common_tokens: tokens that all prompts begin with.
        rules: the provider's cache.
        block_tokens: tokens of an engine's block.
        exact: whether tokens are counted exactly.
    """

    calls: tuple[PrefixCall, ...]
    common_tokens: int
    rules: CacheRules
    block_tokens: int
    exact: bool

    @property
    def tokens(self) -> int:
        """Tokens of all prompts."""
        return sum(call.tokens for call in self.calls)

    @property
    def shared_prefix_share(self) -> float:
        """The share of all tokens that an earlier call began with, from 0 to 1."""
        return self._share(sum(call.shared_tokens for call in self.calls))

    @property
    def provider_cacheable_share(self) -> float:
        """The share of all tokens that the provider's cache can hold."""
        return self._share(sum(call.cacheable_tokens for call in self.calls))

    @property
    def engine_share(self) -> float:
        """The share of all tokens that an engine finds in whole blocks."""
        return self._share(sum(call.engine_tokens for call in self.calls))

    @property
    def effective_tokens(self) -> float:
        """All tokens as they are paid for; what a provider asks for writing to its cache is not in it."""
        return self.rules.effective(self.tokens, cached=sum(call.cacheable_tokens for call in self.calls))

    @property
    def effective_tokens_per_call(self) -> float:
        """Tokens that an average call is paid for."""
        return self.effective_tokens / len(self.calls) if self.calls else 0.0

    @property
    def breaks(self) -> tuple[tuple[Break, int, int], ...]:
        """What breaks the beginnings off: an instance, how often, and the tokens behind it, most first."""
        groups: dict[tuple[str, str], tuple[Break, int, int]] = {}
        for call in self.calls:
            if call.parts_at is not None:
                key = call.parts_at.part, call.parts_at.kind
                first, number, lost = groups.get(key, (call.parts_at, 0, 0))
                groups[key] = first, number + 1, lost + call.tokens - call.shared_tokens
        return tuple(sorted(groups.values(), key=lambda group: -group[2]))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON can hold them."""
        return {
            "calls": len(self.calls),
            "tokens": self.tokens,
            "common_tokens": self.common_tokens,
            "shared_prefix_share": self.shared_prefix_share,
            "provider_cacheable_share": self.provider_cacheable_share,
            "effective_tokens": self.effective_tokens,
            "engine_share": self.engine_share,
            "rules": self.rules.name,
            "exact": self.exact,
            "breaks": [
                {"part": found.part, "kind": found.kind, "calls": number, "tokens": lost, "byte": found.byte}
                for found, number, lost in self.breaks
            ],
        }

    def _share(self, tokens: int) -> float:
        return tokens / self.tokens if self.tokens else 0.0

    def __str__(self) -> str:
        return written(self)


class _Prompt(NamedTuple):
    """A prompt as it is compared: its text and its tokens as bytes, of which a prefix is a prefix."""

    parts: tuple[Part, ...]
    text: bytes
    units: bytes
    width: int  # bytes of a unit
    tokens: int

    def of_units(self, number: int) -> int:
        """Return how many tokens the first `number` bytes of `units` are."""
        if self.width > 1 or not self.units:
            return number // self.width
        return number * self.tokens // len(self.units)


def prefix_report(
    prompts: Iterable[PromptParts],
    *,
    rules: CacheRules | str = "openai",
    counter: TokenCounter | None = None,
    separator: str = "\n",
    block_tokens: int = _ENGINE_BLOCK,
) -> PrefixReport:
    """Return what the prompts of one session, in the order of their calls, have in common at their beginning.

    Args:
        prompts: each a text or its parts; a part is a text, a pair of name and text, or an llm fragment,
            whose `name` or `source` is used. A mapping gives parts by name.
        rules: the provider's cache; a name of `RULES` or of a model.
        counter: counts tokens; o200k_base by default. With an estimate, shared tokens are estimated too.
        separator: what parts are joined with, as llm joins fragments.
        block_tokens: tokens of a block of an engine's prefix cache.

    Raises:
        ConfigurationError: a prompt is neither text nor parts, or an argument is out of its range.

    Example:
        >>> report = prefix_report([
        ...     [("rules", "Plan one step for each agent."), ("state", f"tick {tick}: wolf at 3,{tick}")]
        ...     for tick in range(3)
        ... ])
        >>> report.calls[1].shared_tokens, report.calls[1].parts_at.part
        (9, 'state')
        >>> print(report.calls[1].parts_at)
        byte 35, in `state`: a number, 0 and then 1
    """
    if isinstance(prompts, (str, Mapping)):
        raise ConfigurationError("prefix_report takes a list of prompts, and this is one of them")
    if block_tokens < 1:
        raise ConfigurationError(f"prefix_report: block_tokens={block_tokens!r} has to be 1 or more")
    if counter is None:
        from ...tokens import counter as counter_of

        counter = counter_of("o200k_base")
    rules = rules_for(rules) if isinstance(rules, str) else rules
    every = [_prompt(prompt, separator, counter) for prompt in prompts]
    ordered: list[tuple[bytes, int]] = []
    calls: list[PrefixCall] = []
    for number, prompt in enumerate(every):
        shared, earlier = _longest(ordered, prompt.units, number)
        shared = prompt.of_units(shared)
        at = None if earlier is None else _parting(every[earlier], prompt)
        engine = shared - shared % block_tokens
        calls.append(PrefixCall(number, earlier, prompt.tokens, shared, rules.cacheable(shared), engine, at))
    common = _common(every)
    return PrefixReport(tuple(calls), common, rules, block_tokens, counter.exact)


def worth_compressing(
    tokens: int,
    compressed_tokens: int,
    *,
    rules: CacheRules | str = "openai",
    before_tokens: int = 0,
    calls: float = math.inf,
) -> bool:
    """Tell whether a static part of a prompt costs less when compressed, the provider's cache considered.

    A prefix that the cache holds costs a tenth. One that compression has brought below the cache's minimum
    costs all it has: 1,200 cached tokens are cheaper than 600 that are not.

    Args:
        tokens: tokens of the part as it is.
        compressed_tokens: tokens of the part when compressed.
        rules: the provider's cache; a name of `RULES` or of a model.
        before_tokens: static tokens that stand before the part in every call, cached with it.
        calls: how many calls will begin so; endlessly many by default.

    Example:
        >>> worth_compressing(1200, 600), worth_compressing(1200, 100)
        (False, True)
        >>> worth_compressing(4000, 1400)
        True
        >>> worth_compressing(1200, 600, calls=1)
        True
    """
    rules = rules_for(rules) if isinstance(rules, str) else rules
    paid, compressed = (
        paid_tokens(before_tokens + part, rules=rules, calls=calls) for part in (tokens, compressed_tokens)
    )
    return compressed < paid


def paid_tokens(tokens: int, *, rules: CacheRules, calls: float = math.inf) -> float:
    """Return what static tokens in front of a prompt cost: effective tokens, averaged over the calls.

    Args:
        tokens: how many there are.
        rules: the provider's cache.
        calls: how many calls begin with them; endlessly many by default.

    Example:
        >>> from llmopt.compress.prefix.cache_rules import RULES
        >>> paid_tokens(1152, rules=RULES["openai"]), paid_tokens(600, rules=RULES["openai"])
        (115.2..., 600.0)
    """
    cached = rules.cacheable(tokens)
    first, later = rules.effective(tokens, written=cached), rules.effective(tokens, cached=cached)
    return later + (first - later) / calls


def _prompt(prompt: Any, separator: str, counter: TokenCounter) -> _Prompt:
    parts = tuple(_parts(prompt, separator))
    text = "".join(part.text for part in parts)
    data = text.encode("utf-8", "surrogatepass")
    if not counter.exact:
        return _Prompt(parts, data, data, 1, counter.count(text))
    tokens = array("L", counter.encode(text))
    return _Prompt(parts, data, tokens.tobytes(), tokens.itemsize, len(tokens))


def _parts(prompt: Any, separator: str) -> Iterable[Part]:
    """Yield the parts of a prompt, each but the last with the separator that follows it."""
    if isinstance(prompt, str):
        yield Part("prompt", str(prompt))
        return
    if not isinstance(prompt, (Mapping, Sequence)) or isinstance(prompt, (bytes, bytearray)):
        raise ConfigurationError(f"a prompt has to be a text or its parts, not {prompt!r:.60}")
    entries: list[Any] = list(prompt.items() if isinstance(prompt, Mapping) else prompt)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    for number, entry in enumerate(entries):
        end = separator if number < len(entries) - 1 else ""
        match entry:
            case str():
                name = getattr(entry, "name", None) or getattr(entry, "source", None) or f"part {number + 1}"
                yield Part(str(name), entry + end)
            case (str(name), str(text)):
                yield Part(name, text + end)
            case _:
                raise ConfigurationError(
                    f"a part of a prompt has to be a text or (name, text), not {entry!r:.60}"
                )


def _longest(ordered: list[tuple[bytes, int]], units: bytes, number: int) -> tuple[int, int | None]:
    """Return the longest common prefix with an earlier prompt, and its number; keep this one for later.

    In lexical order the prompt that shares most is a neighbour, so that none but two are compared.
    """
    at = bisect_left(ordered, (units, number))
    near = [(common_bytes(units, other), -earlier) for other, earlier in ordered[max(0, at - 1) : at + 1]]
    if not at or ordered[at - 1][0] != units:  # of equal ones the first stands for all
        ordered.insert(at, (units, number))
    shared, earlier = max(near, default=(0, 1))
    return shared, None if earlier > 0 else -earlier


def _common(prompts: Sequence[_Prompt]) -> int:
    """Return how many tokens all prompts begin with: the first and the last in lexical order tell."""
    if not prompts:
        return 0
    first = min(prompts, key=lambda prompt: prompt.units)
    last = max(prompts, key=lambda prompt: prompt.units)
    return first.of_units(common_bytes(first.units, last.units))


def _parting(earlier: _Prompt, prompt: _Prompt) -> Break | None:
    """Return where two prompts part; None where one of them is the beginning of the other."""
    byte = common_bytes(earlier.text, prompt.text)
    if byte in {len(earlier.text), len(prompt.text)}:
        return None
    return break_between(earlier.parts, prompt.parts, byte)
