"""A channel's followers see every event once, whichever world they live in."""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio
import pytest

from llmopt.chain.channel import Channel


def test_a_follower_in_a_thread_sees_events_as_they_come() -> None:
    channel, got, first = Channel(), [], threading.Event()

    def follow() -> None:
        for event in channel:
            got.append(event)
            first.set()

    thread = threading.Thread(target=follow)
    thread.start()
    channel.publish("a")
    assert first.wait(2), "the first event must arrive before the second is published"
    channel.publish("b")
    channel.end()
    thread.join(2)
    assert got == ["a", "b"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_follow_a_thread(backend: str) -> None:
    channel = Channel()
    results: list[list[Any]] = [[] for _ in range(5)]

    def publish() -> None:
        for number in range(20):
            channel.publish(str(number))
            time.sleep(0.0005)
        channel.end()

    async def follow(result: list[Any]) -> None:
        async for event in channel:
            result.append(event)

    async def main() -> None:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for result in results:
                    group.start_soon(follow, result)
                await anyio.to_thread.run_sync(publish)

    anyio.run(main, backend=backend)
    assert results == [[str(number) for number in range(20)]] * 5


def test_the_error_of_the_publisher_reaches_followers_after_the_events() -> None:
    channel, got = Channel(), []
    channel.publish("a")
    channel.end(OSError("cut"))
    with pytest.raises(OSError, match="cut"):
        got.extend(iter(channel))

    async def follow() -> None:
        async for event in channel:
            got.append(event)

    with pytest.raises(OSError, match="cut"):
        anyio.run(follow)
    assert got == ["a", "a"]


def test_events_are_copies_for_each_follower() -> None:
    from llm.parts import StreamEvent

    event, channel = StreamEvent(type="text", chunk="a"), Channel()
    channel.publish(event)
    channel.end()
    (one,), (two,) = list(channel), list(channel)
    one.part_index = 7
    assert event.part_index is two.part_index is None
    assert one is not two


def test_many_threads_miss_nothing_while_switching_often() -> None:
    import sys

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        channel = Channel()
        results: list[list[Any]] = [[] for _ in range(8)]
        threads = [
            threading.Thread(target=lambda result=result: result.extend(channel)) for result in results
        ]
        for thread in threads:
            thread.start()
        for number in range(300):
            channel.publish(str(number))
        channel.end()
        for thread in threads:
            thread.join(5)
        assert results == [[str(number) for number in range(300)]] * 8
    finally:
        sys.setswitchinterval(interval)


def test_a_follower_whose_loop_has_ended_does_not_disturb_the_publisher() -> None:
    channel = Channel()

    async def leave_early() -> None:
        with anyio.move_on_after(0.01):
            async for _ in channel:
                pass

    anyio.run(leave_early)
    channel.publish("a")
    channel.end()
    assert list(channel) == ["a"]


def test_two_that_wake_at_once_wake_everybody_once() -> None:
    channel, woken = Channel(), []

    def other() -> None:  # while the first waker runs, another thread takes out the rest
        woken.append("a")
        channel.end()

    assert channel._pending(0, other)
    assert channel._pending(0, lambda: woken.append("b"))
    channel.publish("x")
    assert woken == ["a", "b"]
    assert not channel._wakers


def test_a_channel_is_a_stage_that_lets_all_pass() -> None:
    from llm.parts import StreamEvent

    channel, event = Channel(), StreamEvent(type="text", chunk="b")
    events = ["a", event]
    assert channel.feed(events) is events
    assert (channel.has_last_word, channel.holds(), channel.flush()) == (False, False, [])
    channel.end()
    event.part_index = 3  # llm numbers the parts of what it gets
    assert [getattr(each, "part_index", each) for each in channel] == ["a", None]
