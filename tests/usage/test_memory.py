"""The queue in memory of `durability="none"`."""

from __future__ import annotations

import pytest

from llmopt.usage import memory as memory_module
from llmopt.usage.memory import Memory

from .spooling import HELLO, payload


@pytest.fixture
def memory():
    return Memory(lambda: HELLO)


def test_what_is_appended_is_taken_in_order(memory):
    assert memory.take(100) == []
    for number in range(4):
        assert memory.append(payload(number))
    assert memory.take(len(payload(0)) + 1) == [HELLO, payload(0), payload(1)]
    rest = memory.take(10_000)
    assert rest == [payload(2), payload(3)]
    assert memory.stats()["undrained_bytes"] == 0
    memory.put_back(rest)
    assert memory.stats()["undrained_bytes"] == sum(map(len, rest))
    assert memory.take(10_000) == rest
    assert memory.written == 4


def test_losses_come_before_what_follows(memory):
    memory.lose("some reason", 3)
    memory.append(payload(0))
    hello, drop, record = memory.take(100)
    assert (hello, record) == (HELLO, payload(0))
    assert drop.endswith(b'"some reason",3]')
    assert memory.take(100) == []
    assert memory.stats()["failed"] == 3


def test_those_who_append_help(memory, monkeypatch):
    monkeypatch.setattr(memory_module, "BOUND_BYTES", 100)
    taken = []
    memory.help_out = lambda: taken.extend(memory.take(50))
    for number in range(50):
        assert memory.append(payload(number))
        assert memory.stats()["undrained_bytes"] <= 100 + len(payload(number))
    taken += memory.take(1000)
    assert taken == [HELLO, *map(payload, range(50))]


def test_where_nobody_helps_contents_go_first_and_then_the_newest(memory, monkeypatch):
    monkeypatch.setattr(memory_module, "BOUND_BYTES", 100)
    assert memory.append(payload(0, "x" * 150), payload(0))
    assert memory.append(payload(1, "x" * 150), payload(1))
    assert not memory.append(payload(2, "x" * 150), payload(2, "x" * 20))
    assert not memory.append(payload(3, "x" * 150))
    assert memory.fault == "quota"
    assert (memory.written, memory.lightened, memory.stats()["failed"]) == (2, 1, 2)
    assert memory.take(1000)[2:] == [payload(0, "x" * 150), payload(1)]


def test_the_child_of_a_fork_begins_anew(memory):
    memory.append(payload(0))
    memory.take(100)
    memory.append(payload(1))
    assert memory.pause()
    memory.resume()
    memory.disown()
    assert memory.take(100) == []
    memory.append(payload(2))
    memory.end()
    memory.close()
    assert memory.take(100) == [HELLO, payload(2)]
