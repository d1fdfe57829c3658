"""What an error of a provider, an SDK or the network means: its status, its class, whether to try again.

Errors are known by their attributes and by the names of their classes, so no SDK is imported. The chain
of causes is followed, because SDKs and llm plugins wrap what the transport raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias, cast

from ..errors import CallError, CallTimeout, FallbackFailed, LLMOptError

ErrorClass: TypeAlias = Literal[
    "auth",
    "bad_request",
    "cancelled",
    "connection",
    "not_found",
    "other",
    "overloaded",
    "quota",
    "refused",
    "server",
    "timeout",
    "too_large",
    "too_many_requests",
]
"""The classes that the usage log groups errors by. "refused" are llmopt's own refusals; a fallback whose
tiers have all failed has the class of what it is raised from, which is the model's own failure."""

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed: those that the openai and anthropic SDKs retry,
with 425 (RFC 8470) and Anthropic's 529."""

PERMANENT_STATUSES = frozenset({400, 401, 403, 404, 413, 422})
"""Statuses that speak of the request itself: no header makes them worth another try."""

_CLIENT_ERROR, _SERVER_ERROR, _LAST_STATUS = 400, 500, 599
_CAUSES = 8  # deep enough for every wrapper seen, and a bound for cycles

_QUOTA = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"}
)

# What providers write into the body of an error that comes in the middle of a stream of status 200.
_STATUS_OF_WORD = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_TIMEOUTS = frozenset({"APITimeoutError", "Timeout", "TimeoutException"})
_CONNECTION = frozenset(
    {
        "APIConnectionError",  # openai, anthropic
        "ChunkedEncodingError",  # requests
        "ClientConnectionError",  # aiohttp
        "ClientPayloadError",  # aiohttp
        "ConnectionError",  # requests; the builtin too
        "IncompleteRead",  # http.client
        "NetworkError",  # httpx, httpx2, httpcore
        "ProxyError",  # httpx, httpx2
        "RemoteProtocolError",  # httpx, httpx2
        "RetryableError",  # anthropic
        "gaierror",  # socket: name resolution
    }
)

# They come wrapped in connection errors, and no repetition mends them.
_HOPELESS = frozenset({"InvalidURL", "LocalProtocolError", "SSLCertVerificationError", "UnsupportedProtocol"})

_CLASS_OF_STATUS: dict[int, ErrorClass] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    429: "too_many_requests",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status (400 to 599) that an error, or what caused it, carries; else None.

    An error reported inside a stream has no status of its own (its response began with 200); it gets
    the one that stands for the type which the provider names in it.

    Example:
        >>> class RateLimitError(Exception):
        ...     status_code = 429
        >>> http_status(RateLimitError())
        429
    """
    return next((status for link in _chain(error) if (status := _own_status(link)) is not None), None)


def error_class(error: BaseException) -> ErrorClass:
    """Return the class that the usage log groups an error by.

    Example:
        >>> error_class(ConnectionResetError())
        'connection'
    """
    if not isinstance(error, Exception):
        return "cancelled"
    for link in _chain(error):
        found = _own_class(link)
        if found is not None:
            return found
    return "other"


def is_transient(error: BaseException) -> bool:
    """Tell whether the same request may succeed if it is sent again.

    Transient are `TRANSIENT_STATUSES`, failed connections and timeouts; not an exhausted quota, though
    its status is 429. The server's own word, the `x-should-retry` header that the SDKs obey, goes
    before the status, except for `PERMANENT_STATUSES`.

    Example:
        >>> is_transient(TimeoutError()), is_transient(ValueError("bad prompt"))
        (True, False)
    """
    if not isinstance(error, Exception):
        return False
    return next((verdict for link in _chain(error) if (verdict := _own_verdict(link)) is not None), False)


def retry_after_s(error: BaseException, wall_now: float | None = None) -> float | None:
    """Return the seconds for which the server asked to be left alone, or None if it did not.

    Read are `retry-after-ms` (OpenAI, Azure) and `Retry-After` in seconds or as a date (RFC 9110,
    section 10.2.3). A date is compared with the response's own `Date`, so that clocks need not agree.

    Args:
        error: what the call raised.
        wall_now: seconds since the Unix epoch, for a response without a `Date`.

    Returns:
        Seconds from 0.0 up, infinity included.

    Example:
        >>> class Overloaded(Exception):
        ...     headers = {"Retry-After": "7"}
        >>> retry_after_s(Overloaded())
        7.0
    """
    for link in _chain(error):
        millis = _seconds(_header(link, "retry-after-ms"))
        if millis is not None:
            return millis / 1000
        asked = _header(link, "retry-after")
        found = _seconds(asked)
        if found is None:
            found = _until(asked, _header(link, "date"), wall_now)
        if found is not None:
            return found
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes. llm's ModelError is often raised without `from`: it has a context."""
    link: BaseException | None = error
    for _ in range(_CAUSES):
        if link is None:
            return
        yield link
        cause = link.__cause__
        if cause is None and not link.__suppress_context__ and "ModelError" in _names(link):
            cause = link.__context__
        link = cause


