"""Fills a template that is known with other values: by its regular expression where their JSON fits that."""

from __future__ import annotations

import marshal
import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from .compiled import Compiled, compiled
from .exact import PASS
from .fill import fill
from .lexical import type_of
from .nodes import Data, Table
from .unpack import JsonText

__all__ = ["fill_again", "says_all"]

_MARSHAL_VERSION: Final = 4
_MAX_COMPILATIONS: Final = 4
# Floats end like this in `marshal` if all bits of their exponents are set: if they are not finite.
_not_finite_ends = re.compile(rb"[\xf0-\xff][\x7f\xff]").search
_NO_ENDS: Final = bytes(range(0xF0)).replace(b"\x7f", b"")


def says_all(value: Any, json: str) -> bool:
    """Return whether `json`, which is what `orjson` makes of a value, says all of it.

    `orjson` makes strings of UUIDs and enums, and null of what is no number: `marshal` knows of neither, and
    tells floats from None.
    """
    try:
        exact = marshal.dumps(value, _MARSHAL_VERSION)
    except ValueError:
        return False
    if "null" not in json or not _not_finite_ends(exact.translate(None, _NO_ENDS)):
        return True
    return not _not_finite_ends(exact)


def _json_of(values: Sequence[Any]) -> str | None:
    """Return the compact JSON of a list without its brackets; `JsonText` in it as in the notation."""
    try:
        return orjson.dumps(values, default=_fragment, option=PASS).decode()[1:-1]
    except TypeError:
        return None


def _fragment(value: Any) -> Any:
    if type_of(value) is not JsonText:
        raise TypeError
    inner = orjson.dumps(value.value, default=_fragment, option=PASS)
    return orjson.Fragment(b"%s(%s)" % (value.style.encode(), inner))


def fill_again(table: Table, rows: Sequence[Any], data: Data, *, exact: bool) -> Compiled | None:
    """Do what `fill` does, and return the expression that did it, or None if `fill` had to.

    Args:
        table: the template.
        rows: as for `fill`.
        data: as for `fill`.
        exact: whether `says_all` holds for them.

    Raises:
        Changed: as `fill` does.
    """
    known = table.compiled
    text = _json_of(rows) if known and exact else None
    if known and text is not None and known.fill(known.apart(text), data):
        return known
    data.clear()
    fill(table, rows, data)
    if exact and table.compilations < _MAX_COMPILATIONS and (known is None or known.outdated(data)):
        table.compilations += 1
        table.compiled = compiled(table, data)
    return None
