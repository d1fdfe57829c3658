"""Equality of JSON values down to their types: 1, 1.0 and true differ, as do orders of keys."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import orjson

from .columns import ABSENT
from .lexical import Whole, type_of

__all__ = ["PASS", "exact_key", "exact_keys", "present", "same"]

_PLAIN = frozenset((str, Whole, int, bool, type_of(None)))  # equal ones of these are the same
_ABSENT = frozenset((type(ABSENT),))
PASS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def exact_key(value: Any) -> Hashable:
    """Return something hashable that is equal for equal values alone.

    Example:
        >>> exact_key([1]) == exact_key([1.0]), exact_key("a") == exact_key("a")
        (False, True)
    """
    kind = type_of(value)
    if kind is str or value is ABSENT:
        absent_or_text: Hashable = value
        return absent_or_text
    if kind is dict or kind is list:
        try:
            return orjson.dumps(value, option=PASS)
        except TypeError:  # integers beyond 64 bits, lone surrogates, opened JSON
            return repr(value)
    return kind.__name__, repr(value)


def exact_keys(values: list[Any]) -> list[Hashable]:
    """Return `exact_key` of each, at once where they are strings."""
    kinds = set(map(type, values)) - _ABSENT
    if len(kinds) == 1 and not kinds.isdisjoint(_PLAIN):
        return values
    if kinds == {float}:
        return list(map(repr, values))
    return list(map(exact_key, values))


def present(values: Sequence[Any]) -> list[Any]:
    """Return the values without `ABSENT`."""
    return [value for value in values if value is not ABSENT] if ABSENT in values else list(values)


def same(values: list[Any]) -> bool:
    """Return whether all values are the same; they are if there are none."""
    if not values:
        return True
    first = values[0]
    if values.count(first) != len(values):
        return False
    kind = type_of(first)
    if kind is dict or kind is list:
        return _written_alike(values)
    return kind is str or len(set(exact_keys(values))) == 1


def _written_alike(values: list[Any]) -> bool:
    """Return whether equal objects or lists have the same types, and the same order of keys."""
    try:
        one = orjson.dumps(values[0], option=PASS)
        return orjson.dumps(values, option=PASS) == b"[" + b",".join([one] * len(values)) + b"]"
    except TypeError:  # integers beyond 64 bits, lone surrogates, opened JSON
        return len(set(map(repr, values))) == 1
