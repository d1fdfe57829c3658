"""A chain without llm: responses, a clock and models that only this room needs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio

from llmopt.chain import aio, sync
from llmopt.chain.delegate import Delegate
from llmopt.chain.machine import Machine
from llmopt.types import Call, Trace


class Response:
    """What the delegate needs of an llm response."""

    def __init__(
        self, prompt: Any, model: Any, stream: bool, conversation: Any = None, key: Any = None, **_: Any
    ):
        self.id, self.prompt, self.model, self.stream = "id", prompt, model, stream
        self.conversation, self._key, self.before_call, self.after_call = conversation, key, None, None
        self.input_tokens = self.output_tokens = self.token_details = None
        self.response_json = self.resolved_model = self._prompt_json = None
        self._tool_calls: list[Any] = []

    def set_usage(self, *, input: Any = None, output: Any = None, details: Any = None) -> None:  # noqa: A002
        self.input_tokens, self.output_tokens, self.token_details = input, output, details


class Clock:
    """Virtual time; sleeping passes it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        import anyio

        self.now += seconds
        await anyio.lowlevel.checkpoint()


class Model:
    model_id = "scripted"


class World:
    """Runs a stack of middlewares over scripted runs of a model, in one of three worlds."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.clock = Clock()
        self.closed = 0
        self.trace = Trace()

    def run(
        self,
        middlewares: Sequence[Any],
        runs: Sequence[Callable[[Any], Any]],
        *,
        take: int | None = None,
        limits: Any = None,
        each: Callable[[], None] = lambda: None,
    ) -> tuple[list[Any], str, Response]:
        """Return the events that the consumer got, the outcome, and the consumer's response.

        Args:
            middlewares: the chain.
            runs: one generator function per run of the model; each gets the response to write to.
            take: the consumer leaves after so many events.
            limits: the call's limits.
            each: what the consumer does with each event.
        """
        self.each = each
        response = Response("prompt", Model(), stream=True)
        self.trace = Trace()
        call = Call(response.model, "prompt", True, response, None, None, self.clock, self.trace, limits)
        script = itertools.cycle(runs)

        def bottom(_model: Any, call: Call, inner: Any) -> Any:
            made = next(script)(inner)
            return made if self.kind == "sync" else self._asynchronous(made)

        machine, delegate = Machine(tuple(middlewares), call), Delegate(bottom)
        got: list[Any] = []
        if self.kind == "sync":
            outcome = self._consume(sync.drive(machine, delegate), got, take)
        elif self.kind == "asyncio":
            outcome = asyncio.run(self._aconsume(aio.drive(machine, delegate), got, take))
        else:
            outcome = trio.run(self._aconsume, aio.drive(machine, delegate), got, take)
        return got, outcome, response

    async def _asynchronous(self, events: Any) -> Any:
        import anyio

        try:
            for event in events:
                await anyio.lowlevel.checkpoint()
                yield event
        finally:
            events.close()

    def _consume(self, events: Any, got: list[Any], take: int | None) -> str:
        try:
            for event in events:
                got.append(event)
                self.each()
                if take is not None and len(got) >= take:
                    events.close()
                    return "left"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "ok"

    async def _aconsume(self, events: Any, got: list[Any], take: int | None) -> str:
        try:
            async for event in events:
                got.append(event)
                self.each()
                if take is not None and len(got) >= take:
                    await events.aclose()
                    return "left"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "ok"


WORLDS = ("sync", "asyncio", "trio")


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture(scope="session")
def make_world() -> type[World]:
    return World
