"""Single flight: of the callers that ask the same thing at the same time, one leads and the rest follow.

The machine knows who leads and who follows; it waits for nobody. How a follower waits is the business
of its *channel*, an opaque object that the caller's factory makes: an event, a future, a stream.
A follower goes round this loop until it is served:

    channel = flight.channel                    # before looking at the state, so that no signal is missed
    if flight.done:      take flight.result or flight.error
    elif ticket.leads:   do the work, then finish, fail or abandon
    else:                wait for the channel

`finish`, `fail` and `abandon` return the channel that the caller has to signal, for all its waiters. After
an `abandon` the flight's fresh channel has to be signalled too: the new leader may have turned to it just
before it was told to lead.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

from ._common import require

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

C = TypeVar("C")
R = TypeVar("R")


class Flight(Generic[C, R]):
    """One piece of work under way, and its outcome.

    Attributes:
        key: what is asked.
        channel: what followers wait on; replaced by a fresh one when the lead is handed over.
        done: whether it has an outcome. Set last: whoever sees it True sees the outcome.
        result: the outcome of a flight that finished, else None.
        error: the outcome of a flight that failed, else None.
    """

    __slots__ = ("channel", "done", "error", "followers", "key", "result")

    def __init__(self, key: Hashable, channel: C) -> None:
        self.key = key
        self.channel = channel
        self.done = False
        self.result: R | None = None
        self.error: BaseException | None = None
        self.followers: dict[Ticket[C, R], None] = {}


class Ticket(Generic[C, R]):
    """One caller's part in a flight; a caller may bring an object of a subclass.

    Attributes:
        flight: the flight.
        leads: whether this caller has to do the work. A follower's may turn True.
    """

    __slots__ = ("flight", "leads")

    flight: Flight[C, R]
    leads: bool


@dataclass(frozen=True, slots=True)
class FlightsStats:
    """Counters of a `Flights`.

    Attributes:
        led: flights begun.
        followed: callers that joined one.
        promoted: followers that took the lead over.
        open: flights under way now.
    """

    led: int
    followed: int
    promoted: int
    open: int


class Flights(Generic[C, R]):
    """The table of the flights under way in this process.

    Args:
        channel: makes what followers wait on. It is called with a lock held, when a flight begins
            and when its lead is handed over, and must not block.

    Raises:
        ConfigurationError: `channel` cannot be called.

    Example:
        >>> from concurrent.futures import Future
        >>> flights = Flights(Future)
        >>> first, second = flights.join("key"), flights.join("key")
        >>> first.leads, second.leads, first.flight is second.flight
        (True, False, True)
        >>> channel = flights.abandon(first)      # the leader is cancelled: the follower leads now
        >>> second.leads
        True
        >>> flights.finish(second, "answer") is None    # nobody waits for this any more
        True
        >>> second.flight.result, flights.stats().open
        ('answer', 0)
    """

    def __init__(self, channel: Callable[[], C]) -> None:
        right = "a callable that makes what followers wait on"
        require(callable(channel), "Flights: channel", channel, right)
        self._make_channel = channel
        self._table: dict[Hashable, Flight[C, R]] = {}
        self._led = self._followed = self._promoted = 0
        self._lock = RLock()

    def join(self, key: Hashable, ticket: Ticket[C, R] | None = None) -> Ticket[C, R]:
        """Return a ticket for the flight of `key`: its leader's if none is under way, else a follower's.

        Every ticket must come back through `finish`, `fail` or `abandon`, except that of a follower
        that has seen its flight done.

        Args:
            key: what is asked.
            ticket: the ticket to return; a new one by default.
        """
        if ticket is None:
            ticket = Ticket()
        with self._lock:
            while (flight := self._table.get(key)) is not None:
                ticket.flight, ticket.leads = flight, False
                flight.followers[ticket] = None
                # A garbage collection may have run an abandon() of this thread just before: look again.
                if self._table.get(key) is flight:
                    self._followed += 1
                    return ticket
            ticket.flight = self._table[key] = Flight(key, self._make_channel())
            ticket.leads = True
            self._led += 1
            return ticket

    def finish(self, ticket: Ticket[C, R], result: R | None, error: BaseException | None = None) -> C | None:
        """Land the flight with a result that its followers share.

        Returns:
            The channel to signal, or None when nobody follows. A ticket that does not lead (any more)
            changes nothing.
        """
        with self._lock:
            if not ticket.leads:
                return None
            ticket.leads = False
            flight = ticket.flight
            flight.result, flight.error, flight.done = result, error, True
            del self._table[flight.key]
            signal = flight.channel if flight.followers else None
            flight.followers.clear()
            return signal

    def fail(self, ticket: Ticket[C, R], error: BaseException) -> C | None:
        """Land the flight with an error that its followers share; returns as `finish`."""
        return self.finish(ticket, None, error)

    def abandon(self, ticket: Ticket[C, R]) -> C | None:
        """Take a caller out that was cancelled; the longest waiting follower takes its lead over.

        Returns:
            The channel to signal, and after it `flight.channel`, so that the new leader wakes and the
            others wait on that fresh channel; None when nobody follows, or when the caller did not lead.
        """
        with self._lock:
            flight = ticket.flight
            if not ticket.leads:
                flight.followers.pop(ticket, None)
                return None
            ticket.leads = False
            fresh = self._make_channel()
            heir = next(iter(flight.followers), None)
            if heir is None:
                del self._table[flight.key]
                return None
            del flight.followers[heir]
            # In this order: a leader publishes on the channel that it finds once it knows that it leads.
            signal, flight.channel = flight.channel, fresh
            heir.leads = True
            self._promoted += 1
            return signal

    def stats(self) -> FlightsStats:
        """Return the counters."""
        with self._lock:
            return FlightsStats(self._led, self._followed, self._promoted, len(self._table))
