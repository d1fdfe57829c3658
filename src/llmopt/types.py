"""The shared types: what a middleware receives, what it may yield, and what it gets back.

A middleware is a callable that takes a `Call` and returns a generator, its *flow*. A flow yields
steps, and the driver of the chain performs them, in threads, asyncio and trio alike:

=====================  ==================================================================
a flow yields          and the driver
=====================  ==================================================================
`Call`                 runs the rest of the chain and resumes the flow with the `Reply`
`Reply`                answers with it: its events are replayed, nothing below runs
`Sleep`                waits on the chain's clock
`Wait`                 waits for a future that another call will fulfil
`Run`                  does I/O: `fn` in a thread's world, `afn` in an event loop's
=====================  ==================================================================

    >>> def announce(call):
    ...     reply = yield call
    ...     print(call.model_id, reply.usage.output_tokens)
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, runtime_checkable

from .stages import Event, Hold, Stage, Tap, text_of
from .trace import Attempt, Trace, Usage

if TYPE_CHECKING:
    from concurrent.futures import Future

    from llm.models import AsyncConversation, AsyncResponse, Conversation, Prompt, Response, ToolCall

__all__ = [
    "Attempt",
    "Call",
    "Clock",
    "Event",
    "Flow",
    "Limits",
    "LiveEvents",
    "Middleware",
    "Reply",
    "Run",
    "Sleep",
    "Step",
    "Store",
    "Trace",
    "Usage",
    "Wait",
    "text_of",
]

LiveEvents: TypeAlias = "Iterable[Event] | AsyncIterable[Event]"
"""Events that are still arriving; it must be iterable in the world that it is used in."""


class Clock(Protocol):
    """Time as the chain sees it; `llmopt.testing.VirtualClock` is one without waiting."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        ...

    def time(self) -> float:
        """Return seconds since the Unix epoch, UTC."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Block this thread for `seconds`."""
        ...

    async def asleep(self, seconds: float, /) -> None:
        """Suspend this task for `seconds`."""
        ...


