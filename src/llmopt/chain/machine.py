"""Decides what happens next in one call, and performs nothing.

The machine keeps a stack of running flows, the outermost first. Each turn it hands the driver one
action to perform and is told the outcome; sync and async drivers differ only in how they perform.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from types import GeneratorType
from typing import Any, TypeAlias

from ..errors import Abandoned, FlowError, NoAnswer, StreamStarted
from ..types import Call, Event, Flow, Hold, LiveEvents, Middleware, Reply, Run, Sleep, Stage, Wait

log = logging.getLogger("llmopt")


@dataclass(frozen=True, slots=True)
class Emit:
    """Send `events` up through `path`; the machine is then resumed with `reply`."""

    events: Sequence[Event] | LiveEvents
    path: tuple[Stage, ...]
    reply: Reply


Action: TypeAlias = "Call | Emit | Sleep | Wait | Run | None"
"""What the driver performs: run a model, emit events, wait, do I/O; None: the call is over."""


class Frame:
    """One flow in progress: what it was given, what it asked for last, and what it got."""

    __slots__ = ("call", "flow", "middleware", "path", "reply")

    def __init__(self, middleware: Middleware, flow: Flow, call: Call) -> None:
        self.middleware = middleware
        self.flow = flow
        self.call = call
        self.path = call.path
        self.reply: Reply | None = None

    def added(self) -> tuple[Stage, ...]:
        """Return the stages that this flow put under the path that it was given."""
        return self.path[len(self.call.path) :]


class Machine:
    """The state of one call on its way through the middlewares."""

    __slots__ = ("_frames", "_middlewares", "call", "reply")

    def __init__(self, middlewares: Sequence[Middleware], call: Call) -> None:
        self._middlewares = middlewares
        self._frames: list[Frame] = []
        self.call = call
        self.reply: Reply | None = None

    def begin(self) -> Action:
        """Return the first action."""
        return self._enter(self.call)

    def resume(self, value: Any) -> Action:
        """Tell the result of a `Sleep`, `Wait` or `Run`, and return the next action."""
        frame = self._frames[-1]
        return self._advance(frame, frame.flow.send, value)

    def answer(self, reply: Reply) -> Action:
        """Tell that a call or the emission of a reply has ended well, and return the next action."""
        frames = self._frames
        while frames:
            frame = frames[-1]
            if frame.path is not frame.call.path:
                late = flush(frame.added())
                if late:
                    # The flow is resumed when these are through; they must not be flushed again.
                    frame.path = (*frame.call.path, *held(frame.added()))
                    return Emit(late, frame.call.path, reply)
                for hold in held(frame.added()):
                    reply.events = hold.events
            frame.reply = reply
            try:
                step = frame.flow.send(reply)
            except StopIteration as stop:
                if stop.value is not None or frame.path is not frame.call.path:
                    return self._finished(frame, stop.value)
                frames.pop()
            except Exception as error:  # noqa: BLE001 - a flow's error goes to the flow outside
                frames.pop()
                return self.throw(error)
            else:
                return self._asked(frame, step)
        self.reply = reply
        return None

    def throw(self, error: Exception) -> Action:
        """Tell that the last action has failed, and return the next; raises when no flow takes it."""
        if not self._frames:
            raise error
        frame = self._frames[-1]
        frame.reply = None
        return self._advance(frame, frame.flow.throw, error)

    def abandon(self, cause: BaseException) -> Generator[Run, Any, None]:
        """Throw `Abandoned` into every flow, innermost first, yielding the clean-up I/O they ask for."""
        while self._frames:
            frame = self._frames.pop()
            signal = Abandoned(f"the consumer of the call has gone: {type(cause).__name__}")
            signal.__cause__ = cause
            try:
                yield from _wind_up(frame.flow, signal)
            except (StopIteration, Abandoned):
                pass
            except Exception:
                log.exception("the clean-up of %s has failed", name_of(frame.middleware))

    def _enter(self, call: Call) -> Action:
        """Give the call to the next flows, one inside the other; the model is below the last one."""
        frames, middlewares = self._frames, self._middlewares
        try:
            for depth in range(len(frames), len(middlewares)):
                middleware = middlewares[depth]
                flow = middleware(call)
                if type(flow) is not GeneratorType:
                    raise FlowError(_NO_FLOW.format(name_of(middleware), flow))  # noqa: TRY301
                frame = Frame(middleware, flow, call)
                frames.append(frame)
                step = flow.send(None)
                if type(step) is not Call or step.path is not call.path or step.resumes:
                    return self._asked(frame, step)
                call = step
        except StopIteration:
            return self._finished(frame, None)
        except Exception as error:  # noqa: BLE001 - whatever a user's middleware raises
            if frames and frames[-1].flow.gi_frame is None:
                frames.pop()
            return self.throw(error)
        self.call = call
        return call

    def _advance(self, frame: Frame, resume: Callable[[Any], Any], value: Any) -> Action:
        """Resume one flow and turn what it does next into an action."""
        try:
            step = resume(value)
        except StopIteration as stop:
            return self._finished(frame, stop.value)
        except Exception as error:  # noqa: BLE001 - a flow's error goes to the flow outside
            self._frames.pop()
            return self.throw(error)
        return self._asked(frame, step)

    def _asked(self, frame: Frame, step: Any) -> Action:
        """Turn the step that a flow has yielded into an action."""
        kind = type(step)
        if kind is Sleep or kind is Wait or kind is Run:
            self.call = frame.call
            return step
        if kind is not Call and not isinstance(step, Reply):
            return self.throw(FlowError(_NO_STEP.format(name_of(frame.middleware), step)))
        if frame.call.started and not (kind is Call and step.resumes):
            return self.throw(StreamStarted(_TOO_LATE.format(name_of(frame.middleware))))
        frame.reply = None
        if kind is not Call:
            self.call, frame.path = frame.call, frame.call.path
            return Emit(step.events, frame.path, step)
        frame.path = step.path
        for hold in held(frame.added()):
            hold.events = []
        return self._enter(step.replace(resumes=False) if step.resumes else step)

    def _finished(self, frame: Frame, value: Any) -> Action:
        """A flow has ended: release what it held and give its reply to the flow outside."""
        self._frames.pop()
        if frame.reply is None:
            return self.throw(NoAnswer(_NO_ANSWER.format(name_of(frame.middleware))))
        if value is not None:
            return self.throw(FlowError(_RETURNED.format(name_of(frame.middleware), value)))
        kept = [event for hold in held(frame.added()) for event in hold.events]
        if kept:
            return Emit(kept, frame.call.path, frame.reply)
        return self.answer(frame.reply)


_NO_FLOW = "{} returned {!r}; a middleware returns a generator (is a `yield` missing?)"
_NO_STEP = "{} yielded {!r}; a flow yields a Call, Reply, Sleep, Wait or Run"
_NO_ANSWER = "{} ended without an answer: it neither yielded its call to the end nor raised"
_RETURNED = "{} returned {!r}; a flow yields its reply and returns nothing"
_TOO_LATE = "{} asked for another answer, but events of the first have reached the consumer"


def _wind_up(flow: Flow, signal: Abandoned) -> Generator[Run, Any, None]:
    """Throw `signal` into one flow and let it do I/O, but nothing else."""
    step = flow.throw(signal)
    while type(step) is Run:
        try:
            value = yield step
        except Exception as error:  # noqa: BLE001 - the flow's own I/O has failed; it may handle that
            step = flow.throw(error)
        else:
            step = flow.send(value)
    flow.close()


def name_of(middleware: object) -> str:
    """Return how messages call a middleware: its function's name, or its class's."""
    return getattr(middleware, "__name__", None) or type(middleware).__name__


def held(stages: tuple[Stage, ...]) -> tuple[Hold, ...]:
    """Return the holds among `stages`."""
    return tuple(stage for stage in stages if isinstance(stage, Hold))


def rise(events: list[Event], path: tuple[Stage, ...]) -> list[Event]:
    """Send events up through `path`, innermost stage first, and return those that come out."""
    for stage in reversed(path):
        events = stage.feed(events)
        if not events:
            break
    return events


def flush(stages: tuple[Stage, ...]) -> list[Event]:
    """Let every stage say its last word, innermost first, and return what comes out."""
    rest: list[Event] = []
    for stage in reversed(stages):
        rest = stage.feed(rest) if rest else rest
        rest = rest + stage.flush()
    return rest
