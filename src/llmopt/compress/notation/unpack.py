"""JSON inside of strings: found, opened, and put back character for character."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from operator import is_not
from typing import Any, Final

import orjson

from .lexical import type_of

__all__ = ["STYLES", "JsonText", "hide", "may_hold_json", "pack", "unpack"]

_OPENING: Final = ("{", "[")
_LINED: Final = ("2", "4")
_MIN_CHARS: Final = 8  # "json([])" costs more than the string that it stands for


def _compact(value: Any) -> str:
    return orjson.dumps(value).decode()


def _indented(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


STYLES: Final[dict[str, Callable[[Any], str]]] = {
    "json": _compact,
    "json1": json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode,
    "json2": _indented,
    "json4": json.JSONEncoder(indent=4, ensure_ascii=False, allow_nan=False).encode,
    "jsona": json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode,
    "json1a": json.JSONEncoder(allow_nan=False).encode,
    "json2a": json.JSONEncoder(indent=2, allow_nan=False).encode,
    "json4a": json.JSONEncoder(indent=4, allow_nan=False).encode,
}
"""Name in the notation -> how the text is laid out: without blanks, as `json.dumps`, with an indent; an "a"
where other than ASCII is escaped."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """A string that is JSON.

    Attributes:
        style: how it is laid out, a key of `STYLES`.
        value: what it says.
    """

    style: str
    value: Any


_MAY_CHANGE: Final = frozenset((str, dict, list, JsonText))


def unpack(value: Any) -> Any:
    """Return `value` with the strings that are JSON objects or lists replaced by `JsonText`.

    Only strings that come back character for character are. What does not change is not copied.

    Example:
        >>> unpack({"a": '{"b": [1]}', "c": "{x"})
        {'a': JsonText(style='json1', value={'b': [1]}), 'c': '{x'}
    """
    kind = type_of(value)
    if kind is str:
        return _opened(value) if value[:1] in _OPENING and len(value) >= _MIN_CHARS else value
    if kind is dict:
        return _changed_dict(value)
    if kind is list:
        items = list(map(unpack, value))
        return items if any(map(is_not, items, value)) else value
    return value


def _changed_dict(value: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, item in value.items():
        if type_of(item) in _MAY_CHANGE:
            inner = unpack(item)
            if inner is not item:
                changed[key] = inner
    return {**value, **changed} if changed else value


def _opened(text: str) -> Any:
    lined = "\n" in text
    styles = [style for style in STYLES if (style[4:5] in _LINED) == lined]
    for load in (orjson.loads, json.loads):  # the one is faster, the other knows of long integers
        try:
            value = load(text)
            for style in styles:
                if STYLES[style](value) == text:
                    return JsonText(style, unpack(value) if may_hold_json(text) else value)
        except (ValueError, RecursionError, TypeError):
            pass
    return text


def may_hold_json(json: str) -> bool:
    """Return whether strings in the compact JSON of a value may be JSON; most are not, which is soon seen."""
    return '"[' in json or ("\\" in json and '"{' in json)  # objects that are worth it hold quotes


def pack(value: Any, restore: Callable[[str], str] | None = None) -> Any:
    """Return `value` with every `JsonText` written out.

    Args:
        value: what `unpack` has returned.
        restore: applied to every string, keys too, before JSON is made of it.

    Raises:
        ValueError: a `JsonText` holds what JSON cannot.
    """
    kind = type_of(value)
    if kind is str:
        return restore(value) if restore else value
    if kind is dict:
        return {restore(key) if restore else key: pack(item, restore) for key, item in value.items()}
    if kind is list:
        return [pack(item, restore) for item in value]
    if kind is JsonText:
        return STYLES[value.style](pack(value.value, restore))
    return value


def hide(value: Any, hidden: Callable[[str], str]) -> Any:
    """Return `value` with `hidden` applied to every string in it, keys too; once to those that come again."""
    return _hide(value, _Hidden(hidden))


class _Hidden(dict[str, str]):
    def __init__(self, hidden: Callable[[str], str]) -> None:
        super().__init__()
        self._hidden = hidden

    def __missing__(self, text: str) -> str:
        found = self[text] = self._hidden(text)
        return found


def _hide(value: Any, hidden: _Hidden) -> Any:
    kind = type_of(value)
    if kind is str:
        return hidden[value]
    if kind is dict:
        return {
            hidden[key]: _hide(item, hidden) if type_of(item) in _MAY_CHANGE else item
            for key, item in value.items()
        }
    if kind is list:
        return [_hide(item, hidden) for item in value]
    return JsonText(value.style, _hide(value.value, hidden)) if kind is JsonText else value
