"""Exact counts, remembered line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .memo import Memo

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["ExactCounter"]

# In these encodings counts add up over texts cut after a "\n" that neither white space nor "/" follows:
# - No piece of their patterns goes on after such a "\n". White space is taken in runs, which end there; marks
#   take line ends along, and "/" after them (o200k), and end there too; words and digits hold no "\n".
# - No pattern looks back, and what they look ahead for at the end of a run (`$`, `(?!\S)`) is never reached,
#   for a run that ends in "\n" is taken whole by the alternative before.
# The older patterns are not like that: they take "  \n" as one piece at the end of a text and as two before.
# Python's white space is all of Unicode's and \x1c-\x1f: the cut is made in fewer places, never in more.
_ADDITIVE = frozenset(("o200k_base", "o200k_harmony", "cl100k_base"))
_MAX_SEEN = 100_000  # about 6 MB
_OPENING = r"[^\s/]"
_opens = re.compile(_OPENING).match
_split = re.compile(rf"\n(?={_OPENING})").split


@dataclass(frozen=True, slots=True)
class ExactCounter:
    r"""Counts with tiktoken, token for token, and remembers texts and the lines that come again in others.

    A line that begins with white space or "/" is counted together with the line before it, for it may share
    a token with it. Text that looks like a special token counts as the ordinary text it is. What is
    remembered is bounded by 16 million characters; the texts longest unused are forgotten.

    Attributes:
        encoding: name of the encoding.
        source: where its rank file was found.
        notes: files that were passed over and why, one line each.
        engine: the `tiktoken.Encoding` that counts.
        exact: True.
        error: 0.0, there is none.

    Example:
        >>> from llmopt.tokens import counter
        >>> o200k = counter("o200k_base")
        >>> o200k.count("alpha\nbeta\n  gamma\n"), o200k.encode("alpha\n")
        (7, [15453, 198])
        >>> o200k.truncate("one two three four", 2)
        'one two'
    """

    exact: bool = field(default=True, init=False)
    error: float = field(default=0.0, init=False)
    encoding: str
    source: str
    notes: tuple[str, ...]
    engine: Encoding = field(repr=False, compare=False)
    # Counts of texts as they are; of openings without their "\n", counted with it; hashes of openings met.
    _texts: Memo = field(init=False, repr=False, compare=False)
    _lines: Memo = field(init=False, repr=False, compare=False)
    _seen: set[int] = field(default_factory=set[int], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = self._count_lines if self.encoding in _ADDITIVE else self._count_whole
        object.__setattr__(self, "_texts", Memo(count))
        object.__setattr__(self, "_lines", Memo(lambda line: len(self.encode(line + "\n"))))

    def count(self, text: str) -> int:
        """Return how many tokens `text` has."""
        return self._texts[text]

    def _count_whole(self, text: str) -> int:
        return len(self.encode(text))

    def _count_lines(self, text: str) -> int:
        """Add up the lines if all are known and stand for themselves, which is soon seen; else the runs."""
        *lines, last = text.split("\n")
        if not lines or (last and not _opens(last)) or not all(map(self._lines.__contains__, lines)):
            return self._count_runs(text)
        return sum(map(self._lines.__getitem__, lines), self._texts[last])

    def _count_runs(self, text: str) -> int:
        """Count a text with lines that are new, or belong to the line before them."""
        *runs, last = _split(text)
        if not runs:
            return self._count_whole(text)
        total = self._texts[last]
        if not _opens(runs[0]):  # only `_split` knows that this one follows nothing
            total += self._texts[runs.pop(0) + "\n"]
        met, new = self._parted(runs)
        if new:
            total += self._count_whole("\n".join(new) + "\n")
        return sum(map(self._lines.__getitem__, met), total)

    def _parted(self, runs: list[str]) -> tuple[list[str], list[str]]:
        """Part the runs into those met before and those that are new.

        One call for all new ones is faster than one for each, and most texts never come again: only what
        comes twice is counted alone and remembered.
        """
        lines, seen = self._lines, self._seen
        met: list[str] = []
        new: list[str] = []
        for run in runs:  # one look at each, for other threads may be adding to both
            (met if run in lines or hash(run) in seen else new).append(run)
        if len(seen) > _MAX_SEEN:
            seen.clear()
        seen.update(map(hash, new))
        return met, new

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
            return self.engine._encode_only_native_bpe(clean)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the longest start of `text` that ends with a token and has `max_tokens` or fewer.

        A character is never cut in two. Lone surrogates, which no tokenizer knows, come back as U+FFFD.
        """
        tokens = self.encode(text)
        if len(tokens) <= max_tokens:
            return text
        for end in range(max_tokens, 0, -1):
            # The pattern may cut a start in another way than the whole, at the expense of more tokens.
            start = self.engine.decode(tokens[:end], errors="ignore")
            if len(self.encode(start)) <= max_tokens:
                return start
        return ""
