"""The parameters of a tool from a JSON Schema, or from a function as the providers' APIs describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from ..errors import ConfigurationError
from ._text import is_list, is_object
from .limits import KEYWORDS, Limits
from .parameter import ANY, Parameter, ValueType, in_order, kind_of

__all__ = ["function_of_schema", "parameters_of_schema", "type_of_schema"]

_KINDS: Final = ("integer", "number", "string", "boolean", "array", "object", "null")
# Keywords that ask for something which is not checked here.
_UNCHECKED: Final = (
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_SCHEMA_KEYS: Final = ("parameters", "input_schema", "inputSchema")  # OpenAI; Anthropic and llm; MCP

Schema = Mapping[str, Any]


def function_of_schema(source: Schema) -> tuple[str, str, Schema]:
    """Return name, description and parameter schema of a function as one of the usual APIs describes it.

    Args:
        source: `{"type": "function", "function": {...}}`, that inner dict, Anthropic's with `input_schema`,
            MCP's with `inputSchema`, or a JSON Schema of an object whose `title` is the name.

    Raises:
        ConfigurationError: it is none of them.

    Example:
        >>> function_of_schema({"title": "wait", "type": "object", "properties": {}})[:2]
        ('wait', '')
    """
    inner: object = source.get("function", source)
    if isinstance(inner, Mapping):
        function = cast("Schema", inner)
        key = next((key for key in _SCHEMA_KEYS if key in function), None)
        name = function.get("name") or ("" if key else function.get("title"))
        schema: object = (function.get(key) if key else "properties" in function and function) or {}
        if isinstance(name, str) and isinstance(schema, Mapping):
            return name, str(function.get("description") or ""), cast("Schema", schema)
    raise ConfigurationError(
        f"Tool.of: a dict with the keys {', '.join(map(repr, source))}: it must be a function as the OpenAI, "
        "Anthropic or MCP API describes it, with name and parameters, or a JSON Schema with a title"
    )


def parameters_of_schema(schema: Schema, where: str = "schema") -> tuple[Parameter, ...]:
    """Return the parameters that the JSON Schema of an object asks for, the required ones first.

    Args:
        schema: the schema.
        where: what it belongs to, for messages.

    Raises:
        ConfigurationError: it is no schema, not that of an object, or refers to what is not in it.

    Example:
        >>> fields = {"hp": {"type": "integer"}, "who": {"enum": ["me", "you"]}}
        >>> found = parameters_of_schema({"properties": fields, "required": ["who"]})
        >>> [parameter.text() for parameter in found]
        ['who:me|you', 'hp?:int']
    """
    found = type_of_schema({"type": "object", **schema}, where)
    if found.kind != "object":
        raise ConfigurationError(f"{where}: type={found.kind!r}: the parameters of a function are an object")
    return found.fields


def type_of_schema(schema: Any, where: str = "schema") -> ValueType:
    """Return the type that a JSON Schema describes.

    It says type, enum, const, properties, required, additionalProperties, items, prefixItems, anyOf, oneOf
    (as anyOf), allOf, references inside the schema, and the bounds of `Limits`. What else a schema asks for
    is named in `ValueType.unchecked`.

    Raises:
        ConfigurationError: it is no schema; the message says where.

    Example:
        >>> type_of_schema({"type": ["number", "null"], "minimum": 0}).text()
        'number>=0|null'
    """
    return _Reader(schema).read(schema, where, ())


class _Reader:
    def __init__(self, root: Any) -> None:
        self._root = root

    def read(self, schema: Any, where: str, inside: tuple[str, ...]) -> ValueType:
        if schema is True:
            return ANY
        if not isinstance(schema, Mapping):
            raise ConfigurationError(f"{where}: {schema!r}: it must be a JSON Schema, which is a dict")
        asked = dict(cast("Schema", schema))
        if "$ref" in asked:
            return self._reference(asked, where, inside)
        for part in asked.pop("allOf", ()):
            # Later parts win, but for what all of them may add to.
            for key, value in self._resolved(part, where).items():
                asked[key] = _merged(asked.get(key), value)
        options = asked.pop("anyOf", None) or asked.pop("oneOf", None)
        found = self._union(options, where, inside) if options else self._plain(asked, where, inside)
        missed = tuple(key for key in _UNCHECKED if key in asked)
        return replace(found, unchecked=(*found.unchecked, *missed)) if missed else found

    def _reference(self, asked: dict[str, Any], where: str, inside: tuple[str, ...]) -> ValueType:
        address = asked.pop("$ref")
        if address in inside:
            return ValueType(unchecked=("$ref",))  # it holds itself: deeper than this, nothing is checked
        return self.read({**self._find(address, where), **asked}, where, (*inside, address))

    def _resolved(self, part: Any, where: str) -> Schema:
        if isinstance(part, Mapping) and "$ref" in part:
            return self._find(cast("Schema", part)["$ref"], where)
        if isinstance(part, Mapping):
            return cast("Schema", part)
        raise ConfigurationError(f"{where}: allOf with {part!r}: it must be a list of JSON Schemas")

    def _find(self, address: Any, where: str) -> Schema:
        found = self._root
        steps = str(address).removeprefix("#").split("/")[1:]
        for step in steps if str(address).startswith("#") else ("",):
            key = step.replace("~1", "/").replace("~0", "~")
            found = cast("Schema", found).get(key) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise ConfigurationError(f"{where}: $ref={address!r}: there is no such place in the schema")
        return cast("Schema", found)

    def _union(self, parts: Any, where: str, inside: tuple[str, ...]) -> ValueType:
        if not is_list(parts):
            raise ConfigurationError(f"{where}: anyOf={parts!r}: it must be a list of JSON Schemas")
        real = [part for part in parts if part != {"type": "null"}]
        options = tuple(self.read(part, where, inside) for part in real)
        nullable = len(real) < len(parts)
        if len(options) == 1:
            return replace(options[0], nullable=nullable or options[0].nullable)
        return ValueType("any", nullable=nullable, options=options)

    def _plain(self, asked: dict[str, Any], where: str, inside: tuple[str, ...]) -> ValueType:
        named = asked.get("type")
        kinds: list[Any] = [*named] if is_list(named) else [named] if named else []
        unknown = [kind for kind in kinds if kind not in _KINDS]
        if unknown:
            raise ConfigurationError(f"{where}: type={unknown[0]!r}: it must be one of {', '.join(_KINDS)}")
        nullable = "null" in kinds or asked.get("nullable") is True
        kinds = [kind for kind in kinds if kind != "null"] or _implied(asked)
        found = [self._of_kind(kind, asked, where, inside) for kind in kinds]
        if len(found) == 1:
            return replace(found[0], nullable=nullable or found[0].nullable)
        return ValueType("any", nullable=nullable, options=tuple(found))

    def _of_kind(self, kind: Any, asked: dict[str, Any], where: str, inside: tuple[str, ...]) -> ValueType:
        choices = [asked["const"]] if "const" in asked else asked.get("enum") or []
        scalars = tuple(choice for choice in choices if isinstance(choice, (str, int, float)))
        whole = len(scalars) + (None in choices) == len(choices)
        limits, unread = _limits(asked, where)
        found = ValueType(
            kind,
            nullable=None in choices,
            choices=scalars if whole else (),
            limits=limits,
            unchecked=(*unread, *(() if whole else ("enum",))),
        )
        if kind == "array":
            return self._array(found, asked, where, inside)
        return self._object(found, asked, where, inside) if kind == "object" else found

    def _array(self, of: ValueType, asked: dict[str, Any], where: str, inside: tuple[str, ...]) -> ValueType:
        items = asked.get("items", True)
        fixed: Any = asked.get("prefixItems") or (items if is_list(items) else None)
        if fixed:
            kinds = tuple(self.read(part, f"{where}[{n}]", inside) for n, part in enumerate(fixed))
            rigid = items is False or asked.get("maxItems") == len(kinds)
            return (
                replace(of, fixed=kinds) if rigid else replace(of, unchecked=(*of.unchecked, "prefixItems"))
            )
        return replace(of, items=self.read(items, f"{where}[]", inside))

    def _object(self, of: ValueType, asked: dict[str, Any], where: str, inside: tuple[str, ...]) -> ValueType:
        parts: Any = asked.get("properties") or {}
        if not isinstance(parts, Mapping):
            raise ConfigurationError(f"{where}: properties={parts!r}: it must be a dict of JSON Schemas")
        required: Any = asked.get("required") or ()
        more = asked.get("additionalProperties", True)
        return replace(
            of,
            fields=in_order(
                [
                    self._field(name, part, f"{where}.{name}", inside, required=name in required)
                    for name, part in cast("Schema", parts).items()
                ]
            ),
            extra=more is not False,
            items=None if isinstance(more, bool) else self.read(more, where, inside),
        )

    def _field(
        self, name: str, schema: Any, where: str, inside: tuple[str, ...], *, required: bool
    ) -> Parameter:
        kind = self.read(schema, where, inside)
        said: Schema = cast("Schema", schema) if isinstance(schema, Mapping) else {}
        return Parameter(name, kind, required, said.get("default"), str(said.get("description") or ""))


def _merged(old: Any, new: Any) -> Any:
    if is_object(old) and is_object(new):
        return {**old, **new}
    if is_list(old) and is_list(new):
        return [*old, *new]
    return new


def _implied(asked: Schema) -> list[str]:
    """Return the type that a schema means that names none."""
    if "properties" in asked or "required" in asked:
        return ["object"]
    if "items" in asked or "prefixItems" in asked:
        return ["array"]
    return [kind_of(asked.get("enum") or [asked.get("const")])]


def _limits(asked: Schema, where: str) -> tuple[Limits, tuple[str, ...]]:
    bounds = {name: asked[key] for key, name in KEYWORDS.items() if asked.get(key) is not None}
    # Until draft 4, exclusiveMinimum was a flag beside minimum.
    for exclusive, plain in (("above", "minimum"), ("below", "maximum")):
        if isinstance(bounds.get(exclusive), bool) and bounds.pop(exclusive) and plain in bounds:
            bounds[exclusive] = bounds.pop(plain)
    try:
        return Limits(**bounds), ()
    except ConfigurationError as error:
        if "pattern=" not in str(error):
            raise ConfigurationError(f"{where}: {error}") from None
    bounds.pop("pattern")  # a regular expression of ECMA-262 that Python does not have
    return Limits(**bounds), ("pattern",)
