"""Separates what all agents of a job see from what each sees alone, without loss.

What is the same in every snapshot belongs to the world and is said once. Lists of things that have ids
(enemies, say) are merged: the world has each thing once, with the fields that nobody sees differently,
and an agent keeps the ids of those it sees, with the fields that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias

import orjson

from ._text import compact, is_list, is_object

Snapshot: TypeAlias = "Mapping[str, Any]"

ID_KEYS = ("id", "name", "key", "uid")
"""The fields that may name a thing in a list; the first that all things of the list have is taken."""

_NULL: Final = b"null"
_PASS: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


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
    for key in dict.fromkeys(chain.from_iterable(objects)):
        having = [(each[key], rest) for each, rest in zip(objects, own, strict=True) if key in each]
        values = [value for value, _ in having]
        in_all = len(having) == len(objects)
        common, rests = _shared(values, (*path, key), merged) if in_all else (_NONE, values)
        if common is not _NONE:
            shared[key] = common
        for (_, left), rest in zip(having, rests, strict=False):  # there may be nothing left
            left[key] = rest
    return shared, own


class _Nothing:
    """What there is when nothing is shared; no JSON value is it."""


_NONE = _Nothing()


def _shared(
    values: list[Any], path: tuple[str, ...], merged: dict[tuple[str, ...], str]
) -> tuple[Any, Sequence[Any]]:
    """Return what is shared of values at one path, and what is left of each; () if nothing is."""
    if _all_same(values):
        return values[0], ()
    if all(map(is_object, values)):
        shared, own = _split(values, path, merged)
        return (shared, own) if shared else (_NONE, values)
    key = _id_key(values)
    if key is None:
        return _NONE, values
    things, left = _merged(values, key)
    if len(text_of(things)) + len(text_of(left)) >= len(text_of(values)):
        return _NONE, values
    merged[path] = key
    return things, left


def _all_same(values: Sequence[Any]) -> bool:
    first = values[0]
    text = text_of(first)
    return all(value is first or text_of(value) == text for value in values)


def text_of(value: Any) -> bytes:
    """Return a text that JSON values have in common only if they are the same to the last bit."""
    try:
        text = orjson.dumps(value, option=_PASS)
    except TypeError:  # integers beyond 64 bits, lone surrogates; or no JSON at all
        text = _NULL
    # NaN and infinity, which are no JSON, must not pass for the null that orjson writes.
    return compact(value).encode("utf-8", "surrogatepass") if _NULL in text else text


def _id_key(values: list[Any]) -> str | None:
    """Return the field that names the things of these lists; None if they are no lists of named things."""
    rows = [row for value in values if is_list(value) for row in value]
    if not rows or not all(map(is_list, values)) or not all(map(is_object, rows)):
        return None
    return next((key for key in ID_KEYS if all(_names(value, key) for value in values)), None)


def _names(rows: list[dict[str, Any]], key: str) -> bool:
    """Tell whether every row has its own name under `key`; whole numbers and texts are names."""
    names = [row.get(key) for row in rows]
    return {int, str}.issuperset(map(type, names)) and len(set(names)) == len(names)


def _merged(values: list[list[dict[str, Any]]], key: str) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Return each thing once, with the fields that all see alike, and for each list what is left of it."""
    seen: dict[Any, list[dict[str, Any]]] = {}
    for row in chain.from_iterable(values):
        seen.setdefault(row[key], []).append(row)
    # The order must not depend on who sees what: the world stands at the head of every prompt.
    names = sorted(seen, key=lambda name: (isinstance(name, str), name))
    things = {name: _thing(seen[name], key) for name in names}
    if all(row.keys() == things[row[key]].keys() for row in chain.from_iterable(values)):
        return list(things.values()), [[row[key] for row in rows] for rows in values]
    left = [[_rest(row, things[row[key]], key) for row in rows] for rows in values]
    return list(things.values()), left


def _thing(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Return what all who see a thing see alike, and its name."""
    first = rows[0]
    if _all_same(rows):
        return first
    return {
        field: value
        for field, value in first.items()
        if field == key or (all(field in row for row in rows) and _all_same([row[field] for row in rows]))
    }


def _rest(row: dict[str, Any], thing: dict[str, Any], key: str) -> dict[str, Any]:
    return {field: value for field, value in row.items() if field == key or field not in thing}


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
