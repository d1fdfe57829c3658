"""Sleep, Wait and Run, limits, cancellation and clean-up, in every world."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from llmopt.chain import aio
from llmopt.chain.delegate import Delegate
from llmopt.chain.machine import Machine
from llmopt.errors import Abandoned, CallTimeout
from llmopt.types import Call, Limits, Reply, Run, Sleep, Trace, Wait


def model(*events: str) -> Any:
    def run(_response: Any) -> Any:
        yield from events

    return run


def test_sleep_passes_the_chains_time_and_is_noted_for_the_next_attempt(world: Any) -> None:
    def sleeping(call: Call) -> Any:
        call.trace.record()
        yield Sleep(2.5)
        assert call.clock.monotonic() == 2.5
        yield call

    _, outcome, response = world.run([sleeping], [model("a")])
    assert outcome == "ok"
    attempt = response.llmopt.attempts[0]
    assert (attempt.waited_s, attempt.started_at, attempt.first_event_at) == (2.5, 2.5, 2.5)


def test_wait_gets_the_result_of_another_thread(world: Any) -> None:
    future: Future[str] = Future()
    threading.Timer(0.02, future.set_result, ["answer"]).start()

    def waiting(call: Call) -> Any:
        yield Reply.of_text((yield Wait(future)), source="other")

    assert world.run([waiting], [])[0] == ["answer"]


def test_wait_raises_what_the_future_does_and_times_out(world: Any) -> None:
    failed: Future[str] = Future()
    failed.set_exception(OSError("there"))

    def waiting(future: Any, timeout_s: float | None) -> Any:
        def flow(call: Call) -> Any:
            yield Wait(future, timeout_s)

        return flow

    assert world.run([waiting(failed, None)], [])[1] == "OSError: there"
    assert world.run([waiting(Future(), 0.01)], [])[1].startswith("TimeoutError")
    limits = Limits(deadline=0.0, total_s=5.0)
    assert world.run([waiting(Future(), None)], [], limits=limits)[1].startswith("TimeoutError")


def test_run_does_io_where_the_call_is(world: Any) -> None:
    async def afn() -> str:
        await anyio.lowlevel.checkpoint()
        return "afn"

    def fail() -> None:
        raise OSError("disk")

    def running(call: Call) -> Any:
        both = yield Run(lambda: "fn", afn)
        only = yield Run(lambda: "fn")
        try:
            yield Run(fail)
        except OSError as error:
            yield Reply(events=(both, only, str(error)), source="io")

    got, _, _ = world.run([running], [])
    assert got == ["fn" if world.kind == "sync" else "afn", "fn", "disk"]


def test_a_consumer_that_leaves_closes_the_model_and_lets_flows_clean_up(world: Any) -> None:
    log: list[str] = []

    def endless(_response: Any) -> Any:
        try:
            while True:
                yield "tick"
        finally:
            log.append("model closed")

    def outer(call: Call) -> Any:
        try:
            yield call
        except Abandoned as signal:
            log.append(f"outer: {type(signal.__cause__).__name__}")
            raise

    def middle(call: Call) -> Any:
        try:
            yield call
        finally:
            log.append(str((yield Run(lambda: "released"))))

    def greedy(call: Call) -> Any:
        try:
            yield call
        except Abandoned:
            yield call  # nobody is there any more: the flow is closed instead

    got, outcome, _ = world.run([outer, middle, greedy], [endless], take=2)
    assert (got, outcome) == (["tick", "tick"], "left")
    assert log == ["model closed", "released", "outer: GeneratorExit"]


def test_clean_up_that_fails_is_logged_and_stops_nobody(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    def outer(call: Call) -> Any:
        try:
            yield call
        finally:
            log.append("outer")

    def clumsy(call: Call) -> Any:
        try:
            yield call
        finally:
            raise OSError("cannot release")

    def unlucky(call: Call) -> Any:
        try:
            yield call
        finally:
            try:
                yield Run(lambda: 1 / 0)
            except ZeroDivisionError:
                log.append("unlucky")

    assert world.run([outer, clumsy, unlucky], [model("a", "b")], take=1)[1] == "left"
    assert log == ["unlucky", "outer"]
    assert "the clean-up of clumsy has failed" in caplog.text


@pytest.mark.parametrize("name", ["first_token", "between_tokens", "total"])
def test_limits_stop_a_sync_model_that_hangs(make_world: Any, name: str) -> None:
    world = make_world("sync")
    hang, closed = threading.Event(), threading.Event()

    def hanging(_response: Any) -> Any:
        try:
            if name != "first_token":
                yield "a"
            hang.wait(5)
            yield "late"
        finally:
            closed.set()

    limits = {
        "first_token": Limits(first_token_s=0.03),
        "between_tokens": Limits(between_tokens_s=0.03),
        "total": Limits(deadline=0.03, total_s=0.03),
    }[name]
    caught: list[CallTimeout] = []

    def catching(call: Call) -> Any:
        try:
            yield call
        except CallTimeout as error:
            caught.append(error)
            raise

    got, outcome, _ = world.run([catching], [hanging], limits=limits)
    assert got == ([] if name == "first_token" else ["a"])
    assert outcome.startswith("CallTimeout: no ")
    assert (caught[0].limit, caught[0].limit_s) == (name, 0.03)
    hang.set()
    assert closed.wait(2), "the thread left behind must close the model's stream"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", ["first_token", "between_tokens", "total"])
def test_limits_cancel_an_async_model_that_hangs(make_world: Any, backend: str, name: str) -> None:
    closed: list[str] = []

    async def hanging() -> Any:
        try:
            if name != "first_token":
                yield "a"
            await anyio.sleep(5)
        finally:
            closed.append("closed")

    limits = {
        "first_token": Limits(first_token_s=0.03),
        "between_tokens": Limits(between_tokens_s=0.03),
        "total": Limits(deadline=0.03, total_s=0.03),
    }[name]
    driver = drive(make_world("asyncio"), [lambda call: (yield call)], lambda *_: hanging(), limits)
    got: list[Any] = []

    async def main() -> None:
        async for event in driver:
            got.append(event)

    with pytest.raises(CallTimeout):
        anyio.run(main, backend=backend)
    assert got == ([] if name == "first_token" else ["a"])
    assert closed == ["closed"]


def test_limits_are_checked_on_virtual_time_too(world: Any) -> None:
    def slow(_response: Any) -> Any:
        yield "a"
        world.clock.now += 100
        yield "b"

    def plain(call: Call) -> Any:
        yield call

    got, outcome, _ = world.run([plain], [slow], limits=Limits(deadline=50.0, total_s=50.0))
    assert got in ([], ["a"])  # the thread may have read ahead
    assert outcome == "CallTimeout: no complete answer within 50.0 s"
    got, outcome, _ = world.run([plain], [model("a", "b")], limits=Limits(between_tokens_s=1.0))
    assert (got, outcome) == (["a", "b"], "ok")


def test_limits_leave_the_models_own_errors_alone(world: Any) -> None:
    def failing(_response: Any) -> Any:
        yield "a"
        raise OSError("cut")

    def plain(call: Call) -> Any:
        yield call

    got, outcome, _ = world.run([plain], [failing], limits=Limits(first_token_s=5.0))
    assert (got, outcome) == (["a"], "OSError: cut")


def drive(world: Any, stack: Any, bottom: Any, limits: Limits | None = None) -> Any:
    from types import SimpleNamespace

    response = SimpleNamespace(prompt="p", model=SimpleNamespace(model_id="m"), id="id")
    call = Call(response.model, "p", True, response, None, None, world.clock, Trace(), limits)
    return aio.drive(Machine(stack, call), Delegate(bottom))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_task_abandons_the_call_and_clean_up_may_await(make_world: Any, backend: str) -> None:
    log: list[str] = []

    async def release() -> None:
        await anyio.lowlevel.checkpoint()
        log.append("released")

    def locking(call: Call) -> Any:
        try:
            yield call
        except Abandoned as signal:
            log.append(type(signal.__cause__).__name__)
            yield Run(lambda: None, release)
            raise

    async def hanging(*_: Any) -> Any:
        try:
            yield "a"
            await anyio.sleep(60)
        finally:
            log.append("model closed")

    async def main() -> None:
        with anyio.move_on_after(0.02):
            async for _ in drive(make_world("asyncio"), [locking], lambda *_: hanging()):
                pass

    anyio.run(main, backend=backend)
    assert log == ["model closed", "CancelledError" if backend == "asyncio" else "Cancelled", "released"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("step", [Sleep(60), Wait(Future()), Run(lambda: None, lambda: anyio.sleep(60))])
def test_cancellation_at_every_kind_of_await_releases(make_world: Any, backend: str, step: Any) -> None:
    released: list[str] = []

    class Patient:
        monotonic = time = staticmethod(lambda: 0.0)
        asleep = staticmethod(anyio.sleep)

    world = make_world("asyncio")
    world.clock = Patient()

    def locking(call: Call) -> Any:
        try:
            yield step
        finally:
            released.append("released")

    async def main() -> None:
        with anyio.move_on_after(0.02):
            async for _ in drive(world, [locking], None):
                pass

    anyio.run(main, backend=backend)
    assert released == ["released"]


def test_a_slow_consumer_is_not_taken_for_a_slow_model(world: Any) -> None:
    def plain(call: Call) -> Any:
        yield call

    def dawdle() -> None:
        world.clock.now += 3600.0

    limits = Limits(first_token_s=1.0, between_tokens_s=1.0)
    got, outcome, _ = world.run([plain], [model("a", "b", "c")], limits=limits, each=dawdle)
    assert (got, outcome) == (["a", "b", "c"], "ok")
