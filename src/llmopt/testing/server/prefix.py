"""Prefix caches as providers keep them: automatic in blocks of tokens, or explicit up to a breakpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from .query import Segment

LOOK_BACK = 20
"""Segments before a breakpoint in which an older entry is looked for.
Source: Anthropic's guide to prompt caching, "automatic prefix checking"."""


class Lookup(NamedTuple):
    """What the cache knows about one prompt.

    Attributes:
        input_tokens: tokens of the whole prompt.
        read_tokens: tokens found in the cache.
        write_tokens: tokens that will be added to it.
        entries: what to add once the answer begins.
    """

    input_tokens: int
    read_tokens: int
    write_tokens: int
    entries: frozenset[Hashable]


@dataclass(slots=True)
class PrefixCache:
    """A simulated prefix cache; a token is a word here. Entries never expire.

    A prompt is looked up when its request arrives, and stored when its answer begins: of equal requests
    sent at once none finds anything, as with real providers.

    Attributes:
        block_tokens: automatic caching works in whole blocks of so many tokens. OpenAI's have 128.
        minimum_tokens: shorter prefixes are not cached. OpenAI and Anthropic ask for 1024 and more.

    Raises:
        ConfigurationError: if `block_tokens` is below 1, or `minimum_tokens` below 0.

    Example:
        >>> from llmopt.testing.server.query import Segment
        >>> cache, prompt = PrefixCache(block_tokens=2), [Segment("You are a careful scout.")]
        >>> first = cache.look_up(prompt, explicit=False)
        >>> cache.store(first)
        >>> first.read_tokens, cache.look_up(prompt, explicit=False).read_tokens
        (0, 4)
    """

    block_tokens: int = 16
    minimum_tokens: int = 0
    _entries: set[Hashable] = field(default_factory=set["Hashable"], repr=False)

    def __post_init__(self) -> None:
        if self.block_tokens < 1 or self.minimum_tokens < 0:
            raise ConfigurationError("PrefixCache takes block_tokens >= 1 and minimum_tokens >= 0")

    def look_up(self, segments: Sequence[Segment], *, explicit: bool, model: str = "") -> Lookup:
        """Return what the cache holds of a prompt, and what it would add; nothing is stored yet.

        Args:
            segments: the prompt, in caching order.
            explicit: cache at the breakpoints of the segments only, rather than in blocks.
            model: the model asked; no two models share an entry.

        Returns:
            The token counts and the entries to store.
        """
        start = hash(model)
        if explicit:
            total, prefixes = _marks_at_breakpoints(segments, start)
        else:
            total, prefixes = _marks_at_blocks(segments, self.block_tokens, start)
        usable = [mark for mark in prefixes if mark.tokens >= self.minimum_tokens]
        read = max((mark.tokens for mark in usable if mark.prefix in self._entries), default=0)
        stored = [mark for mark in usable if mark.is_stored]
        end = max((mark.tokens for mark in stored), default=0)
        return Lookup(total, read, max(0, end - read), frozenset(mark.prefix for mark in stored))

    def store(self, lookup: Lookup) -> None:
        """Add the entries of a lookup, as a provider does when the answer begins."""
        self._entries |= lookup.entries

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


class _Mark(NamedTuple):
    """A place in a prompt at which the cache may hold an entry."""

    prefix: Hashable
    tokens: int
    is_stored: bool = True


def _marks_at_blocks(segments: Iterable[Segment], block_tokens: int, prefix: int) -> tuple[int, list[_Mark]]:
    words = " ".join(segment.text for segment in segments).split()
    marks: list[_Mark] = []
    for end in range(block_tokens, len(words) + 1, block_tokens):
        prefix = hash((prefix, *words[end - block_tokens : end]))
        marks.append(_Mark(prefix, end))
    return len(words), marks


def _marks_at_breakpoints(segments: Sequence[Segment], prefix: int) -> tuple[int, list[_Mark]]:
    every = list(_marks_at_segments(segments, prefix))
    near: set[int] = set()
    for index, segment in enumerate(segments):
        if segment.breakpoint:
            near.update(range(max(0, index - LOOK_BACK), index + 1))
    return (every[-1].tokens if every else 0), [every[index] for index in sorted(near)]


def _marks_at_segments(segments: Iterable[Segment], prefix: int) -> Iterator[_Mark]:
    tokens = 0
    for segment in segments:
        prefix = hash((prefix, segment.text))
        tokens += len(segment.text.split())
        yield _Mark(prefix, tokens, segment.breakpoint)
