"""Where a damaged row ends, which its own brackets do not tell."""

from __future__ import annotations

import re

__all__ = ["ended_row", "trimmed"]

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)
_AFTER_LIST = re.compile(r"[\s,]*\][\s}]*\Z")


def trimmed(raw: str) -> str:
    """Return a row without what stands between it and the next one: commas, blanks, a fence."""
    fence = raw.rfind("```")
    if fence > max(raw.rfind("}"), raw.rfind("]")):
        raw = raw[:fence]
    return raw.rstrip(" \t\r\n,")


def ended_row(text: str, enclosing: int) -> str | None:
    """Return the row at the end of a reply, or None if the reply has ended in the middle of it.

    Args:
        text: from the beginning of the row to the end of the reply.
        enclosing: how many brackets were open before the row.

    Returns:
        The row without the brackets that enclose it. A reply that was cut off has more opening brackets
        than closing ones since the row began; one with a bracket too few has closed the list all the same.
    """
    text = text[: max(text.rfind("}"), text.rfind("]")) + 1]
    bare = _STRING.sub("", text)
    balance = sum(map(bare.count, "{[")) - sum(map(bare.count, "}]"))
    if not text or balance > (1 - enclosing if enclosing else 0):
        return None
    return _AFTER_LIST.sub("", text) if enclosing else text
