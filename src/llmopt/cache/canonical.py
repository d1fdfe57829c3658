"""Bytes that say what a value is: equal for equal values, different for different ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias
from uuid import UUID

Write: TypeAlias = Callable[[bytes], None]


class Unkeyable(Exception):
    """A value has no canonical form, so a call that contains it has no key."""


def canonical(value: Any, *, ordered: bool = False) -> bytes:
    """Return bytes that two values share only if they are the same.

    JSON values take orjson's way. It would write NaN as null, and refuses large integers, keys that are
    no strings and other types: a value with any of these takes a slower way, marked by the first byte.
    1, 1.0, True and "1" are four values; a tuple is a list, an enum its value, a UUID its text.

    Args:
        value: JSON values, bytes, sets, enums, dates, decimals, paths, UUIDs and pydantic models.
        ordered: whether the order of the keys of a mapping counts. In a JSON schema it does: models
            answer in the order of its properties.

    Returns:
        The canonical bytes. No two of them are each other's beginning.

    Raises:
        Unkeyable: the value has no canonical form.

    Example:
        >>> canonical({"b": 1, "a": [2.0]})
        b'j17:{"a":[2.0],"b":1}'
        >>> canonical(float("nan")), canonical(None)
        (b'd3:nan', b'n')
    """
    import orjson

    passed = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    try:
        text = orjson.dumps(value, option=passed if ordered else passed | orjson.OPT_SORT_KEYS)
    except TypeError:
        text = b"null"
    if b"null" not in text:
        return b"j" + netstring(text)
    pieces: list[bytes] = []
    try:
        _write(value, pieces.append, ordered)
    except RecursionError:
        raise Unkeyable("a value contains itself") from None
    return b"".join(pieces)


def netstring(text: bytes) -> bytes:
    """Return `text` with its length in front, so that nothing after it can be taken for a part of it."""
    return b"%d:%b" % (len(text), text)


def text_bytes(text: str) -> bytes:
    """Return `text` in UTF-8; lone surrogates, which UTF-8 has no place for, are kept."""
    return text.encode("utf-8", "surrogatepass")


def _write(value: Any, write: Write, ordered: bool) -> None:  # noqa: FBT001 - passed on at every level
    if value is None:
        write(b"n")
    elif isinstance(value, Enum):
        _write(value.value, write, ordered)
    elif isinstance(value, str):
        write(b"s" + netstring(text_bytes(value)))
    elif isinstance(value, bool):
        write(b"t" if value else b"f")
    elif isinstance(value, int):
        write(b"i" + netstring(b"%x" % value))
    elif isinstance(value, float):
        write(b"d" + netstring(float.__repr__(value).encode()))
    elif isinstance(value, (list, tuple)):
        _write_all(b"l", value, write, ordered)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, Mapping):
        _write_mapping(value, write, ordered)  # pyright: ignore[reportUnknownArgumentType]
    else:
        _write_other(value, write, ordered)


def _write_all(tag: bytes, values: Any, write: Write, ordered: bool) -> None:  # noqa: FBT001
    write(b"%b%d:" % (tag, len(values)))
    for value in values:
        _write(value, write, ordered)


def _write_mapping(value: Mapping[Any, Any], write: Write, ordered: bool) -> None:  # noqa: FBT001
    pairs = [(_bytes_of(key, ordered), _bytes_of(item, ordered)) for key, item in value.items()]
    write(b"m%d:" % len(pairs))
    for key, item in pairs if ordered else sorted(pairs):
        write(key)
        write(item)


def _write_other(value: Any, write: Write, ordered: bool) -> None:  # noqa: FBT001
    if isinstance(value, (bytes, bytearray)):
        write(b"b" + netstring(bytes(value)))
    elif isinstance(value, (set, frozenset)):
        items = sorted(_bytes_of(item, ordered) for item in value)  # pyright: ignore[reportUnknownVariableType]
        write(b"u%d:" % len(items))
        write(b"".join(items))
    elif isinstance(value, UUID):
        _write(str(value), write, ordered)
    elif isinstance(value, (datetime, date, time, timedelta, Decimal, PurePath)):
        write(b"o" + netstring(text_bytes(f"{_name(value)}:{value}")))
    else:
        _write_model(value, write, ordered)


def _write_model(value: Any, write: Write, ordered: bool) -> None:  # noqa: FBT001
    from pydantic import BaseModel

    if not isinstance(value, BaseModel):
        raise Unkeyable(f"a {_name(value)} has no canonical form")
    write(b"p" + netstring(text_bytes(_name(value))))
    _write_mapping(dict(value), write, ordered)


def _bytes_of(value: Any, ordered: bool) -> bytes:  # noqa: FBT001
    pieces: list[bytes] = []
    _write(value, pieces.append, ordered)
    return b"".join(pieces)


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
