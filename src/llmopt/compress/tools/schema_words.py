"""The words in which a schema is written: what may stand bare, and how it is quoted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ...errors import EncodingError

__all__ = [
    "NAMES_OF_TYPES",
    "TYPES_BY_NAME",
    "WORD",
    "as_json",
    "as_name",
    "as_word",
    "items_of",
    "keys_of",
    "same",
]

NAMES_OF_TYPES: Final = {
    "string": "str", "integer": "int", "number": "num", "boolean": "bool",
    "array": "list", "object": "obj", "null": "null",
}  # fmt: skip
TYPES_BY_NAME: Final = {name: kind for kind, name in NAMES_OF_TYPES.items()}
WORD: Final = re.compile(r"[A-Za-z_$][\w$-]*(?:[./][\w$-]+)*")

_RESERVED: Final = frozenset((*TYPES_BY_NAME, "any", "never", "true", "false", "anyOf", "oneOf", "allOf"))
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def as_json(value: Any) -> str:
    """Return compact JSON in one line.

    Raises:
        EncodingError: it is no JSON.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise EncodingError(f"a schema holds what is no JSON: {error}") from None
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_name(name: str) -> str:
    """Return a name of a tool, a parameter or a keyword: bare, or quoted where that would be misread."""
    return name if WORD.fullmatch(name) and name.isascii() else as_json(name)


def as_word(value: Any) -> str:
    """Return a value: a string bare where nothing else could be meant, all others as JSON."""
    bare = isinstance(value, str) and value not in _RESERVED and as_name(value) == value
    return str(value) if bare else as_json(value)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON, where Python takes 1, 1.0 and True for equal."""
    return bool(one == other) and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def keys_of(value: Any) -> Mapping[str, Any] | None:
    """Return an object of JSON, or None if it is none."""
    return value if isinstance(value, Mapping) else None  # pyright: ignore[reportUnknownVariableType]


def items_of(value: Any) -> list[Any] | None:
    """Return a list of JSON, or None if it is none; tuples count as lists."""
    return list(value) if isinstance(value, (list, tuple)) else None  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
