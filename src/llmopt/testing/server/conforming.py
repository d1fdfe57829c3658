"""A JSON value that conforms to a JSON Schema: what a model under a schema, or a tool call, answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEEP = 6
"""Nesting from which on only required properties and minimal arrays are made, so that recursion ends."""

_LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def conforming(schema: Mapping[str, Any], name: str = "value") -> Any:
    """Return the same plain value for the same schema, every time.

    Understood are `type`, `enum`, `const`, `default`, `$ref` into the schema itself, `anyOf`, `oneOf`,
    `allOf`, `properties`, `required`, `items`, `prefixItems`, and the limits of numbers, strings and arrays;
    not `pattern`, `format`, `not`, `contains` and conditions.

    Args:
        schema: the JSON Schema (draft 2020-12).
        name: what a string says, usually the name of the property.

    Returns:
        A value that the schema accepts.

    Example:
        >>> conforming({"type": "object", "properties": {"unit": {"type": "string"}, "x": {"minimum": 3}}})
        {'unit': 'unit', 'x': 3}
    """
    return _Maker(schema).value(schema, name, 0)


class _Maker:
    """Makes values below one root schema, where its `$ref`s point to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict):  # `true`, or something that is no schema
            return name
        schema = self._resolved(cast("dict[str, Any]", schema), depth)
        for fixed in ("const", "default"):
            if fixed in schema:
                return schema[fixed]
        if "enum" in schema:
            return schema["enum"][0]
        return self._typed(schema, name, depth)

    def _resolved(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Follow references and merge the parts that a value has to satisfy together."""
        seen: set[str] = set()
        while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
            seen.add(reference)
            schema = self._target(reference) | {key: schema[key] for key in schema if key != "$ref"}
        for part in schema.get("allOf", ()):
            schema = _merged(schema, self._resolved(part, depth))
        for choice in ("anyOf", "oneOf"):
            if options := schema.get(choice):
                # A recursive schema offers its way out as the last alternative, as Optional does.
                schema = _merged(schema, self._resolved(options[-1 if depth > _DEEP else 0], depth))
        return schema

    def _target(self, reference: str) -> dict[str, Any]:
        target: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            target = target[step.replace("~1", "/").replace("~0", "~")]
        return cast("dict[str, Any]", dict(target))

    def _typed(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kinds = schema.get("type") or _implied_type(schema)
        kind: str = kinds if isinstance(kinds, str) else kinds[0]
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return name.ljust(schema.get("minLength", 0), "-")[: schema.get("maxLength")]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        names = [name for name in properties if depth < _DEEP or name in required]
        names += [name for name in required if name not in properties]
        return {name: self.value(properties.get(name), name, depth + 1) for name in names}

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        items = list(schema.get("prefixItems", ()))
        least = schema.get("minItems", 0 if depth >= _DEEP or items else 1)
        more = max(0, min(least, schema.get("maxItems", least)) - len(items))
        if "items" in schema or "minItems" in schema:
            items += [schema.get("items")] * more
        return [self.value(item, name, depth + 1) for item in items]


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = one | other
    if "properties" in one and "properties" in other:
        merged["properties"] = one["properties"] | other["properties"]
    if "required" in one and "required" in other:
        merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return merged


def _implied_type(schema: dict[str, Any]) -> str:
    """Return the type that the other keywords speak of."""
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if any(key in schema for key in (*_LIMITS, "multipleOf")):
        return "integer"
    return "string"


def _number(schema: dict[str, Any]) -> float:
    """Return the first candidate at or beside a limit that all limits allow; zero is tried first."""
    step = schema.get("multipleOf", 1)
    limits = [schema[key] for key in _LIMITS if key in schema]
    candidates = [
        0,
        *((math.floor(limit / step) + offset) * step for limit in limits for offset in (0, 1, -1)),
    ]
    candidates.append(sum(limits) / 2)  # between two limits less than one step apart
    return next((number for number in candidates if _allows(schema, number)), 0)


def _allows(schema: dict[str, Any], number: float) -> bool:
    low, above = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    high, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    return bool(low <= number <= high and above < number < below)
