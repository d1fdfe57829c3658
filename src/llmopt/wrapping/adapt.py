"""Puts a chain around llm's four model classes without changing what they are.

A wrapped model is a shallow copy of the model whose class is a subclass made for it, with the same
name. llm calls `execute` for prompts, conversations, chains, tool rounds and replies alike, so nothing
gets past it; every other attribute, and every isinstance answer, is the model's own.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from ..chain import aio, sync
from ..chain.clock import SystemClock
from ..chain.delegate import Delegate, Execute
from ..chain.machine import Machine
from ..stages import Event
from ..types import Call, Clock, Middleware, Trace
from . import pool

if TYPE_CHECKING:
    from llm.models import AsyncResponse, Response


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What a wrapped model carries beside its own attributes, as `model.__llmopt__`.

    Attributes:
        original: the model that was given to `wrap`, untouched.
        middlewares: the chain, outermost first.
        clock: the chain's clock.
        pooled: whether HTTP clients are kept and shared between calls.
        sdk_retries: whether the provider's SDK goes on retrying by itself, unseen.
    """

    original: Any
    middlewares: tuple[Middleware, ...]
    clock: Clock
    pooled: bool = True
    sdk_retries: bool = True


_EMPTY = Wrapping(None, (), SystemClock())


def adapt(model: Any, wrapping: Wrapping) -> Any:
    """Return a copy of `model` that runs its calls through the chain of `wrapping`."""
    twin = copy.copy(model)
    # Not the class of `model`: that may be a wrapped one already, and its chain would run twice.
    cls = cast("Any", type(wrapping.original))
    object.__setattr__(twin, "__class__", wrapped_class(cls, wrapping.pooled))  # whatever the model forbids
    vars(twin)["__llmopt__"] = wrapping
    return twin


@cache
def wrapped_class(cls: Any, pooled: bool) -> type:  # noqa: FBT001 - a cache key
    """Return the subclass of `cls` whose calls go through a chain; one is made per class."""
    from llm.models import AsyncKeyModel, AsyncModel, KeyModel

    keyed = issubclass(cls, (KeyModel, AsyncKeyModel))
    asynchronous = issubclass(cls, (AsyncModel, AsyncKeyModel))
    overrides = pool.overrides(cls) if pooled else {}
    bottom = bottom_of(cls, overrides.pop("execute", cls.execute), keyed=keyed)
    namespace: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__copy__": _copied,
        "__deepcopy__": _deepcopied,
        "__reduce_ex__": _reduced,
        "execute": (aio_execute if asynchronous else sync_execute)(bottom),
        **overrides,
    }
    if keyed:
        namespace["get_key"] = late_key(cls)
    made: type = type(cls)(cls.__name__, (cls,), namespace)
    return made


def sync_execute(bottom: Execute) -> Callable[..., Iterator[Event]]:
    """Return the `execute` of a wrapped sync model; `bottom` runs the model itself."""
    delegate = Delegate(bottom)

    def execute(  # noqa: PLR0917 - llm's own signature
        self: Any, prompt: Any, stream: Any, response: Any, conversation: Any = None, key: Any = None
    ) -> Iterator[Event]:
        try:
            wrapping: Wrapping = self.__llmopt__
        except AttributeError:  # somebody has made an instance of the class of a wrapped model
            wrapping = _EMPTY
        call = Call(self, prompt, stream, response, conversation, key, wrapping.clock, Trace())
        if not wrapping.middlewares:
            return bottom(self, call, response)  # type: ignore[no-any-return]
        return sync.drive(Machine(wrapping.middlewares, call), delegate)

    return execute


def aio_execute(bottom: Execute) -> Callable[..., AsyncIterator[Event]]:
    """Return the `execute` of a wrapped async model; `bottom` runs the model itself."""
    delegate = Delegate(bottom)

    def execute(  # noqa: PLR0917 - llm's own signature
        self: Any, prompt: Any, stream: Any, response: Any, conversation: Any = None, key: Any = None
    ) -> AsyncIterator[Event]:
        try:
            wrapping: Wrapping = self.__llmopt__
        except AttributeError:  # somebody has made an instance of the class of a wrapped model
            wrapping = _EMPTY
        call = Call(self, prompt, stream, response, conversation, key, wrapping.clock, Trace())
        if not wrapping.middlewares:
            return bottom(self, call, response)  # type: ignore[no-any-return]
        return aio.drive(Machine(wrapping.middlewares, call), delegate)

    return execute


def bottom_of(cls: type, execute: Callable[..., Any], *, keyed: bool) -> Execute:
    """Return what runs a model of `cls` at the bottom of its own chain, or another model in its place."""

    def bottom(model: Any, call: Call, response: Response | AsyncResponse) -> Any:
        if model is not call.response.model:
            return elsewhere(model, call, response)
        if keyed:
            key = cls.get_key(model, call.key)  # type: ignore[attr-defined]
            return execute(
                model,
                call.prompt,
                stream=call.stream,
                response=response,
                conversation=call.conversation,
                key=key,
            )
        return execute(
            model, call.prompt, stream=call.stream, response=response, conversation=call.conversation
        )

    return bottom


def elsewhere(model: Any, call: Call, response: Response | AsyncResponse) -> Any:
    """Run a model that is not the wrapped one; the caller's key goes only to the same provider."""
    from llm.models import AsyncKeyModel, KeyModel

    key: dict[str, Any] = {}
    if isinstance(model, (KeyModel, AsyncKeyModel)):
        same = model.needs_key == getattr(call.response.model, "needs_key", None)
        key["key"] = model.get_key(call.key if same else None)
    run: Callable[..., Any] = model.execute
    return run(call.prompt, stream=call.stream, response=response, conversation=call.conversation, **key)


def late_key(cls: type) -> Callable[..., str | None]:
    """Return a `get_key` that leaves the key unresolved while llm prepares a call.

    llm asks for the key before it runs `execute`; an answer from the cache needs none, so it is looked
    up where the model is really run. Everybody else gets the answer of the class.
    """

    def get_key(self: Any, explicit_key: str | None = None) -> str | None:
        caller = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if caller.f_globals.get("__name__") == "llm.models":
            return explicit_key
        return cls.get_key(self, explicit_key)  # type: ignore[attr-defined, no-any-return]

    return get_key


def _copied(self: Any) -> Any:
    cls = cast("Any", type(self))
    twin: Any = object.__new__(cls)
    twin.__dict__.update(self.__dict__)
    return twin


def _deepcopied(self: Any, memo: dict[int, Any]) -> Any:
    wrapping: Wrapping = self.__llmopt__
    return restored(wrapping, copy.deepcopy(_state(self), memo))


def _reduced(self: Any, _protocol: Any) -> tuple[Any, ...]:
    return restored, (self.__llmopt__, _state(self))


def _state(model: Any) -> dict[str, Any]:
    state: dict[str, Any] = model.__dict__
    return {name: value for name, value in state.items() if name != "__llmopt__"}


def restored(wrapping: Wrapping, state: dict[str, Any]) -> Any:
    """Return a wrapped model with these attributes; the middlewares are shared, not copied."""
    twin = adapt(wrapping.original, wrapping)
    vars(twin).update(state)
    return twin
