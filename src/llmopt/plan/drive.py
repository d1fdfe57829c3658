"""The drivers of a batch, for threads and for event loops: they perform what its course says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, aclosing, closing, nullcontext
from inspect import isawaitable
from typing import Any, Protocol, TypeAlias, cast

from .events import Action, Do, Event
from .session import Ask
from .types import Plan

Course: TypeAlias = "Generator[Action, Any, None]"


class Source(Protocol):
    """Performs requests, and tells what happens to them."""

    def start(self, ask: Ask, /) -> None:
        """Begin a request, now or when its turn comes."""
        ...

    def next(self) -> Event | None:
        """Wait for the next event; None if nothing is under way."""
        ...

    def close(self) -> None:
        """End what is under way."""
        ...


class AsyncSource(Protocol):
    """A `Source` in an event loop."""

    def start(self, ask: Ask, /) -> None:
        """As in `Source`."""
        ...

    async def next(self) -> Event | None:
        """As in `Source`."""
        ...

    async def aclose(self) -> None:
        """As `close` in `Source`."""
        ...


_NOTHING = nullcontext()


def drive(
    course: Course, source: Source, around: AbstractContextManager[None] = _NOTHING
) -> Generator[Plan, None, None]:
    """Perform a batch inside of `around`, and yield each plan when its last byte is there."""
    result: Any = None
    with around, closing(course), closing(source):
        while True:
            try:
                action = course.send(result)
            except StopIteration:
                return
            result = None
            if isinstance(action, Plan):
                yield action
            elif isinstance(action, Ask):
                source.start(action)
            elif isinstance(action, Do):
                result = _done(action)
            else:
                result = source.next()


async def adrive(
    course: Course, source: AsyncSource, around: AbstractContextManager[None] = _NOTHING
) -> AsyncGenerator[Plan, None]:
    """Perform a batch in an event loop inside of `around`; see `drive`."""
    result: Any = None
    with around:
        async with aclosing(source):
            while True:
                try:
                    action = course.send(result)
                except StopIteration:
                    return
                result = None
                if isinstance(action, Plan):
                    yield action
                elif isinstance(action, Ask):
                    source.start(action)
                elif isinstance(action, Do):
                    result = await _adone(action)
                else:
                    result = await source.next()


def _done(action: Do) -> Any:
    """Run a callable, and return what it makes or its error."""
    try:
        with action.within():
            made = action.fn(action.agent)
    except Exception as error:  # noqa: BLE001 - the course decides what follows
        return error
    if isawaitable(made):
        cast("Any", made).close()
        return TypeError(f"{action.fn!r} is async: await the planner, or use abatch")
    return made


async def _adone(action: Do) -> Any:
    """Run a callable, await what it makes if it is async, and return that or its error."""
    try:
        with action.within():
            made = action.fn(action.agent)
            return await made if isawaitable(made) else made
    except Exception as error:  # noqa: BLE001 - the course decides what follows
        return error
