"""Time that passes at once."""

from __future__ import annotations

import threading
from math import inf
from typing import Any

from ..errors import ConfigurationError

_START_UTC_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class VirtualClock:
    """A `Clock` that nobody waits for: who sleeps moves it on and returns at once.

    Tasks that sleep at the same time in one event loop (asyncio or trio) wake in the order of their
    times and share them: ten tasks that sleep 1 s each take 1 s together. `asleep` is a checkpoint: other
    tasks run and a cancellation is heard. Threads move the clock on as they come. It is safe to share
    between threads and loops.

    Args:
        start_s: what `monotonic` says first, in seconds.
        wall_s: what `time` says first, in seconds since the Unix epoch.

    Attributes:
        sleeps: every number of seconds that was slept, in the order in which the sleeps began.

    Example:
        >>> clock = VirtualClock()
        >>> clock.sleep(3600)
        >>> clock.monotonic(), clock.sleeps
        (3600.0, [3600])
    """

    def __init__(self, *, start_s: float = 0.0, wall_s: float = _START_UTC_S) -> None:
        self.sleeps: list[float] = []
        self._now_s = float(start_s)
        self._wall_offset_s = float(wall_s) - self._now_s
        self._lock = threading.Lock()
        self._sleepers: dict[Any, list[float]] = {}

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return self._now_s

    def time(self) -> float:
        """Return seconds since the Unix epoch, UTC; `jump` changes them."""
        return self._now_s + self._wall_offset_s

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass.

        Raises:
            ConfigurationError: `seconds` is negative or not finite.
        """
        with self._lock:
            self._now_s += _checked(seconds)

    def jump(self, wall_s: float) -> None:
        """Set the wall clock `wall_s` seconds on, or back if negative; `monotonic` does not notice."""
        with self._lock:
            self._wall_offset_s += wall_s

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass, at once."""
        self.sleeps.append(_checked(seconds))
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Let `seconds` pass, after those tasks of this event loop that wake earlier."""
        from anyio.lowlevel import checkpoint, current_token

        self.sleeps.append(_checked(seconds))
        wakes_at_s = self._now_s + seconds
        with self._lock:
            sleepers = self._sleepers.setdefault(current_token(), [])
            sleepers.append(wakes_at_s)
        try:
            await checkpoint()
            while min(sleepers) < wakes_at_s:
                await checkpoint()
            with self._lock:
                self._now_s = max(self._now_s, wakes_at_s)
        finally:
            with self._lock:
                self._leave(current_token(), wakes_at_s)

    def __deepcopy__(self, _memo: Any) -> VirtualClock:
        return self  # a copied model lives in the same time

    def _leave(self, loop: Any, wakes_at_s: float) -> None:
        self._sleepers[loop].remove(wakes_at_s)
        if not self._sleepers[loop]:
            del self._sleepers[loop]  # a clock outlives event loops


def _checked(seconds: float) -> float:
    if 0 <= seconds < inf:
        return seconds
    msg = f"time passes by a finite number of seconds that is not negative, not by {seconds!r}"
    raise ConfigurationError(msg)
