"""What becomes of tasks, threads and processes: interrupted, cancelled at every point, left, forked."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import anyio
import pytest

import llmopt
from llmopt import Budget, Cache, CircuitBreaker, Fallback, RateLimit, Retry, SQLiteStore, Timeout
from llmopt.testing import Answer, FaultPlan, VirtualClock

from ..middleware.conftest import PATIENCE_S, Outcome
from .stage import Fault, Logged, Stage, full_stack, scripted, until

TEXT = "one two three"


class Steps:
    """Awaits a coroutine, and has it cancelled when it suspends for the `at`th time."""

    def __init__(self, coroutine: Any, at: int, cancel: Callable[[], None]) -> None:
        self._coroutine, self._at, self._cancel = coroutine, at, cancel

    def __await__(self) -> Iterator[Any]:
        resume, value = self._coroutine.send, None
        for step in itertools.count(1):
            try:
                waited_for = resume(value)
            except StopIteration as end:
                return end.value
            if step == self._at:
                self._cancel()
            try:
                resume, value = self._coroutine.send, (yield waited_for)
            except BaseException as error:
                resume, value = self._coroutine.throw, error


class InterruptedAt(VirtualClock):
    """A clock on which the `at`th wait of a thread is interrupted."""

    at = 0

    def sleep(self, seconds: float) -> None:
        self.at -= 1
        if self.at == 0:
            raise KeyboardInterrupt
        super().sleep(seconds)


class Sweep:
    """A chain with everything in it, in which every call waits for its turn, is retried, and streams."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.world = stage, stage.world
        self.clock = InterruptedAt()
        self.cache = Cache(store=SQLiteStore(stage.folder / "cache.db"))
        self.limit = RateLimit(requests_per_minute=60, burst_s=1)
        self.failed: set[str] = set()
        self.outcomes: list[Outcome] = []
        model = self.world.model(self.answer)
        model.clock = self.clock
        self.breaker = CircuitBreaker(failure_threshold=1)
        stack = (Fallback(lambda call: "HOLD"), Retry(budget_ratio=None), self.breaker)
        inside = (Timeout(3600), self.limit, Budget(tokens_per_day=10**9))
        stage.wrap(model, self.cache, *stack, *inside, clock=self.clock)

    def answer(self, prompt: Any) -> Answer:
        """Fail the first time, then stream."""
        if prompt.prompt not in self.failed:
            self.failed.add(prompt.prompt)
            return FaultPlan.of("503")(prompt)
        return Answer(chunks=["one", " two", " three"], delay_s=1, chunk_delay_s=1)

    def run(self) -> Outcome:
        """Interrupt a call at its first wait, another at its second, ..., until one comes through."""
        if self.world.is_async:
            self.world.run(self._acancel)
        else:
            self._interrupt()
        *cancelled, through = self.outcomes
        assert through.told == TEXT
        assert len(cancelled) >= (10 if self.world.is_async else 4), "there are more points than that"
        for outcome in cancelled:
            row = self.stage.row(outcome)
            assert (row is not None) == (outcome.response.id in self.world.traces)  # if it had begun
            assert row is None or row.status == "cancelled"
        return cancelled[-1]

    def _interrupt(self) -> None:
        for at in itertools.count(1):
            self.clock.at = at
            outcome = self.stage.ask(f"call {at}")
            self.outcomes.append(outcome)
            self.clock.at = 0
            if outcome.error is None:
                return
            assert outcome.told == "KeyboardInterrupt"
            assert self.stage.ask(f"call {at}").told == TEXT
            self._check()

    async def _acancel(self) -> None:
        for at in itertools.count(1):
            outcome, again = Outcome(), Outcome()
            self.outcomes.append(outcome)
            if await self._cancelled_at(at, f"call {at}", outcome) is False:
                return
            await self.world.consumed(self.stage.wrapped.prompt(f"call {at}"), again)
            assert again.told == TEXT
            self._check()

    async def _cancelled_at(self, at: int, prompt: str, outcome: Outcome) -> bool:
        with anyio.CancelScope() as scope:
            asked = self.world.consumed(self.stage.wrapped.prompt(prompt), outcome)
            await Steps(asked, at, scope.cancel)
        if scope.cancelled_caught:
            outcome.error = KeyboardInterrupt()
        return scope.cancelled_caught

    def _check(self) -> None:
        assert self.cache._flights.stats().open == 0
        assert self.limit.stats()["waiting"] == 0
        (breaker,) = self.breaker.stats().values()
        assert breaker["state"] == "closed"

    async def follow(self, *, leader_goes: bool) -> None:
        """Of two who ask the same in one event loop, cancel one at every await: the other gets its answer."""
        for at in itertools.count(1):
            prompt, outcomes = f"shared {leader_goes} {at}", (Outcome(), Outcome())
            goes, stays = outcomes if leader_goes else outcomes[::-1]
            cancelled: list[bool] = []

            async def leave(prompt: str = prompt, at: int = at, goes: Outcome = goes) -> None:
                cancelled.append(await self._cancelled_at(at, prompt, goes))  # noqa: B023

            async def stay(prompt: str = prompt, stays: Outcome = stays) -> None:
                await self.world.consumed(self.stage.wrapped.prompt(prompt), stays)

            async with anyio.create_task_group() as group:
                for job in (leave, stay) if leader_goes else (stay, leave):
                    group.start_soon(job)
            assert stays.told == TEXT
            self._check()
            if not cancelled[0]:
                return


