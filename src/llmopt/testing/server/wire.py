"""HTTP/1.1 without I/O: requests out of a buffer of bytes, and answers ready to be written."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body."""

_SECRET = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class RawRequest(NamedTuple):
    """One HTTP request.

    Attributes:
        method: its method.
        target: path and query.
        headers: its headers, names in lower case.
        body: its body.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        """Whether the client may send another request over the same connection."""
        return self.headers.get("connection", "").lower() != "close"


def _nothing() -> None:
    pass


def _ignore(disconnected: bool) -> None:  # noqa: FBT001 - a callback takes what it is called with
    del disconnected


@dataclass(frozen=True, slots=True)
class Sending:
    """What a connection has to write, and when.

    Attributes:
        pieces: bytes, one write each; at least one.
        last: bytes that follow `end_delay_s` after the last piece.
        delay_s: seconds before the first piece.
        gap_s: seconds between two pieces.
        end_delay_s: see `last`.
        end: "keep" the connection for the next request, "close" it, or "hang": fall silent.
        on_start: called just before the first byte goes out.
        on_end: called when it is over; told whether the client left before.
    """

    pieces: Sequence[bytes]
    last: bytes = b""
    delay_s: float = 0.0
    gap_s: float = 0.0
    end_delay_s: float = 0.0
    end: Literal["keep", "close", "hang"] = "keep"
    on_start: Callable[[], None] = _nothing
    on_end: Callable[[bool], None] = _ignore

    @property
    def is_immediate(self) -> bool:
        """Whether it is over as soon as it is written."""
        return not (self.delay_s or self.gap_s or self.end_delay_s) and self.end != "hang"


def take_request(buffer: bytearray) -> RawRequest | None:
    r"""Remove the first request from a buffer.

    Args:
        buffer: the bytes received and not yet taken; they shrink by one request.

    Returns:
        The request, or None while it is incomplete.

    Raises:
        ValueError: if the bytes are no HTTP/1.1 request with a content length.

    Example:
        >>> buffer = bytearray(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\nPOST ...")
        >>> take_request(buffer).target, bytes(buffer)
        ('/v1/models', b'POST ...')
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if version != "HTTP/1.1" or "transfer-encoding" in headers:
        raise ValueError("this server reads HTTP/1.1 requests with a content-length only")
    stop = end + 4 + _length(headers)
    if len(buffer) < stop:
        return None
    body = bytes(buffer[end + 4 : stop])
    del buffer[:stop]
    return RawRequest(method, target, headers, body)


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise ValueError("content-length must be a number")
    return int(text)


def head(status: int, headers: Mapping[str, str], *, length: int | None) -> bytes:
    """Return the status line and headers of an answer.

    Args:
        status: the status code.
        headers: the headers; they may replace those made here.
        length: bytes of the body, or None for a chunked one.

    Returns:
        Everything up to the body.
    """
    framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in (framing | dict(headers)).items()]
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    r"""Return one chunk of a chunked body.

    Example:
        >>> chunk(b"data: [DONE]")
        b'c\r\ndata: [DONE]\r\n'
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the headers without the credentials in them.

    Example:
        >>> masked({"authorization": "Bearer sk-123", "accept": "*/*"})
        {'authorization': '***', 'accept': '*/*'}
    """
    return {name: "***" if name in _SECRET else value for name, value in headers.items()}


def credential(headers: Mapping[str, str]) -> str:
    """Return the API key that a request carries, or an empty string."""
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
