"""The marked estimate, for models whose tokenizer is not at hand.

A text is cut the way byte-pair tokenizers cut it before they merge, and every piece weighs what pieces of
its kind and length weigh on average in o200k_base. The table of those averages, and the errors stated here,
are made by `benchmarks/tokens_table.py`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil, isfinite
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigurationError, TokenizerError
from ._table import BLOCK_STARTS, BLOCKS, KINDS, P95_ERROR, P95_ERROR_OTHER
from .memo import Memo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Estimate", "Weights", "kind_of", "pieces_of"]

# Beyond ASCII whole ranges pass for letters: `\w` lacks the vowel signs of many scripts.
_LETTERS = (
    r"a-z\u00c0-\u167f\u1681-\u1fff\u2c00-\u2dff\u3005-\u3007\u3040-\ud7ff\uf900-\ufaff"
    r"\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00010000-\U0001efff\U00020000-\U0010ffff"
)


@cache
def _pattern() -> re.Pattern[str]:
    before = rf"[^\r\nA-Z0-9{_LETTERS}]?"
    return re.compile(
        rf"{before}(?=[A-Za-z]{{0,15}}[0-9])[0-9A-Za-z]{{8,}}"
        rf"|{before}[A-Z]*[{_LETTERS}]+|{before}[A-Z]+"
        rf"|[0-9]{{1,3}}| ?[^\sA-Z0-9{_LETTERS}]+[\r\n/]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def pieces_of(text: str) -> list[str]:
    r"""Cut a text as o200k_base does, in the terms of `re`; the pieces make up the whole of it.

    A word with a mark before it, cut at a change to upper case; up to three digits; marks with the line ends
    after them; white space. Long mixtures of letters and digits stay whole, for hashes and ids weigh more
    than words.

    Example:
        >>> pieces_of("let lastName = 3f2a9c01;\n")
        ['let', ' last', 'Name', ' =', ' 3f2a9c01', ';\n']
    """
    return _pattern().findall(text)


def kind_of(piece: str) -> str:
    """Name the kind of an ASCII piece: the row of the table it is looked up in.

    Words: what stands before them (`_` a space, `.` another mark, `^` nothing) and their case (`a`, `Aa`,
    `AA`). Else `0` digits, `0a`, `0Aa` and `0AA` digits among letters, `#` marks, `_#` marks after a space,
    `=` one mark, be it over and over, `_` white space.

    Example:
        >>> [kind_of(piece) for piece in pieces_of("Hello, big_WORLD {[ 42}] 3f2a9c01")]
        ['^Aa', '=', '_a', '.AA', '_#', '_', '0', '#', '0a']
    """
    first = piece[0]
    if piece.isspace():
        return "_"
    if not piece[-1].isalnum():
        return "_#" if first == " " else "#" if piece.strip(first) else "="
    word = piece if first.isalnum() else piece[1:]
    if word.isdigit():
        return "0"
    before = "0" if not word.isalpha() else "^" if first.isalpha() else "_" if first == " " else "."
    return before + ("a" if word.islower() else "AA" if word.isupper() else "Aa")


class Weights(NamedTuple):
    """What pieces weigh, in thousandths of a token.

    Attributes:
        kinds: weights of ASCII pieces by kind and, from one character up, by length; at the end of each row,
            the weight of every further character.
        block_starts: first code points of the Unicode blocks told apart, ascending.
        blocks: weight per character of a piece whose highest character lies in the block.
    """

    kinds: Mapping[str, Sequence[int]]
    block_starts: Sequence[int]
    blocks: Sequence[int]

    def weigh(self, piece: str) -> int:
        """Return the expected size of a piece."""
        if not piece.isascii():
            return len(piece) * self.blocks[bisect_right(self.block_starts, ord(max(piece))) - 1]
        *row, more = self.kinds[kind_of(piece)]
        beyond = max(0, len(piece) - len(row))
        return row[len(piece) - beyond - 1] + beyond * more


def _piece_memo() -> Memo:
    return Memo(Weights(KINDS, BLOCK_STARTS, BLOCKS).weigh, max_chars=2_000_000)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A counter that guesses, and says by how much it may be off.

    Attributes:
        factor: what the table's sum is multiplied by; 1.0 is o200k_base.
        error: relative error that 95 of 100 texts in English, code and data stay below, given 200 tokens and
            more; short texts fare worse, for their errors do not average out. None where it is not known.
        error_other: the same for texts in other languages.
        encoding: name of the encoding that is estimated, None where its vocabulary is not public.
        notes: why the count is not exact, one line each.
        pieces: remembers what pieces weigh; estimates scaled from one another share it.

    Raises:
        ConfigurationError: the factor is not a positive number.

    Example:
        >>> estimate = Estimate()
        >>> estimate.count("Hello, world!"), estimate.exact
        (5, False)
        >>> estimate.scaled(1.5).factor
        1.5
    """

    exact: bool = field(default=False, init=False)
    source: str = field(default="estimate", init=False)
    factor: float = 1.0
    error: float | None = P95_ERROR
    error_other: float | None = P95_ERROR_OTHER
    encoding: str | None = None
    notes: tuple[str, ...] = ()
    pieces: Memo = field(default_factory=_piece_memo, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (isfinite(self.factor) and self.factor > 0):
            raise ConfigurationError(f"factor is {self.factor}: it has to be a positive number")

    def count(self, text: str) -> int:
        """Return about how many tokens `text` has, rounded up."""
        milli_tokens = sum(map(self.pieces.__getitem__, pieces_of(text)))
        return ceil(milli_tokens * self.factor / 1000)

    def scaled(self, factor: float, *, error: float | None = None) -> Estimate:
        """Return an estimate that counts `factor` times as much.

        Args:
            factor: true tokens divided by the tokens this estimate counted, as learned from a model's usage.
            error: the relative error seen while learning it; unknown if not given, as that of other texts is.
        """
        return replace(self, factor=self.factor * factor, error=error, error_other=None)

    def encode(self, text: str) -> list[int]:
        """Refuse: an estimate has no vocabulary.

        Raises:
            TokenizerError: always.
        """
        reasons = "; ".join(self.notes) or "its tokenizer is not public"
        raise TokenizerError(f"{len(text)} characters cannot be encoded by an estimate: {reasons}")

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the longest start of whole pieces that is estimated at `max_tokens` or fewer."""
        room = max_tokens * 1000 / self.factor
        end = 0
        for piece in pieces_of(text):
            room -= self.pieces[piece]
            if room < 0:
                break
            end += len(piece)
        return text[:end]
