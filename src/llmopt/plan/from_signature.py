"""The parameters of a Python function, from its signature, annotations and docstring."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import Enum
from inspect import Parameter as Declared
from inspect import getdoc, signature
from itertools import chain
from typing import Annotated, Any, Final, Literal, Union, cast

from ..errors import ConfigurationError
from .docstring import Docstring
from .from_schema import type_of_schema
from .parameter import ANY, Parameter, ValueType, in_order, kind_of

__all__ = ["parameters_of", "type_of_annotation"]

_SCALARS: Final[Mapping[object, ValueType]] = {
    int: ValueType("integer"),
    float: ValueType("number"),
    str: ValueType("string"),
    bool: ValueType("boolean"),
    Any: ANY,
    object: ANY,
}
_LISTS: Final[Mapping[object, Callable[[Any], Any] | None]] = {
    list: None,
    Sequence: None,
    Collection: None,
    Iterable: None,
    tuple: tuple,
    set: set,
    AbstractSet: set,
    frozenset: frozenset,
}
# annotated_types, and pydantic's Field, call the limits so.
_ANNOTATED: Final = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "above",
    "lt": "below",
    "multiple_of": "multiple_of",
    "pattern": "pattern",
}
_RESERVED: Final = "llm_tool_call"  # llm fills it in when it runs the tool, and shows it to no model


@dataclass(frozen=True, slots=True)
class _Built:
    """Makes an object of a class from its fields; equal for the same class, as a frozen `Tool` has to be."""

    cls: Callable[..., Any]

    def __call__(self, values: dict[str, Any]) -> Any:
        return self.cls(**values)


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a function, the required ones first.

    `*args`, `**kwargs` and llm's `llm_tool_call` are left out: a plan cannot give them.

    Args:
        function: a function or a bound method.

    Raises:
        ConfigurationError: an annotation cannot be resolved, or is of no type that JSON can express; a
            parameter is positional-only; a method is not bound.

    Example:
        >>> def move_to(x: int, y: int, run: bool = False): ...
        >>> [parameter.text() for parameter in parameters_of(move_to)]
        ['x:int', 'y:int', 'run:boolean=false']
    """
    name = getattr(function, "__name__", repr(function))
    try:
        declared = signature(function).parameters
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise ConfigurationError(f"Tool.of({name}): its signature cannot be read: {error}") from None
    described = Docstring.parse(getdoc(function)).arguments
    found: list[Parameter] = []
    for number, parameter in enumerate(declared.values()):
        if parameter.kind in (Declared.VAR_POSITIONAL, Declared.VAR_KEYWORD) or parameter.name == _RESERVED:
            continue
        _check_declared(name, parameter, first=number == 0)
        found.append(_parameter(name, parameter, hints, described.get(parameter.name, "")))
    return in_order(found)


def _check_declared(name: str, parameter: Declared, *, first: bool) -> None:
    if parameter.kind is Declared.POSITIONAL_ONLY:
        raise ConfigurationError(f"Tool.of({name}): {parameter.name} is positional-only, but plans name it")
    if first and parameter.name in ("self", "cls") and parameter.annotation is Declared.empty:
        raise ConfigurationError(f"Tool.of({name}): it is a method: give the bound one, thing.{name}")


def _parameter(name: str, declared: Declared, hints: dict[str, Any], described: str) -> Parameter:
    where = f"Tool.of({name}): {declared.name}"
    annotation = hints.get(declared.name, Any)
    required = declared.default is Declared.empty
    default = None if required else _plain(declared.default)
    text = described or _description(annotation)
    return Parameter(declared.name, type_of_annotation(annotation, where), required, default, text)


def type_of_annotation(annotation: Any, where: str = "annotation", inside: tuple[Any, ...] = ()) -> ValueType:
    """Return the type that an annotation stands for.

    Args:
        annotation: int, float, str, bool, None, Any, Literal, Enum, list, set, tuple, dict, Optional, unions,
            dataclasses, TypedDict, NamedTuple, pydantic models, Annotated with limits, and aliases of them.
        where: what it annotates, for messages.
        inside: the classes whose fields are being looked at.

    Raises:
        ConfigurationError: it is none of these, or refers to itself.

    Example:
        >>> type_of_annotation(list[tuple[int, int]]).text()
        '[[int,int]]'
        >>> type_of_annotation(Literal["low", "high"] | None).text()
        'low|high|null'
    """
    annotation = _alias(annotation)
    # Not by hash: what Annotated carries need not have one.
    scalar = next((kind for known, kind in _SCALARS.items() if known is annotation), None)
    if scalar is not None:
        return scalar
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (
        typing.Required,
        typing.NotRequired,
        typing.Final,
        getattr(typing, "ReadOnly", typing.Required),
    ):
        return type_of_annotation(args[0], where, inside)
    if origin is Annotated:
        return _limited(type_of_annotation(args[0], where, inside), args[1:], where)
    if origin is Literal:
        return _choices(args, where)
    if origin in (Union, types.UnionType):
        return _union(args, where, inside)
    found = _container(origin or annotation, args, where, inside)
    if found is None and isinstance(annotation, type):
        found = _of_class(cast("type[Any]", annotation), where, inside)
    if found is None:
        right = (
            "one of int, float, str, bool, Literal, Enum, list, tuple, dict, Optional, a dataclass, TypedDict"
        )
        raise ConfigurationError(f"{where}: annotation {annotation!r}: it must be {right}")
    return found


def _alias(annotation: Any) -> Any:
    while True:
        inner = getattr(annotation, "__supertype__", None)  # NewType
        if inner is None and type(annotation).__name__ == "TypeAliasType":
            inner = annotation.__value__
        if inner is None:
            return annotation
        annotation = inner


