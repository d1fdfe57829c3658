"""Where in the reply something is: offset, line and column, kept without keeping the reply."""

from __future__ import annotations

from typing import TypeVar

from ..errors import PlanSyntaxError, TruncatedStreamError
from .alphabet import Alphabet, Text

__all__ = ["Cursor"]

_AROUND = 24  # characters of the reply on either side of the place
_PlaceErrorT = TypeVar("_PlaceErrorT", PlanSyntaxError, TruncatedStreamError)


class Cursor:
    """The place up to which the reply has been passed.

    Attributes:
        offset: characters before it, or bytes where bytes are fed.
        line: its line, counted from 1.
    """

    __slots__ = ("_line_start", "_newline", "line", "offset")

    def __init__(self, alphabet: Alphabet) -> None:
        self._newline = alphabet.newline
        self.offset = 0
        self.line = 1
        self._line_start = 0  # the offset at which the line begins

    def past(self, text: Text) -> None:
        """Go past `text`."""
        if self._newline in text:  # most texts have none, which is found sooner than counted
            self.line += text.count(self._newline)
            self._line_start = self.offset + text.rfind(self._newline) + 1
        self.offset += len(text)

    def error(self, kind: type[_PlaceErrorT], message: str, text: Text, pos: int = 0) -> _PlaceErrorT:
        """Return an error about the place `pos` of `text`, which begins at the cursor."""
        lines = text.count(self._newline, 0, pos)
        start = self.offset + text.rfind(self._newline, 0, pos) + 1 if lines else self._line_start
        offset = self.offset + pos
        line, column = self.line + lines, offset - start + 1
        excerpt = text[max(0, pos - _AROUND) : pos + _AROUND]
        if isinstance(excerpt, bytes | bytearray):
            excerpt = excerpt.decode(errors="replace")
        return kind(
            f"{message} at offset {offset} (line {line}, column {column}): {excerpt!r}",
            offset=offset,
            line=line,
            column=column,
            excerpt=excerpt,
        )
