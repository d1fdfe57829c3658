"""Bars and sparklines out of characters, with letters of ASCII where there are no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["ASCII", "bar", "can_show", "plain_text", "spark"]

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_ASCII_HEIGHTS: Final = "_.,-=+*#"

ASCII: Final = str.maketrans(
    dict(zip(_HEIGHTS, _ASCII_HEIGHTS, strict=True))
    | dict(zip(_EIGHTHS[1:], "   ####", strict=False))
    | {"█": "#", "\N{MINUS SIGN}": "-", "…": "..."}
)
"""What stands for the characters of this module, and of numbers, where an encoding has only ASCII."""


def bar(value: float | None, most: float, width: int) -> str:
    """Return a bar whose length shows a value, in eighths of a character.

    Args:
        value: the value; None shows nothing.
        most: the value of a bar of full length.
        width: full length in characters.

    Example:
        >>> bar(3.5, 4.0, 4), bar(0.01, 4.0, 4), bar(0.0, 4.0, 4)
        ('███▌', '▏', '')
    """
    if not value or value < 0 or most <= 0:
        return ""
    eighths = max(1, round(8 * width * min(1.0, value / most)))
    full, part = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[part] if part else "")


def spark(values: Sequence[float | None]) -> str:
    """Return a line of small bars; what is unknown or nothing is a gap.

    Example:
        >>> spark([1.0, None, 4.0, 8.0, 0.0])
        '▁ ▄█ '
    """
    most = max((value for value in values if value is not None), default=0.0)
    steps = len(_HEIGHTS)
    return "".join(
        _HEIGHTS[min(steps - 1, max(0, round(steps * value / most) - 1))] if value else " "
        for value in values
    )


def can_show(encoding: str | None) -> bool:
    """Tell whether an encoding has the characters of bars.

    Example:
        >>> can_show("utf-8"), can_show("latin-1"), can_show(None)
        (True, False, True)
    """
    try:
        (_EIGHTHS + _HEIGHTS).encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def plain_text(text: str) -> str:
    """Return a text without the characters of bars.

    Example:
        >>> plain_text("██▌ ▁█")
        '### _#'
    """
    return text.translate(ASCII)
