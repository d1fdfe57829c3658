"""One normal form for JSON Schemas that mean the same: noise costs nothing, and nothing else is lost.

The form is a JSON Schema itself. It leaves out what says nothing about the values: `$schema`, `$id`,
comments, titles that repeat the name, keywords that hold for everything. What has several spellings has one:

=============================================  ======================================================
spelling                                       normal form
=============================================  ======================================================
`const`, and the type beside an enumeration    the enumeration alone
`anyOf` of plain types, `nullable`             a list of types
`$ref` to a part of the schema                 that part; a name in `$defs` where it contains itself
`minLength: 0`, `required: []`, `items: {}`    nothing
`minimum: 1, exclusiveMinimum: true`           `exclusiveMinimum: 1`
=============================================  ======================================================

The order of enumerated values is kept, for it may be a ranking; the order of properties means nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from ...errors import EncodingError
from .schema_refs import LISTS, MAPS, SINGLES, References
from .schema_words import items_of, keys_of

__all__ = ["ANNOTATIONS", "TYPES", "Schema", "normal_schema"]

Schema: TypeAlias = "dict[str, Any]"

TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "boolean": (),
    "array": ("minItems", "maxItems", "uniqueItems", "items", "prefixItems", "contains"),
    "object": ("minProperties", "maxProperties", "properties", "required", "additionalProperties"),
    "null": (),
}
"""The types of JSON Schema, each with the keywords that say something about its values alone.
Source: JSON Schema draft 2020-12, validation vocabulary, section 6."""

ANNOTATIONS: Final = frozenset(
    ("description", "default", "title", "examples", "example", "deprecated", "readOnly", "writeOnly")
)
"""Keywords that describe a value and refuse none."""

_NOISE: Final = frozenset(("$schema", "$id", "$comment", "$defs", "definitions"))
_VACUOUS: Final[tuple[tuple[str, Any], ...]] = (
    *((name, 0) for name in ("minLength", "minItems", "minProperties")),
    *((name, False) for name in ("uniqueItems", "deprecated", "readOnly", "writeOnly", "nullable")),
    *((name, []) for name in ("required", "examples")),
    *((name, {}) for name in ("properties", "items", "additionalProperties", "patternProperties")),
    *((name, "") for name in ("description", "title")),
)
_WORDS_OF_A_TITLE: Final = frozenset(
    ("arg", "args", "argument", "arguments", "input", "model", "param", "parameters", "params", "schema")
)
_PYTHON: Final[Mapping[str, Any]] = {
    "string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)
}  # fmt: skip


def normal_schema(schema: Any, *, name: str = "", descriptions: bool = True) -> Schema:
    """Return the normal form of a JSON Schema; equal forms accept the same values and say the same of them.

    Args:
        schema: a JSON Schema of draft 4 to 2020-12 or of OpenAPI, or a boolean.
        name: what it is the schema of; a title that says no more is left out.
        descriptions: whether descriptions are kept.

    Raises:
        EncodingError: it is neither an object nor a boolean, or nested beyond measure.

    Example:
        >>> normal_schema({"title": "Age", "anyOf": [{"type": "integer"}, {"type": "null"}]}, name="age")
        {'type': ['integer', 'null']}
        >>> normal_schema({"$ref": "#/$defs/Id", "$defs": {"Id": {"type": "string", "minLength": 0}}})
        {'type': 'string'}
    """
    try:
        found = _Normaliser(schema, descriptions=descriptions).root(name)
        while "$defs" in found:  # what was found equal may be small enough now to stand in its place
            again = _Normaliser(found, descriptions=descriptions).root(name)
            if again == found:
                break
            found = again
    except RecursionError:
        raise EncodingError(f"the schema of {name or 'a value'} is nested too deeply") from None
    return found


class _Normaliser:
    """One schema on its way to its normal form."""

    def __init__(self, schema: Any, *, descriptions: bool) -> None:
        self._schema = schema
        self._descriptions = descriptions
        self._references = References(schema)
        self._names: dict[str, str] = {}

    def root(self, name: str) -> Schema:
        found = self.normal(self._schema, name)
        definitions: Schema = {}
        while len(definitions) < len(self._names):  # a definition may name further ones
            ref = list(self._names)[len(definitions)]
            definitions[self._names[ref]] = self.normal(self._references.target(ref), "")
        return {**found, "$defs": definitions} if definitions else found

    def normal(self, schema: Any, name: str) -> Schema:
        if schema is True:
            return {}
        if schema is False:
            return {"not": {}}
        given = keys_of(schema)
        if given is None:
            raise EncodingError(
                f"the schema of {name or 'a value'} is {schema!r:.60}: it has to be an object"
            )
        found = {key: given[key] for key in sorted(given) if key not in _NOISE}
        if "$ref" in found:
            return _settled(self._referred(found, name), name)
        found = {key: self._part(key, value) for key, value in found.items()}
        return _settled(_canonical(self._described(found)), name)

    def _described(self, schema: Schema) -> Schema:
        if not self._descriptions:
            schema.pop("description", None)
        if isinstance(schema.get("description"), str):
            schema["description"] = schema["description"].strip()
        return schema

    def _part(self, key: str, value: Any) -> Any:
        """Return the value of a keyword, normal where it is made of schemas."""
        parts, items = keys_of(value), items_of(value)
        if parts is not None and key in MAPS:
            # References are named in an order that is that of equal schemas too.
            done = {name: self._or_names(parts[name], name) for name in sorted(parts)}
            return {name: done[name] for name in parts}
        if items is not None:
            return [self.normal(part, "") for part in items] if key in LISTS or key == "items" else items
        if key == "additionalProperties" and value is False:
            return False  # it closes an object, which has a spelling of its own
        return self.normal(value, "") if key in SINGLES and isinstance(value, (bool, Mapping)) else value

    def _or_names(self, part: Any, name: str) -> Any:
        """Return a schema; `dependencies` may hold lists of names in its place."""
        names = items_of(part)
        return self.normal(part, name) if names is None else names

    def _referred(self, schema: Schema, name: str) -> Schema:
        """Put in the place of a reference what it refers to, or the name of that."""
        ref = schema.pop("$ref")
        beside = self.normal(schema, name)
        if not self._references.is_local(ref):
            return {"$ref": ref, **beside}
        if self._references.is_named(ref):
            target: Schema = {"$ref": f"#/$defs/{self._names.setdefault(ref, f'T{len(self._names) + 1}')}"}
        else:
            target = self.normal(self._references.target(ref), name)
        if ANNOTATIONS.issuperset(beside):
            return {**target, **beside}
        return {**beside, "allOf": [target, *beside.get("allOf", ())]}


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}


def _settled(schema: Schema, name: str) -> Schema:
    """Return the schema without a title that says nothing, and with its alternatives merged."""
    while True:
        found = _untitled(_merged(_untitled(schema, name)), name)
        if found == schema:  # else what is left may be merged now
            return found
        schema = found


def _untitled(schema: Schema, name: str) -> Schema:
    """Return the schema without a title that says no more than its name."""
    title = schema.get("title")
    return _without(schema, "title") if isinstance(title, str) and _repeats(title, name) else schema


def _repeats(title: str, name: str) -> bool:
    """Tell whether a title says no more than the name does."""
    own, known = (_words(text) for text in (title, name))
    return own == known or [word for word in own if word not in _WORDS_OF_A_TITLE] in (known, [])


def _words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+|\d+", text)]


def _canonical(schema: Schema) -> Schema:
    """Return the schema with one spelling for each keyword, and without those that hold for everything."""
    if "const" in schema and "enum" not in schema:
        schema["enum"] = [schema.pop("const")]
    for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        _strict_bound(schema, bound, strict)
    if schema.get("nullable") is True:
        del schema["nullable"]  # OpenAPI 3.0.3: it has no effect but on the type beside it
        _allow_null(schema)
    if isinstance(schema.get("required"), list):
        schema["required"] = sorted(set(schema["required"]))
    if schema.get("additionalProperties") == {"not": {}}:
        schema["additionalProperties"] = False
    for key, value in _VACUOUS:
        if key in schema and schema[key] == value and type(schema[key]) in {type(value), float}:
            del schema[key]
    return _typed(schema)


def _allow_null(schema: Schema) -> None:
    if "type" in schema:
        schema["type"] = [*_types(schema), "null"]
        values = items_of(schema.get("enum"))
        if values is not None and None not in values:
            schema["enum"] = [*values, None]


def _strict_bound(schema: Schema, bound: str, strict: str) -> None:
    """Turn draft 4's flag beside a bound into a bound, and whole numbers into integers."""
    if isinstance(schema.get(strict), bool):
        flag = schema.pop(strict)
        if flag and isinstance(schema.get(bound), (int, float)) and not isinstance(schema[bound], bool):
            schema[strict] = schema.pop(bound)
    for key in (bound, strict):
        if isinstance(schema.get(key), float) and schema[key].is_integer():
            schema[key] = int(schema[key])


