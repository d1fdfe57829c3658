r"""Paths such as `enemies` or `status.*.reason`: where the rules of a role apply.

A name leads into an object. Lists are walked through without being named: `enemies.pos` is the `pos` of every
enemy, in one snapshot and in a list of snapshots. `*` is any name, or any element of a list; `**` is any
number of levels. A dot within a name is written `\.`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias, cast

from ...errors import ConfigurationError
from .loss import Keys

__all__ = ["Path", "Spot", "after", "children", "find", "look_up", "parse"]

Path: TypeAlias = tuple[str, ...]

_DOT: Final = re.compile(r"(?<!\\)\.")


class Spot(NamedTuple):
    """A place in a value: the way to it, what stands there, and the objects around it, outermost first."""

    keys: Keys
    value: Any
    scopes: tuple[dict[str, Any], ...]


def parse(path: object, argument: str, *, wildcards: bool = True, empty: bool = False) -> Path:
    """Return the parts of a path.

    Args:
        path: what was given.
        argument: under which name, for the message.
        wildcards: whether `*` and `**` may be in it.
        empty: whether it may be "", the place itself.

    Raises:
        ConfigurationError: it is no such path.
    """
    if not isinstance(path, str) or not (path or empty):
        raise ConfigurationError(f"{argument}={path!r}: give a path such as 'enemies' or 'me.pos'")
    parts = tuple(part.replace("\\.", ".") for part in _DOT.split(path)) if path else ()
    if "" in parts or parts[-1:] == ("**",):
        raise ConfigurationError(f"{argument}={path!r}: a name is missing between or after the dots")
    if not wildcards and {"*", "**"} & {*parts}:
        raise ConfigurationError(f"{argument}={path!r}: here a path leads to one place, without * and **")
    return parts


def children(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Yield keys and values of an object, indexes and elements of a list, and nothing for other values."""
    if isinstance(value, dict):
        yield from cast("dict[str, Any]", value).items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(cast("list[Any]", value))


def find(value: Any, path: Path, keys: Keys = (), scopes: tuple[dict[str, Any], ...] = ()) -> Iterator[Spot]:
    """Yield the places that a path leads to; none where its names are absent.

    Args:
        value: a JSON value.
        path: what `parse` gave.
        keys: where in a larger value it stands.
        scopes: the objects around it there.

    Example:
        >>> value = [{"me": {"pos": 1}}, {"me": {"pos": 2}}, {}]
        >>> [(spot.keys, spot.value) for spot in find(value, ("me", "pos"))]
        [((0, 'me', 'pos'), 1), ((1, 'me', 'pos'), 2)]
    """
    if not path:
        yield Spot(keys, value, scopes)
    elif isinstance(value, dict):
        yield from _find_in_object(cast("dict[str, Any]", value), path, keys, scopes)
    else:
        rest = path[1:] if path[0] == "*" else path
        for key, child in children(value):
            yield from find(child, rest, (*keys, key), scopes)


def _find_in_object(
    value: dict[str, Any], path: Path, keys: Keys, scopes: tuple[dict[str, Any], ...]
) -> Iterator[Spot]:
    head, rest = path[0], path[1:]
    inner = (*scopes, value)
    if head == "**":
        yield from find(value, rest, keys, scopes)
        rest = path
    if head in ("*", "**"):
        for key, child in value.items():
            yield from find(child, rest, (*keys, key), inner)
    elif head in value:
        yield from find(value[head], rest, (*keys, head), inner)


def after(paths: frozenset[Path], key: str | int) -> frozenset[Path]:
    """Return what is left of paths one step into a value; `()` is in it where a path has ended.

    Example:
        >>> sorted(after(frozenset({("me", "pos"), ("**", "id")}), "me"))
        [('**', 'id'), ('pos',)]
    """
    return frozenset(rest for path in paths for rest in _after(path, key))


def _after(path: Path, key: str | int) -> Iterator[Path]:
    if not path:
        return
    if isinstance(key, int):
        yield path[1:] if path[0] == "*" else path
    elif path[0] == "**":
        yield path
        yield from _after(path[1:], key)
    elif path[0] in ("*", key):
        yield path[1:]


def look_up(scopes: tuple[dict[str, Any], ...], path: Path) -> Any:
    """Return what a path without wildcards leads to from the innermost object that knows it, or None."""
    for scope in reversed(scopes):
        found: Any = scope
        for name in path:
            found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
        if found is not None:
            return found
    return None
