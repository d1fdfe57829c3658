"""Remembers the template of each shape of data, so that it is found once and then only filled."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from .features import Features
from .lexical import type_of

__all__ = ["Shapes", "outline", "shape_of"]

T = TypeVar("T")

_MAX_SHAPES: Final = 512


def shape_of(rows: Sequence[Any], features: Features) -> Hashable:
    """Return what rows that are likely to have the same template have in common. It is a guess, no proof."""
    return features, len(rows).bit_length(), _kind(rows[0]), _kind(rows[-1])


def _kind(value: Any) -> Hashable:
    kind = type_of(value)
    return tuple(value) if kind is dict else str(kind)


def outline(value: Any) -> Hashable:
    """Return what values that are likely to have the same best encoding have in common."""
    kind = type_of(value)
    if kind is dict:
        return tuple(value), tuple(map(type_of, value.values()))
    if kind is list and value:
        return len(value).bit_length(), _kind(value[0]), _kind(value[-1])
    return str(kind)


class Shapes(Generic[T]):
    """What is known of the shapes used last; safe for threads.

    Args:
        max_shapes: how many are kept.
    """

    __slots__ = ("_known", "_lock", "_max_shapes")

    def __init__(self, max_shapes: int = _MAX_SHAPES) -> None:
        self._known: OrderedDict[Hashable, T | None] = OrderedDict()
        self._lock = Lock()
        self._max_shapes = max_shapes

    def get(self, shape: Hashable) -> tuple[bool, T | None]:
        """Return whether a shape is known, and its template: None where no table is worth it."""
        with self._lock:
            if shape not in self._known:
                return False, None
            self._known.move_to_end(shape)
            return True, self._known[shape]

    def put(self, shape: Hashable, found: T | None) -> None:
        """Remember what was found for a shape; the one longest unused is forgotten."""
        with self._lock:
            self._known[shape] = found
            self._known.move_to_end(shape)
            if len(self._known) > self._max_shapes:
                self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
