"""Encodes one value by itself: its text depends on nothing that was encoded before."""

from __future__ import annotations

from typing import Any, Final

from ..tokens import TokenCounter
from .notation.features import PROFILES
from .notation.lexical import compact
from .notation.nodes import Table
from .notation.shapes import Shapes
from .notation.unpack import unpack
from .notation.write import Writer

__all__ = ["encode_alone"]

_HALVED: Final = 0.5


def encode_alone(value: Any, profile: str, counter: TokenCounter) -> tuple[str, int]:
    """Return the text of fewest tokens that the profile allows, and its tokens.

    It is what `encode` returns where no template is known yet. `encode` tries the templates of lists that it
    has seen before, which is faster, but lets a text depend on the history of the process: a provider's
    prefix cache forgives no byte.

    Args:
        value: JSON, lists for tuples, nested no deeper than `found.MAX_LEVELS`.
        profile: as for `encode`.
        counter: counts tokens.

    Example:
        >>> from llmopt.tokens import counter
        >>> encode_alone([1, 2], "dense", counter("o200k_base"))
        ('[1,2]', 5)
    """
    json = compact(value)
    best = counter.count(json), json
    for features in reversed(PROFILES.get(profile, ())):
        text = Writer(features, counter.count, Shapes[Table]()).text(
            unpack(value) if features.unpack else value
        )
        best = min(best, (counter.count(text), text), key=_tokens)
        if len(text) < _HALVED * len(json):
            break
    return best[1], best[0]


def _tokens(counted: tuple[int, str]) -> int:
    return counted[0]
