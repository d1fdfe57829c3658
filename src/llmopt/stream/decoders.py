"""From the JSON text of a plan to the type that was asked for, in one step.

The slice goes to the typed decoder as it stands: making a dict first and validating that takes twice as long.
pydantic and msgspec are imported only where one of their types is given.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import orjson

from ..errors import ConfigurationError
from .alphabet import Text

__all__ = ["Decoder", "Fault", "as_dict", "decoder_of", "fault_in"]


@dataclass(frozen=True, slots=True)
class Decoder:
    """How plans are decoded.

    Attributes:
        one: from the JSON text of one plan to the plan; raises whatever it likes.
        many: from the JSON text of a list to the list of plans, or None if only single plans can be decoded.
        fields: the keys that a plan may have, as far as its type tells.
        typed: whether the plans are anything but what JSON itself has.
    """

    one: Callable[[Text], Any]
    many: Callable[[Text], list[Any]] | None
    fields: frozenset[str] = frozenset()
    typed: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a text as JSON, and where in it."""

    message: str
    pos: int


def as_dict(value: Any) -> dict[str, Any] | None:
    """Return a value of JSON if it is an object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def fault_in(raw: Text) -> Fault | None:
    """Return what is wrong with `raw` as JSON, or None if nothing is."""
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Fault(error.msg, min(error.pos, len(raw)))
    return None


def decoder_of(kind: Any) -> Decoder:
    """Return the decoder for a type of plans.

    Args:
        kind: None for what JSON has (dict, or list for rows); a pydantic model, a TypeAdapter, a msgspec
            Struct, a dataclass, a TypedDict or another annotation that pydantic knows; or a function from
            the JSON text of one plan, str or bytes as it was fed, to the plan.

    Raises:
        ConfigurationError: it is none of these, or the package that it needs is absent.
    """
    if kind is None or kind is dict:
        return Decoder(orjson.loads, orjson.loads, typed=False)
    if _is_msgspec(kind):
        return _of_msgspec(kind)
    if hasattr(kind, "validate_json"):
        return Decoder(kind.validate_json, None)
    if _is_type(kind):
        return _of_pydantic(kind)
    if callable(kind):
        return Decoder(kind, None)
    msg = f"a type of plans is a class, an annotation, a function from JSON text or None, not {kind!r}"
    raise ConfigurationError(msg)


def _is_msgspec(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "__struct_fields__")


def _is_type(kind: Any) -> bool:
    """Whether pydantic should know it; any other callable is taken for a decoding function."""
    if typing.is_typeddict(kind) or dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_validator__"):
        return True
    containers: Any = (dict, list, tuple)
    is_container = isinstance(kind, type) and issubclass(kind, containers)
    return is_container or typing.get_origin(kind) is not None


def _of_msgspec(kind: Any) -> Decoder:
    import msgspec  # pyright: ignore[reportMissingImports] - an extra

    one = msgspec.json.Decoder(kind).decode
    many = msgspec.json.Decoder(list[kind]).decode
    return Decoder(one, many, frozenset(kind.__struct_encode_fields__))


def _of_pydantic(kind: Any) -> Decoder:
    try:
        from pydantic import TypeAdapter
    except ImportError as error:  # pragma: no cover - llm brings pydantic
        _absent("pydantic", "typed", error)
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    adapter: Any = TypeAdapter
    list_of: Any = list
    known = _for_pydantic(kind)
    try:
        many = adapter(list_of[known]).validate_json
        return Decoder(adapter(known).validate_json, many, _fields_of(kind))
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        msg = f"pydantic makes no decoder for {kind!r}: {error}"
        raise ConfigurationError(msg) from error


def _for_pydantic(kind: Any) -> Any:
    """Return the type, or in Python 3.11, whose own TypedDict pydantic refuses, one that it takes."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(kind):
        return kind
    from typing_extensions import TypedDict  # not typing's: that is the point

    make: Any = TypedDict
    hints = typing.get_type_hints(kind, include_extras=True)
    marks: dict[bool, Any] = {True: typing.Required, False: typing.NotRequired}
    return make(kind.__name__, {k: marks[k in kind.__required_keys__][hint] for k, hint in hints.items()})


def _fields_of(kind: Any) -> frozenset[str]:
    """Return the names and aliases of the fields of a model, a dataclass or a TypedDict."""
    found = getattr(kind, "model_fields", None)
    if found is not None:
        aliases = {a for field in found.values() for a in (field.alias, field.validation_alias)}
        return frozenset(found) | frozenset(alias for alias in aliases if isinstance(alias, str))
    return frozenset(inspect.get_annotations(kind)) if isinstance(kind, type) else frozenset()


def _absent(package: str, extra: str, error: ImportError) -> NoReturn:
    msg = f'{package} is not installed: pip install "llmopt[{extra}]"'
    raise ConfigurationError(msg) from error


def relaxed(raw: Text) -> Any:
    """Decode JSON whose strings may hold raw newlines and tabs, and characters cut in two.

    Raises:
        ValueError: it is no JSON even so. NaN and Infinity are not: no plan can mean them.
    """
    text = raw if isinstance(raw, str) else bytes(raw).decode()
    # A surrogate pair that an SDK handed out in two halves is one character.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    return json.loads(text, strict=False, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def repair_function() -> Callable[[str], Any]:
    """Return json_repair's `loads`.

    Raises:
        ConfigurationError: the package is absent.
    """
    try:
        from json_repair import loads  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        _absent("json_repair", "repair", error)
    return loads  # type: ignore[no-any-return, unused-ignore]


def partial_function() -> Callable[..., Any]:
    """Return jiter's `from_json`.

    Raises:
        ConfigurationError: the package is absent.
    """
    try:
        from jiter import from_json  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        _absent("jiter", "partial", error)
    return from_json  # type: ignore[no-any-return, unused-ignore]
