"""Performs a batch's requests in threads: in turn, or several at a time and against the clock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from contextvars import copy_context
from itertools import chain, islice
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeAlias

from ..types import text_of
from .events import Ended, Event, Expired, Facts, Said
from .session import Ask

Prompt: TypeAlias = "Callable[[Ask], Any]"
"""Asks a model: returns an llm response that has not begun yet."""

Enough: TypeAlias = "Callable[[Ask], bool]"
"""Tells whether the rest of an answer need not be read."""

Listen: TypeAlias = "Callable[[Ask], Generator[Event, None, None]]"


Labels: TypeAlias = "Callable[[Ask], AbstractContextManager[None]]"
"""Says in the context of a request whom the usage log is to name."""


def listen(prompt: Prompt, enough: Enough, labels: Labels, ask: Ask) -> Generator[Event, None, None]:
    """Perform one request, and yield what it brings; closing the generator abandons it."""
    response: Any = None
    error: Exception | None = None
    try:
        response = prompt(ask)
        with closing(response.stream_events()) as events:
            with labels(ask):  # the model is asked here; whoever gets our events has a context of its own
                first: list[Any] = list(islice(events, 1))
            for event in chain(first, events):
                if text := text_of(event):
                    yield Said(ask, text, response.id)
                if enough(ask):
                    break
    except Exception as caught:  # noqa: BLE001 - the session decides what follows
        error = caught
    yield Ended(ask, facts_of(response), error)


def facts_of(response: Any) -> Facts:
    """Return what a response tells of itself, once it has ended or failed."""
    if response is None:
        return Facts()
    details: dict[str, Any] = response.token_details or {}
    counts = response.input_tokens, cached_tokens(details), response.output_tokens
    return Facts(response.id, *counts, response)


def cached_tokens(details: dict[str, Any]) -> int:
    """Return how many input tokens came from the provider's prefix cache, as OpenAI and Anthropic say it.

    Example:
        >>> cached_tokens({"prompt_tokens_details": {"cached_tokens": 1024}})
        1024
        >>> cached_tokens({"cache_read_input_tokens": 2048}), cached_tokens({})
        (2048, 0)
    """
    for group in ("prompt_tokens_details", "input_tokens_details"):
        counted: dict[str, Any] = details.get(group) or {}
        if counted.get("cached_tokens"):
            return int(counted["cached_tokens"])
    return int(details.get("cache_read_input_tokens") or 0)


class InTurn:
    """Performs requests one after the other, in the thread that waits for them.

    Args:
        listen: performs one.
    """

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._requests: deque[Generator[Event, None, None]] = deque()

    def start(self, ask: Ask) -> None:
        """Perform a request when those before it are over."""
        self._requests.append(self._listen(ask))

    def next(self) -> Event | None:
        """Wait for the next event; None if nothing is under way."""
        while self._requests:
            event = next(self._requests[0], None)
            if event is not None:
                return event
            self._requests.popleft()
        return None

    def close(self) -> None:
        """Abandon all requests."""
        for request in self._requests:
            request.close()


class InThreads:
    """Performs requests in threads of their own, and says when time is up.

    Args:
        listen: performs one.
        limit: how many run at a time.
        deadline_s: seconds from now until time is up; None for ever.
        late: takes what happens after time was up and the batch was closed.
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
        self._running = 0
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = self._expired = False

    def start(self, ask: Ask) -> None:
        """Perform a request as soon as a thread is free for it."""
        if self._free == 0:
            self._waiting.append(ask)
            return
        self._free -= 1
        self._running += 1
        run = copy_context().run
        threading.Thread(target=run, args=(self._run, ask), name="llmopt-plan", daemon=True).start()

    def next(self) -> Event | None:
        """Wait for the next event; None if nothing is under way."""
        if self._running == 0:
            return None
        try:
            event = self._events.get(
                timeout=None if self._until is None else max(0.0, self._until - monotonic())
            )
        except Empty:
            self._until, self._expired = None, True
            self._waiting.clear()
            return Expired()
        if isinstance(event, Ended):
            self._running -= 1
            self._free += 1
            if self._waiting:
                self.start(self._waiting.popleft())
        return event

    def close(self) -> None:
        """Abandon all requests, unless time was up: then they go on, and what they bring is late."""
        with self._lock:
            self._closed = True
            left = list(_drained(self._events)) if self._expired and self._late else []
        for event in left:
            self._tell(event)

    def _run(self, ask: Ask) -> None:
        with closing(self._listen(ask)) as events:
            for event in events:
                with self._lock:
                    closed = self._closed
                    if not closed:
                        self._events.put(event)
                if closed and not self._tell(event):
                    return

    def _tell(self, event: Event) -> bool:
        """Tell of a late event, and whether the next is wanted."""
        if self._expired and self._late is not None:
            self._late(event)
            return True
        return False


def _drained(events: SimpleQueue[Event]) -> Iterator[Event]:
    while not events.empty():
        yield events.get_nowait()
