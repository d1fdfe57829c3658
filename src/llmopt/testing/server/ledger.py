"""What the server has seen: requests, connections, disconnects and tokens, for its thread and the test's."""

from __future__ import annotations

import time
from collections import Counter, deque
from itertools import count
from threading import Condition
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .answer import Request, Tokens


class Ledger:
    """Counts what happens; whoever waits for it is woken.

    Args:
        keep: how many requests to keep, the latest ones.
    """

    def __init__(self, keep: int) -> None:
        self._changed = Condition()
        self._requests: deque[Request] = deque(maxlen=keep)
        self._connection_ids = count(1)
        self._begin()

    def _begin(self) -> None:
        self.connections = 0
        self._paths: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self.disconnects = 0
        self.in_flight = 0
        self.max_in_flight = 0

    def reset(self) -> None:
        """Forget everything; requests that are being answered stay in flight."""
        with self._changed:
            in_flight = self.in_flight
            self._requests.clear()
            self._begin()
            self.in_flight = self.max_in_flight = in_flight

    def connected(self) -> int:
        """Count a connection and return its number."""
        with self._changed:
            self.connections += 1
            self._changed.notify_all()
            return next(self._connection_ids)

    def received(self, request: Request, path: str) -> None:
        """Record a request, whose answer begins now."""
        with self._changed:
            self._requests.append(request)
            self._paths[path] += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self._changed.notify_all()

    def answered(self, tokens: Tokens) -> None:
        """Add the tokens of an answer."""
        with self._changed:
            for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
                self._tokens[name] += getattr(tokens, name)

    def finished(self, disconnected: bool) -> None:  # noqa: FBT001 - a callback takes what it is called with
        """Count an answer as over, because it was written or because the client has left."""
        with self._changed:
            self.in_flight -= 1
            self.disconnects += disconnected
            self._changed.notify_all()

    def requests(self) -> list[Request]:
        """Return the requests recorded so far."""
        with self._changed:
            return list(self._requests)

    def wait_for(self, predicate: Callable[[], object], timeout_s: float) -> bool:
        """Wait until `predicate` holds, which is asked anew whenever something was counted."""
        with self._changed:
            return bool(self._changed.wait_for(predicate, timeout_s))

    def stats(self) -> dict[str, Any]:
        """Return all counts, the body of the last request, and the process's CPU seconds."""
        with self._changed:
            return {
                "requests": self._paths.total(),
                "connections": self.connections,
                "disconnects": self.disconnects,
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
                "paths": dict(self._paths),
                "tokens": dict(self._tokens),
                "last_request": self._requests[-1].body if self._requests else None,
                "cpu_s": time.process_time(),
            }
