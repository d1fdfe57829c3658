"""What a cache does for a call that it has no entry for: ask, or follow somebody who asks already."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..cache.codec import Entry, Unfaithful, encode, snapshot
from ..cache.key import Key
from ..cache.resume import Resume
from ..errors import CallTimeout
from ..stages import Event
from ..types import Call, Flow, Reply, Sleep, Step
from ._cache_flight import Following, Promoted, Seat, Stream, place_of
from ._cache_store import Shelf, log

if TYPE_CHECKING:
    from ..resilience.flights import Flights

POLL_S = 0.005
"""First pause between two looks whether another process has answered; each is twice as long as the last."""

POLL_MAX_S = 0.2

_SHARED = ("usage", "response_json", "resolved_model", "tool_calls", "prompt_json", "attributes")


class Lookup:
    """One call without an entry.

    Args:
        shelf: the cache's store.
        call: the call.
        key: its key.
        stale: an expired entry that may stand in if the model fails, or None.
        writes: whether the reply is kept.
    """

    __slots__ = ("_call", "_key", "_lease", "_shelf", "_stale", "_writes")

    def __init__(self, shelf: Shelf, call: Call, key: Key, stale: Entry | None, *, writes: bool) -> None:
        self._shelf = shelf
        self._call = call
        self._key = key
        self._stale = stale
        self._writes = writes
        self._lease: str | None = None

    def flow(self, flights: Flights[Stream, None], patience_s: float, *, shared: bool) -> Flow:
        """Return the flow: lead a flight, or follow one and lead it when its leader is gone.

        Unless it is `shared`, nobody follows, and no entry that appears meanwhile is used.
        """
        # Another API key may be refused, or have another bill: its callers do not share a flight.
        ask = (self._key, self._call.key)
        seat = Seat(flights, ask if shared else (*ask, object()), place_of(self._call))
        try:
            delivered: Sequence[Event] | None = ()
            if not seat.look():
                delivered = yield from self._follow(seat, patience_s)
            if delivered is None:
                return
            if delivered or not shared:
                yield from self._lead(seat, delivered)
            elif self._shelf.memory is None:
                yield from self._lead_leased(seat)
            else:
                put = self._shelf.memory.get(self._key)
                yield from self._lead(seat, (), put and self._usable(put))
        except Exception:
            seat.leave()
            reply = None if self._stale is None or self._call.started else self._shelf.decoded(self._stale)
            if reply is None:
                raise
            yield self._replay(reply, "stale", "stale")
        finally:
            seat.leave()

    def _follow(self, seat: Seat, patience_s: float) -> Generator[Step, Any, Sequence[Event] | None]:
        """Follow the leader; return what was delivered when this call has to lead, None when it is over."""
        notes = self._call.trace.notes
        notes["cache"] = "coalesced"
        following = Following(seat, patience_s)
        try:
            mine: Reply = yield Reply(events=following, source="cache")
        except Promoted:
            seat.look()
            return following.delivered
        stream = seat.stream
        theirs = None if stream.entry is None else self._shelf.decoded(stream.entry)
        theirs = theirs or stream.reply or mine
        for name in _SHARED:
            setattr(mine, name, getattr(theirs, name))
        mine.events = following.delivered
        if theirs.source != "model":
            mine.source = theirs.source
        notes.update(stream.notes or {})
        self._shelf.counters.add("coalesced", mine.usage)
        return None

    def _lead_leased(self, seat: Seat) -> Flow:
        """Lead, when no other process that shares the store has answered or is about to."""
        try:
            found = yield from self._look_again()
            yield from self._lead(seat, (), found)
        finally:
            if self._lease is not None:
                release: Any = getattr(self._shelf.store, "release")  # noqa: B009 - stores need not have it
                yield from self._shelf.perform(partial(release, self._key, self._lease))

    def _lead(self, seat: Seat, delivered: Sequence[Event], found: tuple[Entry, Reply] | None = None) -> Flow:
        """Ask the model unless an entry was found, and let the followers and the store have the answer."""
        if found is not None:
            yield self._pass_on(seat, *found)
            return
        call, stream, notes = self._call, seat.stream, self._call.trace.notes
        notes["cache"] = "miss"
        self._shelf.counters.add("misses")
        resume = Resume(delivered) if delivered else None
        try:
            if resume is None:
                reply: Reply = yield call._through(stream, resumes=False)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            else:
                reply = yield call.tap(partial(_go_on, stream, resume), resumes=True)
        except Exception as error:
            self._failed(seat, error, resume)
            raise
        entry = self._entry(reply, stream.events, notes)
        if entry is not None:
            if self._shelf.memory is not None:
                self._shelf.memory.put(self._key, entry, call.clock.time())
            else:
                yield from self._shelf.put(self._key, entry, call.clock.time())
        seat.land(reply, entry, _tier(notes) if "tier" in notes else None)
        if resume is not None:
            resume.end()

    def _failed(self, seat: Seat, error: Exception, resume: Resume | None) -> None:
        """Share the model's error with the followers, unless it is this caller's own affair.

        Its own are time that was up for it, and words that only its consumer has heard: the next one asks
        again. Every other failure is everybody's, or a crowd of followers would fall upon a provider that
        has just refused, one by one.
        """
        own = isinstance(error, CallTimeout) and self._call.limits is not None
        if not own and not (resume is not None and resume.failed):
            seat.fail(error)

    def _entry(self, reply: Reply, events: list[Event], notes: dict[str, Any]) -> Entry | None:
        """Return the entry for a reply, or None if it is not to be kept."""
        by_the_model = reply.source in ("model", "cache") and not notes.get("tier")
        if not self._writes or not by_the_model or notes["cache"] == "stale":
            return None
        if not events and not reply.tool_calls:
            return None
        try:
            kept = None if self._shelf.memory is None else snapshot(reply, events)
            return kept or encode(reply, events)
        except Unfaithful as error:
            self._shelf.counters.add("unkept")
            log.debug("%s", error)
            return None

    def _usable(self, found: tuple[Entry, float]) -> tuple[Entry, Reply] | None:
        """Return what somebody has put since the first look, and its reply, if it answers the call."""
        reply = self._shelf.fresh(found, self._call.clock.time())
        return None if reply is None else (found[0], reply)

    def _look_again(self) -> Generator[Step, Any, tuple[Entry, Reply] | None]:
        """Return an entry that somebody has put since the first look; None to go ahead and ask."""
        call, shelf = self._call, self._shelf
        claim: Any = getattr(shelf.store, "claim", None)
        owner = "" if claim is None else os.urandom(8).hex()
        pause_s = POLL_S
        while True:
            now = call.clock.time()
            if claim is None or not self._writes:
                found = yield from shelf.perform(partial(shelf.store.get, self._key))
            else:
                self._lease = owner  # at once: a call that is cancelled meanwhile may have got it
                found = yield from shelf.perform(partial(claim, self._key, owner, now, shelf.oldest(now)))
                self._lease = owner if found is True else None
            if isinstance(found, tuple):
                return self._usable(found)  # pyright: ignore[reportUnknownArgumentType]
            left_s = call.remaining_s()
            if found is not False or left_s == 0.0:
                return None
            yield Sleep(pause_s if left_s is None else min(pause_s, left_s))
            pause_s = min(2 * pause_s, POLL_MAX_S)

    def _pass_on(self, seat: Seat, entry: Entry, reply: Reply) -> Reply:
        events: Any = reply.events
        for event in events:
            seat.stream.publish(event)
        seat.land(reply, entry)
        return self._replay(reply, "hit", "hits")

    def _replay(self, reply: Reply, note: str, counter: str) -> Reply:
        self._call.trace.notes["cache"] = note
        self._shelf.counters.add(counter, reply.usage)
        return reply


def _tier(notes: dict[str, Any]) -> dict[str, Any]:
    """Return what followers are told about who answered."""
    return {name: notes[name] for name in ("tier", "tier_name") if name in notes}


def _go_on(stream: Stream, resume: Resume, event: Event) -> Sequence[Event]:
    """Publish an event of a second answer, and return what of it this consumer has not heard."""
    rest = resume(event)
    stream.publish(event)
    return rest
