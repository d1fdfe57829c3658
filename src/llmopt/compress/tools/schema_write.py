"""Writes normal schemas in the words that models know from signatures, such as `limit?:int(1..100)=20`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .json_schema import TYPES, Schema
from .schema_words import NAMES_OF_TYPES, as_json, as_name, as_word, items_of, keys_of, same

__all__ = ["RANGES", "TypeWriter"]

RANGES: Final = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
"""The two bounds of each type that are written as `(1..100)`."""

_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")


class TypeWriter:
    """Writes schemas.

    ==========================  ==============================================================
    written                     meaning
    ==========================  ==============================================================
    `str` `int` `num` `bool`    the type; `any` for any value, `null` for none
    `int(1..100)`               bounds of a number, or of the length of a string, list or object
    `str(date-time)`            a format; any other keyword is `(pattern="^a")`
    `low|high`                  one of these values
    `[str]`                     a list of strings
    `{a:int,b?:str}`            an object; `b` may be left out, and no other property is allowed
    `{a:int,...}`               other properties are allowed; `...:int` says of which type
    `anyOf(A,B)`                what one of the schemas accepts; `oneOf` and `allOf` likewise
    `int=3 "text"`              the default, and the description
    `int<title="N">`            further keywords
    ==========================  ==============================================================

    Args:
        shared: schemas of parameters that are described elsewhere, by name.
        open_objects: whether `...` goes without saying.
    """

    def __init__(self, shared: Mapping[str, Schema], *, open_objects: bool = False) -> None:
        self._shared = shared
        self._open = open_objects

    def text(self, schema: Schema) -> str:
        """Return the text of a schema."""
        text, rest = self.without_description(schema)
        return f"{text} {as_json(rest)}" if rest is not None else text

    def without_description(self, schema: Schema) -> tuple[str, str | None]:
        """Return the text of a schema but its description, and that."""
        rest = dict(schema)
        description = rest.pop("description", None)
        if not isinstance(description, str) and description is not None:
            rest["description"], description = description, None
        has_default = "default" in rest
        default = rest.pop("default", None)
        text = self._type(rest)
        text += f"<{_keywords(rest)}>" if rest else ""
        return (f"{text}={as_word(default)}" if has_default else text), description

    def properties(self, schema: Schema, brackets: str) -> str:
        """Take from an object's schema what says which properties it has, and return that in brackets."""
        given = schema.pop("properties", {})
        required = schema.pop("required", [])
        texts = [self._property(name, given[name], "" if name in required else "?") for name in given]
        missing = [name for name in required if name not in given]
        if missing:
            schema["required"] = missing
        others = schema.pop("additionalProperties", {})
        if others is not False and (others or not self._open):
            texts.append(f"...:{self.text(others)}" if others else "...")
        return f"{brackets[0]}{','.join(texts)}{brackets[1]}"

    def limits(self, schema: Schema, kind: str) -> str:
        """Take what a schema says of values of one type, and return it in parentheses."""
        texts: list[str] = []
        names = [name if _is_number(schema.get(name)) else "" for name in RANGES.get(kind, ())]
        bounds = [schema.pop(name, None) for name in names]
        if any(bound is not None for bound in bounds):
            texts.append("..".join("" if bound is None else as_json(bound) for bound in bounds))
        for key in TYPES[kind]:
            if key in schema:
                value = schema.pop(key)
                bare = key == "format" and isinstance(value, str) and as_name(value) == value
                texts.append(value if bare else f"{key}={as_json(value)}")
        return f"({','.join(texts)})" if texts else ""

    def _property(self, name: str, schema: Schema, mark: str) -> str:
        if same(self._shared.get(name), schema):
            return f"{as_name(name)}{mark}"
        return f"{as_name(name)}{mark}:{self.text(schema)}"

    def _type(self, rest: Schema) -> str:
        """Take from a schema what says which values it accepts, and return it as an expression."""
        types = rest.get("type", ())
        known = [types] if isinstance(types, str) else types
        if known and all(kind in TYPES for kind in known):
            del rest["type"]
            return "|".join([self._one(kind, rest) for kind in known])
        if _is_words(rest.get("enum")):
            return "|".join([as_word(value) for value in rest.pop("enum")])
        if rest.get("not") == {}:
            del rest["not"]
            return "never"
        for key in _ALTERNATIVES:
            branches = items_of(rest.get(key))
            if branches and all(isinstance(branch, dict) for branch in branches):
                return f"{key}({','.join([self.text(branch) for branch in rest.pop(key)])})"
        return "any"

    def _one(self, kind: str, rest: Schema) -> str:
        """Take what a schema says of one of its types, and return it."""
        if kind == "array" and isinstance(rest.get("items"), dict):
            return f"[{self.text(rest.pop('items'))}]{self.limits(rest, kind)}"
        if kind == "object" and _is_plain(rest):
            return self.properties(rest, "{}") + self.limits(rest, kind)
        return NAMES_OF_TYPES[kind] + self.limits(rest, kind)


def _is_plain(schema: Schema) -> bool:
    """Tell whether the properties of an object are what they should be."""
    given, others = keys_of(schema.get("properties", {})), schema.get("additionalProperties", {})
    return (
        given is not None
        and isinstance(schema.get("required", []), list)
        and (others is False or isinstance(others, dict))
        and all(isinstance(part, dict) for part in given.values())
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_words(values: Any) -> bool:
    """Tell whether values can stand between bars, where brackets would be types."""
    items = items_of(values)
    return bool(items) and not any(isinstance(item, (dict, list)) for item in items or ())


def _keywords(rest: Schema) -> str:
    return ",".join([f"{as_name(key)}={as_json(value)}" for key, value in rest.items()])
