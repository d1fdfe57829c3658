"""Where an element ends, told from its shape: its brackets and quotes, without all that stands between them.

The shape of a text is a few characters long and is made by one call. Plans are alike, so that the same few
shapes come again and again: what follows from one is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["Reached", "follow", "levels", "shape_of_bytes", "shape_of_str"]

_NOISE: Final = bytes(set(range(256)) - set(b'"{}[]'))
_ESCAPED: Final = b"\xff"  # a byte that UTF-8 does not have
_NOISE_BUT_ESCAPED: Final = _NOISE.replace(_ESCAPED, b"")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"{}[]"))
_OTHER: Final = {ord("{"): ord("["), ord("["): ord("{")}
_CLOSER: Final = {ord("{"): ord("}"), ord("["): ord("]")}
_MOST_ROUNDS: Final = 32
_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")


@dataclass(frozen=True, slots=True)
class Reached:
    """The state at the end of a text, or at the end of the element if that is before.

    Only brackets of the element's own kind are counted towards its end. Whether the others match them is
    proved by decoding the element, which has to be done anyway.

    Attributes:
        depth: how many brackets of its own kind are open, 0 at its end.
        others: how many of the other kind are.
        deepest: the most that were open at once, of both kinds.
        closers: how many closing brackets of its own kind lead up to its end, those in strings included, or
            0 if its end is the last of them that there is.
        stack: a shape that leads to this state.
    """

    depth: int
    others: int
    deepest: int
    closers: int
    stack: bytes


def shape_of_bytes(text: bytes) -> bytes:
    """Return the shape of a text that does not end with a backslash.

    Example:
        >>> shape_of_bytes(b'{"a": ["x}", {')
        b'{""["}"{'
    """
    if _BACKSLASH not in text:
        return text.translate(None, _NOISE)
    # An escaped quote is one outside of strings, where nothing can be escaped.
    text = text.replace(_ESCAPED, b"").replace(b"\\\\", b"").replace(b'\\"', _ESCAPED)
    return text.translate(None, _NOISE_BUT_ESCAPED)


def shape_of_str(text: str) -> bytes:
    """Return the shape of a text that does not end with a backslash."""
    return shape_of_bytes(text.encode("utf-8", "replace"))


@lru_cache(maxsize=64)
def follow(shape: bytes) -> Reached:
    """Return where an element leads to, whose shape this is from its first bracket on.

    Example:
        >>> follow(b'{""["}"{'), follow(b'{"}"[{}]}{}')
        (Reached(depth=2, others=1, deepest=3, closers=0, stack=b'{{['), \
Reached(depth=0, others=0, deepest=3, closers=3, stack=b''))
    """
    opener = shape[0]
    other, closer = _OTHER[opener], _CLOSER[opener]
    depth = others = deepest = closers = 0
    inside = False
    shape = shape.replace(b'""', b"")
    for at, char in enumerate(shape):
        if char == _QUOTE:
            inside = not inside
        elif char == _ESCAPED[0]:
            inside = True
        elif char == closer:
            closers += 1
            depth -= not inside
            if not depth:
                return Reached(0, 0, deepest, closers if closer in shape[at + 1 :] else 0, b"")
        elif not inside:
            if char == opener:
                depth += 1
            else:
                others = max(0, others + (1 if char == other else -1))
            deepest = max(deepest, depth + others)
    stack = bytes((opener,)) * depth + bytes((other,)) * others + b'"' * inside
    return Reached(depth, others, deepest, 0, stack)


def levels(text: bytes, enough: int) -> int:
    """Return how deep the brackets of a text may stand in each other: as deep as they do, or deeper.

    Args:
        text: of whole elements. Brackets in strings are taken for brackets.
        enough: from where on it does not matter how deep.

    Example:
        >>> plans = b'{"a": [{}, {}]}, {}'
        >>> levels(plans, 3), levels(plans, 4), levels(b'{"a": "]"}', 1)
        (5, 4, 1)
    """
    brackets = text.translate(None, _NO_BRACKETS)
    most = len(brackets) - brackets.count(b"}") - brackets.count(b"]")
    return most if most <= enough else _levels(brackets, min(enough // 2, _MOST_ROUNDS), most)


@lru_cache(maxsize=4)
def _levels(brackets: bytes, rounds: int, most: int) -> int:
    for done in range(1, rounds + 1):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return 2 * done  # each time two levels may have gone
    return most
