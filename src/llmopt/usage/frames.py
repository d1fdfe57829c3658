"""How records lie in a file of the spool: one after the other, each framed so that damage shows.

A frame is the length and the CRC-32 of its payload, four bytes each, little-endian, and then the payload. A
file begins with `MAGIC`, whose last byte is the version of this format. Nothing here reads or writes files.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

VERSION = 1
"""The version of the format. Files of another one are left to the llmopt that knows it."""

MAGIC = b"llmopt\n" + bytes([VERSION])
"""The first bytes of a file."""

LIMIT_BYTES = 2**24 - 1
"""The longest payload. The last byte of a length is therefore zero, a byte that JSON never holds. It tells
where the next frame may be behind a damaged one."""

_HEADER = Struct("<II")
_LENGTH_LAST = 3  # place of the length's last byte in a header


class Unpacked(NamedTuple):
    """What a buffer of frames held.

    Attributes:
        payloads: those of the frames that are whole, in order.
        consumed: bytes up to the end of the last of them. What follows may be a frame that is not all there.
        lost: bytes among those consumed that belong to no whole frame.
    """

    payloads: list[bytes]
    consumed: int
    lost: int


def pack(payload: bytes) -> bytes:
    """Return a payload's frame.

    Args:
        payload: from 1 to `LIMIT_BYTES` bytes. An empty one would look like the zeros that some file systems
            leave at the end of a file after a loss of power.

    Raises:
        ValueError: it is empty, or too long.

    Example:
        >>> unpack(pack(b"one") + pack(b"two"))
        Unpacked(payloads=[b'one', b'two'], consumed=22, lost=0)
    """
    if not 0 < len(payload) <= LIMIT_BYTES:
        raise ValueError(f"a payload has 1 to {LIMIT_BYTES} bytes, not {len(payload)}")
    return _HEADER.pack(len(payload), crc32(payload)) + payload


def unpack(buffer: bytes) -> Unpacked:
    """Return the whole frames of a buffer that begins with a frame. Whatever it holds, nothing is raised.

    Behind damage the next whole frame is looked for. An unfinished frame at the end is not consumed.

    Example:
        >>> unpack(pack(b"one")[:-1] + pack(b"two") + pack(b"three")[:9])
        Unpacked(payloads=[b'two'], consumed=21, lost=10)
    """
    payloads: list[bytes] = []
    consumed = lost = 0
    start = 0
    while start >= 0:
        lost += start - consumed
        consumed = start
        while (payload := _payload(buffer, consumed)) is not None:
            payloads.append(payload)
            consumed += _HEADER.size + len(payload)
        start = _find(buffer, consumed + 1)
    return Unpacked(payloads, consumed, lost)


def is_unfinished(rest: bytes) -> bool:
    """Tell whether the bytes behind the last whole frame can be the beginning of one that was being written.

    A process that is killed leaves such a beginning, of a record that nobody was told is safe. Anything else
    is damage.

    Example:
        >>> is_unfinished(pack(b"one")[:-1]), is_unfinished(bytes(64))
        (True, False)
    """
    if len(rest) < _HEADER.size:
        return any(rest) or not rest
    length: int = _HEADER.unpack_from(rest)[0]
    return len(rest) - _HEADER.size < length <= LIMIT_BYTES


def _payload(buffer: bytes, at: int) -> bytes | None:
    """Return the payload of the whole frame that begins here, if there is one."""
    start = at + _HEADER.size
    if start > len(buffer):
        return None
    length, checksum = _HEADER.unpack_from(buffer, at)
    payload = buffer[start : start + length]
    return payload if len(payload) == length and length and crc32(payload) == checksum else None


def _find(buffer: bytes, at: int) -> int:
    """Return where the next whole frame begins, or -1."""
    end = len(buffer.rstrip(b"\0"))  # of a frame, the checksum at least is behind the zero that is looked for
    zero = buffer.find(0, at + _LENGTH_LAST, end)
    while zero >= 0 and _payload(buffer, zero - _LENGTH_LAST) is None:
        if not any(buffer[zero - _LENGTH_LAST : zero]):  # no length is 0: on to the next byte that is not
            zero = end - len(buffer[zero:end].lstrip(b"\0"))
        zero = buffer.find(0, zero + 1, end)
    return zero - _LENGTH_LAST if zero >= 0 else -1
