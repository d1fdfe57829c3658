"""The lenient scanner: plans are found wherever they are, and what is damaged costs itself only.

On a clean reply it returns what the strict one does. It differs in three things: how it finds a beginning,
what it allows between elements, and what it does about an element that is no JSON, which is to look for the
beginning of the next one and go on there.
"""

from __future__ import annotations

import re

from ..errors import TruncatedStreamError
from .alphabet import CURVED_CLOSE, CURVED_OPEN, Alphabet, Matcher, Text
from .decoders import Fault
from .ending import ended_row, trimmed
from .intake import Intake, text_of
from .limits import Limits
from .markers import Markers, broken_at
from .mend import Mender, mend
from .route import Route
from .starts import Starts
from .states import AFTER, DAMAGED, ELEMENT, FIRST, ROOT, TAIL, THINKING, WRAPPER
from .strict import StrictScanner

__all__ = ["LenientScanner"]

_FIRST_ALARM = 1024


class LenientScanner(StrictScanner):
    """The state of one lenient stream, or of one that repairs.

    Args:
        mender: what makes plans of damaged rows.
        markers: what the beginnings of plans look like.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        intake: Intake,
        limits: Limits,
        route: Route,
        *,
        mender: Mender,
        markers: Markers,
    ) -> None:
        super().__init__(alphabet, intake, limits, route)
        self._mender = mender
        self._markers = markers
        self._starts = Starts(alphabet, key=intake.identity.key)
        self._then = ROOT
        self._preamble = 0
        self._broken = 0  # where the element in custody stops being JSON
        self._first: Text = alphabet.nothing  # the first whole plan
        self._curious = True
        self._openers = (alphabet.open_brace, alphabet.open_square)
        self._searched = 1  # up to where the element in custody was searched for the next beginning
        self.alarm = min(_FIRST_ALARM, limits.max_element_bytes)
        opener = alphabet.squares.opener if route.rows else alphabet.braces.opener
        self._opener = opener
        self._fresh_line = alphabet.of("\n[" if route.rows else "\n{")
        self._noticed = (-1, 0)  # the element in which such a line was seen, and from which size on it counts
        quoted = rf"""["'{CURVED_OPEN}]{re.escape(str(intake.identity.key))}["'{CURVED_CLOSE}]"""
        landmark = r"[\[\]]" if route.rows else rf"[{{\]]|{quoted}\s*:"
        self._landmark: Matcher = alphabet.pattern(landmark).search

    # Between plans

    def _step(self, text: Text, pos: int) -> int:
        state = self.state
        if state == ELEMENT:
            return self._open(text, pos)
        if state == TAIL:
            return self._walk_tail(text, pos)
        if state == THINKING:
            return self._think(text, pos)
        return self._root(text, pos) if state == ROOT else self._in_list(text, pos)

    def _root(self, text: Text, pos: int) -> int:
        """Look for a beginning."""
        start = self._starts.find(text, pos)
        passed = (len(text) if start is None else start.pos) - pos
        if not self.intake.count:
            self._preamble += passed
            if self._preamble > self.limits.max_preamble_bytes:
                raise self.limits.preamble_too_large()
        if start is None:
            return len(text)
        if start.what == "maybe":
            return self._hold(text, start.pos)
        if start.what == "thought":
            self.state = THINKING
            return start.end
        if start.what == "list" and not self.route.lines:
            return self._enter_list(start.end)
        return self._begin(text, start.pos)

    def _begin(self, text: Text, pos: int) -> int:
        """An object or a row begins here: a plan, or what holds the plans."""
        self._then = ROOT
        if (self.route.auto or self.route.keys) and text[pos] == self.alphabet.braces.opener:
            self._new_wrapper()
            return self._hand_over(WRAPPER, pos)
        return self._open(text, pos)

    def _think(self, text: Text, pos: int) -> int:
        end = self._starts.end_of_thought(text, pos)
        if end is None:
            return len(text)
        if end.what == "maybe":
            return self._hold(text, end.pos)
        self.state = ROOT
        return end.end

    def _in_list(self, text: Text, pos: int) -> int:
        """Go on to the next element, or the end of the list, whatever stands before it."""
        pos = self.alphabet.blank(text, pos).end()
        if pos == len(text):
            return pos
        char = text[pos]
        if char == self._opener:
            return self._open(text, pos)
        if char == self.alphabet.comma:
            self.state = FIRST
            return pos + 1
        if char == self.alphabet.squares.closer:
            return self._end_list(pos + 1)
        return self._past_junk(text, pos)

    def _past_junk(self, text: Text, pos: int) -> int:
        """Go on to what may be an element, or the end of the list."""
        landmark = self._landmark(text, pos)
        if landmark is None:
            # The key of the id may be cut in two.
            quote = text.find(self.alphabet.of('"'), max(pos, len(text) - self._markers.reach))
            return len(text) if quote < 0 else self._hold(text, quote)
        pos = landmark.start()
        if landmark.end() - pos > 1:  # the id of a plan, without its brace
            self._searched, self._broken = 1, 0
            return self._hand_over(DAMAGED, pos)
        return pos

    def _end_list(self, pos: int) -> int:
        self._then = ROOT
        self.state = ROOT if self._wrapper is None else TAIL
        return pos

    def _not_found(self, text: Text, looked_through: int) -> Text:
        self._wrapper = None
        if self.route.keys:
            # What was looked through is passed by; of what is no JSON, only the brace.
            passed = max(1, looked_through)
            self.cursor.past(text[:passed])
            self.state = ROOT
            return text[passed:]
        self.state = ELEMENT
        return text

    def _leave_wrapper(self, text: Text, pos: int) -> None:  # noqa: ARG002 - the list was what counts
        self._wrapper = None
        self.state = self._then = ROOT

    # Damage

    def _keep(self, text: Text) -> Text | None:
        return self._search_next(text) if self.state == DAMAGED else super()._keep(text)

    def _learn(self, raw: Text) -> None:
        self._curious = False
        self._first = raw
        self._markers.learn(raw)

    def _faulty(self, fault: Fault, raw: Text, text: Text, pos: int) -> None:
        offset = self.cursor.offset + pos
        if mend(self.intake, self._mender, raw, offset, guess=False):
            return
        if self.intake.identity.of_text(text_of(raw)) is None:
            if self._then == ROOT and not self.intake.count:
                return  # prose in braces
            self.intake.record(raw, offset, self._error(fault.message, text, pos + fault.pos))
            return
        self.state = DAMAGED
        self.pieces.append(raw)
        self.size, self._searched, self._broken = len(raw), 1, fault.pos
        self._custody = pos

    def notices(self, region: Text) -> bool:
        """Whether a line begins in `region` as a plan does, so that it may be one that was swallowed."""
        fresh, before = self._fresh_line, self.pieces[-2:-1]
        if region.find(fresh) < 0 and (not before or before[0][-1:] + region[:1] != fresh):
            return False
        # Each time there must be twice as much of the element, so that all looks together are linear.
        element, size = self._noticed
        if element == self.cursor.offset and self.size < size:
            return False
        self._noticed = (self.cursor.offset, 2 * self.size)
        return True

    def _overdue(self, deepest: int) -> Text:
        """The open element is larger than those before: perhaps it has swallowed the next one."""
        text = self.unread()
        start = self._markers.first_new(text, 1, broken_at(text))
        if start < 0 and self._markers.certain:
            start = self._swallowed(text, line_start=True)
        if start >= 0:
            return self._cut(text, start)
        if deepest > self.limits.max_depth or self.size > self.limits.max_element_bytes:
            return super()._overdue(deepest)
        self.alarm = min(max(self.alarm, self.size * 2), self.limits.max_element_bytes)
        return self.alphabet.nothing

    def _search_next(self, text: Text) -> Text | None:
        """Look for the plan after the damaged one."""
        nothing = self.alphabet.nothing
        window = nothing.join([*self.pieces[-1:], text])
        passed = self.size - len(window) + len(text)
        start = self._markers.first_new(window, max(1, self._searched - passed), self._broken - passed)
        if start >= 0:
            whole = nothing.join([*self.pieces, text])
            return self._cut(whole, start + passed)
        self.size += len(text)
        if self.size > self.limits.max_element_bytes:
            raise self.limits.element_too_large(self.cursor.offset)
        # Only the last piece is looked at again, with what comes next.
        reach = self._markers.reach
        self._searched = max(1, self.size - reach)
        self.pieces[-1:] = [window[:-reach], window[-reach:]]
        return None

    def _cut(self, text: Text, start: int) -> Text:
        """Deal with the row in custody, which ends at `start`, and read on there."""
        self._let_go()
        self._settle(text[:start])
        self.cursor.past(text[:start])
        self.state = ELEMENT
        return text[start:]

    def _settle(self, row: Text) -> None:
        """Make what can be made of a row whose end is known."""
        alphabet, offset = self.alphabet, self.cursor.offset
        self._mender.learn(self._first)
        raw = alphabet.of(trimmed(text_of(row)))
        if raw[:1] not in (alphabet.open_brace, alphabet.open_square):
            raw = alphabet.open_brace + raw
        fault = self.intake.take(raw, offset)
        if fault is None or mend(self.intake, self._mender, raw, offset, guess=True):
            return
        self.intake.record(row, offset, self._error(fault.message, row, min(fault.pos, len(row))))

    # The end

    def finish(self) -> bool:
        """Take the end of the reply in. Return whether it ended too early."""
        if self.failure is not None:
            raise self.failure
        if self.state == WRAPPER and self._wrapper is not None:
            head, self._wrapper = self._wrapper.unread(), None
            self.state = ELEMENT
            self._read(head)
        self._flush()
        while self.depth or self.state == DAMAGED:
            text = self.unread()
            start = self._markers.first_new(text, 1, broken_at(text))
            start = self._swallowed(text) if start < 0 else start
            if start < 0:
                return self._finish_row(text)
            self._read(self._cut(text, start))
            self._flush()
        return self._then == AFTER or self.state == THINKING or self._held[:1] in self._openers

    def _swallowed(self, text: Text, *, line_start: bool = False) -> int:
        """Return where the first plan stands that JSON allows to be part of the open one, or -1."""
        alike = self._mender.alike
        return self._markers.first_swallowed(
            text, self._usual.walk, lambda plan: alike(plan, self._first), self._first, line_start=line_start
        )

    def _finish_row(self, text: Text) -> bool:
        """The reply ends in a row. Return whether that is in the middle of it."""
        in_list = self._then == AFTER
        enclosing = int(in_list) + (self._wrapper.depth if in_list and self._wrapper else 0)
        row = ended_row(text_of(text), enclosing)
        if row is not None:
            self._let_go()
            self._settle(self.alphabet.of(row))
            return False
        error = self.cursor.error(TruncatedStreamError, "the reply ends within a plan", text, len(text))
        self.intake.record(text, self.cursor.offset, error)
        return True
