"""A number of tokens that a text is sure to have, much faster than counting them."""

from __future__ import annotations

from typing import Final

from ...tokens import TokenCounter

__all__ = ["at_least"]

# In these encodings no piece goes on from one run of letters to the next, and each is a token or more:
# so there are at least as many tokens as runs of letters. An apostrophe joins two ("it's"), and letters
# beyond ASCII may be marks: both count as letters here, which makes fewer runs, never more.
_ENCODINGS: Final = frozenset(("o200k_base", "o200k_harmony", "cl100k_base"))
_CHARS_A_TOKEN: Final = 8
_ASCII: Final = 127
_LETTERS: Final = bytes(
    ord("a") if byte > _ASCII or chr(byte).isalpha() or byte == ord("'") else ord(" ") for byte in range(256)
)


def at_least(text: str, counter: TokenCounter, enough: int = 1 << 40) -> int:
    r"""Return a number of tokens that `text` is sure to have; 0 where that cannot be told.

    Args:
        text: what would have to be counted.
        counter: what would count it.
        enough: no more than a start of the text is looked at if that has so many.

    Example:
        >>> from llmopt.tokens import counter
        >>> at_least('{"name":"it\'s","n":12}', counter("o200k_base"))
        2
    """
    if not counter.exact or counter.encoding not in _ENCODINGS:
        return 0
    start = text[: enough * _CHARS_A_TOKEN]
    found = _runs(start) - 1  # the last one may be cut
    return found if found >= enough or len(start) == len(text) else _runs(text)


def _runs(text: str) -> int:
    letters = text.encode("utf-8", "replace").translate(_LETTERS)
    return letters.count(b"a ") + letters.endswith(b"a")
