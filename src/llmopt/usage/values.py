"""Single values of rows: where a model's calls go, which options are set, digests and times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import orjson


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
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        host = None
    return Endpoint(provider, host)


def options_json(options: Any) -> str | None:
    """Return the options that are set as JSON. Texts may quote the prompt: they are told of, not kept.

    Example:
        >>> options_json({"temperature": 0, "prefill": "Dear Ann,", "top_p": None})
        '{"temperature":0,"prefill":null}'
    """
    given = getattr(options, "__pydantic_fields_set__", None)  # `model_fields_set` is a property, and slow
    read: Callable[[str], Any]
    if given:  # most prompts set none
        names, read = sorted(given), partial(getattr, options)
    elif given is None and isinstance(options, Mapping):
        named = cast("Mapping[str, Any]", options)
        names, read = list(named), named.__getitem__
    else:
        return None
    kept: dict[str, Any] = {}
    for name in names:
        value = read(name)
        if type(value) is float:
            kept[name] = value
        elif value is not None:
            kept[name] = _kept(value)
    return orjson.dumps(kept).decode() if kept else None


def _kept(value: Any) -> Any:
    """Return numbers, and texts that were chosen from a fixed list."""
    if isinstance(value, int) and abs(value) < _EXACT:
        return value
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else _kept(value.value)
    return value if isinstance(value, float) else None


_EXACT = 2**53  # what JSON's readers can hold


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
