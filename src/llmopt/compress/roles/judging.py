"""What the rules of relevance have in common: checks of their arguments, fields, numbers and distances."""

from __future__ import annotations

import math
from typing import Any, TypeGuard, cast

from ...errors import ConfigurationError
from .field_path import Path, Spot, after, children, look_up, parse
from .selection import Selection

__all__ = [
    "check_count",
    "check_distance",
    "check_paths",
    "distances",
    "field_of",
    "is_number",
    "is_text",
    "leads_somewhere",
    "several",
]


def several(paths: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return one path, or several, as several."""
    return (paths,) if isinstance(paths, str) else paths


def check_paths(paths: object) -> None:
    """Raise ConfigurationError unless it is a path, or a tuple of some."""
    if not isinstance(paths, (str, tuple)) or not paths:
        raise ConfigurationError(f"paths={paths!r}: give a path, or a tuple of paths")
    for path in several(cast("str | tuple[str, ...]", paths)):
        parse(path, "paths")


def check_distance(path: object, to: object, at: object) -> None:
    """Raise ConfigurationError unless a list, a position, and where elements have theirs, are named."""
    parse(path, "path")
    parse(to, "to", wildcards=False)
    parse(at, "at", wildcards=False, empty=True)


def check_count(k: object) -> None:
    """Raise ConfigurationError unless it is a number of elements."""
    if type(k) is not int or k < 0:
        raise ConfigurationError(f"k={k!r}: give a whole number of 0 or more")


def leads_somewhere(value: Any, wanted: frozenset[Path]) -> bool:
    """Return whether something in a value is wanted; what is empty is wanted where it is on the way."""
    inside = list(children(value))
    if not inside:
        return bool(wanted) and isinstance(value, (dict, list, tuple))
    return bool(wanted) and any(
        () in (left := after(wanted, key)) or leads_somewhere(child, left) for key, child in inside
    )


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a number that can be measured with."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def is_text(value: Any) -> TypeGuard[str]:
    """Return whether a value is a string."""
    return isinstance(value, str)


def field_of(element: Any, path: Path) -> Any:
    """Return the field of an element, or the element itself for an empty path; None where it is absent."""
    if not path:
        return element
    return look_up((cast("dict[str, Any]", element),), path) if isinstance(element, dict) else None


def distances(selection: Selection, spot: Spot, to: str, at: str) -> list[tuple[float, int, Any]]:
    """Return distance, index and element, for the elements of a list whose distance can be told."""
    origin = look_up(spot.scopes, parse(to, "to"))
    own = parse(at, "at", empty=True)
    measured = (
        (_distance(origin, field_of(element, own)), index, element)
        for index, element in selection.elements(spot)
    )
    return [(distance, index, element) for distance, index, element in measured if distance is not None]


def _distance(one: Any, other: Any) -> float | None:
    if isinstance(one, dict) and isinstance(other, dict):
        a, b = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        shared = [key for key, value in a.items() if is_number(value) and is_number(b.get(key))]
        return math.dist([a[key] for key in shared], [b[key] for key in shared]) if shared else None
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        left, right = cast("list[Any]", one), cast("list[Any]", other)
        fits = len(left) == len(right) and all(map(is_number, (*left, *right)))
        return math.dist(left, right) if fits else None
    return abs(one - other) if is_number(one) and is_number(other) else None
