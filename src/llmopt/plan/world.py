"""Separates what all agents of a job see from what each sees alone, without loss.

What is the same in every snapshot belongs to the world and is said once. Lists of things that have ids
(enemies, say) are merged: the world has each thing once, with the fields that nobody sees differently,
and an agent keeps the ids of those it sees, with the fields that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

Snapshot: TypeAlias = "Mapping[str, Any]"

ID_KEYS = ("id", "name", "key", "uid")
"""The fields that may name a thing in a list; the first that all things of the list have is taken."""


@dataclass(frozen=True, slots=True)
class World:
    """The snapshots of some agents, taken apart.

    Args:
        shared: what is the same for all.
        own: what is left of each snapshot, in the order in which they were given.
        merged: the paths of the lists whose things stand in `shared`, each with its id field.
    """

    shared: dict[str, Any]
    own: tuple[dict[str, Any], ...]
    merged: dict[tuple[str, ...], str]

    def snapshot(self, index: int) -> dict[str, Any]:
        """Put one snapshot together again."""
        return _joined(self.shared, self.own[index], self.merged, ())


def split(snapshots: Sequence[Snapshot]) -> World:
    """Take snapshots apart. One alone has nothing to share.

    Args:
        snapshots: what each agent sees: JSON objects.

    Example:
        >>> world = split([{"t": 1, "hp": 7, "foes": [{"id": 3, "x": 5}]},
        ...                {"t": 1, "hp": 9, "foes": [{"id": 3, "x": 5}]}, {"t": 1, "hp": 8, "foes": []}])
        >>> world.shared
        {'t': 1, 'foes': [{'id': 3, 'x': 5}]}
        >>> world.own[0], world.own[2]
        ({'hp': 7, 'foes': [3]}, {'hp': 8, 'foes': []})
    """
    merged: dict[tuple[str, ...], str] = {}
    if len(snapshots) < 2:  # noqa: PLR2004 - nobody to share with
        return World({}, tuple(dict(snapshot) for snapshot in snapshots), merged)
    shared, own = _split([dict(snapshot) for snapshot in snapshots], (), merged)
    return World(shared, tuple(own), merged)


def _split(
    objects: list[dict[str, Any]], path: tuple[str, ...], merged: dict[tuple[str, ...], str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    shared: dict[str, Any] = {}
    own: list[dict[str, Any]] = [{} for _ in objects]
    for key in dict.fromkeys(key for each in objects for key in each):
        having = [index for index, each in enumerate(objects) if key in each]
        values = [objects[index][key] for index in having]
        common, rests = (
            _shared(values, (*path, key), merged) if len(having) == len(objects) else (_NONE, values)
        )
        if common is not _NONE:
            shared[key] = common
        for index, rest in zip(having, rests, strict=False):
            own[index][key] = rest
    return shared, own


class _Nothing:
    """What there is when nothing is shared; no JSON value is it."""


_NONE = _Nothing()


def _shared(
    values: list[Any], path: tuple[str, ...], merged: dict[tuple[str, ...], str]
) -> tuple[Any, Sequence[Any]]:
    """Return what is shared of values at one path, and what is left of each; () if nothing is."""
    if all(same(value, values[0]) for value in values):
        return values[0], ()
    if all(map(is_object, values)):
        shared, own = _split(values, path, merged)
        return (shared, own) if shared else (_NONE, values)
    key = _id_key(values)
    if key is None:
        return _NONE, values
    things, left = _merged(values, key)
    if _size(things) + sum(map(_size, left)) >= sum(map(_size, values)):
        return _NONE, values
    merged[path] = key
    return things, left


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a JSON value is a list."""
    return isinstance(value, list)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1, 1.0 and true are not.

    Example:
        >>> same([1, {"a": None}], [1, {"a": None}]), same(1, 1.0), same(True, 1)
        (True, False, False)
    """
    if type(one) is not type(other):
        return False
    if is_object(one):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if is_list(one):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _id_key(values: list[Any]) -> str | None:
    """Return the field that names the things of these lists; None if they are no lists of named things."""
    rows = [row for value in values if is_list(value) for row in value]
    if not rows or not all(map(is_list, values)) or not all(map(is_object, rows)):
        return None
    return next((key for key in ID_KEYS if all(_names(value, key) for value in values)), None)


def _names(rows: list[dict[str, Any]], key: str) -> bool:
    """Tell whether every row has its own name under `key`; whole numbers and texts are names."""
    names = [row.get(key) for row in rows]
    return all(type(name) in (int, str) for name in names) and len(set(names)) == len(names)


def _merged(values: list[list[dict[str, Any]]], key: str) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Return each thing once, with the fields that all see alike, and for each list what is left of it."""
    seen: dict[Any, list[dict[str, Any]]] = {}
    for rows in values:
        for row in rows:
            seen.setdefault(row[key], []).append(row)
    # The order must not depend on who sees what: the world stands at the head of every prompt.
    ordered = sorted(seen.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    things = {name: {**_alike(rows), key: name} for name, rows in ordered}
    varying = any(row.keys() != things[row[key]].keys() for rows in values for row in rows)
    left = [[_rest(row, things[row[key]], key) if varying else row[key] for row in rows] for rows in values]
    return list(things.values()), left


def _alike(rows: list[dict[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    return {
        field: value
        for field, value in first.items()
        if all(field in row and same(row[field], value) for row in rows[1:])
    }


def _rest(row: dict[str, Any], thing: dict[str, Any], key: str) -> dict[str, Any]:
    return {field: value for field, value in row.items() if field == key or field not in thing}


def _size(value: Any) -> int:
    """Return how many keys and values there are in a JSON value."""
    if is_object(value):
        return 1 + sum(1 + _size(item) for item in value.values())
    return 1 + sum(map(_size, value)) if is_list(value) else 1


def _joined(
    shared: Mapping[str, Any],
    own: Mapping[str, Any],
    merged: Mapping[tuple[str, ...], str],
    path: tuple[str, ...],
) -> dict[str, Any]:
    whole = dict(own)
    for key, value in shared.items():
        here = (*path, key)
        if key not in own:
            whole[key] = value
        elif here in merged:
            whole[key] = list(_rows(value, own[key], merged[here]))
        else:
            whole[key] = _joined(value, own[key], merged, here)
    return whole


def _rows(things: Iterable[dict[str, Any]], kept: Iterable[Any], key: str) -> Iterable[dict[str, Any]]:
    named = {thing[key]: thing for thing in things}
    for row in kept:
        yield {**named[row[key]], **row} if is_object(row) else named[row]