def _container(origin: Any, args: tuple[Any, ...], where: str, inside: tuple[Any, ...]) -> ValueType | None:
    if origin is tuple and args and args[-1] is not Ellipsis:
        fixed = () if args == ((),) else tuple(type_of_annotation(arg, where, inside) for arg in args)
        return ValueType("array", fixed=fixed, make=tuple)
    if origin in _LISTS:
        items = type_of_annotation(args[0], where, inside) if args else ANY
        return ValueType("array", items=items, make=_LISTS[origin])
    if origin in (dict, Mapping):
        if args and args[0] is not str:
            raise ConfigurationError(f"{where}: keys of {args[0]!r}: JSON has none but str")
        values = type_of_annotation(args[1], where, inside) if args else None
        return ValueType("object", items=values, extra=True)
    return None


def _choices(args: tuple[Any, ...], where: str) -> ValueType:
    given: list[Any] = [arg for arg in args if arg is not None]
    values = tuple(arg.value if isinstance(arg, Enum) else arg for arg in given)
    if not all(isinstance(value, (str, int)) for value in values):
        raise ConfigurationError(f"{where}: Literal{[*args]}: JSON has str, int, bool and None only")
    make = given[0].__class__ if given and all(isinstance(arg, Enum) for arg in given) else None
    return ValueType(kind_of(values), nullable=None in args, choices=values, make=make)


def _union(args: tuple[Any, ...], where: str, inside: tuple[Any, ...]) -> ValueType:
    options = [type_of_annotation(arg, where, inside) for arg in args if arg is not types.NoneType]
    nullable = len(options) < len(args) or any(option.nullable for option in options)
    if len(options) == 1:
        return replace(options[0], nullable=nullable)
    if {option.kind for option in options} == {"integer", "number"} and all(
        option == _SCALARS[int] or option == _SCALARS[float] for option in options
    ):
        return ValueType("number", nullable=nullable)
    return ValueType("any", nullable=nullable, options=tuple(options))


def _of_class(cls: type[Any], where: str, inside: tuple[Any, ...]) -> ValueType | None:
    if issubclass(cls, Enum):
        return _of_enum(cls, where)
    if cls in inside:
        raise ConfigurationError(f"{where}: {cls.__name__} refers to itself, which no plan can fill in")
    validate = getattr(cls, "model_validate", None)
    if validate is not None:
        return replace(type_of_schema(cls.model_json_schema(), where), make=validate)
    hints = typing.get_type_hints(cls, include_extras=True)
    names = _fields(cls, hints)
    if names is None:
        return None
    described = Docstring.parse(cls.__doc__).arguments
    parts = [
        Parameter(
            name,
            type_of_annotation(hints[name], f"{where}.{name}", (*inside, cls)),
            required,
            _plain(default),
            described.get(name, ""),
        )
        for name, (required, default) in names.items()
    ]
    return ValueType("object", fields=in_order(parts), make=None if typing.is_typeddict(cls) else _Built(cls))


def _fields(cls: Any, hints: dict[str, Any]) -> dict[str, tuple[bool, Any]] | None:
    """Return which fields a class has, which are required, and the defaults of the others."""
    if typing.is_typeddict(cls):
        # __required_keys__ is blind to Required and NotRequired in annotations that are strings.
        marks = {name: typing.get_origin(hint) for name, hint in hints.items()}
        keys: frozenset[str] = cls.__required_keys__
        needed = {name for name in keys if marks[name] is not typing.NotRequired}
        return {name: (name in needed or marks[name] is typing.Required, None) for name in hints}
    if is_dataclass(cls):
        return {
            field.name: (
                field.default is MISSING and field.default_factory is MISSING,
                None if field.default is MISSING else field.default,
            )
            for field in fields(cls)
            if field.init
        }
    names: tuple[str, ...] | None = getattr(cls, "_fields", None)  # of a NamedTuple
    if names is None:
        return None
    defaults: dict[str, Any] = getattr(cls, "_field_defaults", {})
    return {name: (name not in defaults, defaults.get(name)) for name in names}


def _of_enum(cls: type[Enum], where: str) -> ValueType:
    values = tuple(member.value for member in cls)
    if not values:
        raise ConfigurationError(f"{where}: {cls.__name__} has no members")
    if all(isinstance(value, str) for value in values):
        return ValueType("string", choices=values, make=cls)
    # A name says more to a model than a number does.
    return ValueType("string", choices=tuple(cls.__members__), make=cls.__getitem__)


def _limited(of: ValueType, said: tuple[Any, ...], where: str) -> ValueType:
    bounds: dict[str, Any] = {}
    for note in chain.from_iterable((note, *getattr(note, "metadata", ())) for note in said):
        found = {name: getattr(note, key, None) for key, name in _ANNOTATED.items()}
        for end in ("min", "max"):
            length = getattr(note, f"{end}_length", None)
            found[f"{end}_items" if of.kind == "array" else f"{end}_length"] = length
        bounds |= {name: value for name, value in found.items() if value is not None}
    try:
        return replace(of, limits=replace(of.limits, **bounds)) if bounds else of
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _description(annotation: Any) -> str:
    notes: tuple[Any, ...] = getattr(annotation, "__metadata__", ())
    texts = [note if isinstance(note, str) else getattr(note, "description", None) for note in notes]
    return next((text for text in texts if isinstance(text, str)), "")


def _plain(default: Any) -> Any:
    """Return a default as JSON would have it."""
    if isinstance(default, Enum):
        return default.value if isinstance(default.value, str) else default.name
    return default
