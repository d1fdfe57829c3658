"""What every store keeps: one contract, against an OrderedDict that does the same slowly."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llmopt.cache.memory import MemoryStore
from llmopt.cache.sqlite import SQLiteStore
from llmopt.errors import ConfigurationError

KEYS = [bytes([number]) * 32 for number in range(16)]
SOME = st.sampled_from(KEYS[:6])


def size_in_memory(key, value):
    return sys.getsizeof(key) + sys.getsizeof(value)


def size_in_a_file(key, value):
    return len(key) + len(value)


class Store(RuleBasedStateMachine):
    """The contract; a kind of store says how it is opened and what an entry counts."""

    def open(self, max_entries, max_bytes):
        raise NotImplementedError

    def size_of(self, key, value):
        raise NotImplementedError

    @initialize(max_entries=st.integers(1, 4), fitting=st.integers(1, 5), first=st.permutations(KEYS[:4]))
    def begin(self, max_entries, fitting, first):
        self.store = self.open(max_entries, fitting * self.size_of(KEYS[0], bytes(40)))
        self.oracle = OrderedDict()
        self.evictions = 0
        self.now = 0.0
        for key in first:  # many runs do not put anything: they leave out some of the rules
            self.put(key, bytes(40))

    @rule(key=SOME, value=st.integers(0, 80).map(bytes))
    def put(self, key, value):
        self.now += 1.0
        self.store.put(key, value, self.now)
        self.oracle.pop(key, None)
        if self.size_of(key, value) > self.store.max_bytes:
            return
        self.oracle[key] = (value, self.now)
        while len(self.oracle) > self.store.max_entries or self.bytes > self.store.max_bytes:
            self.oracle.popitem(last=False)
            self.evictions += 1

    @rule(key=SOME)
    def get(self, key):
        assert self.store.get(key) == self.oracle.get(key)
        if key in self.oracle:
            self.oracle.move_to_end(key)

    @rule(key=SOME)
    def delete(self, key):
        self.store.delete(key)
        self.oracle.pop(key, None)

    @rule()
    def clear(self):
        self.store.clear()
        self.oracle.clear()

    @rule()
    def order(self):
        assert list(self.store) == list(self.oracle)

    @property
    def bytes(self):
        return sum(self.size_of(key, value) for key, (value, _) in self.oracle.items())

    @invariant()
    def counts(self):
        if hasattr(self, "store"):
            told = {"entries": len(self.oracle), "bytes": self.bytes, "evictions": self.evictions}
            assert self.store.stats() == told

    def teardown(self):
        if hasattr(self, "store"):
            self.order()


class InMemory(Store):
    def open(self, max_entries, max_bytes):
        return MemoryStore(max_entries, max_bytes)

    def size_of(self, key, value):
        return size_in_memory(key, value)

    @invariant()
    def order_at_any_time(self):
        if hasattr(self, "store"):
            self.order()


class InAFile(Store):
    """To list its keys writes their uses down, so that is a step of its own and not done after each step."""

    def open(self, max_entries, max_bytes):
        self.folder = TemporaryDirectory()
        return SQLiteStore(f"{self.folder.name}/cache.db", max_entries, max_bytes)

    def size_of(self, key, value):
        return size_in_a_file(key, value)

    @rule()
    def reopen(self):
        self.store.close()

    def teardown(self):
        if hasattr(self, "store"):
            try:
                super().teardown()
            finally:
                self.store.close()
                self.folder.cleanup()


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(max_examples=100, stateful_step_count=30)
TestInAFile = InAFile.TestCase
TestInAFile.settings = settings(max_examples=40, stateful_step_count=25)


def in_memory(folder, **bounds):
    return MemoryStore(**bounds)


def in_a_file(folder, **bounds):
    return SQLiteStore(folder / "cache.db", **bounds)


@pytest.mark.parametrize("kind", [in_memory, in_a_file])
def test_the_least_recently_used_goes_first(tmp_path, kind):
    store = kind(tmp_path, max_entries=2)
    store.put(KEYS[0], b"", 0.0)
    store.put(KEYS[1], b"", 1.0)
    store.get(KEYS[0])
    store.put(KEYS[2], b"", 2.0)
    assert list(store) == [KEYS[0], KEYS[2]]


@pytest.mark.parametrize(
    ("kind", "size_of", "turns"), [(in_memory, size_in_memory, 300), (in_a_file, size_in_a_file, 50)]
)
def test_threads_may_share_it(tmp_path, kind, size_of, turns):
    store = kind(tmp_path, max_entries=8)
    wrong = []

    def work(number):
        for turn in range(turns):
            key = KEYS[(number * 7 + turn) % 16]
            store.put(key, key, 0.0)
            found = store.get(KEYS[turn % 16])
            if found is not None and found[0] != KEYS[turn % 16]:
                wrong.append(found)
            if turn % 50 == 0:
                store.delete(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    stats, keys = store.stats(), list(store)
    if kind is in_a_file:
        store.close()
    assert wrong == []
    assert stats["entries"] == len(keys) <= 8
    assert stats["bytes"] == sum(size_of(key, key) for key in keys)


@pytest.mark.parametrize("kind", [in_memory, in_a_file])
@pytest.mark.parametrize("bound", ["max_entries", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "1"])
def test_bounds_are_checked(tmp_path, kind, bound, value):
    with pytest.raises(ConfigurationError, match=f"{bound}={value!r} is wrong"):
        kind(tmp_path, **{bound: value})
