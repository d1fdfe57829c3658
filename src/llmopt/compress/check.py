"""Whether a value is JSON, and where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ..errors import EncodingError
from .notation.lexical import compact, type_of
from .roles.loss import Keys, pointer

__all__ = ["MAX_LEVELS", "checked"]

MAX_LEVELS: Final = 400
"""Levels of objects and lists that a value may have; Python's `json` gives up at about 1,000."""

_SCALARS: Final = frozenset((str, int, float, bool, type_of(None)))
_INFINITY: Final = float("inf")


def checked(value: Any) -> tuple[Any, int]:
    """Return `value` with tuples as lists, and how many levels it has.

    Raises:
        EncodingError: it holds what JSON cannot. The message says where.
    """
    level = [value]
    levels = 0
    tuples = False
    while level:
        below: list[Any] = []
        for item in level:
            kind = type_of(item)
            if kind is dict:
                if not all(type_of(key) is str for key in item):
                    _refuse(value)
                below += item.values()
            elif kind is list:
                below += item
            elif kind is tuple:
                below += item
                tuples = True
            elif kind not in _SCALARS or (kind is float and not -_INFINITY < item < _INFINITY):
                _refuse(value)
        level = below
        levels += 1
        if levels > MAX_LEVELS:
            raise EncodingError(f"the value is nested deeper than {MAX_LEVELS} levels")
    return (_as_lists(value) if tuples else value), levels


def _as_lists(value: Any) -> Any:
    return json.loads(compact(value))


def _refuse(value: Any) -> None:
    for keys, item in _places(value):
        kind = type_of(item)
        place = pointer(keys) or "the value itself"
        if kind is dict:
            odd = next((key for key in item if type_of(key) is not str), None)
            if any(type_of(key) is not str for key in item):
                raise EncodingError(f"{place}: the key {odd!r} is no string, and JSON has no other keys")
        elif kind is float and not -_INFINITY < item < _INFINITY:
            raise EncodingError(f"{place}: {item!r} is no number that JSON knows")
        elif kind not in _SCALARS and kind not in {list, tuple}:
            raise EncodingError(f"{place}: a {kind.__name__} is nothing that JSON can hold")


def _places(value: Any) -> Iterator[tuple[Keys, Any]]:
    """Yield every place of a value, without recursion."""
    todo: list[tuple[Keys, Any]] = [((), value)]
    while todo:
        keys, item = todo.pop()
        yield keys, item
        if type_of(item) is dict:
            todo += [((*keys, key), inner) for key, inner in item.items()]
        elif type_of(item) in {list, tuple}:
            todo += [((*keys, at), inner) for at, inner in enumerate(item)]
