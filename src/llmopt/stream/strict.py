"""The strict scanner: the reply is JSON and nothing else, or an error says where it is not."""

from __future__ import annotations

from ..errors import TruncatedStreamError
from .alphabet import Alphabet, Text
from .decoders import Fault, fault_in
from .intake import Intake
from .limits import Limits
from .route import Route
from .scanner import Scanner
from .states import AFTER, DONE, ELEMENT, FIRST, NEXT, ROOT, SCALAR, TAIL, WRAPPER
from .wrapper import Wrapper

__all__ = ["StrictScanner"]


class StrictScanner(Scanner):
    """The state of one strict stream; see `Scanner`."""

    def __init__(self, alphabet: Alphabet, intake: Intake, limits: Limits, route: Route) -> None:
        super().__init__(alphabet, intake, limits, route)
        self._then = ROOT if route.lines else DONE
        self._wrapper: Wrapper | None = None
        self._tail: list[Text] = []
        self._tail_size = self._tail_depth = 0

    def finish(self) -> bool:
        """Take the end of the reply in: a number may end with it, and all else must have ended before."""
        if self.failure is not None:
            raise self.failure
        self._flush()
        if self.state == SCALAR and self._then != AFTER and not self.inside:
            self._close()
        if self.state == DONE or (self.state == ROOT and self.route.lines and not self.depth):
            return False
        what = "before any plan" if self.state == ROOT and not self.depth else "before its JSON does"
        text = self.unread()
        raise self.cursor.error(TruncatedStreamError, f"the reply ends {what}", text, len(text))

    def _step(self, text: Text, pos: int) -> int:
        state = self.state
        if state == ELEMENT:
            return self._open(text, pos)
        if state == TAIL:
            return self._walk_tail(text, pos)
        pos = self.alphabet.blank(text, pos).end()
        if pos == len(text):
            return pos
        if state == ROOT:
            return self._root(text, pos)
        if state == DONE:
            raise self._error("nothing may follow the JSON", text, pos)
        return self._in_list(text, pos)

    def _root(self, text: Text, pos: int) -> int:
        """The first character of a value that holds the plans, or is one."""
        route, alphabet, char = self.route, self.alphabet, text[pos]
        if route.lines:
            return self._open(text, pos)
        if (route.auto or route.keys) and char == alphabet.braces.opener:
            self._new_wrapper()
            return self._hand_over(WRAPPER, pos)
        if route.keys:
            raise self._error(f"an object that holds {'.'.join(route.keys)!r} was expected", text, pos)
        if char != alphabet.squares.opener:
            return self._open(text, pos)
        if not (route.auto and route.rows):
            return self._enter_list(pos + 1)
        # The list of rows, or a row by itself? The character after the bracket tells.
        after = alphabet.blank(text, pos + 1).end()
        if after == len(text):
            return self._hold(text, pos)
        is_list = text[after] in (alphabet.squares.opener, alphabet.squares.closer)
        return self._enter_list(pos + 1) if is_list else self._open(text, pos)

    def _new_wrapper(self) -> None:
        route = self.route
        self._wrapper = Wrapper(self.alphabet, route.keys, route.own, rows=route.rows)
        self._tail.clear()
        self._tail_size = 0

    def _enter_list(self, pos: int) -> int:
        self.state, self._then = FIRST, AFTER
        return pos

    def _in_list(self, text: Text, pos: int) -> int:
        char, state, squares = text[pos], self.state, self.alphabet.squares
        if char == squares.closer and state != NEXT:
            self.state = DONE if self._wrapper is None else TAIL
            return pos + 1
        if state != AFTER:
            return self._open(text, pos)
        if char != self.alphabet.comma:
            raise self._error("a comma or the end of the list was expected", text, pos)
        self.state = NEXT
        return pos + 1

    def _keep(self, text: Text) -> Text | None:
        if self.failure is not None:
            raise self.failure
        return self._scalar(text) if self.state == SCALAR else self._search(text)

    def _scalar(self, text: Text) -> Text | None:
        """Read a string, a number or a literal, in pieces if need be."""
        pos, quote = 0, self.alphabet.quote
        if not self.pieces:
            self.inside = text[0] == quote
            pos = int(self.inside)
        pos = (self.alphabet.tail if self.inside else self.alphabet.scalar)(text, pos).end()
        if self.inside and text[pos : pos + 1] == self.alphabet.of('"'):
            pos += 1
        elif self.inside or pos == len(text):
            self.pieces.append(text[:pos])
            self.size += pos
            self._held = text[pos:]
            self._within_limit()
            return None
        self.pieces.append(text[:pos])
        self._close()
        return text[pos:]

    def _within_limit(self) -> None:
        if self.size > self.limits.max_element_bytes:
            raise self.limits.element_too_large(self.cursor.offset)

    def _search(self, text: Text) -> Text | None:
        """Look for the list in an object, or find that the object is a plan."""
        wrapper = self._wrapper
        assert wrapper is not None  # noqa: S101 - set with the state
        found = wrapper.feed(text)
        if wrapper.size > self.limits.max_preamble_bytes:
            raise self.limits.preamble_too_large()
        if found is None:
            return None
        if found.what in ("plan", "closed"):
            return self._not_found(wrapper.head + found.rest, len(wrapper.head))
        self.cursor.past(wrapper.head)
        self._tail.append(wrapper.head)
        self._tail_depth = wrapper.depth
        if found.what == "list":
            self.cursor.past(found.rest[:1])
            self._enter_list(0)
            return found.rest[1:]
        self.state, self._then = ELEMENT, TAIL
        return found.rest

    def _not_found(self, text: Text, looked_through: int) -> Text:  # noqa: ARG002
        """The object is a plan itself, unless a path was given, which it does not have."""
        if self.route.keys:
            raise self._error(f"the path {'.'.join(self.route.keys)!r} does not lead to a list", text, 0)
        self._wrapper = None
        self.state = ELEMENT
        return text

    def _walk_tail(self, text: Text, pos: int) -> int:
        """Read what follows the list in its wrapper, up to the end of the wrapper."""
        after, self._tail_depth, self.inside = self.alphabet.braces.walk(
            text, pos, self._tail_depth, self.inside
        )
        self._tail.append(text[pos:after])
        self._tail_size += after - pos
        if self._tail_size > self.limits.max_preamble_bytes:
            raise self.limits.preamble_too_large()
        if self._tail_depth:
            return after if after == len(text) else self._hold(text, after)
        self._leave_wrapper(text, after)
        return after

    def _leave_wrapper(self, text: Text, pos: int) -> None:
        """Prove that what stands around the list is JSON: with an empty list in its place."""
        self.state = DONE
        head, *tail = self._tail
        fault = fault_in(head + self.alphabet.of("[]") + self.alphabet.nothing.join(tail))
        if fault is not None:
            raise self._error(f"the object around the list is no JSON: {fault.message}", text, pos)

    def _faulty(self, fault: Fault, raw: Text, text: Text, pos: int) -> None:  # noqa: ARG002
        raise self._error(fault.message, text, pos + fault.pos)