@dataclass(slots=True)
class Reply:
    """One whole answer.

    A reply that came from a model has no `events` unless somebody held or recorded them: they went
    straight to the consumer. A reply that a middleware makes carries the events to be replayed.

    Attributes:
        events: what is replayed, or was held back, in order.
        usage: tokens as the provider stated them.
        response_json: the provider's raw answer.
        resolved_model: the model that answered, by the provider's word.
        tool_calls: the tool calls that the model asks for.
        prompt_json: the provider's raw request, as llm logs it.
        attributes: what the model's plugin set on its response beside all this.
        source: "model", or the name of what answered in its place ("cache", "fallback", ...).
        response: the llm response that the model wrote to, if one did.

    Example:
        >>> Reply.of_text("HOLD", source="fallback").text
        'HOLD'
    """

    events: Sequence[Event] | LiveEvents = ()
    usage: Usage = field(default_factory=Usage)
    response_json: dict[str, Any] | None = None
    resolved_model: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    prompt_json: Any = None
    attributes: Mapping[str, Any] | None = None
    source: str = "model"
    response: Response | AsyncResponse | None = None

    @classmethod
    def of_text(cls, text: str, *, source: str) -> Self:
        """Return a reply that says `text` and cost nothing."""
        return cls(events=(text,) if text else (), source=source)

    @property
    def text(self) -> str:
        """The text of the events held here; empty while they are still arriving."""
        if not isinstance(self.events, (list, tuple)):
            return ""
        return "".join(text_of(event) for event in self.events)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take. The driver enforces it and raises `CallTimeout`.

    Attributes:
        deadline: monotonic seconds of the chain's clock, shared by all attempts and tiers, or None.
        total_s: what `deadline` was made of, for the message.
        first_token_s: seconds to the first event of one attempt, or None.
        between_tokens_s: seconds between two events of one attempt, or None.
    """

    deadline: float | None = None
    total_s: float | None = None
    first_token_s: float | None = None
    between_tokens_s: float | None = None


@dataclass(slots=True)
class Call:
    """One logical request to a model, as a middleware sees it. Never changed: `replace` makes a copy.

    Attributes:
        model: the llm model that will be asked.
        prompt: the llm prompt that it will be asked.
        stream: whether the consumer wants a stream.
        response: the consumer's llm response; its `prompt` is the original and stays as it is.
        conversation: the llm conversation, or None.
        key: the API key that the caller gave, unresolved, or None.
        clock: the chain's clock.
        trace: what has happened so far.
        limits: how long it may take, or None.
        path: the taps and holds that its events pass.
        resumes: whether the flow that yields it takes care of events already delivered.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> def shout(call: Call):
        ...     print(call.model_id)
        ...     yield call.tap(lambda event: [event.upper()])
        >>> llmopt.wrap(ScriptedModel(["hello"]), shout).prompt("Hi").text()
        scripted
        'HELLO'
    """

    model: Any
    prompt: Prompt
    stream: bool
    response: Response | AsyncResponse
    conversation: Conversation | AsyncConversation | None
    key: str | None
    clock: Clock
    trace: Trace
    limits: Limits | None = None
    path: tuple[Stage, ...] = ()
    resumes: bool = False

    @property
    def id(self) -> str:
        """The id of the consumer's response; the usage log and llm's own log share it."""
        return self.response.id

    @property
    def model_id(self) -> str:
        """The id of the model that will be asked."""
        model_id: str = self.model.model_id
        return model_id

    @property
    def started(self) -> bool:
        """Whether an event has already reached the consumer; another answer is then too late."""
        return self.trace.started or (bool(self.path) and any(stage.holds() for stage in self.path))

    def remaining_s(self) -> float | None:
        """Return the seconds left until the deadline (never below zero), or None without one."""
        if self.limits is None or self.limits.deadline is None:
            return None
        return max(0.0, self.limits.deadline - self.clock.monotonic())

    def replace(self, **changes: Any) -> Call:
        """Return a copy with other attributes, as `dataclasses.replace`."""
        return replace(self, **changes)

    def tap(
        self,
        see: Callable[[Event], Iterable[Event] | None],
        *,
        flush: Callable[[], Iterable[Event]] | None = None,
        resumes: bool = False,
    ) -> Call:
        """Return a copy whose events are shown to `see` as they pass.

        Args:
            see: gets each event; returns None to let it pass, or the events that take its place.
            flush: called when the stream has ended well; returns what is still to be said.
            resumes: this flow takes care of the events that were delivered before, so the call may
                be run although the stream has started.

        Returns:
            The tapped copy.
        """
        return self._through(Tap(see, flush), resumes)

    def buffered(self) -> Call:
        """Return a copy whose events are held back until this flow has ended.

        The flow gets them as `reply.events`, and may ask again when it does not like them.
        """
        return self._through(Hold(), self.resumes)

    def _through(self, stage: Stage, resumes: bool) -> Call:  # noqa: FBT001 - our own
        """Return a copy with one more stage; `replace` would take seven times as long."""
        return Call(
            self.model,
            self.prompt,
            self.stream,
            self.response,
            self.conversation,
            self.key,
            self.clock,
            self.trace,
            self.limits,
            (*self.path, stage),
            resumes,
        )


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait on the chain's clock.

    Attributes:
        seconds: how long.

    Example:
        >>> def patient(call):
        ...     yield Sleep(0.5)
        ...     yield call
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a future that another thread or task fulfils; the flow gets its result or its error.

    Attributes:
        future: the future.
        timeout_s: seconds until `TimeoutError` is raised into the flow; the call's deadline holds too.

    Example:
        >>> def after(future):
        ...     def flow(call):
        ...         yield Wait(future, timeout_s=5)
        ...         yield call
        ...     return flow
    """

    future: Future[Any]
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Do I/O in the world that the call runs in; the flow gets the result or the error.

    Attributes:
        fn: what a sync call runs. An async call runs it in a worker thread if there is no `afn`.
        afn: what an async call awaits instead.

    Example:
        >>> from pathlib import Path
        >>> def with_rules(call):
        ...     rules = yield Run(Path("rules.txt").read_text)
        ...     yield call
    """

    fn: Callable[[], Any]
    afn: Callable[[], Awaitable[Any]] | None = None


Step: TypeAlias = "Call | Reply | Sleep | Wait | Run"
"""What a flow yields."""

Flow: TypeAlias = "Generator[Step, Any, None]"
"""One middleware's part in one call. It gets a `Reply` for a `Call` or a `Reply`, else a step's result."""


@runtime_checkable
class Middleware(Protocol):
    """Anything that turns a call into a flow: a generator function, or an object with `__call__`."""

    def __call__(self, call: Call, /) -> Flow:
        """Return this middleware's flow for `call`."""
        ...


class Store(Protocol):
    """Where a cache keeps its entries: bytes under a 32-byte key.

    A store may forget at any time, and must never return what was not put. It is used from many
    threads. Failures are `StoreError`; the cache counts them and goes on without an entry.
    """

    def get(self, key: bytes) -> tuple[bytes, float] | None:
        """Return the value and the time (seconds since the epoch) at which it was put, or None."""
        ...

    def put(self, key: bytes, value: bytes, now: float) -> None:
        """Keep `value` under `key`, put at `now`; evict others where the bounds demand it."""
        ...

    def delete(self, key: bytes) -> None:
        """Forget `key`, if it is there."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def stats(self) -> Mapping[str, int]:
        """Return counters: at least `entries`, `bytes` and `evictions`."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Return the keys, least recently used first."""
        ...