def _names(link: BaseException) -> frozenset[str]:
    return frozenset(cls.__name__ for cls in type(link).__mro__)


def _own_status(link: BaseException) -> int | None:
    for holder in (link, getattr(link, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if (
                isinstance(value, int)
                and not isinstance(value, bool)
                and _CLIENT_ERROR <= value <= _LAST_STATUS
            ):
                return int(value)
    return next((_STATUS_OF_WORD[word] for word in _words(link) if word in _STATUS_OF_WORD), None)


def _words(link: BaseException) -> list[str]:
    """Return the codes and types that a provider's error body names, the most specific first."""
    body = _mapping(getattr(link, "body", None))
    inner = _mapping(body.get("error"))
    named = [getattr(link, "code", None), getattr(link, "type", None)]
    named += [part.get(name) for part in (inner, body) for name in ("code", "type")]
    return [word for word in named if isinstance(word, str)]


def _mapping(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _own_verdict(link: BaseException) -> bool | None:
    if isinstance(link, LLMOptError):
        return isinstance(link, CallTimeout)
    status = _own_status(link)
    if status is not None:
        return _worth_another(link, status)
    if _is_timeout(link) or _is_connection(link):
        return not any(_HOPELESS & _names(cause) for cause in _chain(link))
    return False if _HOPELESS & _names(link) else None


def _worth_another(link: BaseException, status: int) -> bool:
    if status in PERMANENT_STATUSES or not _QUOTA.isdisjoint(_words(link)):
        return False
    told = _header(link, "x-should-retry")
    return told == "true" if told in {"true", "false"} else status in TRANSIENT_STATUSES


def _own_class(link: BaseException) -> ErrorClass | None:
    if isinstance(link, FallbackFailed):
        return None
    if isinstance(link, LLMOptError):
        return (
            "timeout"
            if isinstance(link, CallTimeout)
            else "refused"
            if isinstance(link, CallError)
            else "other"
        )
    status = _own_status(link)
    if status is not None:
        if not _QUOTA.isdisjoint(_words(link)):
            return "quota"
        return _CLASS_OF_STATUS.get(status, "server" if status >= _SERVER_ERROR else "bad_request")
    if _is_timeout(link):
        return "timeout"
    return "connection" if _is_connection(link) else None


def _is_timeout(link: BaseException) -> bool:
    return isinstance(link, TimeoutError) or not _TIMEOUTS.isdisjoint(_names(link))


def _is_connection(link: BaseException) -> bool:
    return not _CONNECTION.isdisjoint(_names(link))


def _header(link: BaseException, name: str) -> str | None:
    for holder in (getattr(link, "response", None), link):
        items: Any = getattr(getattr(holder, "headers", None), "items", None)
        if callable(items):
            pairs = cast("Iterable[tuple[object, object]]", items())
            found = {str(key).lower(): value for key, value in pairs}.get(name)
            if found is not None:
                return str(found).strip()
    return None


def _seconds(text: str | None) -> float | None:
    """Parse a number as a header has it: digits and a point; "inf", "nan" and "1_0" are no numbers."""
    if text is None or not text.isascii() or not text.replace(".", "", 1).isdigit():
        return None
    return float(text)


def _until(text: str | None, date: str | None, wall_now: float | None) -> float | None:
    then = _timestamp(text)
    now = _timestamp(date)
    if now is None:
        now = wall_now
    return None if then is None or now is None else max(0.0, then - now)


def _timestamp(text: str | None) -> float | None:
    if not text:
        return None
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
