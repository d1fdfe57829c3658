"""The driver for asyncio and trio: performs what the machine decides."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any

from ..stages import Event, Stage
from ..types import Call, LiveEvents, Run, Sleep, Wait
from .delegate import Delegate, begins, ended, failed, finish
from .limits import apaced
from .machine import Emit, Machine, lift
from .sync import advance, shortest

CLEAN_UP_S = 5.0
"""How long the clean-up of a cancelled call may go on, shielded from the cancellation."""


async def drive(machine: Machine, delegate: Delegate) -> AsyncGenerator[Event, None]:
    """Perform one call; the twin of `llmopt.chain.sync.drive`."""
    call = machine.call
    trace = call.trace
    action = machine.enter(call)
    while action is not None:
        events: AsyncIterator[Event] | None = None
        try:
            if isinstance(action, (Call, Emit)):
                events = stream(machine, delegate, action)
                async for event in events:
                    trace.started = True
                    if trace.attempts is not None:
                        begins(call)
                    yield event
                    async for later in events:
                        yield later
                outcome = ended(call) if isinstance(action, Call) else action.reply
            else:
                outcome = await perform(action, machine.call)
        except Exception as error:  # noqa: BLE001 - every failure goes to the flows
            await close(events)
            failed(call, error)
            action = machine.throw(error, action)
        except BaseException as cause:
            failed(call, cause)
            await clean_up(machine, events, cause)
            raise
        else:
            answered = isinstance(action, (Call, Emit))
            action = machine.answer(outcome) if answered else machine.resume(outcome)
    if machine.reply is not None:
        finish(call, machine.reply)


def stream(machine: Machine, delegate: Delegate, action: Call | Emit) -> AsyncIterator[Event]:
    """Return the events of a model run or of a replay as they leave the call's path, its limits enforced."""
    call, live = machine.call, delegate.start(action) if isinstance(action, Call) else action.events
    events = aiter(both_worlds(live))
    if call.limits is not None:
        events = apaced(events, call.limits, call.clock)
    return risen(events, call, action.path) if action.path else events


async def risen(
    events: AsyncIterator[Event], call: Call, path: tuple[Stage, ...]
) -> AsyncGenerator[Event, None]:
    """Yield what comes out at the top of `path`."""
    lifted = lift(path)
    recorded = call.trace.attempts is not None
    try:
        async for event in events:
            if recorded:
                begins(call)
            for passed in lifted([event]):
                yield passed
    except BaseException:
        await close(events)
        raise


def both_worlds(live: LiveEvents) -> AsyncIterable[Event]:
    """Return `live` as an async iterable."""
    return live if isinstance(live, AsyncIterable) else _replayed(live)


async def _replayed(events: Iterable[Event]) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


async def perform(step: Sleep | Wait | Run, call: Call) -> Any:
    """Perform a step that answers nothing, and return its result."""
    if isinstance(step, Sleep):
        return await call.clock.asleep(step.seconds)
    if isinstance(step, Run):
        return await run(step)
    return await wait(step, shortest(step.timeout_s, call.remaining_s()))


async def run(step: Run) -> Any:
    """Do I/O without blocking the event loop."""
    if step.afn is not None:
        return await step.afn()
    from anyio import to_thread

    return await to_thread.run_sync(step.fn)


async def wait(step: Wait, timeout_s: float | None) -> Any:
    """Wait for a future of any thread."""
    import anyio

    fulfilled = anyio.Event()
    wake = waker(fulfilled.set)
    step.future.add_done_callback(lambda _: wake())
    with anyio.fail_after(timeout_s):
        await fulfilled.wait()
    return step.future.result()


def waker(fn: Callable[[], None]) -> Callable[[], None]:
    """Return a function that any thread may call to have `fn` called in this event loop, if it still runs."""
    from anyio.lowlevel import current_token

    loop: Any = current_token().native_token
    post = loop.run_sync_soon if hasattr(loop, "run_sync_soon") else loop.call_soon_threadsafe

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile, and nobody waits there any more
            post(fn)

    return wake


async def clean_up(machine: Machine, events: object, cause: BaseException) -> None:
    """Close the stream, and let every flow record and release what it must."""
    import anyio

    with anyio.move_on_after(CLEAN_UP_S, shield=True):
        await close(events)
    steps = machine.abandon(cause)
    step = next(steps, None)
    while step is not None:
        try:
            with anyio.fail_after(CLEAN_UP_S, shield=True):
                value = await run(step)
        except Exception as error:  # noqa: BLE001 - the flow that asked for it hears of it
            step = advance(steps.throw, error)
        else:
            step = advance(steps.send, value)


async def close(events: object) -> None:
    """Close a stream if it can be closed."""
    stop = getattr(events, "aclose", None)
    if stop is not None:
        await stop()
