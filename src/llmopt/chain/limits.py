"""Enforces a call's `Limits` on a stream of events, in threads and in event loops."""

from __future__ import annotations

import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from contextvars import ContextVar, copy_context
from typing import Any

from ..errors import Abandoned, CallTimeout
from ..stages import Event
from ..types import Clock, Limits

_END = object()


class Pace:
    """Knows how long the next event may take. No I/O."""

    __slots__ = ("_clock", "_last", "_limits", "_seen")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._seen = False
        self._last = clock.monotonic()

    def left(self) -> tuple[float | None, CallTimeout | None]:
        """Return the seconds that the next event may take, and the error if it takes longer."""
        limits = self._limits
        name, allowed = ("between_tokens", limits.between_tokens_s)
        if not self._seen:
            name, allowed = ("first_token", limits.first_token_s)
        now = self._clock.monotonic()
        left = None if allowed is None else self._last + allowed - now
        if limits.deadline is not None and (left is None or limits.deadline - now < left):
            name, allowed, left = "total", limits.total_s, limits.deadline - now
        if left is None:
            return None, None
        return max(0.0, left), CallTimeout(_MESSAGES[name].format(allowed), limit=name, limit_s=allowed)

    def answer_left(self) -> float | None:
        """Return the seconds within which a request that the model makes now must be answered."""
        if not self._seen:
            return self.left()[0]
        deadline = self._limits.deadline
        return None if deadline is None else max(0.0, deadline - self._clock.monotonic())

    def came(self) -> None:
        """Note that an event has come; raises when it was too late."""
        left, error = self.left()
        if error is not None and left == 0.0:
            raise error
        self._seen = True

    def resumed(self) -> None:
        """Note that the consumer wants the next event: the time that it took is not the model's."""
        self._last = self._clock.monotonic()


_MESSAGES = {
    "first_token": "no first token within {} s",
    "between_tokens": "no further token within {} s",
    "total": "no complete answer within {} s",
}


class Waiter:
    """Who waits for a model that runs in a thread of its own, as what reads in that thread sees it."""

    __slots__ = ("_gone", "_interrupts", "_lock", "_pace")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._gone = False
        self._interrupts: list[Callable[[], None]] = []
        # Reentrant: the garbage collector may close an abandoned call on a thread that holds it.
        self._lock = threading.RLock()

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        return self._gone

    def answer_left(self) -> float | None:
        """Return the seconds within which a request that is made now must be answered; None for no bound.

        Raises:
            Abandoned: nobody waits any more. No `Exception`, for SDKs repeat their requests after those.
        """
        if self._gone:
            raise Abandoned("nobody waits for this request any more")
        return self._pace.answer_left()

    def add(self, interrupt: Callable[[], None]) -> None:
        """Have `interrupt`, which must not block, called when nobody waits any more; now if that is so."""
        with self._lock:
            self._interrupts.append(interrupt)
            if self._gone:
                interrupt()

    def remove(self, interrupt: Callable[[], None]) -> None:
        """Have `interrupt` called no more: what it would interrupt is about to be used by others."""
        with self._lock:
            self._interrupts.remove(interrupt)

    def leave(self) -> None:
        """Wait no more, and interrupt what the model reads."""
        with self._lock:
            self._gone = True
            for interrupt in tuple(self._interrupts):
                interrupt()


waiter: ContextVar[Waiter | None] = ContextVar("llmopt_waiter", default=None)
"""Who waits for what is read in this context; None where no limits are set."""


def paced(live: Iterable[Event], limits: Limits, clock: Clock) -> Generator[Event, None, None]:
    """Yield the events of `live`, or raise `CallTimeout`.

    A blocked read cannot be given up from outside, so `live` runs in a thread of its own. When the time
    is up that thread is left behind; it closes `live` as soon as the read returns, which happens at once
    where the transport knows the `waiter`.
    """
    pace = Pace(limits, clock)
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting = Waiter(pace)
    context = copy_context()
    context.run(waiter.set, waiting)
    thread = threading.Thread(
        target=context.run, args=(_pump, live, items, waiting), name="llmopt-timeout", daemon=True
    )
    thread.start()
    try:
        while True:
            left, error = pace.left()
            try:
                item = items.get(timeout=left)
            except queue.Empty:
                raise error or CallTimeout("no event came") from None
            if item is _END:
                return
            pace.came()  # an error that is late may be the transport's own, of waiting no longer
            if isinstance(item, _Raised):
                raise item.error
            yield item
            pace.resumed()
    finally:
        waiting.leave()


class _Raised:
    """Tells an error that the stream raised from an event that it yielded."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _pump(live: Iterable[Event], items: queue.SimpleQueue[Any], waiting: Waiter) -> None:
    try:
        for event in live:
            items.put(event)
            if waiting.gone:
                break
    except BaseException as error:  # noqa: BLE001 - handed over to the consumer's thread
        items.put(_Raised(error))
    else:
        items.put(_END)
    finally:
        stop = getattr(live, "close", None)
        if stop is not None:
            stop()


async def apaced(live: AsyncIterable[Event], limits: Limits, clock: Clock) -> AsyncGenerator[Event, None]:
    """Yield the events of `live`, or cancel it and raise `CallTimeout`."""
    import anyio

    pace = Pace(limits, clock)
    stream = aiter(live)
    try:
        while True:
            left, error = pace.left()
            event: Any = _END
            with anyio.move_on_after(left) as scope:
                event = await anext(stream, _END)
            if scope.cancelled_caught:
                raise error or CallTimeout("no event came")
            if event is _END:
                return
            pace.came()
            yield event
            pace.resumed()
    finally:
        stop = getattr(stream, "aclose", None)
        if stop is not None:
            await stop()
