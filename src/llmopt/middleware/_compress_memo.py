"""What `Compress` remembers between calls: encodings, and which texts were given as `Data`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from hashlib import blake2b
from threading import Lock
from typing import Any, Final, NamedTuple

from ..compress.roles import Role

_MAX_CHARS: Final = 8_000_000
_ENTRY_CHARS: Final = 200  # what an entry weighs beside its texts
_MAX_MARKS: Final = 4096


class Outcome(NamedTuple):
    """What becomes of a JSON text.

    Attributes:
        text: what takes its place; None where it stays as it is.
        is_json: whether that is JSON still.
        tokens: its tokens.
        loss: values that a role has dropped, by the reason.
    """

    text: str | None = None
    is_json: bool = True
    tokens: int = 0
    loss: tuple[tuple[str, int], ...] = ()


class Outcomes:
    """The outcomes used last; safe for threads. In a growing conversation nothing is encoded twice.

    Args:
        max_chars: size in characters of all texts and encodings together.
    """

    __slots__ = ("_chars", "_known", "_lock", "_max_chars")

    def __init__(self, max_chars: int = _MAX_CHARS) -> None:
        self._known: OrderedDict[Hashable, tuple[int, Outcome]] = OrderedDict()
        self._chars = 0
        self._max_chars = max_chars
        self._lock = Lock()

    def get(self, key: Hashable) -> Outcome | None:
        """Return the outcome for a text and the way it is treated, if it is known."""
        with self._lock:
            if key not in self._known:
                return None
            self._known.move_to_end(key)
            return self._known[key][1]

    def put(self, key: Hashable, text: str, outcome: Outcome) -> None:
        """Remember an outcome; those longest unused are forgotten."""
        size = len(text) + len(outcome.text or "") + _ENTRY_CHARS
        with self._lock:
            if key in self._known:
                return
            self._known[key] = size, outcome
            self._chars += size
            while self._chars > self._max_chars:
                self._chars -= self._known.popitem(last=False)[1][0]


class Marks:
    """Which texts were given as `Data`, and for which role; safe for threads.

    A conversation sends what it has sent before as plain text: by these, data is still known for data.
    """

    __slots__ = ("_known", "_lock", "_max_marks")

    def __init__(self, max_marks: int = _MAX_MARKS) -> None:
        self._known: OrderedDict[bytes, Role | None] = OrderedDict()
        self._max_marks = max_marks
        self._lock = Lock()

    def learn(self, fragments: Iterable[Any], role: Role | None) -> None:
        """Remember the data among the fragments of a prompt.

        Args:
            fragments: texts, some of which may be `Data`.
            role: the role of those that have none of their own.
        """
        from ..compress.data import Data
        from ..compress.roles import role_of

        for data in fragments:
            if isinstance(data, Data):
                with self._lock:
                    mark = _mark(data)
                    self._known[mark] = role_of(data.role) or role
                    self._known.move_to_end(mark)
                    if len(self._known) > self._max_marks:
                        self._known.popitem(last=False)

    def get(self, text: str) -> tuple[bool, Role | None]:
        """Return whether a text was given as data, and its role."""
        mark = _mark(text)
        with self._lock:
            if mark not in self._known:
                return False, None
            self._known.move_to_end(mark)
            return True, self._known[mark]

    def __len__(self) -> int:
        return len(self._known)


def _mark(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
