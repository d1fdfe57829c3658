"""Decodes many plans of a large chunk in one call.

A complete JSON object is never the beginning of another one. So if `[` + s + `]` is JSON, and s begins where
an element begins, then s is exactly a list of whole elements: one may guess where the last of them ends, and
let one call of the decoder prove the guess and do the work. The guess is the text that stood between the
first two plans, such as `}, {"agent_id":`.
"""

from __future__ import annotations

from typing import Final

from .alphabet import Alphabet, Text
from .intake import Intake
from .limits import Limits
from .shapes import levels

__all__ = ["SHORTEST", "Batch"]

SHORTEST: Final = 500
# less than this is not worth the guess
# Enough plans for the price of a call, few enough to stay in the processor's cache and under the depth limit.
_LONGEST = 16384
_MISSES = 4
# What orjson itself refuses to go beyond, so that there is nothing left to be looked after.
_DEPTH_OF_ORJSON = 1024


class Batch:
    """What is known of the boundaries between elements.

    Attributes:
        last_end: where in the region at hand the last element ended, or -1.
    """

    __slots__ = (
        "_alphabet",
        "_boundary",
        "_inner",
        "_intake",
        "_longest",
        "_max_depth",
        "_misses",
        "last_end",
    )

    def __init__(self, alphabet: Alphabet, intake: Intake, limits: Limits) -> None:
        self._alphabet = alphabet
        self._intake = intake
        self._max_depth = limits.max_depth
        self._longest = min(_LONGEST, limits.max_element_bytes)
        self._boundary: Text = alphabet.nothing
        self._inner = 0  # how much of the boundary belongs to the element before it
        self._misses = 0
        self.last_end = -1

    def promises(self, region: Text) -> bool:
        """Whether it may take the elements in `region`, the open one that it begins in included."""
        return bool(self._boundary) and self._misses < _MISSES and region.find(self._boundary) >= 0

    def take(self, text: Text, pos: int) -> int:
        """Take elements from `pos` on, where one begins. Return where the last one ends, or `pos`."""
        if not self._boundary:
            if self.last_end >= 0:
                self._learn(text, pos)
            return pos
        if self._misses >= _MISSES:
            return pos
        room = len(text) - pos
        while room >= SHORTEST:
            end = self._take(text, pos, min(room, self._longest))
            if end:
                return end
            # Too many brackets to be sure of the depth: with fewer elements there are fewer.
            room = self._longest // 2 if end is None else 0
            self._longest = room or self._longest
        return pos

    def _take(self, text: Text, pos: int, room: int) -> int | None:
        """Return the end of what was taken, 0 if nothing was, None if the depth is not sure."""
        cut = text.rfind(self._boundary, pos, pos + room)
        if cut <= pos:
            return 0
        end: int = cut + self._inner
        stretch = text[pos:end]
        if self._alphabet.kind is str:
            try:
                stretch = stretch.encode()  # as the decoder would, and of one byte a character from here on
            except UnicodeEncodeError:
                self._misses += 1
                return 0
        if self._max_depth < _DEPTH_OF_ORJSON and levels(stretch, self._max_depth) > self._max_depth:
            return None
        if not self._intake.take_many(b"[%b]" % stretch):
            self._misses += 1
            return 0
        self._misses = 0
        self.last_end = end
        return end

    def _learn(self, text: Text, pos: int) -> None:
        """Keep what stands between the last element and the beginning of this one."""
        alphabet = self._alphabet
        is_object = text[pos] == alphabet.braces.opener
        head = (alphabet.head_of_object if is_object else alphabet.head_of_array)(text, pos)
        if head is None:
            return
        # Rows are told from the arrays within them by two brackets that close at once.
        self._inner = 1 if is_object else 2
        self._boundary = text[self.last_end - self._inner : head.end()]
