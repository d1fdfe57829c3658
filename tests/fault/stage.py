"""What a fault is played on, and what is written down about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest  # noqa: TC002 - the annotations are read
import tenacity

import llmopt
from llmopt import Budget, Cache, CircuitBreaker, RateLimit, Retry, Timeout
from llmopt.chain.aio import waker
from llmopt.testing.server import Answer as Served

from ..middleware.conftest import PATIENCE_S, Outcome, World, bounded, consume

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Logged:
    """The call's row in the usage log.

    Attributes:
        status: ok, error, cancelled or abandoned.
        attempts: runs of a model.
        error_class: the class of the call's error.
        http_status: the status that it carried.
        cache: what the cache did, where that is the point.
    """

    status: str
    attempts: int
    error_class: str | None = None
    http_status: int | None = None
    cache: str | None = None

    def __str__(self) -> str:
        words = [f"`{word}`" for word in (self.status, self.error_class, self.http_status) if word]
        words += [f"cache `{self.cache}`"] if self.cache else []
        words.append("1 attempt" if self.attempts == 1 else f"{self.attempts or 'no'} attempts")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Fault:
    """One named fault and its documented outcome.

    Attributes:
        name: its name.
        happens: what goes wrong.
        sees: what the caller sees.
        play: makes the fault happen, and returns the outcome of the call that it hit.
        told: the text that the caller got, or the name of the error's class.
        logged: the call's row, or what the log says where it is the log that fails.
        heard: the text that came before the error.
        again: what the same chain says to the next call.
        rest_s: seconds that pass before it.
    """

    name: str
    happens: str
    sees: str
    play: Callable[[Stage], Outcome]
    told: str
    logged: Logged | str
    heard: str = ""
    again: str = "again"
    rest_s: float = 0.0

    @property
    def documented(self) -> str:
        """The fault's row in docs/faults.md."""
        return f"| {self.name} | {self.happens} | {self.sees} | {self.logged} |"


class Stage:
    """Where a fault happens.

    Attributes:
        world: threads, asyncio or trio.
        log: the usage log that is outermost in every chain.
        wrapped: the model that was wrapped last; the next call goes to it.
    """

    def __init__(self, world: World, log: llmopt.UsageLog, request: pytest.FixtureRequest) -> None:
        self.world = world
        self.log = log
        self.wrapped: Any = None
        self._request = request

    @cached_property
    def server(self) -> Any:
        return self._request.getfixturevalue("server")

    @cached_property
    def folder(self) -> Path:
        return self._request.getfixturevalue("tmp_path")

    @cached_property
    def caplog(self) -> pytest.LogCaptureFixture:
        return self._request.getfixturevalue("caplog")

    @cached_property
    def patch(self) -> pytest.MonkeyPatch:
        return self._request.getfixturevalue("monkeypatch")

    def wrap(self, model: Any, *stack: Any, clock: Any = None) -> Any:
        """Return `model`, or the model of a script, behind the log and `stack`."""
        self.wrapped = self.world.wrap(model, self.log, *stack, clock=clock)
        return self.wrapped

    def ask(self, *args: Any, **given: Any) -> Outcome:
        return self.world.ask(self.wrapped, *args, **given)

    def call(self, prompt: str = "Hi") -> Caller:
        """Ask, and go on meanwhile."""
        return Caller(self.world, self.wrapped, prompt)

    def row(self, outcome: Outcome) -> Logged | None:
        """Return the row that the log has for a call."""
        database = llmopt.usage.open(self.log.path)
        columns = "status, attempts, error_class, http_status, cache_outcome"
        found = list(database.query(f"SELECT {columns} FROM calls WHERE id = ?", [outcome.response.id]))  # noqa: S608
        database.close()
        return Logged(*found[0].values()) if found else None


class Caller:
    """A caller in a thread of its own, and in an event loop of its own.

    Attributes:
        outcome: what it got, when it is `done`.
    """

    def __init__(self, world: World, wrapped: Any, prompt: str) -> None:
        self.outcome = Outcome(response=wrapped.prompt(prompt))
        self._world = world
        self._cancel: Callable[[], None] | None = None
        work = (lambda: anyio.run(self._amain, backend=world.kind)) if world.is_async else self._main
        self._done = bounded(work)

    def _main(self) -> None:
        consume(self.outcome.response, self.outcome)

    async def _amain(self) -> None:
        with anyio.CancelScope() as scope:
            self._cancel = waker(scope.cancel)
            await self._world.consumed(self.outcome.response, self.outcome)
        if scope.cancelled_caught:
            self.outcome.error = KeyboardInterrupt()

    def cancel(self, gate: Gate) -> None:
        """Cancel its task; a thread is interrupted where it waits at the gate."""
        if self._cancel is None:
            gate.interrupted = True
        else:
            self._cancel()

    def wait(self) -> Outcome:
        """Wait until it has ended."""
        self._done.result(PATIENCE_S)
        self.outcome.trace = self._world.traces.get(self.outcome.response.id, self.outcome.trace)
        return self.outcome


class Gate:
    """A clock for a model: whoever sleeps waits until the gate is opened."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.opened = threading.Event()
        self.interrupted = False

    def sleep(self, seconds: float) -> None:
        self.waiting.set()
        while not self.opened.wait(0.002):
            if self.interrupted:
                raise KeyboardInterrupt

    async def asleep(self, seconds: float) -> None:
        self.waiting.set()
        await anyio.to_thread.run_sync(self.opened.wait, abandon_on_cancel=True)


def until(condition: Callable[[], object]) -> None:
    """Wait until something has happened in another thread."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.001)


def full_stack(**timeout: float) -> tuple[Any, ...]:
    """Everything there is, in the recommended order, with waits that are none."""
    return (
        Cache(),
        Retry(attempts=ATTEMPTS, wait=tenacity.wait_none(), budget_ratio=None),
        CircuitBreaker(),
        Timeout(**(timeout or {"total_s": 30})),
        RateLimit(requests_per_minute=60_000),
        Budget(tokens_per_day=10**9),
    )


def served(*answers: Served, clock: Any = None, **timeout: float) -> Callable[[Stage], Outcome]:
    """A provider answers like this, over real HTTP."""

    def play(stage: Stage) -> Outcome:
        stage.server.script(*answers)
        stage.wrap(stage.world.chat(stage.server.url), *full_stack(**timeout), clock=clock)
        return stage.ask()

    return play


def scripted(
    *script: Any, stack: Callable[[], tuple[Any, ...]] = full_stack, **given: Any
) -> Callable[[Stage], Outcome]:
    """A model does this."""

    def play(stage: Stage) -> Outcome:
        stage.wrap(list(script), *stack())
        return stage.ask(**given)

    return play
