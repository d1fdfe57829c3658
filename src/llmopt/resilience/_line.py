"""The calls that wait for the rate limiter, first come, first served."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .limiter import Reservation


class Line:
    """A queue that tells what is ahead of a place without counting it.

    Those who wait ask every second, and a long queue takes too long to count for each of them. So each
    place keeps what had joined before it: what is ahead of it is the difference to the first one's,
    less what has left from between.

    Attributes:
        tokens: those of all places together.

    Example:
        >>> from llmopt.resilience import Reservation
        >>> line, places = Line(), [Reservation(tokens, 0.0, 0.0) for tokens in (10, 20, 30)]
        >>> for place in places:
        ...     line.join(place)
        >>> line.ahead(places[2])
        (2, 30)
        >>> line.leave(places[1])
        >>> line.ahead(places[2]), len(line), line.tokens
        ((1, 10), 2, 40)
    """

    __slots__ = ("_joined", "_left", "_places", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self._joined = (0, 0)
        self._places: dict[Reservation, tuple[int, int]] = {}
        self._left: list[tuple[int, int]] = []  # from between: how many had joined before, and the tokens

    def join(self, place: Reservation) -> None:
        """Put a place at the end."""
        requests, tokens = self._places[place] = self._joined
        self._joined = requests + 1, tokens + place.tokens
        self.tokens += place.tokens

    def leave(self, place: Reservation) -> None:
        """Take a place out, wherever it stands."""
        was_first = self.first() is place
        before, _ = self._places.pop(place)
        self.tokens -= place.tokens
        if not was_first:
            self._left.append((before, place.tokens))
        elif self._left:
            start, _ = self._start()
            self._left = [gone for gone in self._left if gone[0] > start]

    def ahead(self, place: Reservation) -> tuple[int, int]:
        """Return how many are ahead of a place, and their tokens."""
        (before, tokens), (start, start_tokens) = self._places[place], self._start()
        gone = [gone_tokens for at, gone_tokens in self._left if start < at < before]
        return before - start - len(gone), tokens - start_tokens - sum(gone)

    def first(self) -> Reservation | None:
        """Return the place whose turn is next."""
        return next(iter(self._places), None)

    def _start(self) -> tuple[int, int]:
        return next(iter(self._places.values()), self._joined)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, place: Reservation) -> bool:
        return place in self._places

    def __iter__(self) -> Iterator[Reservation]:
        return iter(tuple(self._places))  # the garbage collector may cancel a call at any time
