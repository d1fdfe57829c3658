"""Finds where the next plan begins inside text that should have been one plan.

A plan with a brace too few or a quote too many swallows its successors. But they all begin alike, with the
same first key, so the next one can be found: where that beginning stands, and JSON does not allow it to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .alphabet import CURVED_CLOSE, CURVED_OPEN, Alphabet, Text
from .identity import Identity
from .intake import text_of

__all__ = ["Marker", "Markers", "broken_at"]

_WS = r"[ \t\r\n]*+"
_BEFORE = 64  # how far back the character before a beginning is looked for


class Marker(NamedTuple):
    """The beginning of a plan, up to and with its first colon or comma."""

    start: int
    end: int


class Markers:
    """Beginnings of plans.

    Args:
        alphabet: of the stream.
        identity: where ids stand.
        known: whether an id is one of those expected, or None if nothing is known of ids.
    """

    reach = 256
    """A beginning is shorter than this: what of one region must be looked at again with the next."""

    def __init__(self, alphabet: Alphabet, identity: Identity, known: Callable[[Any], bool] | None) -> None:
        self._alphabet = alphabet
        self._identity = identity
        self._known = known
        self._learned = identity.rows
        if identity.rows:
            row = rf"\[{_WS}(?:\"[^\"\\\n]{{1,128}}\"|-?\d{{1,18}}+){_WS}[,\]]"
            self._finder: Callable[[Text, int], Iterator[Any]] = alphabet.pattern(row).finditer
        else:
            self._finder = self._of_key(str(identity.key))

    @property
    def certain(self) -> bool:
        """Whether nothing but plans begins so: rows without known ids look like the arrays in them."""
        return not self._identity.rows or self._known is not None

    def learn(self, raw: Text) -> None:
        """Take the first key of the first whole plan for the first key of all."""
        if self._learned:
            return
        self._learned = True
        head = re.match(rf'\{{{_WS}"([^"\\]{{1,128}})"', text_of(raw[: self.reach]))
        if head is not None:
            self._finder = self._of_key(head[1])

    def positions(self, text: Text, pos: int = 1) -> Iterator[Marker]:
        """Yield the beginnings from `pos` on that are not the first of a list or the value of a key."""
        for match in self._finder(text, pos):
            start = match.start()
            gap = text_of(text[max(0, start - _BEFORE) : start])
            before = gap.rstrip(" \t\r\n")
            if before[-1:] in ("[", ":", "("):
                continue
            if not self._identity.rows or self._is_row(text, start, gap[len(before) :]):
                yield Marker(start, match.end())

    def first_new(self, text: Text, pos: int, broken: int) -> int:
        """Return where, from `pos` on, a plan begins after the text is `broken`; or -1."""
        return next((marker.start for marker in self.positions(text, pos) if marker.end > broken), -1)

    def first_swallowed(
        self,
        text: Text,
        walk: Callable[[Text, int, int, bool], tuple[int, int, bool]],
        is_alike: Callable[[Text], bool],
        model: Text,
        *,
        line_start: bool,
    ) -> int:
        """Return where the first plan stands that JSON allows to be part of the open one, or -1.

        A list that is not closed swallows what follows it without an error. Only a whole plan that is like
        the first one is taken for one, and only if that one, the model, had none inside.

        Args:
            text: of the open plan.
            walk: that of the plans' brackets.
            is_alike: whether a text is a plan like the model.
            model: the first whole plan.
            line_start: whether a line must begin with it.
        """
        if self.first_new(model, 1, 0) >= 0:
            return -1
        for marker in self.positions(text, 1):
            if line_start and text[marker.start - 1] != self._alphabet.newline:
                continue
            end, depth, _ = walk(text, marker.start + 1, 1, False)
            if not depth and is_alike(text[marker.start : end]):
                return marker.start
        return -1

    def _is_row(self, text: Text, start: int, gap: str) -> bool:
        """Rows look like the arrays in them. An expected id tells them, or a line of their own."""
        if self._known is None:
            return "\n" in gap
        return self._known(self._identity.of_text(text_of(text[start : start + self.reach])))

    def _of_key(self, key: str) -> Callable[[Text, int], Any]:
        quoted = rf"""["'{CURVED_OPEN}]?{re.escape(key)}["'{CURVED_CLOSE}]?"""
        return self._alphabet.pattern(rf"\{{{_WS}{quoted}{_WS}:").finditer


def broken_at(text: Text) -> int:
    """Return where a text stops being the beginning of JSON, or its length if it is one."""
    source = text_of(text)
    try:
        json.loads(source)
    except json.JSONDecodeError as error:
        is_open = error.msg.startswith("Unterminated string")
        found = len(source) if is_open else error.pos
        return (
            len(text) if found >= len(source) else len(source[:found].encode()) if _is_bytes(text) else found
        )
    except RecursionError:
        pass
    return len(text)


def _is_bytes(text: Text) -> bool:
    return not isinstance(text, str)
