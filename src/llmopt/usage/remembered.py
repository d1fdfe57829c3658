"""What is known of a thing already, so that a call need not find it out again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .redact import Redactor

Known = TypeVar("Known")

_WORD_CHARS = 500
_WORDS = 4096
_OBJECTS = 256


class Words(dict[Any, "str | None"]):
    """Short texts as they may be written: one look-up, in C, for those that come again.

    Whatever is no text has None in its place.

    Args:
        redactor: what takes the secrets out of them.
    """

    __slots__ = ("_redactor",)

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def __missing__(self, text: Any) -> str | None:
        """Clean a text, and remember it."""
        if not isinstance(text, str):
            return None
        clean = self._redactor.clean(str.__str__(text))[:_WORD_CHARS]
        if len(text) <= _WORD_CHARS:
            if len(self) >= _WORDS:
                self.clear()
            self[text] = clean
        return clean


class Objects(dict[int, "tuple[weakref.ref[Any], Known]"], Generic[Known]):
    """Remembers something of objects, for as long as they live, without keeping them alive.

    Args:
        make: returns what is to be remembered of one.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Any], Known]) -> None:
        super().__init__()
        self._make = make

    def of(self, thing: Any) -> Known:
        """Return what is remembered of `thing`."""
        entry = self.get(id(thing))
        return entry[1] if entry is not None and entry[0]() is thing else self._learn(thing)

    def _learn(self, thing: Any) -> Known:
        found = self._make(thing)
        try:
            reference = weakref.ref(thing)
        except TypeError:
            return found
        if len(self) >= _OBJECTS:
            self.clear()
        self[id(thing)] = reference, found
        return found
