"""The store in memory: least recently used first, bounded by entries and by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from sys import getsizeof
from threading import RLock
from typing import TYPE_CHECKING, Any

from .checks import count_of

if TYPE_CHECKING:
    from .codec import Entry
    from .key import Key


class MemoryStore:
    """Entries of this process, the least recently used evicted first.

    An entry counts with the memory that its key and its value take (`sys.getsizeof`). One that is larger
    than the whole store is not taken. Threads may share it; a copy or a pickle of it is a new, empty one.

    Args:
        max_entries: how many entries it holds at most.
        max_bytes: how many bytes they have at most.

    Raises:
        ConfigurationError: a bound is not a whole number of at least 1.

    Example:
        >>> store = MemoryStore(max_entries=1)
        >>> store.put(b"a", b"1", 0.0)
        >>> store.put(b"b", b"2", 0.0)
        >>> store.get(b"a"), store.get(b"b"), store.stats()
        (None, (b'2', 0.0), {'entries': 1, 'bytes': 68, 'evictions': 1})
    """

    blocking = False
    """It never waits, so it is asked directly."""

    def __init__(self, max_entries: int = 4096, max_bytes: int = 64 * 2**20) -> None:
        self.max_entries = count_of("MemoryStore: max_entries", max_entries)
        self.max_bytes = count_of("MemoryStore: max_bytes", max_bytes)
        self._entries: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._evictions = 0
        # Reentrant: a garbage collection may run the end of an abandoned call on this thread at any time.
        self._lock = RLock()

    def get(self, key: bytes) -> tuple[bytes, float] | None:
        """Return the value and the time at which it was put, or None."""
        # Without the lock: each of the two steps is atomic, and an entry may go between them.
        try:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
        except KeyError:
            return None
        return entry

    def put(self, key: bytes, value: bytes, now: float) -> None:
        """Keep `value` under `key`, put at `now`."""
        size = _size(key, value)
        with self._lock:
            entries = self._entries
            if key in entries:
                self.delete(key)
            if size > self.max_bytes:
                return
            entries[key] = (value, now)
            self._bytes += size
            while len(entries) > self.max_entries or self._bytes > self.max_bytes:
                evicted, (old, _) = entries.popitem(last=False)
                self._bytes -= _size(evicted, old)
                self._evictions += 1

    def delete(self, key: bytes) -> None:
        """Forget `key`, if it is there."""
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self._bytes -= _size(key, entry[0])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def stats(self) -> dict[str, int]:
        """Return the counters."""
        with self._lock:
            return {"entries": len(self._entries), "bytes": self._bytes, "evictions": self._evictions}

    def __iter__(self) -> Iterator[bytes]:
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __reduce__(self) -> tuple[Any, ...]:
        return MemoryStore, (self.max_entries, self.max_bytes)


def _size(key: Key, value: Entry) -> int:
    """Return the bytes that a key and a value take; the head of a key is shared by many."""
    size = value[0] if isinstance(value, tuple) else getsizeof(value)  # a snapshot knows its size
    if isinstance(key, bytes):
        return size + getsizeof(key)
    return size + _TEXTS_BYTES + getsizeof(key[1]) + getsizeof(key[2])


_TEXTS_BYTES = getsizeof((b"", "", ""))
