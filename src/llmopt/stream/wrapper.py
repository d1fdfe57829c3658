"""Finds the list of plans inside a wrapper object, `{"plans": [...]}`, while the object is arriving.

Providers whose structured output must be an object force such wrappers. Whether an object is a wrapper or
a plan itself is decided by its keys: a field of the plan's means a plan; a list of objects under a customary
key, or one whose objects begin with a field of the plan's, means a wrapper. What is undecided when the object
closes was a plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from .alphabet import Alphabet, Brackets, Matcher, Text

__all__ = ["WRAPPER_KEYS", "Found", "Wrapper"]

WRAPPER_KEYS: Final = frozenset(
    (
        *("plans", "items", "elements", "tasks", "response", "responses", "data", "results", "result"),
        *("agents", "output", "outputs", "actions", "orders", "plan_list", "agent_plans", "rows", "list"),
    )
)
"""Keys under which lists of objects are customary; `items` is llm's own, `elements` the Vercel SDK's."""

# A token that is not complete within so much is not waited for: nobody calls a key that.
_LONGEST_TOKEN = 1024
# Deeper than this nobody puts the list; what is there is passed by.
_DEEPEST = 8
_MOST_PIECES = 256
_WS = r"[ \t\r\n]*+"
_KEY = r'"(?P<{}>[^"\\]*+(?:\\.[^"\\]*+)*+)"'


_What: TypeAlias = Literal["list", "plan", "inner", "closed"]
# The place reached; or what was found there; or None: this token is not complete.
_Step: TypeAlias = int | tuple[_What, int] | None


class Found(NamedTuple):
    """What the search has come to.

    Attributes:
        what: "list": its elements follow, `rest` beginning with its bracket. "plan": the object itself is
            one, `rest` being its text so far. "inner": as "plan", but within a wrapper. "closed": the whole
            object was looked through, `rest` follows it.
    """

    what: _What
    rest: Text


class Wrapper:
    """One search.

    Args:
        alphabet: of the stream.
        path: the keys to follow, or None to decide by customary keys and the plan's own.
        own: the keys that a plan has; the id's among them.
        rows: whether plans are arrays.

    Attributes:
        depth: how many objects are open around the place.
    """

    def __init__(
        self, alphabet: Alphabet, path: tuple[str, ...] | None, own: frozenset[str], *, rows: bool
    ) -> None:
        self._alphabet = alphabet
        self._path = path
        self._own = own
        self._rows = rows
        self._head: list[Text] = []
        self._held = alphabet.nothing
        self._open: tuple[Brackets, int, bool] = (
            alphabet.braces,
            1,
            False,
        )  # the container that is being skipped
        self._state: Callable[[Text, int], _Step] = self._opening
        self._matched = 0  # how many keys of the path lead to the object that is open
        self.depth = 0
        self.size = 0

        def compile_(source: str) -> Matcher:
            return alphabet.pattern(source).match

        self._entry = compile_(rf"{_WS}{_KEY.format('key')}{_WS}:{_WS}(?=[^ \t\r\n])")
        inner = _KEY.format("inner")
        self._object = compile_(rf"\{{{_WS}(?:{inner}{_WS}:|(?P<other>[^\s\"]))")
        self._list = compile_(
            rf"\[{_WS}(?:(?P<empty>\])|(?P<row>\[)|\{{{_WS}(?:{inner}{_WS}:|(?P<bare>\}}))|(?P<other>[^\s{{]))"
        )

    @property
    def head(self) -> Text:
        """The text of the object before the list."""
        return self._alphabet.nothing.join(self._head)

    def unread(self) -> Text:
        """Return all that was fed."""
        return self.head + self._held

    def feed(self, text: Text) -> Found | None:
        """Take the next region. Return what was found, or None if more is needed."""
        if self._held:
            text, self._held = self._held + text, self._alphabet.nothing
        start = pos = 0
        found: _What | None = None
        while found is None and pos < len(text):
            after = self._state(text, pos)
            if isinstance(after, int):
                pos = after
            elif after is None:  # incomplete: this token is looked at again
                self._held = text[pos:]
                break
            else:
                found, pos = after
        self._head.append(text[start:pos])
        if len(self._head) > _MOST_PIECES:
            self._head = [self.head]
        self.size += pos - start
        if found is None and len(self._held) > _LONGEST_TOKEN:
            found, pos, text = "plan", 0, self._held
        if found is None:
            return None
        rest = text[pos:]
        if found == "plan":
            rest, self._head = self.head + rest, []
        return Found(found, rest)

    def _opening(self, text: Text, pos: int) -> _Step:  # noqa: ARG002 - as all states
        self.depth += 1
        self._state = self._member
        return pos + 1

    def _member(self, text: Text, pos: int) -> _Step:
        """Read `"key": ` up to its value."""
        entry = self._entry(text, pos)
        if entry is None:
            blank = self._alphabet.blank(text, pos).end()
            if blank == len(text):
                return int(blank)
            if text[blank : blank + 1] == self._alphabet.close_brace:
                self._state = self._after
                return int(blank)
            # Either the key is not complete, or this is no JSON, which decoding the object will show.
            return (
                None
                if text[blank] == self._alphabet.quote and not self._is_key(text, blank)
                else ("plan", pos)
            )
        return self._value(_str(entry["key"]), text, pos, entry.end())

    def _is_key(self, text: Text, pos: int) -> bool:
        """Whether a whole string stands at `pos` with something other than a colon behind it."""
        end = self._alphabet.tail(text, pos + 1).end()
        if end >= len(text) or text[end] != self._alphabet.quote:
            return False
        after = self._alphabet.blank(text, end + 1).end()
        return after < len(text) and bool(text[after : after + 1] != self._alphabet.of(":"))

    def _value(self, key: str, text: Text, start: int, pos: int) -> _Step:  # noqa: PLR0911
        """Decide what to do with the value at `pos`, whose key begins at `start`."""
        char = text[pos : pos + 1]
        if self._path is not None:
            return self._on_path(key, char, pos)
        if key in self._own and self.depth == 1:
            return "plan", start
        match = self._list(text, pos)
        if char == self._alphabet.open_brace:
            match = self._object(text, pos)
        elif char != self._alphabet.open_square:
            return self._skip(char, pos)
        if match is None and len(text) - pos < _LONGEST_TOKEN:
            return None
        if char == self._alphabet.open_brace:
            is_plan = match and _str(match["inner"] or "") in self._own
            if is_plan:
                return "inner", pos
            return self._descend(pos) if self.depth < _DEEPEST else self._skip(char, pos)
        return ("list", pos) if match and self._is_list(key, match) else self._skip(char, pos)

    def _is_list(self, key: str, match: re.Match[Any]) -> bool:
        if match["row"]:
            return self._rows
        customary = key.lower() in WRAPPER_KEYS
        if match["inner"] is not None:
            return not self._rows and (customary or _str(match["inner"]) in self._own)
        return customary and bool(match["empty"] or (match["bare"] and not self._rows))

    def _on_path(self, key: str, char: Text, pos: int) -> _Step:
        path = self._path or ()
        if self._matched != self.depth - 1 or key != path[self._matched]:
            return self._skip(char, pos)
        if self._matched + 1 == len(path):
            if char == self._alphabet.open_square:
                return "list", pos
            return ("inner" if char == self._alphabet.open_brace else "plan"), pos
        if char != self._alphabet.open_brace:
            return self._skip(char, pos)
        self._matched += 1
        return self._descend(pos)

    def _descend(self, pos: int) -> int:
        self.depth += 1
        self._state = self._member
        return pos + 1

    def _skip(self, char: Text, pos: int) -> int:
        """Begin to skip the value at `pos`, whose first character is `char`."""
        alphabet = self._alphabet
        if char in (alphabet.open_brace, alphabet.open_square):
            brackets = alphabet.braces if char == alphabet.open_brace else alphabet.squares
            self._open = (brackets, 1, False)
            self._state = self._skip_container
            return pos + 1
        if char == alphabet.of('"'):
            self._state = self._skip_string
            return pos + 1
        self._state = self._skip_scalar
        return pos

    def _skip_container(self, text: Text, pos: int) -> _Step:
        brackets, depth, inside = self._open
        after, depth, inside = brackets.walk(text, pos, depth, inside)
        self._open = (brackets, depth, inside)
        if not depth:
            self._state = self._after
        return after if after > pos else None

    def _skip_string(self, text: Text, pos: int) -> _Step:
        after = self._alphabet.tail(text, pos).end()
        if after < len(text) and text[after] == self._alphabet.quote:
            self._state = self._after
            return int(after) + 1
        return int(after) if after > pos else None

    def _skip_scalar(self, text: Text, pos: int) -> _Step:
        after = self._alphabet.scalar(text, pos).end()
        if after < len(text):
            self._state = self._after
        return int(after)

    def _after(self, text: Text, pos: int) -> _Step:
        """Go past what follows a value: a comma, or the end of the object."""
        pos = self._alphabet.blank(text, pos).end()
        char = text[pos : pos + 1]
        if char == self._alphabet.of(","):
            self._state = self._member
            return pos + 1
        if char != self._alphabet.close_brace:
            return pos if not char else ("plan", pos)
        self.depth -= 1
        self._matched = min(self._matched, max(self.depth - 1, 0))
        return pos + 1 if self.depth else ("closed", pos + 1)


def _str(text: Text) -> str:
    return text if isinstance(text, str) else bytes(text).decode(errors="replace")
