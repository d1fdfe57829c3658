"""Changes between two values, as a value: objects by key, lists of objects by the id of their rows.

| in the place of  | stands                                                                       |
|------------------|------------------------------------------------------------------------------|
| an object        | an object of the keys that changed; `"-"` lists the keys that are gone       |
| a list with ids  | `{"changed": [...], "removed": [ids], "added": [...]}`, rows with their id   |
| anything else    | the new value; an object as `{"=": {...}}`                                   |
"""

from __future__ import annotations

from typing import Any, Final

from .notation.exact import exact_key
from .notation.lexical import type_of

__all__ = ["apply", "difference"]

_REMOVED: Final = "-"
_WHOLE: Final = "="
_SPECIAL: Final = frozenset((_REMOVED, _WHOLE))
_LIST: Final = frozenset(("changed", "removed", "added"))


def difference(old: Any, new: Any) -> Any:
    """Return what changes `old` into `new`; `{}` where nothing does.

    Args:
        old: a JSON value.
        new: a JSON value.

    Example:
        >>> difference([{"id": 1, "hp": 9}, {"id": 2, "hp": 5}], [{"id": 1, "hp": 7}, {"id": 2, "hp": 5}])
        {'changed': [{'id': 1, 'hp': 7}]}
    """
    if exact_key(old) == exact_key(new):
        return {}
    changes: Any = None
    if type_of(old) is dict and type_of(new) is dict:
        changes = _of_objects(old, new)
    elif type_of(old) is list and type_of(new) is list:
        changes = _of_lists(old, new)
    if changes is not None and _leads_to(old, changes, new):
        return changes
    return {_WHOLE: new} if type_of(new) is dict else new


def _leads_to(old: Any, changes: Any, new: Any) -> bool:
    try:
        return exact_key(apply(old, changes)) == exact_key(new)
    except (ValueError, TypeError, KeyError):
        return False


def _of_objects(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    if _SPECIAL.intersection(old) or _SPECIAL.intersection(new):
        return None
    changes: dict[str, Any] = {}
    for key, value in new.items():
        if key not in old:
            changes[key] = {_WHOLE: value} if type_of(value) is dict else value
        elif exact_key(old[key]) != exact_key(value):
            changes[key] = difference(old[key], value)
    gone = [key for key in old if key not in new]
    return {**changes, _REMOVED: gone} if gone else changes


def _of_lists(old: list[Any], new: list[Any]) -> dict[str, Any] | None:
    key = _id_key(old, new)
    if key is None:
        return None
    before = {row[key]: row for row in old}
    after = {row[key] for row in new}
    changed = [
        {key: row[key], **difference(before[row[key]], row)}
        for row in new
        if row[key] in before and exact_key(before[row[key]]) != exact_key(row)
    ]
    found = {
        "changed": changed,
        "removed": [name for name in before if name not in after],
        "added": [row for row in new if row[key] not in before],
    }
    return {name: rows for name, rows in found.items() if rows}


def _id_key(old: list[Any], new: list[Any]) -> str | None:
    """Return the first key whose value names the rows of both lists."""
    rows = [*old, *new]
    if not old or not all(type_of(row) is dict for row in rows):
        return None
    for key in old[0]:
        if key not in _SPECIAL and _names(key, old) and _names(key, new) and _one_kind(key, rows):
            return str(key)
    return None


def _names(key: str, rows: list[Any]) -> bool:
    names = [row.get(key) for row in rows]
    return all(type_of(name) in {str, int} for name in names) and len(set(names)) == len(names)


def _one_kind(key: str, rows: list[Any]) -> bool:
    return len({type_of(row[key]) for row in rows}) == 1


def apply(old: Any, changes: Any) -> Any:
    """Return the new value.

    Args:
        old: the value before.
        changes: what `difference` has returned.

    Raises:
        ValueError: they are no changes of `old`.

    Example:
        >>> apply({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "-": ["a"]})
        {'b': {'c': 3}}
    """
    if type_of(changes) is not dict:
        return changes
    if set(changes) == {_WHOLE}:
        return changes[_WHOLE]
    if type_of(old) is dict:
        return _object(old, changes)
    if type_of(old) is list and _LIST.issuperset(changes):
        return _list(old, changes)
    if not changes:
        return old
    raise ValueError("changes of what is not there")


def _object(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    gone = changes.get(_REMOVED, [])
    if type_of(gone) is not list or any(key not in old for key in gone):
        raise ValueError("keys to remove that are not there")
    new = {key: value for key, value in old.items() if key not in gone}
    for key, inner in changes.items():
        if key != _REMOVED:
            new[key] = apply(new.get(key), inner)
    return new


def _list(old: list[Any], changes: dict[str, Any]) -> list[Any]:
    if not changes:
        return old
    changed, removed, added = (changes.get(name, []) for name in ("changed", "removed", "added"))
    if not all(type_of(part) is list for part in (changed, removed, added)):
        raise ValueError("rows that are no list")
    key = _id_key(old, added) if added else _id_key(old, old)
    if key is None or any(type_of(row) is not dict or key not in row for row in changed):
        raise ValueError("rows without an id")
    by_id = {row[key]: {name: inner for name, inner in row.items() if name != key} for row in changed}
    kept = [row for row in old if row[key] not in removed]
    return [*(_object(row, by_id[row[key]]) if row[key] in by_id else row for row in kept), *added]
