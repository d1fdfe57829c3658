"""The store in memory, against an OrderedDict that does the same slowly."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections import OrderedDict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llmopt.cache.memory import MemoryStore
from llmopt.errors import ConfigurationError

KEYS = st.sampled_from([bytes([number]) * 32 for number in range(6)])
VALUES = st.integers(0, 300).map(bytes)


def size_of(key, value):
    return sys.getsizeof(key) + sys.getsizeof(value)


class Memory(RuleBasedStateMachine):
    @initialize(max_entries=st.integers(1, 4), max_bytes=st.integers(100, 900))
    def begin(self, max_entries, max_bytes):
        self.store = MemoryStore(max_entries, max_bytes)
        self.oracle = OrderedDict()
        self.evictions = 0
        self.now = 0.0

    @rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        self.now += 1.0
        self.store.put(key, value, self.now)
        self.oracle.pop(key, None)
        if size_of(key, value) > self.store.max_bytes:
            return
        self.oracle[key] = (value, self.now)
        while len(self.oracle) > self.store.max_entries or self.bytes > self.store.max_bytes:
            self.oracle.popitem(last=False)
            self.evictions += 1

    @rule(key=KEYS)
    def get(self, key):
        assert self.store.get(key) == self.oracle.get(key)
        if key in self.oracle:
            self.oracle.move_to_end(key)

    @rule(key=KEYS)
    def delete(self, key):
        self.store.delete(key)
        self.oracle.pop(key, None)

    @rule()
    def clear(self):
        self.store.clear()
        self.oracle.clear()

    @property
    def bytes(self):
        return sum(size_of(key, value) for key, (value, _) in self.oracle.items())

    @invariant()
    def same(self):
        if hasattr(self, "store"):
            assert list(self.store) == list(self.oracle)
            assert self.store.stats() == {
                "entries": len(self.oracle),
                "bytes": self.bytes,
                "evictions": self.evictions,
            }


TestMemory = Memory.TestCase
TestMemory.settings = settings(max_examples=100, stateful_step_count=30)


def test_threads_may_share_it():
    store = MemoryStore(max_entries=8)
    keys = [bytes([number]) * 32 for number in range(16)]
    wrong = []

    def work(number):
        for turn in range(300):
            key = keys[(number * 7 + turn) % 16]
            store.put(key, key, 0.0)
            found = store.get(keys[turn % 16])
            if found is not None and found[0] != keys[turn % 16]:
                wrong.append(found)
            if turn % 50 == 0:
                store.delete(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    stats = store.stats()
    assert wrong == []
    assert stats["entries"] == len(list(store)) <= 8
    assert stats["bytes"] == sum(size_of(key, key) for key in store)


@pytest.mark.parametrize("bound", ["max_entries", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "1"])
def test_bounds_are_checked(bound, value):
    with pytest.raises(ConfigurationError, match=f"{bound}={value!r} is wrong"):
        MemoryStore(**{bound: value})


def pickled(store):
    return pickle.loads(pickle.dumps(store))  # noqa: S301


@pytest.mark.parametrize("twin", [copy.deepcopy, copy.copy, pickled])
def test_a_copy_is_new_and_empty(twin):
    store = MemoryStore(7, 700)
    store.put(b"a", b"1", 0.0)
    other = twin(store)
    assert (other.max_entries, other.max_bytes, list(other)) == (7, 700, [])
