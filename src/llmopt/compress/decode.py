"""`decode`: the value back from the text that `encode` has made of it."""

from __future__ import annotations

import copy
from typing import Any

from ..errors import DecodingError
from .delta import apply
from .encode import Encoded
from .notation.read import read
from .notation.unpack import pack
from .notation.write import CHANGES
from .vault import Vault

__all__ = ["decode"]


def decode(encoded: Encoded | str, *, previous: Any = None, vault: Vault | None = None) -> Any:
    """Return the value that `encoded` is an encoding of; the text alone is enough.

    Args:
        encoded: what `encode` has returned, or its text.
        previous: the value that `encode` was given as `previous`.
        vault: the vault that `encode` was given. An `Encoded` knows its own.

    Raises:
        DecodingError: the text is no encoding of ours. `line` says where that shows.

    Example:
        >>> from llmopt.compress import encode
        >>> decode(encode([{"x": 1, "y": 2.5}, {"x": 3, "y": 2.5}], "dense").text)
        [{'x': 1, 'y': 2.5}, {'x': 3, 'y': 2.5}]
    """
    if isinstance(encoded, Encoded):
        vault = vault or encoded.vault
        encoded = encoded.text
    changes = encoded.removeprefix(CHANGES)
    value = read(changes)
    try:
        found = pack(value, None if vault is None else vault.restore)
        return found if changes is encoded else _applied(found, previous)
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, DecodingError):
            raise
        raise DecodingError(f"JSON in a string cannot be written again: {error}") from None


def _applied(changes: Any, previous: Any) -> Any:
    if previous is None:
        raise DecodingError("line 1: these are changes: give `previous`, the value that they change", line=1)
    try:
        return copy.deepcopy(apply(previous, changes))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DecodingError(f"these are no changes of `previous`: {error}") from None
