"""The driver for threads: performs what the machine decides."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from ..stages import Event, Stage
from ..types import Call, Run, Sleep, Wait
from .delegate import Delegate, begins, ended, failed, finish
from .limits import paced
from .machine import Emit, Machine, lift


def drive(machine: Machine, delegate: Delegate) -> Generator[Event, None, None]:
    """Perform one call.

    Args:
        machine: the call's middlewares and state.
        delegate: runs the model.

    Yields:
        The events, as the model or a replay makes them.

    Raises:
        Exception: whatever the outermost flow lets through.
    """
    call = machine.call
    trace = call.trace
    action = machine.enter(call)
    while action is not None:
        events: Iterator[Event] | None = None
        try:
            if isinstance(action, (Call, Emit)):
                live: Any = delegate.start(action) if isinstance(action, Call) else action.events
                events = iter(live)
                if machine.call.limits is not None or action.path:
                    events = guarded(events, machine.call, action.path)
                for event in events:
                    trace.started = True
                    if trace.attempts is not None:
                        begins(call)
                    yield event
                    yield from events
                outcome = ended(call) if isinstance(action, Call) else action.reply
            else:
                outcome = perform(action, machine.call)
        except Exception as error:  # noqa: BLE001 - every failure goes to the flows
            close(events)
            failed(call, error)
            action = machine.throw(error, action)
        except BaseException as cause:
            close(events)
            failed(call, cause)
            clean_up(machine, cause)
            raise
        else:
            answered = isinstance(action, (Call, Emit))
            action = machine.answer(outcome) if answered else machine.resume(outcome)
    if machine.reply is not None:
        finish(call, machine.reply)


def guarded(events: Iterator[Event], call: Call, path: tuple[Stage, ...]) -> Iterator[Event]:
    """Yield what comes out at the top of `path`, with the limits of the call enforced."""
    if call.limits is not None:
        events = paced(events, call.limits, call.clock)
    lifted = lift(path)
    recorded = call.trace.attempts is not None
    try:
        for event in events:
            if recorded:
                begins(call)
            yield from lifted([event])
    except BaseException:
        close(events)
        raise


def perform(step: Sleep | Wait | Run, call: Call) -> Any:
    """Perform a step that answers nothing, and return its result."""
    if isinstance(step, Sleep):
        return call.clock.sleep(step.seconds)
    if isinstance(step, Run):
        return step.fn()
    return step.future.result(shortest(step.timeout_s, call.remaining_s()))


def shortest(*limits: float | None) -> float | None:
    """Return the smallest of the limits that are set."""
    return min((limit for limit in limits if limit is not None), default=None)


def clean_up(machine: Machine, cause: BaseException) -> None:
    """Let every flow record and release what it must."""
    steps = machine.abandon(cause)
    step = next(steps, None)
    while step is not None:
        try:
            value = step.fn()
        except Exception as error:  # noqa: BLE001 - the flow that asked for it hears of it
            step = advance(steps.throw, error)
        else:
            step = advance(steps.send, value)


def advance(resume: Callable[[Any], Run], value: Any) -> Run | None:
    """Resume a generator of clean-up steps; None when it has ended."""
    try:
        return resume(value)
    except StopIteration:
        return None


def close(events: object) -> None:
    """Close a stream if it can be closed."""
    stop = getattr(events, "close", None)
    if stop is not None:
        stop()
