"""llm's four kinds of models, sync and async, with and without a key; event loops; a pool of SDK clients."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from llm.parts import Message, TextPart

import llmopt
from llmopt.chain.compat import with_messages
from llmopt.errors import Abandoned
from llmopt.testing import (
    AsyncScriptedKeyModel,
    AsyncScriptedModel,
    ScriptedKeyModel,
    ScriptedModel,
    VirtualClock,
)
from llmopt.types import Call, Flow, Trace, Usage
from llmopt.wrapping import pool as pool_module
from llmopt.wrapping._clients import MAX_CLIENTS, Pool

KINDS = (ScriptedModel, ScriptedKeyModel, AsyncScriptedModel, AsyncScriptedKeyModel)


@dataclass
class Seen:
    """What a middleware saw of one call."""

    trace: Trace
    started_at: float
    usage: Usage | None = None
    error: BaseException | None = None

    @property
    def ttft_s(self) -> float:
        return self.trace.attempts[-1].first_event_at - self.started_at


@dataclass
class Watch:
    """A middleware that takes notes of every call."""

    seen: list[Seen] = field(default_factory=list)

    def __call__(self, call: Call) -> Flow:
        call.trace.record()
        self.seen.append(seen := Seen(call.trace, call.clock.monotonic()))
        try:
            reply = yield call
        except (Abandoned, Exception) as error:
            seen.error = error
            raise
        seen.usage = reply.usage


def squeeze(call: Call) -> Flow:
    """A middleware that changes the prompt: it squeezes white space."""
    messages = [
        Message(role=message.role, parts=[squeezed(part) for part in message.parts])
        for message in call.prompt.messages
    ]
    yield call.replace(prompt=with_messages(call.prompt, messages))


def squeezed(part: Any) -> Any:
    return TextPart(text=" ".join(part.text.split())) if isinstance(part, TextPart) else part


class Lab:
    """Makes a scripted model of one kind and wraps it; what is asked works in both worlds."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.keyed = "Key" in kind.__name__
        self.asynchronous = kind.__name__.startswith("Async")
        self.clock = VirtualClock()
        self.watch = Watch()
        self.model: Any = None

    def wrap(self, script: Any = None, *middlewares: Any, **settings: Any) -> Any:
        """Return a wrapped model; it is watched from outside."""
        self.model = self.kind(script, clock=self.clock, **settings)
        return llmopt.wrap(self.model, self.watch, *middlewares, clock=self.clock)

    async def ask(self, response: Any) -> str:
        return await self.settle(response.text())

    async def settle(self, value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    async def events(self, response: Any) -> list[Any]:
        if self.asynchronous:
            return [event async for event in response.astream_events()]
        return list(response.stream_events())


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def lab(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("SCRIPTED_API_KEY", "from-env")
    return Lab(request.param)


@pytest.fixture
def squeezing() -> Any:
    return squeeze


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def pool_limit():
    return MAX_CLIENTS


@pytest.fixture
def pool(monkeypatch, pool_limit):
    """A pool of SDK clients that only this test uses."""
    own = Pool(pool_limit)
    monkeypatch.setattr(pool_module, "POOL", own)
    yield own
    own.close()


def in_asyncio(main):
    asyncio.run(main())


@pytest.fixture(params=[in_asyncio, trio.run], ids=["asyncio", "trio"])
def run(request):
    """Runs a coroutine function in a new event loop."""
    return request.param
