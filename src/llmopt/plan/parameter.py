"""What a tool takes: named parameters, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

from ..errors import ConfigurationError
from ._text import compact, is_text
from .limits import Limits

__all__ = ["ANY", "Kind", "Parameter", "ValueType", "check_parameters", "in_order", "kind_of", "signature_of"]

Kind: TypeAlias = Literal["integer", "number", "string", "boolean", "array", "object", "any"]
"""The types of JSON Schema, `null` aside, and "any"."""

# The words that cost one token less in o200k_base: ":string" is one, ":str" is two.
_WORDS: Final = {
    "integer": "int",
    "number": "number",
    "string": "string",
    "boolean": "boolean",
    "array": "[]",
    "object": "{}",
    "any": "any",
}
_KIND_OF: Final[dict[object, Kind]] = {str: "string", int: "integer", bool: "boolean", float: "number"}
_SHOWN_CHOICES: Final = 24
_NO_LIMITS: Final = Limits()


def signature_of(parameters: tuple[Parameter, ...]) -> str:
    """Return parameters as they stand between the parentheses of a signature."""
    return ",".join(parameter.text() for parameter in parameters)


def in_order(parameters: list[Parameter]) -> tuple[Parameter, ...]:
    """Return parameters with the required ones first, otherwise in their order."""
    return tuple(sorted(parameters, key=lambda parameter: not parameter.required))


def check_parameters(where: str, parameters: tuple[Parameter, ...]) -> None:
    """Refuse parameters that cannot be given by position.

    Raises:
        ConfigurationError: two have the same name, or a required one follows one that is not.
    """
    names = [parameter.name for parameter in parameters]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(f"{where}: {', '.join(sorted(twice))} is there more than once")
    if tuple(parameters) != in_order([*parameters]):
        raise ConfigurationError(f"{where}: required parameters must stand before optional ones")


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a value, as JSON Schema describes it.

    Args:
        kind: its JSON type.
        nullable: whether it may also be null.
        choices: the scalars that are allowed; none for all.
        limits: bounds, lengths and the like.
        items: the type of an array's items, or of the values of an object's fields beyond `fields`.
        fixed: the types of the items of an array of fixed length, one by one.
        fields: the fields of an object.
        extra: whether an object may have fields beyond `fields`.
        options: for the kind "any": types of which the value has to be one.
        make: makes of the JSON value what the tool is given: an Enum member, a dataclass, a tuple.
        unchecked: keywords of the schema that were not understood, so that what they ask is not checked.

    Example:
        >>> ValueType("integer", limits=Limits(minimum=1)).text()
        'int>=1'
        >>> ValueType("array", items=ValueType("string", choices=("low", "high"))).text()
        '[low|high]'
    """

    kind: Kind = "any"
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    limits: Limits = _NO_LIMITS
    items: ValueType | None = None
    fixed: tuple[ValueType, ...] = ()
    fields: tuple[Parameter, ...] = ()
    extra: bool = False
    options: tuple[ValueType, ...] = ()
    make: Callable[[Any], Any] | None = None
    unchecked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _WORDS:
            raise ConfigurationError(f"ValueType: kind={self.kind!r}: it must be one of {', '.join(_WORDS)}")
        check_parameters("ValueType: fields", self.fields)

    def text(self) -> str:
        """Return the type as a signature shows it: `int`, `[string]`, `low|high`, `[x:int,y:int]`."""
        text = self._text()
        return f"{text}|null" if self.nullable and text != "any" else text

    def _text(self) -> str:
        if self.choices:
            shown = [_bare(choice) for choice in self.choices[:_SHOWN_CHOICES]]
            return "|".join([*shown, "..."] if len(self.choices) > _SHOWN_CHOICES else shown)
        if self.options:
            return "|".join(dict.fromkeys(option.text() for option in self.options))
        if self.fields or self.fixed:
            inner = signature_of(self.fields) or ",".join(item.text() for item in self.fixed)
            return f"[{inner}]"
        if self.kind == "array" and self.items:
            return f"[{self.items.text()}]"
        if self.kind == "object" and self.items:
            return f"{{string:{self.items.text()}}}"
        return self.limits.text(_WORDS[self.kind])

    def walk(self, path: str) -> Iterator[tuple[str, ValueType]]:
        """Yield this type and all types in it, each with its path."""
        yield path, self
        for part in self.fields:
            yield from part.type.walk(f"{path}.{part.name}")
        for number, option in enumerate((*self.options, *self.fixed)):
            yield from option.walk(f"{path}[{number}]")
        if self.items:
            yield from self.items.walk(f"{path}[]")


ANY: Final = ValueType()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool, or one field of an object.

    Args:
        name: its name.
        type: the type of its value.
        required: whether it has to be given.
        default: what the tool takes if it is not given; None says nothing where `required` is false.
        description: what it means, in one sentence; "" for none.

    Raises:
        ConfigurationError: the name is no non-empty string.

    Example:
        >>> Parameter("rounds", ValueType("integer"), required=False, default=4).text()
        'rounds:int=4'
    """

    name: str
    type: ValueType = ANY
    required: bool = True
    # Lists and dicts are defaults too; they count when tools are compared, not when they are hashed.
    default: Any = field(default=None, hash=False)
    description: str = ""

    def __post_init__(self) -> None:
        if not is_text(self.name):
            raise ConfigurationError(f"Parameter: name={self.name!r}: it must be a non-empty string")

    def text(self) -> str:
        """Return it as a signature shows it: `x:int`, `rounds:int=4`, `note?:string`."""
        has_default = not self.required and self.default is not None
        optional = "" if self.required or has_default else "?"
        kind = self.type.text()
        default = f"={_bare(self.default)}" if has_default else ""
        return f"{self.name}{optional}{'' if kind == 'any' else f':{kind}'}{default}"


def kind_of(values: Iterable[Any]) -> Kind:
    """Return the kind that scalars have in common, null aside; "any" for those of several."""
    kinds: set[Kind] = {
        _KIND_OF.get(cast("object", type(value)), "any") for value in values if value is not None
    }
    return kinds.pop() if len(kinds) == 1 else "any"


def _bare(value: Any) -> str:
    """Return a value without quotes where that is as clear."""
    if isinstance(value, str) and value and not set(value) & set("|,()[]{}:= \"'\n"):
        return value
    return compact(value)
