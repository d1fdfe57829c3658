"""How providers cache the beginnings of prompts, as data: what is cached, and what it costs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ...errors import ConfigurationError

__all__ = ["RULES", "CacheRules", "rules_for"]


@dataclass(frozen=True, slots=True)
class CacheRules:
    """The prefix cache of a provider.

    Attributes:
        name: what it is called here.
        minimum_tokens: shorter prefixes are not cached.
        step_tokens: beyond the minimum, prefixes grow by so many tokens.
        read_factor: price of an input token that is read from the cache, 1.0 being that of any other.
        write_factor: price of an input token that is written to it.
        automatic: whether nothing needs to be asked for.
        ttl_s: seconds for which an entry lasts when nobody reads it, where that is stated.
        source: where the figures were read.
        date: when they were, as year and month.

    Raises:
        ConfigurationError: a figure is out of its range.

    Example:
        >>> RULES["openai"].cacheable(1500), RULES["openai"].cacheable(1000)
        (1408, 0)
        >>> RULES["anthropic"].effective(2000, cached=1500)
        650.0
    """

    name: str
    minimum_tokens: int = 1024
    step_tokens: int = 128
    read_factor: float = 0.1
    write_factor: float = 1.0
    automatic: bool = True
    ttl_s: float | None = None
    source: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        if self.minimum_tokens < 0 or self.step_tokens < 1:
            raise ConfigurationError("CacheRules takes minimum_tokens >= 0 and step_tokens >= 1")
        if not 0 <= self.read_factor <= 1 <= self.write_factor:
            raise ConfigurationError("CacheRules takes 0 <= read_factor <= 1 <= write_factor")

    def cacheable(self, tokens: int) -> int:
        """Return how many tokens of a prefix of `tokens` tokens can be read from the cache."""
        if tokens < self.minimum_tokens:
            return 0
        return tokens - (tokens - self.minimum_tokens) % self.step_tokens

    def effective(self, tokens: int, *, cached: int = 0, written: int = 0) -> float:
        """Return a prompt's tokens as they are paid for: in tokens that were neither read nor written.

        Args:
            tokens: all tokens of the prompt.
            cached: those read from the cache.
            written: those written to it.
        """
        return tokens - (1 - self.read_factor) * cached + (self.write_factor - 1) * written


_ANTHROPIC: Final = "platform.claude.com/docs/en/build-with-claude/prompt-caching"
_GEMINI: Final = "ai.google.dev/gemini-api/docs/caching"

RULES: Final = {
    rules.name: rules
    for rules in (
        CacheRules("openai", source="platform.openai.com/docs/guides/prompt-caching", date="2026-06"),
        CacheRules(
            "anthropic",
            step_tokens=1,
            write_factor=1.25,
            automatic=False,
            ttl_s=300,
            source=_ANTHROPIC,
            date="2026-07",
        ),
        CacheRules("gemini", minimum_tokens=4096, step_tokens=1, source=_GEMINI, date="2026-10"),
        CacheRules("gemini-2.5", minimum_tokens=2048, step_tokens=1, source=_GEMINI, date="2026-10"),
        CacheRules(
            "vllm",
            minimum_tokens=16,
            step_tokens=16,
            read_factor=0.0,
            source="docs.vllm.ai, automatic prefix caching; an engine has no price, but skips the work",
            date="2026-06",
        ),
        CacheRules("none", read_factor=1.0, source="no cache is known", date="2026-06"),
    )
}
"""The caches that are known. A figure that has changed: give a `CacheRules` of your own.

Anthropic's minimum is between 1,024 and 4,096 tokens by model; this is the lowest.
"""

_FAMILIES: Final = (
    (re.compile(r"claude|anthropic"), "anthropic"),
    (re.compile(r"gemini-2"), "gemini-2.5"),
    (re.compile(r"gemini"), "gemini"),
    (re.compile(r"(?:^|[/_-])(?:gpt|chatgpt|o[1-9])(?:[-.\d]|$)|openai"), "openai"),
)


def rules_for(model_id: str) -> CacheRules:
    """Return the prefix cache of the provider that a model's name speaks of.

    Args:
        model_id: a model's name, or a key of `RULES`.

    Example:
        >>> rules_for("anthropic/claude-sonnet-4-5").name, rules_for("gpt-4o-mini").name
        ('anthropic', 'openai')
        >>> rules_for("my-own").name
        'none'
    """
    name = model_id.lower()
    if name in RULES:
        return RULES[name]
    return next((RULES[key] for pattern, key in _FAMILIES if pattern.search(name)), RULES["none"])
