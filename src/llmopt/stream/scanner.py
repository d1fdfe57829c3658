"""What all scanners share: elements are found, measured and handed to the intake, in pieces or at once.

A scanner decides and never waits: `advance` takes the next region of the reply and returns the plans that it
completes. While the brackets of an element are open it is not called at all: `gather` walks the element by
itself and hands over its end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ..errors import PlanStreamError, PlanSyntaxError
from .alphabet import Alphabet, Brackets, Text
from .batch import SHORTEST, Batch
from .decoders import Fault
from .intake import Intake
from .limits import Limits
from .place import Cursor
from .route import Route
from .states import AFTER, CUSTODY, DONE, FAILED, ROOT, SCALAR

__all__ = ["Scanner"]


_SHORT = 16


class Scanner(ABC):
    """The state of one stream.

    A state either passes text, and the cursor with it, or takes it into custody: the cursor then stays
    at the beginning of `pieces` until they are complete.

    Attributes:
        state: where it is; see `states`.
        depth: how many brackets of the element are open; with any, `gather` is to walk on.
        inside: whether the walk is inside a string.
        pieces: the element in custody, as far as it was walked.
        parts: what has arrived since; `gather` fills it.
        size: the size of the pieces.
        alarm: the size from which on `gather` asks `overdue`.
    """

    def __init__(self, alphabet: Alphabet, intake: Intake, limits: Limits, route: Route) -> None:
        self.alphabet = alphabet
        self.intake = intake
        self.limits = limits
        self.route = route
        self.cursor = Cursor(alphabet)
        self.state = ROOT
        self.failure: PlanStreamError | None = None
        self._usual = alphabet.squares if route.rows else alphabet.braces
        self.brackets: Brackets = self._usual
        self.depth = 0
        self.inside = False
        self.pieces: list[Text] = []
        self.parts: list[Text] = []
        self.size = 0
        self.alarm = limits.max_element_bytes
        self._between = alphabet.of(" \t\r\n,")
        self._comma = alphabet.comma_square if route.rows else alphabet.comma_brace
        self._batch = Batch(alphabet, intake, limits)
        self._curious = False
        self._then = DONE  # the state after an element
        self._custody = -1  # from where on the region is in custody
        self._held = alphabet.nothing  # too short to be decided upon

    # What `gather` and PlanStream call

    def advance(self, text: Text) -> list[Any] | tuple[()]:
        """Take the next region in. Return the plans that it completes.

        Raises:
            PlanStreamError: there is no use in going on. Plans that are complete are returned first, and
                the error is raised by the next call.
        """
        if self._held:
            text, self._held = self._held + text, self.alphabet.nothing
        if self.state == AFTER and len(text) < _SHORT and not text.strip(self._between):
            # Half a separator is read with its other half: a whole one takes the short way.
            self._held = text
            return ()
        try:  # as `_read`, without another call
            while text:
                text = self._keep(text) if self.state >= CUSTODY else self._pass(text)
        except PlanStreamError as error:
            self._fail(error)
        return self._found() if self.intake.found else ()

    def close(self, end: Text, pos: int) -> list[Any] | tuple[()]:
        """Take the end of the open element in, `end` up to `pos`; what follows it is the rest of `end`."""
        self.pieces.append(end[:pos])
        try:
            self._close()
        except PlanStreamError as error:
            self._fail(error)
        return self.advance(end[pos:]) if pos < len(end) else self._found()

    def _found(self) -> list[Any]:
        found, self.intake.found = self.intake.found, []
        return found

    def unread(self) -> Text:
        """Return all that is in custody."""
        return self.alphabet.nothing.join([*self.pieces, *self.parts]) + self._held

    def overdue(self, depth: int, inside: bool) -> list[Any] | tuple[()]:  # noqa: FBT001, ARG002
        """The open element has reached the size `alarm`: give it up, or say how far it may go on.

        Args:
            depth: how many of its brackets are open by now.
            inside: whether the walk is inside a string.
        """
        limits, offset = self.limits, self.cursor.offset
        is_deep = depth > limits.max_depth
        self.failure = limits.too_deep(offset) if is_deep else limits.element_too_large(offset)
        self.depth, self.state = 0, FAILED
        raise self.failure

    @abstractmethod
    def finish(self) -> bool:
        """Take the end of the reply in. Return whether it ended too early.

        Raises:
            PlanStreamError: it must not end here.
        """

    # What scanners differ in

    @abstractmethod
    def _step(self, text: Text, pos: int) -> int:
        """Go on from `pos`, which is no element's. Return the place reached."""

    @abstractmethod
    def _keep(self, text: Text) -> Text | None:
        """Take a region into custody, in a state that does. Return what is to be read in another state."""

    @abstractmethod
    def _faulty(self, fault: Fault, raw: Text, text: Text, pos: int) -> None:
        """An element, which stands at `pos` of `text`, is no JSON."""

    # Elements

    def _read(self, text: Text | None) -> None:
        while text:
            text = self._keep(text) if self.state >= CUSTODY else self._pass(text)

    def _fail(self, error: PlanStreamError) -> None:
        """Remember the error, and raise it unless there are plans to be handed out before."""
        self.failure = error
        self.depth = 0
        self.state = FAILED
        if not self.intake.found:
            raise error

    def _pass(self, text: Text) -> Text | None:
        pos, end = 0, len(text)
        self._custody = self._batch.last_end = -1
        while pos < end and self._custody < 0:
            pos = self._elements(text, pos) if self.state == AFTER else self._step(text, pos)
        self.cursor.past(text if self._custody < 0 else text[: self._custody])
        return text[pos:] if pos < end else None

    def _elements(self, text: Text, pos: int) -> int:
        """Take elements in as long as there is a comma before them. This is where clean lists stay."""
        comma, walk, batch, end = self._comma, self._usual.walk, self._batch, len(text)
        while (match := comma(text, pos)) is not None:
            pos = match.end()
            after = batch.take(text, pos) if end - pos >= SHORTEST else pos
            if after == pos:
                after, depth, inside = walk(text, pos + 1, 1, False)
                if depth:
                    self.brackets = self._usual
                    return self._leave_open(depth, inside, text, pos, after)
                self._take(text[pos:after], text, pos)
                batch.last_end = after
                if self.state != AFTER:
                    return after
            pos = after
        return self._step(text, pos) if pos < end else pos

    def _open(self, text: Text, pos: int) -> int:
        """Take the element that begins at `pos` in, or as much of it as there is."""
        alphabet, char = self.alphabet, text[pos]
        if char == alphabet.braces.opener:
            self.brackets = alphabet.braces
        elif char == alphabet.squares.opener:
            self.brackets = alphabet.squares
        else:
            return self._hand_over(SCALAR, pos)
        after, depth, inside = self.brackets.walk(text, pos + 1, 1, False)
        if depth:
            return self._leave_open(depth, inside, text, pos, after)
        self._take(text[pos:after], text, pos)
        self._batch.last_end = after
        return after

    def _leave_open(self, depth: int, inside: bool, text: Text, pos: int, after: int) -> int:  # noqa: FBT001
        """Take the element into custody that begins at `pos` and was walked up to `after`."""
        if depth > self.limits.max_depth:
            raise self.limits.too_deep(self.cursor.offset + pos)
        self.depth, self.inside = depth, inside
        self.pieces.append(text[pos:after])
        self.size = after - pos
        if after < len(text):  # a backslash, whose other half is still to come
            self.parts.append(text[after:])
        self._custody = pos
        return len(text)

    def _close(self) -> None:
        """The element in custody is complete."""
        raw = self.alphabet.nothing.join(self.pieces)
        self.pieces.clear()
        self.depth = self.size = 0
        self.inside = False
        self._take(raw, raw, 0)
        if not self.pieces:  # it was taken, and not put back
            self.cursor.past(raw)

    def _take(self, raw: Text, text: Text, pos: int) -> None:
        """Take a whole element in, which stands at `pos` of `text`."""
        limits = self.limits
        size, offset = len(raw), self.cursor.offset + pos
        self.state = self._then
        if size > limits.max_depth:
            if size > limits.max_element_bytes:
                raise limits.element_too_large(offset)
            # Brackets in strings are counted too: too many are a reason to look, and no more.
            alphabet = self.alphabet
            opened = raw.count(alphabet.open_brace) + raw.count(alphabet.open_square)
            if opened > limits.max_depth and alphabet.depth_of(raw) > limits.max_depth:
                raise limits.too_deep(offset)
        fault = self.intake.take(raw, offset)
        if fault is not None:
            self._faulty(fault, raw, text, pos)
        elif self._curious:
            self._learn(raw)

    def _learn(self, raw: Text) -> None:  # noqa: B027 - most have nothing to learn
        """Look at the first whole plan, in streams that are curious."""

    # Text that cannot be passed yet

    def _hold(self, text: Text, pos: int) -> int:
        """Decide about `text` from `pos` on when there is more of it."""
        self._held = text[pos:]
        self._custody = pos
        return len(text)

    def _hand_over(self, state: int, pos: int) -> int:
        """Read on from `pos` in a state that takes text into custody."""
        self.state = state
        self._custody = pos
        return pos

    def _error(self, message: str, text: Text, pos: int) -> PlanSyntaxError:
        return self.cursor.error(PlanSyntaxError, message, text, pos)
