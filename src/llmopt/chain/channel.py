"""Events that one call makes and others follow, while they arrive: threads, asyncio and trio mixed."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress

from ..stages import Event
from .compat import copy_event


class Channel:
    """A growing list of events with followers.

    The publisher never waits. Each follower gets every event from the first on, as a copy of its own:
    llm numbers the parts of the events that it gets. It is a stage, too: events that pass are published.

    Example:
        >>> channel = Channel()
        >>> channel.publish("a")
        >>> channel.end()
        >>> list(channel)
        ['a']
    """

    error: BaseException | None = None
    ended = False
    has_last_word = False

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._wakers: list[Callable[[], None]] = []

    def publish(self, event: Event) -> None:
        """Add an event. Usable as a tap."""
        self.feed([event])

    def feed(self, events: list[Event]) -> list[Event]:
        """Add events, and let them pass."""
        for event in events:
            self.events.append(event if isinstance(event, str) else copy_event(event))
        # Followers announce themselves before they look at the list again: none can miss an event.
        if self._wakers:
            self._wake()
        return events

    def flush(self) -> list[Event]:
        """Return nothing: all has passed."""
        return []

    def holds(self) -> bool:
        """Return False: events pass."""
        return False

    def end(self, error: BaseException | None = None) -> None:
        """Tell the followers that nothing comes any more, and why if it did not end well."""
        self.error = error
        self.ended = True
        if self._wakers:
            self._wake()

    def _wake(self) -> None:
        # Without a lock: each step on the list is atomic, and whoever takes a waker out wakes it. Those
        # that are announced meanwhile look at the state afterwards, and see the change.
        wakers = self._wakers
        with suppress(IndexError):
            for _ in range(len(wakers)):
                wakers.pop(0)()

    def _pending(self, seen: int, wake: Callable[[], None]) -> bool:
        """Announce `wake` and tell whether it must be waited for."""
        self._wakers.append(wake)
        return len(self.events) == seen and not self.ended

    def __iter__(self) -> Iterator[Event]:
        seen = 0
        while True:
            ended = self.ended  # read before the list: events precede the end
            if len(self.events) > seen:
                yield copy_event(self.events[seen])
                seen += 1
            elif ended:
                break
            else:
                changed = threading.Event()
                if self._pending(seen, changed.set):
                    changed.wait()
        self._raise()

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        import anyio

        from .aio import waker

        seen = 0
        while True:
            ended = self.ended  # read before the list: events precede the end
            if len(self.events) > seen:
                yield copy_event(self.events[seen])
                seen += 1
            elif ended:
                break
            else:
                changed = anyio.Event()
                if self._pending(seen, waker(changed.set)):
                    await changed.wait()
        self._raise()

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error
