"""Performs a batch's requests in an event loop, asyncio's or trio's; see `requests`."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from contextvars import copy_context
from time import monotonic
from typing import Any, TypeAlias

import anyio
import anyio.to_thread

from ..types import text_of
from .events import Ended, Event, Expired, Said
from .requests import Enough, Labels, Prompt, facts_of
from .session import Ask

Listen: TypeAlias = "Callable[[Ask], AsyncGenerator[Event, None]]"

_GRACE_S = 1.0
"""How long a batch that is closed waits for its requests to end."""


async def alisten(prompt: Prompt, enough: Enough, labels: Labels, ask: Ask) -> AsyncGenerator[Event, None]:
    """Perform one request, and yield what it brings; closing the generator abandons it."""
    response: Any = None
    error: Exception | None = None
    try:
        response = prompt(ask)
        async with aclosing(response.astream_events()) as events:
            with labels(ask):  # the model is asked here; whoever gets our events has a context of its own
                event = await anext(events, None)
            while event is not None:
                if text := text_of(event):
                    yield Said(ask, text, response.id)
                event = None if enough(ask) else await anext(events, None)
    except Exception as caught:  # noqa: BLE001 - the session decides what follows
        error = caught
    yield Ended(ask, facts_of(response), error)


async def in_thread(
    listen: Callable[[Ask], Generator[Event, None, None]], ask: Ask
) -> AsyncGenerator[Event, None]:
    """Perform one request of a sync model in worker threads; it ends with the event that is awaited."""
    events = listen(ask)
    try:
        while (event := await anyio.to_thread.run_sync(next, events, None)) is not None:
            yield event
    finally:
        events.close()


class InTurn:
    """Performs requests one after the other, in the task that waits for them; see `requests.InTurn`."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._requests: deque[AsyncGenerator[Event, None]] = deque()

    def start(self, ask: Ask) -> None:
        """Perform a request when those before it are over."""
        self._requests.append(self._listen(ask))

    async def next(self) -> Event | None:
        """Wait for the next event; None if nothing is under way."""
        while self._requests:
            event = await anext(self._requests[0], None)
            if event is not None:
                return event
            self._requests.popleft()
        return None

    async def aclose(self) -> None:
        """Abandon all requests."""
        for request in self._requests:
            await request.aclose()


class InTasks:
    """Performs requests in tasks of their own, and says when time is up; see `requests.InThreads`.

    The tasks belong to no task group: a batch is an async generator, and those cannot hold one open while
    they are suspended.
    """

    def __init__(
        self,
        listen: Listen,
        limit: int,
        deadline_s: float | None = None,
        late: Callable[[Event], object] | None = None,
    ) -> None:
        self._listen = listen
        self._free = limit
        self._until = None if deadline_s is None else monotonic() + deadline_s
        self._late = late
        self._waiting: deque[Ask] = deque()
        self._running: dict[int, tuple[anyio.CancelScope, anyio.Event]] = {}
        self._events: deque[Event] = deque()
        self._news = anyio.Event()
        self._closed = self._expired = False

    def start(self, ask: Ask) -> None:
        """Perform a request as soon as its turn has come."""
        if self._free == 0:
            self._waiting.append(ask)
            return
        self._free -= 1
        self._running[ask.number] = (anyio.CancelScope(), anyio.Event())
        spawn(self._run, ask)

    async def next(self) -> Event | None:
        """Wait for the next event; None if nothing is under way."""
        while not self._events:
            if not self._running:
                return None
            self._news = anyio.Event()
            with anyio.move_on_after(None if self._until is None else self._until - monotonic()) as scope:
                await self._news.wait()
            if scope.cancelled_caught:
                self._until, self._expired = None, True
                self._waiting.clear()
                return Expired()
        event = self._events.popleft()
        if isinstance(event, Ended):
            self._free += 1
            if self._waiting:
                self.start(self._waiting.popleft())
        return event

    async def aclose(self) -> None:
        """Abandon all requests, unless time was up: then they go on, and what they bring is late."""
        self._closed = True
        if self._expired and self._late is not None:
            for event in self._events:
                self._late(event)
            return
        running = list(self._running.values())
        for scope, _ in running:
            scope.cancel()
        with anyio.move_on_after(_GRACE_S, shield=True):
            for _, over in running:
                await over.wait()

    async def _run(self, ask: Ask) -> None:
        scope, over = self._running[ask.number]
        try:
            with scope:
                async with aclosing(self._listen(ask)) as events:
                    async for event in events:
                        self._tell(event)
        finally:
            self._running.pop(ask.number)
            over.set()
            self._news.set()

    def _tell(self, event: Event) -> None:
        if not self._closed:
            self._events.append(event)
            self._news.set()
        elif self._late is not None:
            self._late(event)


_TASKS: set[Any] = set()
"""asyncio holds its tasks by weak references only."""


def spawn(fn: Callable[..., Any], *args: Any) -> None:
    """Run an async function, which must not raise, in a task of its own."""
    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        trio.lowlevel.spawn_system_task(fn, *args, context=copy_context())
        return
    import asyncio

    task = asyncio.get_running_loop().create_task(fn(*args))
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
