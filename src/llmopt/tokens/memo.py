"""A bounded text -> number memo for counting, shared by threads."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

__all__ = ["Memo"]

_ENTRY_CHARS = 100  # what a dict entry, its key's header and its value weigh beside the characters of the key


class Memo(dict[str, int]):
    """Remembers `count(text)`; `memo[text]` is always right, for it computes what it does not hold.

    Two generations stand in for a strict LRU: hits in the young one are plain dict lookups, in C, with no
    lock and nothing to reorder; when it is full it becomes the old one, from which texts still in use come
    back on their next hit. A text used once per generation is thus never forgotten.

    No thread ever waits here: where two insert at the same moment, one of them does not remember.

    Args:
        count: a pure function of the text; called with the texts the memo does not hold.
        max_chars: size of one generation in characters, an entry weighing 100 more than its text. Texts
            longer than an eighth of it are counted and not kept, lest one of them sweep all others out.

    Example:
        >>> memo = Memo(len)
        >>> memo["four"], "four" in memo, "five" in memo
        (4, True, False)
    """

    __slots__ = ("_chars", "_count", "_lock", "_max_chars", "_old")

    def __init__(self, count: Callable[[str], int], *, max_chars: int = 4_000_000) -> None:
        super().__init__()
        self._count = count
        self._max_chars = max_chars
        self._chars = 0
        self._old: dict[str, int] = {}
        self._lock = Lock()

    def __missing__(self, text: str) -> int:
        """Count `text`, or bring it back from the old generation."""
        number = self._old.get(text)
        if number is None:
            number = self._count(text)
        if len(text) <= self._max_chars // 8 and self._lock.acquire(blocking=False):
            try:
                self._keep(text, number)
            finally:
                self._lock.release()
        return number

    def _keep(self, text: str, number: int) -> None:
        size_chars = len(text) + _ENTRY_CHARS
        if self._chars + size_chars > self._max_chars:
            self._old = dict(self)
            self.clear()
            self._chars = 0
        self[text] = number
        self._chars += size_chars
