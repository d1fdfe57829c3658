"""Decides what happens next in one call, and performs nothing.

The machine keeps a stack of running flows, the outermost first. Each turn it hands the driver one
action to perform and is told the outcome; sync and async drivers differ only in how they perform.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from types import GeneratorType
from typing import Any, TypeAlias

from ..errors import Abandoned, FlowError, NoAnswer, StreamStarted
from ..stages import Event, Hold, Stage
from ..types import Call, Flow, LiveEvents, Middleware, Reply, Run, Sleep, Wait

log = logging.getLogger("llmopt")


@dataclass(frozen=True, slots=True)
class Emit:
    """Send `events` up through `path`; the machine is then resumed with `reply`."""

    events: Sequence[Event] | LiveEvents
    path: tuple[Stage, ...]
    reply: Reply


Action: TypeAlias = "Call | Emit | Sleep | Wait | Run | None"
"""What the driver performs: run a model, emit events, wait, do I/O; None: the call is over."""


class Machine:
    """The state of one call on its way through the middlewares.

    `_flows` are the flows in progress, the outermost first. `_calls[i]` is the call that flow `i` was
    given, and `_calls[-1]` what the innermost has asked for last, or None: there is one more of them.
    """

    __slots__ = ("_calls", "_flows", "_last_words", "_middlewares", "call", "reply")

    def __init__(self, middlewares: Sequence[Middleware], call: Call) -> None:
        self._middlewares = middlewares
        self._flows: list[Flow] = []
        self._calls: list[Any] = [call]
        self._last_words = False  # whether any stage has something to say when its stream has ended
        self.call = call
        """The call on whose behalf the driver performs an action."""
        self.reply: Reply | None = None
        """The last answer that the innermost flow was given, or at the end the whole chain's."""

    def resume(self, value: Any) -> Action:
        """Tell the result of a `Sleep`, `Wait` or `Run`, and return the next action."""
        return self._advance(self._flows[-1].send, value)

    def answer(self, reply: Reply) -> Action:
        """Tell that a call or the emission of a reply has ended well, and return the next action."""
        flows, calls = self._flows, self._calls
        self.reply = reply
        while flows:
            if self._last_words:
                late = self._last_word(reply)
                if late is not None:
                    return late
            try:
                step = flows[-1].send(reply)
            except StopIteration as stop:
                if stop.value is not None or self._last_words:
                    return self._finished(stop.value)
                flows.pop()
                calls.pop()
            except Exception as error:  # noqa: BLE001 - a flow's error goes to the flow outside
                return self._failed(error)
            else:
                return self._asked(step)
        return None

    def _last_word(self, reply: Reply) -> Emit | None:
        """Let the stages of the innermost flow say what they have left, and give it what they hold."""
        calls = self._calls
        path, added = calls[-2].path, self._added()
        late = flush(added)
        if late:
            # The flow is resumed when these are through; they must not be flushed again.
            calls[-1] = calls[-1].replace(path=(*path, *held(added)))
            return Emit(late, path, reply)
        for hold in held(added):
            reply.events = hold.events
        return None

    def throw(self, error: Exception, failed: Action = None) -> Action:
        """Tell that an action has failed, and return the next; raises when no flow takes the error."""
        if not isinstance(failed, (Sleep, Wait, Run)):  # a flow whose step fails keeps the answer it has
            self.reply = None
        if not self._flows:
            raise error
        return self._advance(self._flows[-1].throw, error)

    def abandon(self, cause: BaseException) -> Generator[Run, Any, None]:
        """Throw `Abandoned` into every flow, innermost first, yielding the clean-up I/O they ask for."""
        while self._flows:
            flow = self._flows.pop()
            signal = Abandoned(f"the consumer of the call has gone: {type(cause).__name__}")
            signal.__cause__ = cause
            try:
                yield from _wind_up(flow, signal)
            except (StopIteration, Abandoned):
                pass
            except Exception:
                log.exception("the clean-up of %s has failed", name_of(self._middlewares[len(self._flows)]))

    def enter(self, call: Call) -> Action:
        """Give the call to the next flows, one inside the other, and return the first action.

        The model is below the last flow.
        """
        flows, calls, middlewares = self._flows, self._calls, self._middlewares
        depth = len(flows)
        try:
            for depth in range(len(flows), len(middlewares)):
                flow: Any = middlewares[depth](call)
                if flow.__class__ is not GeneratorType:
                    raise FlowError(_NO_FLOW.format(name_of(middlewares[depth]), type(flow).__name__))  # noqa: TRY301
                flows.append(flow)
                calls.append(None)
                step = flow.send(None)
                if step is not call:
                    if type(step) is not Call or step.resumes:
                        return self._asked(step)
                    self._begin(step.path[len(call.path) :])
                    call = step
                calls[-1] = call
        except StopIteration:
            return self._finished(None)
        except Exception as error:  # noqa: BLE001 - whatever a user's middleware raises
            return self._failed(error) if len(flows) > depth else self.throw(error)
        self.call = call
        return call

    def _advance(self, resume: Callable[[Any], Any], value: Any) -> Action:
        """Resume the innermost flow and turn what it does next into an action."""
        try:
            step = resume(value)
        except StopIteration as stop:
            return self._finished(stop.value)
        except Exception as error:  # noqa: BLE001 - a flow's error goes to the flow outside
            return self._failed(error)
        return self._asked(step)

    def _asked(self, step: Any) -> Action:
        """Turn the step that the innermost flow has yielded into an action."""
        given: Call = self._calls[-2]
        if isinstance(step, (Sleep, Wait, Run)):
            self.call = given
            if isinstance(step, Sleep):
                given.trace.waited_s += step.seconds
            return step
        if not isinstance(step, (Call, Reply)):
            return self.throw(FlowError(_NO_STEP.format(self._name(), type(step).__name__)))
        again = self._calls[-1] is not None
        if again and given.started and not (isinstance(step, Call) and step.resumes):
            return self.throw(StreamStarted(_TOO_LATE.format(self._name())))
        self.reply = None
        if isinstance(step, Reply):
            self.call = self._calls[-1] = given
            return Emit(step.events, given.path, step)
        self._calls[-1] = step
        self._begin(self._added())
        return self.enter(step.replace(resumes=False) if step.resumes else step)

    def _finished(self, value: Any) -> Action:
        """The innermost flow has ended: release what it held, and give its reply to the flow outside."""
        name, reply = self._name(), self.reply
        added = () if reply is None else self._added()
        self._flows.pop()
        self._calls.pop()
        if reply is None:
            return self.throw(NoAnswer(_NO_ANSWER.format(name)))
        if value is not None:
            return self.throw(FlowError(_RETURNED.format(name, type(value).__name__)))
        kept = [event for hold in held(added) for event in hold.events]
        if kept:
            self.call = self._calls[-1]
            return Emit(kept, self.call.path, reply)
        return self.answer(reply)

    def _failed(self, error: Exception) -> Action:
        """The innermost flow has raised: its error goes to the flow outside."""
        self._flows.pop()
        self._calls.pop()
        return self.throw(error)

    def _begin(self, added: tuple[Stage, ...]) -> None:
        """Make stages ready for a run."""
        for stage in added:
            if stage.has_last_word:
                self._last_words = True
            if isinstance(stage, Hold):
                stage.events = []

    def _added(self) -> tuple[Stage, ...]:
        """Return the stages that the innermost flow put under the path that it was given."""
        path: tuple[Stage, ...] = self._calls[-1].path
        return path[len(self._calls[-2].path) :]

    def _name(self) -> str:
        return name_of(self._middlewares[len(self._flows) - 1])


_NO_FLOW = "{} returned a {}; a middleware returns a generator (is a `yield` missing?)"
_NO_STEP = "{} yielded a {}; a flow yields a Call, Reply, Sleep, Wait or Run"
_NO_ANSWER = "{} ended without an answer: it neither yielded its call to the end nor raised"
_RETURNED = "{} returned a {}; a flow yields its reply and returns nothing"
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


def lift(path: tuple[Stage, ...]) -> Callable[[list[Event]], list[Event]]:
    """Return what sends events up through `path`, innermost stage first, and returns those that come out."""
    return path[0].feed if len(path) == 1 else partial(_rise, path[::-1])


def _rise(upwards: tuple[Stage, ...], events: list[Event]) -> list[Event]:
    for stage in upwards:
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
