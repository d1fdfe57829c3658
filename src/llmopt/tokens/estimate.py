"""The marked estimate, for models whose tokenizer is not at hand.

A text is cut the way byte-pair tokenizers cut it before they merge, and every piece weighs what pieces of
its kind and length weigh on average in o200k_base. The table of those averages, and the errors stated here,
are made by `benchmarks/tokens_table.py`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from math import ceil, isfinite
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from llmopt.errors import ConfigurationError, TokenizerError
from llmopt.tokens._table import BLOCK_STARTS, BLOCKS, KINDS, P95_ERROR
from llmopt.tokens.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Estimate", "Weights", "kind_of", "pieces_of"]

# o200k_base's own cut in the terms of `re`: an optional mark before a word, words split at a change to
# upper case, at most three digits, marks with the line ends after them, white space.
pieces_of: Final = re.compile(
    r"(?:[^\w\r\n]|_)?[A-Z]*[^\W\dA-Z_]+"
    r"|(?:[^\w\r\n]|_)?[A-Z]+"
    r"|\d{1,3}"
    r"| ?(?:[^\s\w]|_)+[\r\n/]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
).findall


def kind_of(piece: str) -> str:
    """Name the kind of an ASCII piece: the row of the table it is looked up in.

    Words: what stands before them (`_` a space, `.` another mark, `^` nothing) and their case (`a`, `Aa`,
    `AA`). Else `0` digits, `#` marks, `_#` marks after a space, `n` white space with a line end, `_` without.

    Example:
        >>> [kind_of(piece) for piece in pieces_of('Hello, big_WORLD 42!')]
        ['^Aa', '#', '_a', '.AA', '_', '0', '#']
    """
    first, last = piece[0], piece[-1]
    if last.isalpha():
        before = "^" if first.isalpha() else "_" if first == " " else "."
        word = piece if first.isalpha() else piece[1:]
        return before + ("a" if word.islower() else "AA" if word.isupper() else "Aa")
    if last.isdigit():
        return "0"
    if piece.isspace():
        return "n" if "\n" in piece or "\r" in piece else "_"
    return "_#" if first == " " else "#"


class Weights(NamedTuple):
    """What pieces weigh, in thousandths of a token.

    Attributes:
        kinds: weights of ASCII pieces by kind and, from one character up, by length.
        block_starts: first code points of the Unicode blocks told apart, ascending.
        blocks: weight per character of a piece whose highest character lies in the block.
    """

    kinds: Mapping[str, Sequence[int]]
    block_starts: Sequence[int]
    blocks: Sequence[int]

    def weigh(self, piece: str) -> int:
        """Return the expected size of a piece. A row goes on in proportion where its lengths end."""
        if not piece.isascii():
            return len(piece) * self.blocks[bisect_right(self.block_starts, ord(max(piece))) - 1]
        row = self.kinds[kind_of(piece)]
        return row[len(piece) - 1] if len(piece) <= len(row) else row[-1] * len(piece) // len(row)


def _piece_memo() -> Memo:
    return Memo(Weights(KINDS, BLOCK_STARTS, BLOCKS).weigh, max_chars=2_000_000)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A counter that guesses, and says by how much it may be off.

    Attributes:
        factor: what the table's sum is multiplied by; 1.0 is o200k_base.
        error: relative error that 95 of 100 texts of 200 tokens and more stay below; short texts fare worse,
            for their errors do not average out. None where it is not known.
        encoding: name of the encoding that is estimated, None where its vocabulary is not public.
        notes: why the count is not exact, one line each.
        pieces: remembers what pieces weigh; estimates scaled from one another share it.

    Raises:
        ConfigurationError: the factor is not a positive number.

    Example:
        >>> estimate = Estimate()
        >>> estimate.count("Hello, world!"), estimate.exact
        (4, False)
        >>> estimate.scaled(1.5).factor
        1.5
    """

    exact: ClassVar[bool] = False
    source: ClassVar[str] = "estimate"

    factor: float = 1.0
    error: float | None = P95_ERROR
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
            error: the relative error seen while learning it; unknown if not given.
        """
        return replace(self, factor=self.factor * factor, error=error)

    def encode(self, text: str) -> list[int]:
        """Refuse: an estimate has no vocabulary.

        Raises:
            TokenizerError: always.
        """
        reasons = "; ".join(self.notes) or "its tokenizer is not public"
        raise TokenizerError(f"{len(text)} characters cannot be encoded by an estimate: {reasons}")

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the longest run of whole pieces from the start that is estimated at `max_tokens` or fewer."""
        room = max_tokens * 1000 / self.factor
        end = 0
        for piece in pieces_of(text):
            room -= self.pieces[piece]
            if room < 0:
                break
            end += len(piece)
        return text[:end]
