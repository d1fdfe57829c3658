"""What events are, and what they pass on their way up from the model to the consumer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from llm.parts import StreamEvent

Event: TypeAlias = "str | StreamEvent"
"""What a model yields while it answers: text, or one of llm's stream events."""


def text_of(event: Event) -> str:
    """Return the visible text of an event; reasoning and tool calls have none.

    Example:
        >>> text_of("hello")
        'hello'
    """
    if isinstance(event, str):
        return event
    return event.chunk if event.type == "text" else ""


class Stage(Protocol):
    """What an event passes on its way up from the model to the consumer.

    Attributes:
        has_last_word: whether there may be events left to send when the stream has ended.
    """

    has_last_word: bool

    def feed(self, events: list[Event]) -> list[Event]:
        """Take events from below and return those that go on."""
        ...

    def flush(self) -> list[Event]:
        """Return what is still to be said when the stream below has ended well."""
        ...

    def holds(self) -> bool:
        """Tell whether events are being held back here."""
        ...


class Tap:
    """A stage that shows each event to a function; see `Call.tap`."""

    __slots__ = ("_flush", "_see", "has_last_word")

    def __init__(
        self,
        see: Callable[[Event], Iterable[Event] | None],
        flush: Callable[[], Iterable[Event]] | None = None,
    ) -> None:
        self._see = see
        self._flush = flush
        self.has_last_word = flush is not None

    def feed(self, events: list[Event]) -> list[Event]:
        """Show every event, and return what the function makes of them."""
        if len(events) == 1:
            instead = self._see(events[0])
            return events if instead is None else list(instead)
        passed: list[Event] = []
        for event in events:
            instead = self._see(event)
            if instead is None:
                passed.append(event)
            else:
                passed.extend(instead)
        return passed

    def flush(self) -> list[Event]:
        """Return what the function's counterpart has left to say."""
        return [] if self._flush is None else list(self._flush())

    def holds(self) -> bool:
        """Return False: events pass."""
        return False


class Hold:
    """A stage that keeps what comes; see `Call.buffered`."""

    __slots__ = ("events", "has_last_word")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.has_last_word = True

    def feed(self, events: list[Event]) -> list[Event]:
        """Keep the events; none goes on."""
        self.events += events
        return []

    def flush(self) -> list[Event]:
        """Return nothing: the driver releases what is held when the flow has ended."""
        return []

    def holds(self) -> bool:
        """Tell whether there is anything here."""
        return bool(self.events)
