"""One harness for sync, asyncio and trio: scripted models behind a chain, on a virtual clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import llmopt
from llmopt.testing import (
    AsyncScriptedKeyModel,
    AsyncScriptedModel,
    ScriptedKeyModel,
    ScriptedModel,
    VirtualClock,
)
from llmopt.types import Trace

WORLDS = ("sync", "asyncio", "trio")
PATIENCE_S = 20.0
"""Real seconds after which what hangs is given up."""


@dataclass
class Outcome:
    """What the consumer of one call got: its events, its response, the error, and the call's trace."""

    response: Any = None
    events: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    trace: Trace = field(default_factory=Trace)

    @property
    def text(self) -> str:
        return "".join(event.chunk for event in self.events if event.type == "text")

    @property
    def told(self) -> str:
        """The text, or the name of the error."""
        return self.text if self.error is None else type(self.error).__name__

    @property
    def notes(self) -> dict[str, Any]:
        return self.trace.notes

    @property
    def attempts(self) -> list[str]:
        """Each attempt's error, or "ok"."""
        errors = [attempt.error for attempt in self.trace.attempts or ()]
        return ["ok" if error is None else type(error).__name__ for error in errors]

    @property
    def waits(self) -> list[float]:
        return [attempt.waited_s for attempt in self.trace.attempts or ()]


class InterruptingClock:
    """A clock on which whoever sleeps is interrupted."""

    def __init__(self, clock: Any) -> None:
        self.monotonic, self.time = clock.monotonic, clock.time
        self.scope: Any = None  # the cancel scope of the task that sleeps

    def sleep(self, seconds: float) -> None:
        raise KeyboardInterrupt

    async def asleep(self, seconds: float) -> None:
        self.scope.cancel()
        await anyio.lowlevel.checkpoint()


class World:
    """Makes models of one kind, wraps them, and asks them in a thread or an event loop."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.is_async = kind != "sync"
        self.clock = VirtualClock()
        self.traces: dict[str, Trace] = {}

    def model(self, script: Any = None, *, keyed: bool = False, **options: Any) -> Any:
        """Return a scripted model of this world's kind."""
        kinds = (ScriptedKeyModel, AsyncScriptedKeyModel) if keyed else (ScriptedModel, AsyncScriptedModel)
        return kinds[self.is_async](script, clock=self.clock, **options)

    def chat(self, url: str) -> Any:
        """Return one of llm's OpenAI models of this world's kind, for a server at `url`."""
        from llm.default_plugins.openai_models import AsyncChat, Chat

        kind = AsyncChat if self.is_async else Chat
        model = kind("gpt-test", key="sk-test", api_base=url, supports_tools=True, supports_schema=True)
        model.needs_key = None
        return model

    def wrap(self, model: Any, *middlewares: Any, clock: Any = None) -> Any:
        """Return a wrapped model, of which every call is traced; a script stands for its model."""
        if not hasattr(model, "execute"):
            model = self.model(model)
        return llmopt.wrap(model, self._trace, *middlewares, clock=clock or self.clock)

    def _trace(self, call: llmopt.Call) -> Any:
        call.trace.record()
        self.traces[call.id] = call.trace
        yield call

    def ask(self, model: Any, prompt: str = "Hi", *, take: int | None = None, **given: Any) -> Outcome:
        """Ask, and consume the stream; leave after `take` events if it is given."""
        return self.ask_all([model], prompt, take=take, **given)[0]

    def ask_all(
        self, models: Sequence[Any], prompt: str = "Hi", *, take: int | None = None, **given: Any
    ) -> list[Outcome]:
        """Ask all models at the same time: in threads, or in the tasks of one event loop."""
        outcomes = [Outcome() for _ in models]
        pairs = list(zip(models, outcomes, strict=True))
        if self.is_async:
            jobs = [lambda m=m, o=o: self.consumed(m.prompt(prompt, **given), o, take) for m, o in pairs]
            self.run(lambda: _together(jobs))
        else:
            threads = [
                bounded(lambda m=m, o=o: consume(m.prompt(prompt, **given), o, take)) for m, o in pairs
            ]
            for thread in threads:
                thread.result(PATIENCE_S)
        for outcome in outcomes:
            outcome.trace = self.traces.get(getattr(outcome.response, "id", ""), outcome.trace)
        return outcomes

    def interrupt(self, model: Any, *middlewares: Any) -> Outcome:
        """Ask, and be interrupted in the first wait: by Ctrl-C in a thread, by a cancellation in a task."""
        model = model if hasattr(model, "execute") else self.model(model)
        model.clock = clock = InterruptingClock(self.clock)
        wrapped, outcome = self.wrap(model, *middlewares, clock=clock), Outcome()
        if not self.is_async:
            return self.ask(wrapped)

        async def main() -> None:
            with anyio.CancelScope() as clock.scope:
                await self.consumed(wrapped.prompt("Hi"), outcome)
            if clock.scope.cancelled_caught:
                outcome.error = KeyboardInterrupt()

        self.run(main)
        outcome.trace = self.traces[outcome.response.id]
        return outcome

    async def consumed(self, response: Any, outcome: Outcome, take: int | None = None) -> None:
        """Consume a response in this event loop; what goes wrong is put into `outcome`."""
        outcome.response = response
        stream = response.astream_events()
        try:
            if take == 0:
                return
            async for event in stream:
                outcome.events.append(event)
                if take is not None and len(outcome.events) >= take:
                    break
        except (Exception, KeyboardInterrupt) as error:
            outcome.error = error
        finally:
            await stream.aclose()

    def run(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine function in a new event loop of this world, or a function in a thread."""
        if not self.is_async:
            return bounded(work).result(PATIENCE_S)

        async def main() -> Any:
            with anyio.fail_after(PATIENCE_S):
                return await work()

        return bounded(lambda: anyio.run(main, backend=self.kind)).result(PATIENCE_S + 1)


def consume(response: Any, outcome: Outcome, take: int | None = None) -> None:
    """Consume a response in this thread; what goes wrong is put into `outcome`."""
    outcome.response = response
    stream = response.stream_events()
    try:
        if take == 0:
            return
        for event in stream:
            outcome.events.append(event)
            if take is not None and len(outcome.events) >= take:
                break
    except BaseException as error:
        outcome.error = error
    finally:
        stream.close()


async def _together(jobs: Sequence[Callable[[], Any]]) -> None:
    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(job)


def bounded(work: Callable[[], Any]) -> Future[Any]:
    """Run `work` in a thread that keeps nobody waiting: not the test, nor the end of the process."""
    done: Future[Any] = Future()

    def main() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=copy_context().run, args=(main,), daemon=True).start()
    return done


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture(scope="session")
def make_world() -> type[World]:
    return World
