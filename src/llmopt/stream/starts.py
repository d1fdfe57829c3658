"""Where plans begin in a reply that also has other things to say: prose, fences, thinking aloud, a BOM.

Everything that is no beginning is passed by, so none of these needs to be recognised: a fence is text. Only
a bracket with what must follow it counts as a beginning, and a thought is passed by as a whole, its drafts
included.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, cast

from .alphabet import CURVED_CLOSE, CURVED_OPEN, Alphabet, Matcher, Text

__all__ = ["Start", "Starts"]

_WS = r"[ \t\r\n]*+"
_THOUGHTS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis"
# What may follow the brace of a plan, and the bracket of a row. Damaged ones are to be recognised as well, or
# else the steps within them would be taken for plans.
_KEY = rf"""(?:["'{CURVED_OPEN}}}]|[A-Za-z_]\w{{0,63}}+[ \t]*+:|//|/\*|\#|\{{)"""
_QUOTED = rf"""["'{CURVED_OPEN}][^"\\\n'{CURVED_CLOSE}]{{1,128}}["'{CURVED_CLOSE}]"""
_ID = rf"(?:{_QUOTED}[ \t]*+[,\]]|-?\d{{1,18}}+[ \t]*+,)"
# Text at the end of a region that may become a beginning with what follows it. All of it is bounded, so that
# a bracket with a megabyte of blanks behind it is prose.
_BLANKS = r"[ \t\r\n]{0,256}+"
_CUT_TAG = r"<[a-z]{0,16}+(?:\s[^<>]{0,64}+)?"
_CUT_TOKEN = rf"""(?:["'\w{CURVED_OPEN}-][^\[\]{{}}<>\n]{{0,140}}+)?"""


class Start(NamedTuple):
    """What stands at `pos`, ending before `end`."""

    what: Literal["list", "element", "thought", "maybe"]
    pos: int
    end: int


class Starts:
    """Finds beginnings.

    Args:
        alphabet: of the stream.
        key: of the id; a number where plans are arrays.
    """

    def __init__(self, alphabet: Alphabet, *, key: str | int) -> None:
        if isinstance(key, str):
            # The first plan of a list may lack its brace.
            bare = rf"""|["'{CURVED_OPEN}]{re.escape(key)}["'{CURVED_CLOSE}]\s*+:"""
            opener, inner = r"\{", _KEY
        else:
            opener, inner, bare = r"\[", _ID, ""
        thought = rf"(?P<thought><(?:{_THOUGHTS})(?:\s[^<>]{{0,64}}+)?>)"
        list_ = rf"(?P<list>\[(?={_WS}(?:\]|{opener}{_WS}{inner}{bare})))"
        element = rf"(?P<element>(?={opener}{_WS}{inner}))"
        cut = rf"(?:{_CUT_TAG}|\[{_BLANKS}(?:{opener}{_BLANKS})?|{opener}{_BLANKS}){_CUT_TOKEN}"
        starts = rf"{thought}|{list_}|{element}|(?P<maybe>{cut}\Z)"
        self._find: Matcher = alphabet.pattern(starts, re.IGNORECASE).search
        ends = rf"</(?:{_THOUGHTS})\s*+>|(?P<maybe></?[a-z]{{0,16}}+\s{{0,64}}+\Z)"
        self._end_of_thought: Matcher = alphabet.pattern(ends, re.IGNORECASE).search

    def find(self, text: Text, pos: int) -> Start | None:
        """Return the first beginning from `pos` on, or what may become one with more text."""
        match = self._find(text, pos)
        if match is None:
            return None
        return Start(cast("Any", match.lastgroup), match.start(), match.end())

    def end_of_thought(self, text: Text, pos: int) -> Start | None:
        """Return the tag that ends a thought, or what may become one with more text."""
        match = self._end_of_thought(text, pos)
        if match is None:
            return None
        return Start("maybe" if match["maybe"] is not None else "thought", match.start(), match.end())
