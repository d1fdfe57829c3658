"""Single values of records and rows: what JSON can hold, where a model's calls go, digests and times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from math import isfinite
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import orjson

EXACT_ONLY = (
    orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
"""Have orjson refuse what is not of JSON's own types, and integers that JSON's readers cannot hold."""

_EXACT = 2**53  # the integers that they can
_DEPTH = 12  # no provider's breakdown is deeper


def plain(value: Any, clean: Callable[[str], str] | None = None, *, nodes: int = 1000) -> Any:
    r"""Return a copy of a value in JSON's own types; None stands for whatever they cannot hold.

    Args:
        value: anything; it may contain itself.
        clean: what texts and keys pass through; `well_formed` if it is not given.
        nodes: how many values there may be; of those beyond nothing is kept.

    Example:
        >>> from decimal import Decimal
        >>> plain({"a": (1, True), 2: Decimal(1), "b": [2**60, float("inf")], "c": "x\ud800"})
        {'a': [1, True], '2': None, 'b': [None, None], 'c': 'x?'}
    """
    return _Plain(clean or well_formed, nodes).of(value, _DEPTH)


class _Plain:
    """Makes one value plain."""

    __slots__ = ("_clean", "_left")

    def __init__(self, clean: Callable[[str], str], nodes: int) -> None:
        self._clean = clean
        self._left = nodes

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if value is None or type(value) is bool:
            return value
        if isinstance(value, (int, float)):
            return number(value)
        if isinstance(value, str):
            return self._clean(str.__str__(value))  # a subclass may say something else
        if depth and self._left > 0:
            try:
                return self._of_many(value, depth - 1)
            except Exception:  # noqa: BLE001 - somebody's own container
                return None
        return None

    def _of_many(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            named: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return {self._key(key): self.of(item, depth) for key, item in named.items() if self._fits(key)}
        if isinstance(value, (list, tuple)):
            return [self.of(item, depth) for item in cast("list[Any]", value) if self._left > 0]
        return None

    def _key(self, key: Any) -> str:
        return self._clean(str.__str__(key) if isinstance(key, str) else str(number(key)))

    def _fits(self, key: Any) -> bool:
        return self._left > 0 and (isinstance(key, str) or number(key) is not None)


def number(value: Any) -> int | float | None:
    """Return a number that JSON can hold, or None for whatever else this is.

    Example:
        >>> number(7), number(True), number(float("nan"))
        (7, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value) if -_EXACT < value < _EXACT else None
    return float(value) if isinstance(value, float) and isfinite(value) else None


def well_formed(text: str) -> str:
    """Return a text that UTF-8 can hold: a question mark stands for a lone surrogate."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


class Endpoint(NamedTuple):
    """Where a model's calls go."""

    provider: str | None
    host: str | None


def endpoint_of(model: Any) -> Endpoint:
    """Return the provider and the host of a model, as far as its attributes tell.

    Example:
        >>> class Local:
        ...     api_base = "http://user:secret@localhost:8000/v1"
        >>> endpoint_of(Local()).host
        'localhost'
    """
    key, url = getattr(model, "needs_key", None), None
    for name in ("api_base", "base_url"):
        url = url or getattr(model, name, None)
    plugin = type(model).__module__.partition(".")[0].removeprefix("llm_")
    # llm's own models without a key are imitations of OpenAI's API that the user has set up.
    provider = key if isinstance(key, str) else "openai-compatible" if plugin == "llm" else plugin
    return Endpoint(provider, _host_of(url) if isinstance(url, str) else None)


def _host_of(url: str) -> str | None:
    """Return the host of a URL as it is written there: a secret in lower case would not be known again."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    at = parts.netloc.lower().rfind(host)
    return parts.netloc[at : at + len(host)] or None


def options_json(options: Any, clean: Callable[[str], str] | None = None) -> str | None:
    """Return the options that are set as JSON. Texts may quote the prompt: they are told of, not kept.

    Args:
        options: those of a prompt.
        clean: what names and the words of fixed lists pass through.

    Example:
        >>> options_json({"temperature": 0, "prefill": "Dear Ann,", "top_p": None})
        '{"temperature":0,"prefill":null}'
    """
    kept = {name: _kept(value) for name, value in options_set(options)}
    return orjson.dumps(plain(kept, clean)).decode() if kept else None


def options_set(options: Any) -> list[tuple[str, Any]]:
    """Return the names and values of the options that are set to something."""
    given = getattr(options, "__pydantic_fields_set__", None)  # `model_fields_set` is a property, and slow
    if given:  # most prompts set none
        pairs = [(name, getattr(options, name)) for name in sorted(given)]
    elif given is None and isinstance(options, Mapping):
        pairs = list(cast("Mapping[str, Any]", options).items())
    else:
        return []
    return [(name, value) for name, value in pairs if value is not None]


def _kept(value: Any) -> Any:
    """Return numbers, and texts that were chosen from a fixed list."""
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else _kept(value.value)
    return value if isinstance(value, bool) else number(value)


def digest(text: str) -> tuple[str, int]:
    """Return the digest by which llm's own log knows a fragment, and its length in bytes."""
    encoded = text.encode(errors="surrogatepass")
    return sha256(encoded).hexdigest(), len(encoded)


def timestamp(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as ISO-8601 in UTC with microseconds.

    Example:
        >>> timestamp(0.25)
        '1970-01-01T00:00:00.250000Z'
    """
    return timestamps((seconds,))[0]


def timestamps(times_s: Iterable[float]) -> list[str]:
    """Return `timestamp` of each: most of them are of one second, whose text is made once."""
    found: list[str] = []
    second = next_second = 0.0
    text = ""
    for time_s in times_s:
        moment_s = time_s + _HALF
        if moment_s >= next_second or moment_s < second:
            second = moment_s // 1
            next_second = second + 1
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        micros = int((moment_s - second) * 1_000_000)
        found.append(f"{text}{micros}Z" if micros >= _SIX_DIGITS else f"{text}{micros:06}Z")
    return found


_SIX_DIGITS = 100_000  # numbers of six digits need no padding, which takes long
_HALF = 0.000_000_5  # of a microsecond: no float is exactly the time that it stands for
