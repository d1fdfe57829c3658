"""Single flight with live followers: who asks the same thing at the same time hears the same answer.

The one who came first leads: it asks the model and publishes the events. The others follow its stream.
When a leader is cancelled, the follower that waited longest asks again; what its consumer, or another
follower's, has heard already is not said twice (`Resume`).
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, TypeAlias

from ..cache.codec import Entry
from ..cache.resume import Resume
from ..chain.channel import Channel
from ..chain.compat import copy_event
from ..resilience.flights import Flights, Ticket
from ..stages import Event
from ..types import Call, Reply

Place: TypeAlias = "tuple[int, int]"
"""Where a call runs: its thread, and its task (0 in a thread without an event loop)."""


class HandedOver(Exception):
    """The leader is gone; the flight goes on with another stream."""


class Promoted(Exception):
    """The leader is gone, and this follower has to ask in its place."""


class Stream(Channel):
    """The events of one leader.

    Attributes:
        place: where the leader runs, or None as long as nobody leads.
        reply: the leader's reply, once the stream has ended well.
        entry: the same as it was put into the store, or None if it was not kept.
        notes: what the trace says about who answered, if it was not the model.
    """

    place: Place | None = None
    reply: Reply | None = None
    entry: Entry | None = None
    notes: dict[str, Any] | None = None

    def announce(self, seen: int, wake: Callable[[], None]) -> bool:
        """Have `wake` called at the next change, and tell whether it must be waited for."""
        return self._pending(seen, wake)

    def nudge(self) -> None:
        """Wake the followers, to look who leads."""
        self._wake()

    def reaches(self, place: Place) -> bool:
        """Tell whether the leader can go on while somebody at `place` waits for it.

        It cannot in a thread that the waiting blocks, nor in the task that waits: a consumer that has
        stopped in the middle of one stream and asks the same thing again would wait for itself.
        """
        if self.place is None or self.place[0] != place[0]:
            return True
        return 0 not in (self.place[1], place[1]) and self.place[1] != place[1]


def place_of(call: Call) -> Place:
    """Return where a call runs."""
    if not hasattr(call.response, "__aiter__"):
        return threading.get_ident(), 0
    from anyio import get_current_task

    return threading.get_ident(), get_current_task().id


class Seat(Ticket[Stream, None]):
    """One caller's seat in a flight; followed or led until it is landed, failed or left.

    Whoever takes a seat looks first.

    Args:
        flights: the flights under way.
        ask: what is asked; callers with the same `ask` share a flight.
        place: where the caller runs.
    """

    __slots__ = ("_ask", "_flights", "_generation", "_left", "_place", "stream")

    stream: Stream

    def __init__(self, flights: Flights[Stream, None], ask: tuple[Any, ...], place: Place) -> None:
        self._flights = flights
        self._ask = ask
        self._place = place
        self._generation = 0
        self._left = False
        self._join()

    def look(self) -> bool:
        """Turn to the stream of the flight as it is now, and tell whether this caller leads it."""
        self.stream = self.flight.channel
        if self.leads:
            self.stream = self.flight.channel  # it was changed before the lead was
            self.stream.place = self._place
        return self.leads

    def rejoin(self) -> None:
        """Leave a flight that does not get on, for the next one with the same question."""
        self._give_up()
        self._generation += 1
        self._join()
        if self._left:  # a thread that a timeout has left behind must not lead
            self._give_up()
            raise HandedOver

    def land(self, reply: Reply, entry: Entry | None, notes: dict[str, Any] | None = None) -> None:
        """Share the reply with the followers."""
        stream = self.stream
        stream.reply, stream.entry, stream.notes = reply, entry, notes
        self._flights.finish(self, None)
        stream.end()

    def fail(self, error: Exception) -> None:
        """Share the error with the followers."""
        self._flights.fail(self, error)
        self.stream.end(error)

    def leave(self) -> None:
        """Give the seat up for good; a leader that has neither landed nor failed hands over."""
        self._left = True
        if not self.flight.done:
            self._give_up()

    def _give_up(self) -> None:
        left = self._flights.abandon(self)
        if left is not None:
            left.end(HandedOver())
            # The heir may have found the new stream, but not yet its own promotion.
            self.flight.channel.nudge()

    def _join(self) -> None:
        while True:
            self._flights.join((*self._ask, self._generation), self)
            self.stream = self.flight.channel
            if self.leads or self.stream.reaches(self._place):
                return
            self._give_up()
            self._generation += 1


class Following:
    """A follower's stream: live, and across changes of the leader.

    It raises what the leader failed with, or `Promoted`.

    Args:
        seat: the follower's seat.
        patience_s: seconds to wait for an event, before the leader is given up for a new flight.

    Attributes:
        delivered: the events that were handed on.
    """

    __slots__ = ("_patience_s", "_resume", "_seat", "_seen", "delivered")

    def __init__(self, seat: Seat, patience_s: float) -> None:
        self._seat = seat
        self._patience_s = patience_s
        self._seen = 0
        self._resume: Resume | None = None
        self.delivered: list[Event] = []

    def __iter__(self) -> Iterator[Event]:
        while (ready := self._ready()) is not None:
            yield from ready
            changed = threading.Event()
            if not ready and self._waits(changed.set) and not changed.wait(self._patience_s):
                self._stalled()

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        import anyio

        from ..chain.aio import waker

        while (ready := self._ready()) is not None:
            for event in ready:
                yield event
            changed = anyio.Event()
            if not ready and self._waits(waker(changed.set)):
                with anyio.move_on_after(self._patience_s) as scope:
                    await changed.wait()
                if scope.cancelled_caught:
                    self._stalled()

    def _ready(self) -> list[Event] | None:
        """Return the events that have come since; None when the stream has ended well."""
        stream = self._seat.stream
        ended = stream.ended  # read before the events: they precede the end
        fresh = stream.events[self._seen :]
        if fresh:
            self._seen += len(fresh)
            return self._passed(fresh)
        if not ended:
            if self._seat.leads:
                raise Promoted
            return []
        if stream.error is None:
            if self._resume is not None:
                self._resume.end()
            return None
        if not isinstance(stream.error, HandedOver):
            raise stream.error
        self._change()
        return []

    def _passed(self, fresh: list[Event]) -> list[Event]:
        if self._resume is not None:
            fresh = [rest for event in fresh for rest in self._resume(event)]
        self.delivered += fresh
        return [copy_event(event) for event in fresh]

    def _waits(self, wake: Callable[[], None]) -> bool:
        return self._seat.stream.announce(self._seen, wake) and not self._seat.leads

    def _stalled(self) -> None:
        if self._seat.stream.announce(self._seen, _nobody):
            self._seat.rejoin()
            self._change()

    def _change(self) -> None:
        """Turn to the next stream, from its beginning."""
        if self._seat.look():
            raise Promoted
        self._seen = 0
        self._resume = Resume(self.delivered) if self.delivered else None


def _nobody() -> None:
    """Wake nobody."""
