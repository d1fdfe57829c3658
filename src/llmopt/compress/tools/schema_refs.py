"""References within a JSON Schema: what they refer to, and which of them cannot be replaced by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from .schema_words import items_of, keys_of

__all__ = ["DEFINITIONS", "LISTS", "MAPS", "SINGLES", "References", "parts_of", "undescribed"]

SINGLES: Final = frozenset(
    (
        *("additionalItems", "additionalProperties", "contains", "else", "if", "items", "not"),
        *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    )
)
"""Keywords whose value is a schema."""

LISTS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
"""Keywords whose value is a list of schemas."""

MAPS: Final = frozenset(("dependencies", "dependentSchemas", "patternProperties", "properties"))
"""Keywords whose value is an object of schemas by name."""

DEFINITIONS: Final = frozenset(("$defs", "definitions"))
"""Keywords whose value is an object of schemas that others refer to."""

_MAX_NODES: Final = 500  # a part that is larger than this with all its parts in place keeps a name


class References:
    """The references of one schema.

    Args:
        schema: the whole schema, to which `#` refers.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._refs: dict[str, list[str]] = {}
        self._own: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._recursive: dict[str, bool] = {}

    def is_local(self, ref: Any) -> bool:
        """Tell whether a reference leads to a part of this schema."""
        return isinstance(ref, str) and isinstance(self._find(ref), (Mapping, bool))

    def target(self, ref: str) -> Any:
        """Return what a local reference refers to."""
        return self._find(ref)

    def is_named(self, ref: str) -> bool:
        """Tell whether what a local reference refers to contains itself, or grows too large when in place."""
        return self._recurs(ref) or self._size(ref) > _MAX_NODES

    def _find(self, ref: str) -> Any:
        if ref != "#" and not ref.startswith("#/"):
            return None
        found = self._schema
        for part in ref.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            keys, items = keys_of(found), items_of(found)
            if keys is not None:
                found = keys.get(key)
            elif items is not None and key.isdecimal() and int(key) < len(items):
                found = items[int(key)]
            else:
                return None
        return found

    def _inner(self, ref: str) -> list[str]:
        """Return the local references in what `ref` refers to."""
        if ref not in self._refs:
            parts = list(_all_parts(self._find(ref)))
            inner = [part["$ref"] for part in parts if self.is_local(part.get("$ref"))]
            self._refs[ref], self._own[ref] = inner, len(parts)
        return self._refs[ref]

    def _recurs(self, ref: str) -> bool:
        if ref not in self._recursive:
            seen: set[str] = set()
            waiting = list(self._inner(ref))
            while waiting:
                inner = waiting.pop()
                if inner not in seen:
                    seen.add(inner)
                    waiting += self._inner(inner)
            self._recursive[ref] = ref in seen
        return self._recursive[ref]

    def _size(self, ref: str) -> int:
        """Return how many schemas stand in the place of `ref` in the end."""
        if ref not in self._sizes:
            inner = [other for other in self._inner(ref) if not self._recurs(other)]
            self._sizes[ref] = self._own[ref] + sum(map(self._size, inner))
        return self._sizes[ref]


def _all_parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and all schemas in it, references not followed."""
    waiting = [schema]
    while waiting:
        part = keys_of(waiting.pop())
        if part is not None:
            yield part
            waiting += _parts(part)


def _parts(schema: Mapping[str, Any]) -> Iterator[Any]:
    return (part for _, part in parts_of(schema))


def parts_of(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the schemas that a schema is made of, each with the way to it. Definitions are not among them."""
    for key, value in schema.items():
        keys, items = keys_of(value), items_of(value)
        if key in MAPS and keys is not None:
            yield from (((key, name), part) for name, part in keys.items())
        elif items is not None and (key in LISTS or key == "items"):
            yield from (((key, number), part) for number, part in enumerate(items))
        elif key in SINGLES:
            yield (key,), value


def undescribed(schema: Any) -> Any:
    """Return a schema, definitions included, without descriptions."""
    keys = keys_of(schema)
    if keys is None:
        return schema
    found = {key: value for key, value in keys.items() if key != "description"}
    for key, value in found.items():
        inner, items = keys_of(value), items_of(value)
        if inner is not None and (key in MAPS or key in DEFINITIONS):
            found[key] = {name: undescribed(part) for name, part in inner.items()}
        elif items is not None and (key in LISTS or key == "items"):
            found[key] = [undescribed(part) for part in items]
        elif key in SINGLES:
            found[key] = undescribed(value)
    return found
