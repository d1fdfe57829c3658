"""Batches under way: iterators over plans, with the whole as their result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from types import TracebackType
from typing import Self

from .desk import Desk
from .types import Plan, PlanBatch


class Batch(Iterator[Plan]):
    r"""The plans of many agents, each as soon as its last byte is there.

    It begins with the first `next`, and ends the calls that are under way when it is closed, or dropped.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> def wait(seconds: int): "Stay still."
        >>> model = ScriptedModel(['[1,["wait",2]]\\n[2,["wait",5]]'])
        >>> plan_for = llmopt.planner(model, tools=[wait], id_of=int)(lambda agent: {"hp": 10 * agent})
        >>> for plan in (batch := plan_for.batch([1, 2])):
        ...     print(plan.agent, *plan)
        1 wait(seconds=2)
        2 wait(seconds=5)
        >>> batch.result().status()["ok"]
        2
    """

    def __init__(self, plans: Generator[Plan, None, None], desk: Desk) -> None:
        self._plans = plans
        self._desk = desk

    def __next__(self) -> Plan:
        """Wait for the next plan."""
        return next(self._plans)

    def result(self) -> PlanBatch:
        """Wait for all plans, and return them with what they took. After `close` it is what there was."""
        for _ in self._plans:
            pass
        return self._desk.result()

    def close(self) -> None:
        """End all calls that are under way; agents without a plan stay without one."""
        self._plans.close()

    def __enter__(self) -> Self:
        """Return itself; the end of the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close it."""
        self.close()


class AsyncBatch(AsyncIterator[Plan]):
    """A `Batch` in an event loop; `result` is awaited, and it is closed by `aclose` or `async with`."""

    def __init__(self, begin: Callable[[], Awaitable[tuple[AsyncGenerator[Plan, None], Desk]]]) -> None:
        self._begin = begin
        self._begun: tuple[AsyncGenerator[Plan, None], Desk] | None = None
        self._closed = False

    async def __anext__(self) -> Plan:
        """Wait for the next plan."""
        if self._begun is None:
            if self._closed:
                raise StopAsyncIteration
            self._begun = await self._begin()
        return await anext(self._begun[0])

    async def result(self) -> PlanBatch:
        """Wait for all plans, and return them with what they took. After `aclose` it is what there was."""
        async for _ in self:
            pass
        return PlanBatch({}) if self._begun is None else self._begun[1].result()

    async def aclose(self) -> None:
        """End all calls that are under way; agents without a plan stay without one."""
        self._closed = True
        if self._begun is not None:
            await self._begun[0].aclose()

    async def __aenter__(self) -> Self:
        """Return itself; the end of the block closes it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close it."""
        await self.aclose()