def _typed(schema: Schema) -> Schema:
    """Return the schema with its types in one order, and none beside values that show them."""
    given, values = _types(schema), items_of(schema.get("enum"))
    types = [kind for kind in TYPES if kind in given]
    if not types or any(kind not in types for kind in given):
        return _null(schema)
    if "number" in types and "integer" in types:
        types.remove("integer")
    if values is not None and all(any(_is(value, kind) for kind in types) for value in values):
        del schema["type"]
        return _null(schema)
    schema["type"] = types[0] if len(types) == 1 else types
    return schema


def _null(schema: Schema) -> Schema:
    """Return the schema with the type of null where its only value is null."""
    if schema.get("enum") == [None] and "type" not in schema:
        del schema["enum"]
        schema["type"] = "null"
    return schema


def _types(schema: Schema) -> list[Any]:
    kind = schema.get("type")
    return [kind] if isinstance(kind, str) else items_of(kind) or []


def _is(value: Any, kind: str) -> bool:
    if kind in {"integer", "number"}:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return not isinstance(value, bool) and (whole or (kind == "number" and isinstance(value, float)))
    return isinstance(value, _PYTHON[kind])


def _merged(schema: Schema) -> Schema:
    """Return the schema with its alternatives as one list of types or values, where they are no more."""
    for key in ("allOf", "anyOf", "oneOf"):
        branches = items_of(schema.get(key))
        if not branches:
            continue
        if key == "anyOf":
            branches = schema[key] = _unique(branches)
        rest = _without(schema, key)
        if ANNOTATIONS.issuperset(rest):
            one = _one(branches, key)
            if one is not None and one.keys().isdisjoint(rest):
                return {**one, **rest}
    return schema


