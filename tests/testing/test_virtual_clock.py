"""Virtual time: at once, in order, in threads and in event loops."""

from __future__ import annotations

import copy
import threading
import time

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.testing import VirtualClock

LOOPS = ("asyncio", "trio")
SECONDS = st.floats(min_value=0, max_value=1e6, allow_nan=False)


def test_sleeping_passes_virtual_time_and_no_real_time():
    clock, began = VirtualClock(start_s=10), time.monotonic()
    clock.sleep(3600)
    clock.advance(5)
    assert clock.monotonic() == 3615
    assert clock.sleeps == [3600]
    assert time.monotonic() - began < 5


def test_the_wall_clock_jumps_alone():
    clock = VirtualClock(wall_s=1000)
    clock.sleep(1)
    clock.jump(-500)
    assert (clock.time(), clock.monotonic()) == (501, 1)
    clock.jump(3600)
    assert (clock.time(), clock.monotonic()) == (4101, 1)


def test_without_arguments_it_is_new_year_2026():
    assert time.gmtime(VirtualClock().time())[:6] == (2026, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_time_does_not_go_back_or_for_ever(seconds):
    clock = VirtualClock()
    for passing in (clock.sleep, clock.advance, lambda s: anyio.run(clock.asleep, s)):
        with pytest.raises(ConfigurationError, match="finite number of seconds"):
            passing(seconds)
    assert clock.monotonic() == 0
    assert clock.sleeps == []


@given(st.lists(SECONDS, max_size=20), st.lists(SECONDS, max_size=20))
def test_monotonic_never_goes_back_whatever_happens(sleeps, jumps):
    clock, last = VirtualClock(), 0.0
    for sleep, jump in zip(sleeps, jumps, strict=False):
        clock.jump(-jump)
        clock.sleep(sleep)
        assert clock.monotonic() >= last
        last = clock.monotonic()


@pytest.mark.parametrize("loop", LOOPS)
@given(delays=st.lists(st.integers(min_value=0, max_value=50), min_size=1, max_size=8))
def test_tasks_share_their_time_and_wake_in_order(loop, delays):
    clock, woken = VirtualClock(), []

    async def sleep(delay):
        await clock.asleep(delay)
        woken.append((clock.monotonic(), delay))

    async def main():
        async with anyio.create_task_group() as tasks:
            for delay in delays:
                tasks.start_soon(sleep, delay)

    anyio.run(main, backend=loop)
    assert woken == [(delay, delay) for delay in sorted(delays)]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_task_that_sleeps_in_turns_keeps_its_place(loop):
    clock, seen = VirtualClock(), []

    async def tick(name, seconds, times):
        for _ in range(times):
            await clock.asleep(seconds)
            seen.append((clock.monotonic(), name))

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick, "slow", 10, 2)
            tasks.start_soon(tick, "quick", 4, 4)

    anyio.run(main, backend=loop)
    assert seen == [(4, "quick"), (8, "quick"), (10, "slow"), (12, "quick"), (16, "quick"), (20, "slow")]


@pytest.mark.parametrize("loop", LOOPS)
def test_sleeping_is_a_checkpoint_that_hears_a_cancellation(loop):
    clock, ran = VirtualClock(), []

    async def main():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await clock.asleep(5)
            ran.append("not cancelled")
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(note)
            for _ in range(2):
                await clock.asleep(0)
            ran.append("slept")

    async def note():
        ran.append("noted")

    anyio.run(main, backend=loop)
    assert ran == ["noted", "slept"]
    assert clock.monotonic() == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancelled_sleeper_holds_nobody_up(loop):
    clock = VirtualClock()

    async def main():
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(clock.asleep, 7)
                scope.cancel()
                await clock.asleep(1)

    anyio.run(main, backend=loop)
    assert clock.monotonic() == 7
    assert clock._sleepers == {}


def test_threads_lose_no_time():
    clock = VirtualClock()
    threads = [threading.Thread(target=lambda: [clock.sleep(1) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 2000
    assert len(clock.sleeps) == 2000


def test_a_copied_model_lives_in_the_same_time():
    clock = VirtualClock()
    assert copy.deepcopy(clock) is clock
