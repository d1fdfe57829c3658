"""The clock that a chain uses unless it is given another."""

from __future__ import annotations

import time as _time


class SystemClock:
    """The real time.

    Example:
        >>> SystemClock().monotonic() > 0
        True
    """

    __slots__ = ()

    monotonic = staticmethod(_time.monotonic)
    time = staticmethod(_time.time)
    sleep = staticmethod(_time.sleep)

    async def asleep(self, seconds: float) -> None:
        """Suspend this task for `seconds`."""
        import anyio

        await anyio.sleep(seconds)