def cancelled_everywhere(stage: Stage) -> Outcome:
    return Sweep(stage).run()


def shared_and_cancelled_everywhere(stage: Stage) -> Outcome:
    sweep = Sweep(stage)
    if stage.world.is_async:
        stage.world.run(lambda: sweep.follow(leader_goes=True))
        stage.world.run(lambda: sweep.follow(leader_goes=False))
    else:
        callers = [stage.call("shared") for _ in range(8)]
        assert [caller.wait().told for caller in callers] == [TEXT] * 8
    return stage.ask("once more")


def left_everywhere(stage: Stage) -> Outcome:
    """Leave a stream of three events after the first, the second and the third."""
    sweep = Sweep(stage)
    for events in (1, 2, 3):
        outcome = stage.ask(f"call {events}", take=events)
        assert outcome.text == "one two three"[: (3, 7, 13)[events - 1]]
        assert stage.row(outcome).status == "abandoned"
        assert stage.ask(f"call {events}").told == TEXT
        sweep._check()
    return outcome


def forked(stage: Stage) -> Outcome:
    """Fork while a stream is under way: both processes go on with it, and with calls of their own."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    stack = full_stack()
    model = stage.world.model([Answer(chunks=["one", "two"], chunk_delay_s=1)])
    gate = ForkedWhileWaiting(stage)
    model.clock = gate
    stage.wrap(model, *stack)
    outcome = stage.ask()
    assert gate.child_said == 0, "the child could not make a call"
    rows = llmopt.usage.open(stage.log.path).query("SELECT pid FROM processes")
    assert gate.child in [row["pid"] for row in rows]
    return outcome


class ForkedWhileWaiting:
    """A clock for a model: in the middle of its answer the process is forked."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.child = 0
        self.child_said: int | None = None

    def sleep(self, seconds: float) -> None:
        llmopt.usage.flush()  # what other tests have left to be written is no part of this
        self.child = os.fork()
        if self.child == 0:
            self._live()
        until(self._ended)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def _live(self) -> None:
        """Be the child: ask, have it logged, and be gone without the parent's clean-up."""
        said = 1
        try:
            signal.alarm(int(PATIENCE_S))
            asked = Context().run(self._stage.ask, "child")  # this context is that of the parent's loop
            said = 0 if asked.told == "child" else 2
            llmopt.usage.flush()  # other tests may have left a log that cannot be written: see `forked`
        finally:
            os._exit(said)

    def _ended(self) -> bool:
        pid, status = os.waitpid(self.child, os.WNOHANG)
        if pid:
            self.child_said = status
        return bool(pid)


FAULTS = (
    Fault("Ctrl-C", "The process is interrupted while the model works", "`KeyboardInterrupt`",
          scripted(Answer(error=KeyboardInterrupt())), "KeyboardInterrupt", Logged("cancelled", 1)),
    Fault("cancelled anywhere", "A task is cancelled at any await, or a thread interrupted in any wait",
          "Its own cancellation; the next caller gets the answer", cancelled_everywhere, "KeyboardInterrupt",
          Logged("cancelled", 2), again="one two three"),
    Fault("shared call, cancelled anywhere", "One of two who ask the same is cancelled at any of its awaits",
          "The other: the whole answer, once", shared_and_cancelled_everywhere, TEXT,
          Logged("ok", 2, cache="miss"), again="one two three"),
    Fault("left anywhere", "The caller leaves the stream after any of its events",
          "What it has read; the next caller gets the whole answer", left_everywhere, TEXT,
          Logged("abandoned", 2), again="one two three"),
    Fault("fork", "The process forks in the middle of a stream",
          "The whole answer; the child makes calls of its own", forked, "onetwo", Logged("ok", 1)),
)  # fmt: skip
