"""The smallest edit that makes a damaged row JSON again: one character put in, or one taken out.

General repair engines go on with whatever they understood; where one bracket is missing they attach the rest
to the wrong place. An edit that yields exactly the keys that the other plans have is the better guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import orjson

from .decoders import as_dict

__all__ = ["one_edit"]

_LONGEST = 1 << 16
_TOKENS_BACK = 12  # how many tokens before the place of the error an edit may be
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+"|[^\s"{}\[\],:]++|[{}\[\],:]')


def one_edit(raw: str, keys: Collection[str]) -> Any:
    """Return the object with just these keys that one edit away from `raw`, or None.

    Args:
        raw: the row.
        keys: the keys of other plans. Where none is known, only brackets are put in.
    """
    if len(raw) > _LONGEST:
        return None
    wanted = set(keys)
    for edited in _edits(raw, _error_at(raw), brackets_only=not keys):
        try:
            value = as_dict(orjson.loads(edited))
        except ValueError:
            continue
        if value is not None and (not wanted or value.keys() == wanted):
            return value
    return None


def _error_at(raw: str) -> int:
    try:
        json.loads(raw, strict=False)
    except json.JSONDecodeError as error:
        return error.pos
    except RecursionError:
        pass
    return len(raw)


def _edits(raw: str, error: int, *, brackets_only: bool) -> Iterator[str]:
    """Yield edits, the likelier ones first, and of each kind those closest to the error."""
    tokens = [match.span() for match in _TOKEN.finditer(raw, 0, min(len(raw), error + 1))]
    near = tokens[: -_TOKENS_BACK - 1 : -1]
    if error >= len(raw):
        near.insert(0, (len(raw), len(raw)))
    for put in "]}" if brackets_only else ("]", "}", ",", ":", '"', "{"):
        for start, _ in near:
            yield raw[:start] + put + raw[start:]
    for start, end in () if brackets_only else near:
        if raw[start:end] in (",", "}", "]", "{"):
            yield raw[:start] + raw[end:]
