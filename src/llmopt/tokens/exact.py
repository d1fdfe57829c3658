"""Exact counts, remembered line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from llmopt.tokens.memo import Memo

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["ExactCounter"]

# Counts of both encodings add up over texts cut after a "\n" that is followed by neither white space nor "/":
# - No piece of their patterns goes on after such a "\n". White space is taken in runs, which end there; marks
#   take line ends along, and "/" after them (o200k), and end there too; words and digits hold no "\n".
# - No pattern looks back, and what they look ahead for at the end of a run (`$`, `(?!\S)`) is never reached,
#   for a run that ends in "\n" is taken whole by the alternative before.
# Python's white space includes all of Unicode's, and \x1c-\x1f: the cut is made in fewer places, never in more.
_OPENING = r"[^\s/]"
_opens = re.compile(_OPENING).match
_split = re.compile(rf"\n(?={_OPENING})").split


@dataclass(frozen=True, slots=True)
class ExactCounter:
    """Counts with tiktoken, token for token, and remembers lines.

    A line that begins with white space or "/" is counted together with the line before it: see
    the comment above. Text that looks like a special token counts as the ordinary text it is.

    Attributes:
        encoding: name of the encoding.
        source: where its rank file was found.
        notes: files that were passed over and why, one line each.
        engine: the `tiktoken.Encoding` that counts.
        error: 0.0, there is none.
    """

    exact: ClassVar[bool] = True
    error: ClassVar[float] = 0.0

    encoding: str
    source: str
    notes: tuple[str, ...]
    engine: Encoding = field(repr=False, compare=False)
    _lines: Memo = field(init=False, repr=False, compare=False)  # of openings without their "\n", counted with it
    _texts: Memo = field(init=False, repr=False, compare=False)  # of any text, as it is

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lines", Memo(lambda line: self._count(line + "\n")))
        object.__setattr__(self, "_texts", Memo(self._count))

    def count(self, text: str) -> int:
        """Return how many tokens `text` has."""
        *lines, last = text.split("\n")
        if (last and not _opens(last)) or not all(map(self._lines.__contains__, lines)):
            return self._count_runs(text)
        return sum(map(self._lines.__getitem__, lines), self._texts[last])

    def _count_runs(self, text: str) -> int:
        """Count a text with lines that are new, or belong to the line before them."""
        *runs, last = _split(text)
        total = self._texts[last]
        if runs and not _opens(runs[0]):  # only `_split` knows that this one follows nothing
            total += self._texts[runs.pop(0) + "\n"]
        return sum(map(self._lines.__getitem__, runs), total)

    def _count(self, text: str) -> int:
        return len(self.encode(text))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of `text`, taken as ordinary text."""
        try:
            return self.engine.encode_ordinary(text)
        except BaseException as error:
            # tiktoken's pattern engine runs out of stack on about a million blanks in a row, and says so by
            # an exception that has no public name. It carries a slower engine for the same pattern.
            if type(error).__name__ != "PanicException":
                raise
            clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # as tiktoken does
            return self.engine._encode_only_native_bpe(clean)  # noqa: SLF001

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the longest start of `text` that ends with a token and has `max_tokens` or fewer.

        A character is never cut in two. Lone surrogates, which no tokenizer knows, come back as U+FFFD.
        """
        tokens = self.encode(text)
        if len(tokens) <= max_tokens:
            return text
        for end in range(max_tokens, 0, -1):
            # A start may need one token more than its own share, where the cut falls into a contraction.
            start = self.engine.decode(tokens[:end], errors="ignore")
            if len(self.encode(start)) <= max_tokens:
                return start
        return ""
