"""Random stacks of flows do the same in threads, asyncio and trio, and what a plain recursion does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import Abandoned, FlowError, NoAnswer, StreamStarted
from llmopt.types import Call, Reply, Sleep

# A program is what one flow does, in order; each of its steps may fail and go on to the next.
STEPS = st.sampled_from(["ask", "change", "sleep", "reply", "empty", "raise", "end"])
PROGRAMS = st.lists(st.tuples(st.lists(STEPS, min_size=1, max_size=4), st.booleans()), max_size=5)
RUNS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=12, max_size=12)


def middleware(index: int, program: list[str], catches: bool, log: list[Any]) -> Any:
    """Return a middleware that follows `program` and writes what it sees to `log`."""

    def flow(call: Call) -> Any:
        try:
            for step in program:
                try:
                    if step == "raise":
                        raise ValueError(f"of {index}")
                    if step == "end":
                        return
                    reply = yield action(step, call, index)
                    log.append((index, step, getattr(reply, "source", None)))
                except Exception as error:
                    log.append((index, step, type(error).__name__))
                    if not catches:
                        raise
        except Abandoned:
            log.append((index, "abandoned"))
            raise
        finally:
            log.append((index, "closed"))

    return flow


def action(step: str, call: Call, index: int) -> Any:
    if step == "ask":
        return call
    if step == "change":
        return call.replace(prompt=f"{call.prompt}+{index}")
    if step == "sleep":
        return Sleep(1.0)
    return Reply(events=() if step == "empty" else (f"r{index}", "!"), source=f"flow{index}")


def scripted(run: int, events: int, fails: bool) -> Any:
    def model(_response: Any) -> Any:
        for number in range(events):
            yield f"m{run}.{number}"
        if fails:
            raise OSError(f"run {run}")

    return model


class Reference:
    """The flow protocol by plain recursion: one nested generator per flow."""

    def __init__(self, middlewares: list[Any], runs: list[Any]) -> None:
        self.middlewares, self.runs, self.started = middlewares, itertools.cycle(runs), False

    def emit(self, events: Any) -> Any:
        for event in events:
            self.started = True
            yield event

    def run(self, depth: int, call: Call) -> Any:
        if depth == len(self.middlewares):
            yield from self.emit(next(self.runs)(None))
            return Reply(source="model")
        flow, reply, resume, value = self.middlewares[depth](call), None, "send", None
        while True:
            try:
                step = getattr(flow, resume)(value)
            except StopIteration:
                if reply is None:
                    raise NoAnswer from None
                return reply
            try:
                if isinstance(step, Sleep):
                    resume, value = "send", None
                    continue
                if self.started:
                    raise StreamStarted
                reply = None
                if isinstance(step, Call):
                    reply = yield from self.run(depth + 1, step)
                else:
                    yield from self.emit(step.events)
                    reply = step
                resume, value = "send", reply
            except Exception as error:
                resume, value, reply = "throw", error, None
            except GeneratorExit:
                with pytest.raises(Abandoned):
                    flow.throw(Abandoned())
                raise


def consume(reference: Reference, call: Call, take: int | None) -> tuple[list[Any], str]:
    got: list[Any] = []
    events = reference.run(0, call)
    try:
        for event in events:
            got.append(event)
            if take is not None and len(got) >= take:
                events.close()
                return got, "left"
    except Exception as error:
        return got, type(error).__name__
    return got, "ok"


@pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
@settings(max_examples=150, deadline=None)
@given(programs=PROGRAMS, runs=RUNS, take=st.none() | st.integers(1, 4))
def test_any_stack_does_what_the_reference_does(
    make_world: Any, kind: str, programs: Any, runs: Any, take: int | None
) -> None:
    world = make_world(kind)
    log: list[Any] = []
    stack = [middleware(i, *program, log) for i, program in enumerate(programs)]
    got, outcome, response = world.run(stack, [scripted(i, *run) for i, run in enumerate(runs)], take=take)

    expected_log: list[Any] = []
    stack = [middleware(i, *program, expected_log) for i, program in enumerate(programs)]
    reference = Reference(stack, [scripted(i, *run) for i, run in enumerate(runs)])
    call = Call(response.model, "prompt", True, response, None, None, world.clock, world.trace)
    expected, expected_outcome = consume(reference, call, take)

    assert got == expected
    assert outcome.split(":")[0] == expected_outcome
    assert log == expected_log


def test_errors_of_the_protocol_name_the_middleware(world: Any) -> None:
    def silent(call: Call) -> Any:
        yield Sleep(0.0)

    def returning(call: Call) -> Any:
        return (yield call)

    def wrong(call: Call) -> Any:
        yield "text"

    def plain(call: Call) -> Any:
        return call

    model = scripted(0, 0, False)
    assert world.run([silent], [model])[1].startswith("NoAnswer: silent ended without an answer")
    assert world.run([returning], [model])[1].startswith("FlowError: returning returned a ModelReply;")
    assert world.run([wrong], [model])[1] == (
        "FlowError: wrong yielded a str; a flow yields a Call, Reply, Sleep, Wait or Run"
    )
    assert "is a `yield` missing?" in world.run([plain], [model])[1]
    assert issubclass(NoAnswer, FlowError)
