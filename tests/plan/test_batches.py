"""Batches and queues as they are held: closed early, closed before they begin, failed as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import llmopt
from llmopt.plan.frames import PlanQueue
from llmopt.plan.types import Plan
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel

ANSWER = Answer(chunks=['["ann",["wait",1]]\n', '["bob",["wait",2]]'])
PATIENCE_S = 20


def wait(seconds: int):
    """Stay still."""


def planner_on(model: Any, **chosen: Any) -> Any:
    return llmopt.planner(model, tools=[wait], strategy="one_call", **chosen)(lambda agent: {"hp": 1})


def in_loop(backend: str, main: Any) -> None:
    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
class TestAsyncBatches:
    def test_the_end_of_the_block_closes_it(self, backend: str) -> None:
        async def main() -> None:
            async with planner_on(AsyncScriptedModel([ANSWER])).abatch(["ann", "bob"]) as batch:
                first = await anext(batch)
                assert first.agent == "ann"
            assert list(await batch.result()) == ["ann"]
            with pytest.raises(StopAsyncIteration):
                await anext(batch)

        in_loop(backend, main)

    def test_one_that_is_closed_before_it_begins_asks_nobody(self, backend: str) -> None:
        model = AsyncScriptedModel([ANSWER])

        async def main() -> None:
            async with planner_on(model).abatch(["ann", "bob"]) as batch:
                pass
            assert list(await batch.result()) == []
            assert [plan async for plan in batch] == []

        in_loop(backend, main)
        assert model.calls == []

    def test_one_that_is_awaited_whole(self, backend: str) -> None:
        async def main() -> None:
            batch = planner_on(AsyncScriptedModel([ANSWER])).abatch(["ann", "bob"])
            assert (await batch.result()).status()["ok"] == 2
            await batch.aclose()
            assert (await batch.result()).status()["ok"] == 2

        in_loop(backend, main)


def test_a_batch_that_is_closed_early_has_what_there_was() -> None:
    with planner_on(ScriptedModel([ANSWER])).batch(["ann", "bob"]) as batch:
        next(batch)
    assert list(batch.result()) == ["ann"]


class Batches:
    """Stands for a planner: each batch makes a plan for its first agents, and then fails."""

    def __init__(self, good: int) -> None:
        self.good = good
        self.over = threading.Event()

    def __call__(self, agents: list[str]) -> Any:
        return self._plans(agents)

    def _plans(self, agents: list[str]) -> Iterator[Plan]:
        try:
            for agent in agents[: self.good]:
                yield Plan(agent, ())
            raise RuntimeError("no more plans")
        finally:
            self.over.set()


def settled(queue: PlanQueue) -> list[Any]:
    """Return what each look at the queue brings, until nobody is waited for."""
    seen: list[Any] = []
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE_S, deadline.set)
    timer.start()
    while queue.waiting and not deadline.is_set():
        try:
            seen += queue.ready()
        except RuntimeError as error:
            seen.append(str(error))
    timer.cancel()
    return seen


@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_batch_that_fails_is_no_longer_waited_for(good: int) -> None:
    queue = PlanQueue(batches := Batches(good))
    for agent in ("ann", "bob", "cid"):
        queue.add(agent)
    assert (queue.flush(), queue.waiting) == (3, 3)
    assert batches.over.wait(PATIENCE_S)
    seen = settled(queue)
    if not any(isinstance(one, str) for one in seen):  # the plans came first, the error comes by itself
        with pytest.raises(RuntimeError, match="no more plans"):
            queue.ready()
        seen.append("no more plans")
    assert [getattr(one, "agent", one) for one in seen] == [*["ann", "bob", "cid"][:good], "no more plans"]
    assert queue.waiting == 0
    assert queue.ready() == []


def test_what_came_before_a_failure_is_not_lost() -> None:
    queue = PlanQueue(batches := Batches(2))
    for agent in ("ann", "bob", "cid"):
        queue.add(agent)
    queue.flush()
    assert batches.over.wait(PATIENCE_S)
    thread = next((one for one in threading.enumerate() if one.name == "llmopt-queue"), None)
    if thread is not None:
        thread.join(PATIENCE_S)
    assert [plan.agent for plan in queue.ready()] == ["ann", "bob"]
    with pytest.raises(RuntimeError, match="no more plans"):
        queue.ready()
    queue.add("dan")
    assert queue.flush() == 1
