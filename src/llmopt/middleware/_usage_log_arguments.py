"""The arguments of `UsageLog`: what is wrong with them, and how they are shown without what is secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple, cast

from ..errors import ConfigurationError
from ..resilience._common import is_count, is_number
from ..usage.known_secrets import LEAST_CHARS, KnownSecrets
from ..usage.redact import Redactor

_LEAST_KEY_BYTES = 16
_LEAST_FILE_BYTES = 2**20


def check(given: Mapping[str, Any]) -> None:
    """Raise ConfigurationError if an argument is wrong. Its message shows no secret.

    Args:
        given: the arguments by name.
    """
    for name, rule in _HIDDEN.items():
        if not rule.fits(given[name]):
            raise ConfigurationError(f"UsageLog: {name}= is wrong (it is not shown): it must be {rule.right}")
    for name, rule in _RULES.items():
        if not rule.fits(given[name]):
            told = _cleaned(repr(given[name]), given["secrets"])
            raise ConfigurationError(f"UsageLog: {name}={told} is wrong: it must be {rule.right}")
    if given["prices"] is not None:
        from ..usage.prices import user_prices

        user_prices(given["prices"], "UsageLog")


def key_bytes(key: str | bytes | None) -> bytes | None:
    """Return the key of the digests as bytes."""
    return key.encode() if isinstance(key, str) else key


def shown(given: Mapping[str, Any]) -> str:
    """Return arguments as far as they may be shown."""
    told = {name: "..." if name in _HIDDEN and value else repr(value) for name, value in given.items()}
    return ", ".join(f"{name}={value}" for name, value in told.items())


def _cleaned(text: str, secrets: Sequence[str]) -> str:
    known = KnownSecrets(secrets)
    known.look_around()
    return Redactor(known).clean(text)


def _are_secrets(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(isinstance(each, str) and len(each) >= LEAST_CHARS for each in cast("Sequence[object]", value))


def _is_key(value: object) -> bool:
    return value is None or (isinstance(value, (str, bytes)) and len(value) >= _LEAST_KEY_BYTES)


def _is_path(value: object) -> bool:
    """Tell whether this can be the file of a log. A database in memory cannot: it dies with its owner."""
    try:
        name = os.fspath(cast("str", value))
    except TypeError:
        return value is None
    return type(name) is str and name not in ("", ":memory:") and "\0" not in name


def _is_name(value: object) -> bool:
    return value is None or (isinstance(value, str) and value != "")


def _are_tags(value: object) -> bool:
    """Tell whether these are tags that JSON can hold."""
    if not isinstance(value, Mapping):
        return value is None
    tags = cast("Mapping[object, object]", value)
    return all(
        isinstance(name, str) and (isinstance(tag, (str, int)) or (isinstance(tag, float) and isfinite(tag)))
        for name, tag in tags.items()
    )


def _is_size(value: object) -> bool:
    return value is None or is_count(value, least=_LEAST_FILE_BYTES)


def _are_days(value: object) -> bool:
    return value is None or is_number(value, above=0)


class _Rule(NamedTuple):
    """What an argument must be.

    Attributes:
        fits: whether a value is right.
        right: what would be right.
    """

    fits: Callable[[object], bool]
    right: str


def _is_one_of(*values: object) -> _Rule:
    def fits(value: object) -> bool:
        return any(value is each or (isinstance(value, str) and value == each) for each in values)

    return _Rule(fits, " or ".join(map(repr, values)))


_HIDDEN = {
    "secrets": _Rule(
        _are_secrets,
        f"a sequence of texts, of {LEAST_CHARS} characters or more each: less may be part of a word",
    ),
    "digest_key": _Rule(
        _is_key, f"{_LEAST_KEY_BYTES} bytes or more, such as secrets.token_bytes(32), or None"
    ),
}
_NAME, _DAYS = _Rule(_is_name, "a name, or None"), _Rule(_are_days, "a number of days above 0, or None")
_RULES = {
    "path": _Rule(_is_path, "the path of a file, or None"),
    "role": _NAME,
    "agent": _NAME,
    "tags": _Rule(_are_tags, "texts, numbers or truth values by name, or None"),
    "strict": _is_one_of(True, False),
    "durability": _is_one_of("process", "power", "none"),
    "content": _is_one_of(None, "redacted", "full"),
    "keep_days": _DAYS,
    "keep_content_days": _DAYS,
    "max_bytes": _Rule(_is_size, f"a number of bytes, {_LEAST_FILE_BYTES} or more, or None"),
}