def _unique(branches: list[Any]) -> list[Any]:
    by_text = {json.dumps(branch, sort_keys=True): branch for branch in branches}
    return list(by_text.values())


def _one(branches: list[Schema], key: str) -> Schema | None:
    """Return the schema that alternatives can be written as, or None."""
    if len(branches) == 1:
        return branches[0]
    if key == "allOf":
        return None
    values = [
        [None] if branch == {"type": "null"} else items_of(branch.get("enum")) or [] for branch in branches
    ]
    if key == "anyOf" and any(set(branch) == {"enum"} for branch in branches):
        plain = all(branch == {"type": "null"} or set(branch) == {"enum"} for branch in branches)
        return {"enum": _unique([value for part in values for value in part])} if plain else None
    return _one_of_types(branches)


def _one_of_types(branches: list[Schema]) -> Schema | None:
    """Return one schema with several types, or None where two types overlap or more is said of one."""
    found: Schema = {}
    types: list[str] = []
    for branch in branches:
        kind = branch.get("type")
        if not isinstance(kind, str) or kind not in TYPES or set(branch) - {"type", *TYPES[kind]}:
            return None
        types.append(kind)
        found |= branch
    if len(set(types)) < len(types) or {"integer", "number"} <= set(types):
        return None
    return {**found, "type": [kind for kind in TYPES if kind in types]}
