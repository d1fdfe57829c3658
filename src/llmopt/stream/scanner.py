"""What all scanners share: elements are found, measured and handed to the intake, in pieces or at once.

A scanner decides and never waits: `advance` takes the next region of the reply in. While the brackets of an
element are open it is not called at all: `gather` follows the element by itself and hands over its end.
"""

from __future__ import annotations

from abc import abstractmethod

from ..errors import PlanSyntaxError
from .alphabet import Alphabet, Brackets, Text
from .batch import SHORTEST
from .custody import Custody
from .intake import Intake
from .limits import Limits
from .route import Route
from .shapes import Reached
from .states import AFTER, CUSTODY, SCALAR

__all__ = ["Scanner"]

_SHORT = 16
# Shapes of less than this are alike enough to be worth remembering.
_SMALL = 100


class Scanner(Custody):
    """The state of one stream.

    A state either passes text, and the cursor with it, or takes it into custody.

    Attributes:
        state: where it is; see `states`.
    """

    def __init__(self, alphabet: Alphabet, intake: Intake, limits: Limits, route: Route) -> None:
        super().__init__(alphabet, intake, limits, alphabet.squares if route.rows else alphabet.braces)
        self.route = route
        self._usual: Brackets = self.brackets
        self._between = alphabet.of(" \t\r\n,")
        self._comma = alphabet.comma_square if route.rows else alphabet.comma_brace
        self._custody = -1  # from where on the region is in custody

    # What `gather` and PlanStream call

    def advance(self, text: Text) -> None:
        """Take the next region in, where no element is open.

        Raises:
            PlanStreamError: there is no use in going on.
        """
        if self._held:
            text, self._held = self._held + text, self.alphabet.nothing
        while self.state == AFTER and len(text) < _SMALL:
            match = self._comma(text, 0)
            if match is None:
                if len(text) < _SHORT and not text.strip(self._between):
                    # Half a separator is read with its other half: a whole one takes the short way.
                    self._held = text
                    return
                break
            start = match.end()
            self.cursor.past(text[:start])
            self.brackets = self._usual
            if not self._gather(text[start:]):
                return
            text = self._follow()
        self._read(text)

    def look(self) -> None:
        """Follow the open element through the parts that have arrived; raises as `advance` does."""
        rest = self._follow()
        if rest:
            self.advance(rest)

    def end(self, region: Text, reached: Reached) -> None:
        """Take the end of the open element in, which is in `region`; raises as `advance` does."""
        rest = self._end(region, reached)
        if rest:
            self.advance(rest)

    def overdue(self, deepest: int) -> None:
        """Deal with an open element that is too large, too deep or noticed; raises as `advance` does."""
        rest = self._overdue(deepest)
        if rest:
            self.advance(rest)

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

    # Elements

    def _read(self, text: Text | None) -> None:
        while text:
            text = self._keep(text) if self.state >= CUSTODY else self._pass(text)
            if self._due:
                text = self._follow()

    def _flush(self) -> None:
        """The reply has ended. The open element may have, too, if its brackets do not match."""
        while self.depth:
            text = self.unread()
            end, depth, _ = self.brackets.walk(text, 1, 1, False)
            if depth:
                return
            self._let_go()
            self.pieces.append(text[:end])
            self._close()
            self._read(text[end:])

    def _pass(self, text: Text) -> Text | None:
        pos, end = 0, len(text)
        self._custody = self._batch.last_end = -1
        while pos < end and self._custody < 0:
            pos = self._elements(text, pos) if self.state == AFTER else self._step(text, pos)
        self.cursor.past(text if self._custody < 0 else text[: self._custody])
        return text[pos:] if pos < end else None

    def _elements(self, text: Text, pos: int) -> int:
        """Take elements in as long as there is a comma before them. This is where clean lists stay."""
        while (match := self._comma(text, pos)) is not None:
            self.brackets = self._usual
            pos = self._open_brackets(text, match.end())
            if self.state != AFTER or self.depth:
                return pos
        return self._step(text, pos) if pos < len(text) else pos

    def _open(self, text: Text, pos: int) -> int:
        """Take the element that begins at `pos` in, or as much of it as there is."""
        alphabet, char = self.alphabet, text[pos]
        if char == alphabet.braces.opener:
            self.brackets = alphabet.braces
        elif char == alphabet.squares.opener:
            self.brackets = alphabet.squares
        else:
            return self._hand_over(SCALAR, pos)
        return self._open_brackets(text, pos)

    def _open_brackets(self, text: Text, pos: int) -> int:
        rest, batch = len(text) - pos, self._batch
        if rest < _SMALL:
            return self._leave_open(text, pos)
        after = batch.take(text, pos) if rest >= SHORTEST and self._then == AFTER else pos
        if after > pos:
            self.state = AFTER
            return after
        after, depth, _ = self.brackets.walk(text, pos + 1, 1, False)
        if depth:
            pos = self._leave_open(text, pos)
            self._due = rest >= SHORTEST  # large ones are looked at for their depth
            return pos
        self._take(text[pos:after], text, pos)
        batch.last_end = after
        return after

    def _leave_open(self, text: Text, pos: int) -> int:
        """Take the element that begins at `pos` into custody, wherever it ends."""
        self._due = self._gather(text[pos:])
        self._custody = pos
        return len(text)

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
