"""What it is that differs where two prompts part: a number, a time, an id, another order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["ADVICE", "Break", "Part", "break_between", "common_bytes"]

ADVICE: Final = {
    "ordering": "sort it, or keep the order in which things came",
    "uuid": "use a short handle, or put it behind what stays the same",
    "timestamp": "put it last, or leave it out",
    "count": "put it behind what it counts, or leave it out",
    "number": "put what changes behind what stays the same",
    "id": "use a short handle, or put it behind what stays the same",
    "text": "put what changes behind what stays the same",
}
"""The kinds of differences, and what helps."""

_NOUNS: Final = {
    "ordering": "the same in another order",
    "uuid": "a UUID",
    "timestamp": "a time",
    "count": "a count",
    "number": "a number",
    "id": "an id",
    "text": "a text",
}
_AROUND: Final = 64  # bytes that are looked at on each side
_SHOWN: Final = 24
_FIRST_STEP: Final = 64

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d(?:-\d\d)?|\d{1,2}:\d\d|(?<!\d)1\d{9}(?:\d{3})?(?!\d)")
_ID: Final = re.compile(r"(?=[a-z_-]*\d)(?:[0-9a-f]{8,}|[a-zA-Z]+[_-][0-9a-zA-Z]{8,})")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_COUNTED: Final = re.compile(r"\s+[a-z]+s\b")
_COUNTING: Final = re.compile(r"\b(?:count|total|number of|num|n|len|size|of)\W{0,3}$", re.IGNORECASE)
_WORD_BEFORE: Final = re.compile(r"[\w.:+-]*\Z")
_WORD_AFTER: Final = re.compile(r"[\w.:+-]*")
_PIECES: Final = re.compile(r"[\n,;{}\[\]]+\s*")


class Part(NamedTuple):
    """A part of a prompt.

    Attributes:
        name: what it is called.
        text: its text, with the separator behind it.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Break:
    """The first place at which two prompts differ.

    Attributes:
        part: the name of the part that it lies in.
        byte: bytes of the prompt before it.
        byte_in_part: bytes of the part before it.
        kind: what differs, a key of `ADVICE`.
        lead: the text right before it, which both have.
        earlier: what stood there in the earlier prompt.
        now: what stands there in this one.
    """

    part: str
    byte: int
    byte_in_part: int
    kind: str
    lead: str
    earlier: str
    now: str

    @property
    def hint(self) -> str:
        """What would help."""
        return ADVICE[self.kind]

    @property
    def difference(self) -> str:
        """What differs, in words."""
        return f"{_NOUNS[self.kind]}, {self.earlier} and then {self.now}"

    def __str__(self) -> str:
        return f"byte {self.byte:,}, in `{self.part}`: {self.difference}"


class _Side(NamedTuple):
    """One prompt at the place of the difference."""

    before: str
    after: str

    @property
    def word(self) -> str:
        return _match(_WORD_BEFORE, self.before) + _match(_WORD_AFTER, self.after)

    def number(self) -> tuple[str, int] | None:
        """Return the number that the place lies in or ends, and how much of `after` belongs to it."""
        text = self.before + self.after
        for found in _NUMBER.finditer(text):
            if found.start() <= len(self.before) <= found.end():
                return found[0], found.end() - len(self.before)
        return None


def common_bytes(one: bytes, other: bytes) -> int:
    """Return the length of the longest common prefix, comparing whole slices, in linear time.

    Example:
        >>> common_bytes(b"prefix", b"prelude")
        3
    """
    low, end = 0, min(len(one), len(other))
    step = _FIRST_STEP
    while low < end and one[low : low + step] == other[low : low + step]:
        low, step = low + step, 2 * step
    if low >= end:
        return end
    return _differs(one, other, low, min(low + step, end))


def _differs(one: bytes, other: bytes, low: int, high: int) -> int:
    """Return the first place from `low` on at which two texts differ, at the latest `high`."""
    while low < high:
        middle = (low + high) // 2
        if one[low : middle + 1] == other[low : middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


def break_between(earlier: Sequence[Part], now: Sequence[Part], byte: int) -> Break:
    """Return what differs at a byte of two prompts.

    Args:
        earlier: the parts of the earlier prompt.
        now: the parts of this one.
        byte: bytes that both begin with.
    """
    old, _ = _part_at(earlier, byte)
    part, start = _part_at(now, byte)
    sides = [_side(parts, byte) for parts in (earlier, now)]
    kind, words = _kind(old.text, part.text, *sides)
    lead = sides[1].before[-_SHOWN:]
    return Break(part.name, byte, byte - start, kind, lead, *(word[:_SHOWN] for word in words))


def _part_at(parts: Sequence[Part], byte: int) -> tuple[Part, int]:
    """Return the part that holds a byte, and the bytes before it."""
    start = 0
    for part in parts[:-1]:
        size = len(part.text.encode("utf-8", "surrogatepass"))
        if byte < start + size:
            return part, start
        start += size
    return parts[-1], start


def _side(parts: Sequence[Part], byte: int) -> _Side:
    part, start = _part_at(parts, byte)
    data = part.text.encode("utf-8", "surrogatepass")
    at = byte - start
    while at and data[at] & 0xC0 == 0x80:  # noqa: PLR2004 - within a character of UTF-8
        at -= 1
    before, after = data[max(0, at - _AROUND) : at], data[at : at + _AROUND]
    return _Side(before.decode("utf-8", "ignore"), after.decode("utf-8", "ignore"))


def _kind(old: str, new: str, earlier: _Side, now: _Side) -> tuple[str, tuple[str, str]]:
    """Return the kind of a difference, and what differs in both prompts."""
    words = earlier.word or repr(earlier.after[:1]), now.word or repr(now.after[:1])
    if old != new and _pieces(old) == _pieces(new):
        return "ordering", words
    for kind, pattern in (("uuid", _UUID), ("timestamp", _TIME)):
        if all(pattern.search(word) for word in words):
            return kind, words
    numbers = earlier.number(), now.number()
    if numbers[0] is not None and numbers[1] is not None:
        return _number_kind(earlier, now, numbers[0], numbers[1])
    if all(_ID.fullmatch(word) for word in words):
        return "id", words
    return "text", words


def _number_kind(
    earlier: _Side, now: _Side, old: tuple[str, int], new: tuple[str, int]
) -> tuple[str, tuple[str, str]]:
    behind = [_match(_COUNTED, side.after[length:]) for side, (_, length) in ((earlier, old), (now, new))]
    before = now.before[: len(now.before) - len(new[0]) + max(new[1], 0)]
    counts = "." not in old[0] + new[0] and (all(behind) or _COUNTING.search(before) is not None)
    return ("count" if counts else "number"), (old[0] + behind[0], new[0] + behind[1])


def _pieces(text: str) -> Counter[str]:
    return Counter(_PIECES.split(text.strip()))


def _match(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text) if pattern is _WORD_BEFORE else pattern.match(text)
    return found[0] if found else ""
