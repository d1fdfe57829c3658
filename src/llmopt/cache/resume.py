"""Going on with an answer that another run of the model has begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..errors import CallError
from ..stages import Event


class Resume:
    """Takes out of a second answer what was delivered of the first, as long as both say the same.

    The answers may come in other pieces. Usable as a tap.

    Args:
        delivered: the events that were delivered.

    Raises:
        CallError: the second answer says something else.

    Example:
        >>> resume = Resume(["one t"])
        >>> resume("one"), resume(" two"), resume(" three")
        ([], ['wo'], [' three'])
    """

    __slots__ = ("_left", "failed")

    def __init__(self, delivered: Iterable[Event]) -> None:
        self._left = [event for event in delivered if not _is_silent(event)]
        self._left.reverse()
        self.failed = False

    def __call__(self, event: Event) -> Sequence[Event]:
        """Return what of `event` is new."""
        if self._left and _is_silent(event):
            return []
        while self._left:
            heard = self._left[-1]
            old, new = _chunk(heard), _chunk(event)
            if not _alike(heard, event) or not (old.startswith(new) or new.startswith(old)):
                raise self._other()
            if len(old) > len(new):
                self._left[-1] = _with_chunk(heard, old[len(new) :])
                return []
            self._left.pop()
            if len(new) == len(old):
                return []
            event = _with_chunk(event, new[len(old) :])
        return [event]

    def end(self) -> None:
        """Raise CallError if the second answer has ended before the first one did."""
        if self._left:
            raise self._other()

    def _other(self) -> CallError:
        self.failed = True
        return CallError(
            "the call whose answer was followed has gone, and the model, asked again, gave another answer: "
            "what was streamed so far cannot be continued"
        )


def _is_silent(event: Event) -> bool:
    """Tell whether an event says nothing at all; streams often begin with such."""
    if isinstance(event, str) or event.chunk:
        return event == ""
    return event.type in ("text", "reasoning") and not event.redacted and not event.provider_metadata


def _chunk(event: Event) -> str:
    return event if isinstance(event, str) else event.chunk


def _with_chunk(event: Event, chunk: str) -> Event:
    return chunk if isinstance(event, str) else replace(event, chunk=chunk)


def _alike(one: Event, other: Event) -> bool:
    """Tell whether two events differ in nothing but their text."""
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str)
    return {**vars(one), "chunk": ""} == {**vars(other), "chunk": ""}
