"""Makes of a decoded JSON value what a tool takes, and says of each that it does not take why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, NoReturn

from ..errors import PlanValidationError
from ._text import brief, fold, folded, is_list, is_object, suggest
from .parameter import ANY, Parameter, ValueType

__all__ = ["convert", "match", "refuse"]

_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]{1,30}\s*")
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?\s*")
_SCALARS: Final = ("integer", "number", "string", "boolean")
_BOOLEANS: Final = {"true": True, "false": False}


def refuse(path: str, value: object, right: str) -> NoReturn:
    """Raise the error about a value that cannot be taken.

    Raises:
        PlanValidationError: always.
    """
    raise PlanValidationError(f"{path} is {brief(value)}, but it must be {right}")


def convert(value: Any, to: ValueType, path: str, repairs: list[str]) -> Any:
    """Return `value` as `to` has it.

    Taken as they are: what is of the type already; 3.0 for a whole number, since JSON has but one kind of
    number; a list in the order of the fields for an object. Taken with a note in `repairs`: "3" for 3,
    3 for "3", "true" for true, "North" for the choice "north".

    Args:
        value: decoded JSON.
        to: its type.
        path: what it is called in messages.
        repairs: gets a line for each value that had to be converted.

    Raises:
        PlanValidationError: it cannot be taken; the message names path, value, and what would be right.

    Example:
        >>> notes = []
        >>> convert("3", ValueType("integer"), "x", notes), notes
        (3, ['x: "3" taken for 3'])
    """
    if value is None and to.nullable:
        return None
    taken = _choose(value, to, path) if to.choices else _KINDS[to.kind](value, to, path, repairs)
    if (to.choices or to.kind in _SCALARS) and _differ(value, taken):
        repairs.append(f"{path}: {brief(value)} taken for {brief(taken)}")
    fault = to.limits.fault(taken)
    if fault:
        refuse(path, value, fault)
    return taken if to.make is None else _make(to.make, taken, path, value)


def match(
    values: Mapping[str, Any] | Sequence[Any],
    parameters: tuple[Parameter, ...],
    path: str,
    repairs: list[str],
    *,
    extra: ValueType | None = None,
) -> dict[str, Any]:
    """Return converted values by the names of their parameters, in the order of the parameters.

    Args:
        values: by name, or in the order of the parameters; there, null stands for "not given".
        parameters: what is taken.
        path: what takes them, for messages.
        repairs: as in `convert`.
        extra: the type of values with other names, where they are allowed.

    Raises:
        PlanValidationError: a value is missing, unknown, or not of its type.
    """
    named = values if isinstance(values, Mapping) else _by_position(values, parameters, path)
    given = _by_name(named, parameters, path, repairs, extra)
    taken: dict[str, Any] = {}
    for parameter in parameters:
        value = given.pop(parameter.name, None)
        if value is not None or (parameter.type.nullable and parameter.name in named):
            inner = f"{path}.{parameter.name}"
            taken[parameter.name] = convert(value, parameter.type, inner, repairs)
        elif parameter.required:
            want = f"{parameter.name}, {_article(parameter.type)}"
            raise PlanValidationError(f"{path} lacks {want}")
    for name, value in given.items():
        taken[name] = convert(value, extra or ANY, f"{path}.{name}", repairs)
    return taken


def _by_position(values: Sequence[Any], parameters: tuple[Parameter, ...], path: str) -> dict[str, Any]:
    if len(values) > len(parameters):
        names = ", ".join(parameter.name for parameter in parameters) or "none"
        raise PlanValidationError(
            f"{path} takes at most {len(parameters)} values ({names}), but {len(values)} are given"
        )
    return {parameter.name: value for parameter, value in zip(parameters, values, strict=False)}


def _by_name(
    named: Mapping[str, Any],
    parameters: tuple[Parameter, ...],
    path: str,
    repairs: list[str],
    extra: ValueType | None,
) -> dict[str, Any]:
    names = [parameter.name for parameter in parameters]
    given: dict[str, Any] = {}
    for name, value in named.items():
        alike = name if name in names else folded(name, names)
        if alike is None and extra is None:
            raise PlanValidationError(f"{path} has no {brief(name)}, {suggest(name, names)}")
        if alike is not None and alike != name:
            repairs.append(f"{path}: {brief(name)} taken for {brief(alike)}")
        alike = name if alike is None else alike
        if alike in given:
            raise PlanValidationError(f"{path} has {brief(alike)} more than once")
        given[alike] = value
    return given


def _integer(value: Any, to: ValueType, path: str, _: list[str]) -> Any:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(path, value, _article(to))
    return value


def _number(value: Any, to: ValueType, path: str, _: list[str]) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value) if _WHOLE.fullmatch(value) else float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
        refuse(path, value, _article(to))
    return value


def _string(value: Any, to: ValueType, path: str, _: list[str]) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**30 else refuse(path, value, _article(to))
    if not isinstance(value, str):
        refuse(path, value, _article(to))
    return value


def _boolean(value: Any, to: ValueType, path: str, _: list[str]) -> Any:
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    if not isinstance(value, bool):
        refuse(path, value, _article(to))
    return value


def _array(value: Any, to: ValueType, path: str, repairs: list[str]) -> Any:
    if not is_list(value):
        refuse(path, value, _article(to))
    if to.fixed:
        if len(value) != len(to.fixed):
            refuse(path, value, f"a list of {len(to.fixed)}: {to.text()}")
        pairs = zip(value, to.fixed, strict=True)
        return [convert(item, kind, f"{path}[{n}]", repairs) for n, (item, kind) in enumerate(pairs)]
    kind = to.items or ANY
    return [convert(item, kind, f"{path}[{number}]", repairs) for number, item in enumerate(value)]


def _object(value: Any, to: ValueType, path: str, repairs: list[str]) -> Any:
    by_position = is_list(value) and to.fields
    if not by_position and not is_object(value):
        refuse(path, value, _article(to))
    extra = (to.items or ANY) if to.extra else None
    return match(value, to.fields, path, repairs, extra=extra)


def _any(value: Any, to: ValueType, path: str, repairs: list[str]) -> Any:
    if not to.options:
        return value
    found: list[tuple[list[str], Any]] = []
    for option in to.options:
        notes: list[str] = []
        try:
            found.append((notes, convert(value, option, path, notes)))
        except PlanValidationError:
            continue
        if not notes:
            break
    if not found:
        refuse(path, value, _article(to))
    notes, taken = min(found, key=lambda pair: len(pair[0]))
    repairs += notes
    return taken


_KINDS: Final[Mapping[str, Callable[[Any, ValueType, str, list[str]], Any]]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
    "any": _any,
}


def _choose(value: Any, to: ValueType, path: str) -> Any:
    for choice in to.choices:
        if choice == value and isinstance(choice, bool) == isinstance(value, bool):
            return choice
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        key = fold(str(value))
        alike = [choice for choice in to.choices if fold(str(choice)) == key] if key else []
        if len(alike) == 1:
            return alike[0]
    hint = suggest(value, map(str, to.choices)) if isinstance(value, str) else ""
    refuse(path, value, f"one of {to.text()}" + (f", {hint}" if hint.startswith("did") else ""))


def _differ(value: Any, taken: Any) -> bool:
    # 3.0 for 3 is no repair: JSON has but one kind of number.
    return (type(taken) is not type(value) and not isinstance(value, float)) or taken != value


def _make(make: Callable[[Any], Any], taken: Any, path: str, value: Any) -> Any:
    try:
        return make(taken)
    except Exception as error:  # noqa: BLE001 - the tool's own check: whatever it raises, this row is wrong
        refuse(path, value, f"what its type takes: {type(error).__name__}: {error}".split("\n", 1)[0])


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or isfinite(value)


def _article(kind: ValueType) -> str:
    text = kind.text()
    if kind.kind == "integer" and not (kind.choices or text.startswith("int")):
        return f"an int, {text}"
    return f"an {text}" if text.startswith(("int", "any")) else f"a {text}"
