"""What an encoding may use, by profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["PROFILES", "Features"]


@dataclass(frozen=True, slots=True)
class Features:
    """The devices that an encoding may use.

    Attributes:
        name: the encoding's name, as `Encoded.encoding` has it.
        hoist: constants stand in the template, once, and templates reach into nested values.
        digits: numbers and dates stand in fields of digits without delimiters.
        derive: strings are made of parts that they share with other columns or with each other.
        look_up: what follows from another column, or comes again, is written once.
        unpack: JSON inside of strings is opened.
    """

    name: str
    hoist: bool = False
    digits: bool = False
    derive: bool = False
    look_up: bool = False
    unpack: bool = False


_PLAIN: Final = Features("tables")
_HOISTED: Final = Features("templates", hoist=True)
_DENSE: Final = Features("dense", hoist=True, digits=True, derive=True, look_up=True, unpack=True)

PROFILES: Final[dict[str, tuple[Features, ...]]] = {
    "safe": (_PLAIN,),
    "balanced": (_PLAIN, _HOISTED),
    "dense": (_PLAIN, _HOISTED, _DENSE),
}
"""Profile -> the encodings it permits beside compact JSON, from the plainest to the tightest."""
