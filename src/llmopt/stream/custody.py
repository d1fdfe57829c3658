"""The element that is open: what there is of it, and how its end is found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import repeat
from typing import Any, Final

from ..errors import PlanStreamError
from .alphabet import Alphabet, Brackets, Text
from .batch import SHORTEST, Batch
from .decoders import Fault
from .intake import Intake
from .limits import Limits
from .place import Cursor
from .shapes import Reached, follow
from .states import DONE, ELEMENT, FAILED, ROOT

__all__ = ["LONG", "Custody"]

LONG: Final = 400
# A shape is worth its making where it comes again, which that of a region of longer chunks will not.
# In a region of this size the open element is taken together with those behind it.
_LARGE = 1000


class Custody(ABC):
    """The text that was taken into custody: the cursor stays at its beginning until it is complete.

    Attributes:
        depth: how many brackets of the element are open; with any, `gather` is to gather it.
        trigger: the bracket without which the element cannot end, and `need` of them.
        pieces: the element in custody, as far as it was followed.
        parts: what has arrived since; `gather` fills it.
        size: the size of the pieces.
        stack: the state at the end of the pieces; see `shapes`.
        alarm: the size from which on `overdue` is asked.
        inside: whether the place is inside a string, where no element is open.
    """

    def __init__(self, alphabet: Alphabet, intake: Intake, limits: Limits, brackets: Brackets) -> None:
        self.alphabet = alphabet
        self.intake = intake
        self.limits = limits
        self.brackets: Brackets = brackets
        self.cursor = Cursor(alphabet)
        self.state = ROOT
        self.failure: PlanStreamError | None = None
        self.depth = 0
        self.trigger: Any = brackets.closer
        self.need = 1
        self.stack = b""
        self.inside = False
        self.pieces: list[Text] = []
        self.parts: list[Text] = []
        self.size = 0
        self.alarm = limits.max_element_bytes
        self._batch = Batch(alphabet, intake, limits)
        self._curious = False
        self._then = DONE  # the state after an element
        self._due = False  # whether the parts may hold the end of the element
        self._sure = True  # whether it is no deeper than it may be, as far as it was followed
        self._held = alphabet.nothing  # too short to be decided upon

    def unread(self) -> Text:
        """Return all that is in custody."""
        return self.alphabet.nothing.join([*self.pieces, *self.parts]) + self._held

    def fail(self, error: PlanStreamError) -> None:
        """Remember the error, and raise it unless there are plans to be handed out before."""
        self.failure = error
        self.depth = 0
        self.state = FAILED
        if not self.intake.found:
            raise error

    def notices(self, region: Text) -> bool:  # noqa: ARG002
        """Whether `region`, in which the open element goes on, is a reason to ask `overdue`."""
        return False

    def _gather(self, begin: Text) -> bool:
        """Take the beginning of an element into custody. Return whether its end may be there."""
        self.parts.append(begin)
        closer = self.brackets.closer
        self.depth = self.need = 1
        self.trigger = closer
        return closer in begin or len(begin) >= SHORTEST

    def _follow(self) -> Text:
        """Follow the open element. Return what is to be read next, which is what is behind its end."""
        self._due = False
        parts, alphabet = self.parts, self.alphabet
        region = alphabet.nothing.join(parts)
        parts.clear()
        if len(region) >= _LARGE and self.size < len(region) and self._batch.promises(region):
            return self._reopen(region)
        if not 0 < len(region) < LONG or region[-1] == alphabet.backslash:
            return self._walk(region)
        reached = follow(self.stack + alphabet.shape(region))
        if reached.depth == 0:
            return self._end(region, reached)
        self.pieces.append(region)
        self.size += len(region)
        self.depth, self.stack = reached.depth, reached.stack
        # Before its end those of the other kind that are open must close, or else it is no JSON.
        others = reached.others
        self.trigger = self.brackets.other_closer if others else self.brackets.closer
        self.need = others or reached.depth
        if self.size > self.alarm or reached.deepest > self.limits.max_depth or self.notices(region):
            return self._overdue(reached.deepest)
        return alphabet.nothing

    def _walk(self, region: Text) -> Text:
        """As `_follow`, where the region is long, or ends within an escape."""
        self._sure = False
        brackets, stack = self.brackets, self.stack
        start = 0 if stack else 1
        end, depth, inside = brackets.walk(region, start, self.depth, stack[-1:] == b'"')
        rest = region[end:]
        if depth == 0:
            return self._end_at(region[:end], rest)
        self.pieces.append(region[:end])
        if rest:  # the half of an escape
            self.parts.append(rest)
        self.size += end
        self.depth = self.need = depth
        self.trigger = brackets.closer
        self.stack = (b"{" if brackets is self.alphabet.braces else b"[") * depth + b'"' * inside
        if self.size > self.alarm or depth > self.limits.max_depth or self.notices(region):
            return self._overdue(depth)
        return self.alphabet.nothing

    def _end(self, region: Text, reached: Reached) -> Text:
        """The element ends in `region`. Return what is behind it."""
        if reached.deepest > self.limits.max_depth:
            raise self.limits.too_deep(self.cursor.offset)
        closer, end = self.brackets.closer, -1
        if reached.closers:
            for _ in repeat(None, reached.closers):
                end = region.find(closer, end + 1)
        else:
            end = region.rfind(closer)
        end += 1
        return self._end_at(region[:end], region[end:])

    def _end_at(self, last: Text, rest: Text) -> Text:
        pieces = self.pieces
        pieces.append(last)
        raw = self.alphabet.nothing.join(pieces)
        pieces.clear()
        self.depth = self.size = 0
        self.stack = b""
        if self._sure:
            self._accept(raw, raw, 0)
        else:
            self._sure = True
            self._take(raw, raw, 0)
        if not pieces:  # it was taken, and not put back
            self.cursor.past(raw)
        return rest

    def _reopen(self, region: Text) -> Text:
        """Return the element from its beginning on: in a large region it is taken together with others."""
        text = self.alphabet.nothing.join([*self.pieces, region])
        self._let_go()
        self.state = ELEMENT
        return text

    def _let_go(self) -> None:
        """Nothing is in custody any more."""
        self.pieces.clear()
        self.parts.clear()
        self._held = self.alphabet.nothing
        self.depth = self.size = 0
        self.stack = b""
        self.inside = False
        self._sure = True

    def _overdue(self, deepest: int) -> Text:
        """The open element is too large, too deep or noticed. Return what is to be read next."""
        limits, offset = self.limits, self.cursor.offset
        raise limits.too_deep(offset) if deepest > limits.max_depth else limits.element_too_large(offset)

    def _close(self) -> None:
        """The element in custody is complete."""
        raw = self.alphabet.nothing.join(self.pieces)
        self._let_go()
        self._take(raw, raw, 0)
        if not self.pieces:  # it was taken, and not put back
            self.cursor.past(raw)

    def _take(self, raw: Text, text: Text, pos: int) -> None:
        """Take a whole element in, which stands at `pos` of `text` and may be of any depth."""
        most = self.limits.max_depth
        if len(raw) > most:
            # Brackets in strings are counted too: too many are a reason to look, and no more.
            alphabet = self.alphabet
            opened = raw.count(alphabet.open_brace) + raw.count(alphabet.open_square)
            if opened > most and alphabet.depth_of(raw) > most:
                raise self.limits.too_deep(self.cursor.offset + pos)
        self._accept(raw, text, pos)

    def _accept(self, raw: Text, text: Text, pos: int) -> None:
        limits, offset = self.limits, self.cursor.offset + pos
        self.state = self._then
        if len(raw) > limits.max_element_bytes:
            raise limits.element_too_large(offset)
        fault = self.intake.take(raw, offset)
        if fault is not None:
            self._faulty(fault, raw, text, pos)
        elif self._curious:
            self._learn(raw)

    def _learn(self, raw: Text) -> None:  # noqa: B027 - most have nothing to learn
        """Look at the first whole plan, in streams that are curious."""

    @abstractmethod
    def _faulty(self, fault: Fault, raw: Text, text: Text, pos: int) -> None:
        """An element, which stands at `pos` of `text`, is no JSON."""
