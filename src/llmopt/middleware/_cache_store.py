"""What a cache has: its store, and the counters of what became of its calls."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from threading import RLock
from typing import Any

from ..cache.codec import Entry, Unreadable, decode
from ..cache.key import Key
from ..types import Reply, Run, Step, Store, Usage

log = logging.getLogger("llmopt")

_NAMES = (
    "hits",
    "misses",
    "stale",
    "coalesced",
    "bypasses",
    "unkeyable",
    "unkept",
    "expired",
    "errors",
    "input_tokens_saved",
    "output_tokens_saved",
)
_PENDING = 256
_NOTHING = Usage()


class Counters:
    """Counters that threads share."""

    __slots__ = ("_counts", "_lock", "_pending")

    def __init__(self) -> None:
        self._counts: dict[str, int] = dict.fromkeys(_NAMES, 0)
        self._pending: deque[tuple[str, Usage]] = deque()
        # Reentrant: a garbage collection may run the end of an abandoned call on this thread at any time.
        self._lock = RLock()

    def add(self, name: str, saved: Usage = _NOTHING) -> None:
        """Count one, and the tokens of a call that cost nothing, though it would have cost them."""
        # They are added up later: appending is atomic, and takes a fifth of the time.
        self._pending.append((name, saved))
        if len(self._pending) > _PENDING:
            self.read()

    def read(self) -> dict[str, int]:
        """Return all of them."""
        with self._lock:
            while self._pending:
                name, usage = self._pending.popleft()
                self._counts[name] += 1
                if usage is _NOTHING:
                    continue
                self._counts["input_tokens_saved"] += usage.input_tokens or 0
                self._counts["output_tokens_saved"] += usage.output_tokens or 0
            return dict(self._counts)


class Shelf:
    """A store as a cache uses it: in the world of the call, and without ever failing it.

    Attributes:
        store: the store.
        memory: the same if it is the cache's own: nobody else reads it, so it holds snapshots.
        counters: the counters.
    """

    __slots__ = ("_direct", "_stale_s", "_ttl_s", "counters", "memory", "store")

    def __init__(self, store: Store, ttl_s: float | None, stale_s: float) -> None:
        self.store: Any = store  # the cache's own memory is given keys and entries that are no bytes
        self.memory: Any = None
        self._direct = not getattr(store, "blocking", True)
        self.counters = Counters()
        self._ttl_s = float("inf") if ttl_s is None else ttl_s
        self._stale_s = stale_s

    def get(self, key: Key) -> Generator[Step, Any, tuple[Entry, float] | None]:
        """Return the entry of `key` and when it was put, or None."""
        return self.perform(partial(self.store.get, key))

    def put(self, key: Key, entry: Entry, now: float) -> Generator[Step, Any, None]:
        """Keep an entry."""
        return self.perform(partial(self.store.put, key, entry, now))

    def perform(self, fn: Callable[[], Any]) -> Generator[Step, Any, Any]:
        """Have the store do something; its result, or None if it failed."""
        try:
            return fn() if self._direct else (yield Run(fn))
        except Exception:  # whatever a store raises, a call is not to fail because of its cache
            self.counters.add("errors")
            log.debug("the cache's store has failed", exc_info=True)
            return None

    def oldest(self, now: float) -> float:
        """Return when an entry that is fresh at `now` was put at the earliest."""
        return now - self._ttl_s

    def fresh(self, found: tuple[Entry, float], now: float) -> Reply | None:
        """Return the reply of what was found if it is fresh and readable."""
        if now - found[1] > self._ttl_s:
            return None
        return self.decoded(found[0])

    def refused(
        self, key: Key, found: tuple[Entry, float], now: float, *, writes: bool
    ) -> Generator[Step, Any, Entry | None]:
        """Deal with what was found and is no answer; the entry, if it may stand in for a failed call."""
        age_s = now - found[1]
        if age_s <= self._ttl_s:
            if writes:
                yield from self.perform(partial(self.store.delete, key))
            return None
        if age_s <= self._ttl_s + self._stale_s:
            return found[0]
        # It is left where it is: deleting it might hit the one that another process has just put there.
        self.counters.add("expired")
        return None

    def decoded(self, entry: Entry) -> Reply | None:
        """Return the reply of an entry, or None if it is none."""
        try:
            return decode(entry)
        except Unreadable as error:
            self.counters.add("errors")
            log.debug("the cache holds something that is not an entry: %s", error)
            return None

    def stats(self) -> dict[str, int]:
        """Return the counters and those of the store, as far as it can tell them."""
        stats = self.counters.read()
        try:
            return {**stats, **self.store.stats()}
        except Exception:  # as in `perform`
            log.debug("the cache's store has failed", exc_info=True)
            return stats
