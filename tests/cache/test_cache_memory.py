"""What the store in memory has of its own; what it has to keep is in test_cache_stores.py."""

from __future__ import annotations

import copy
import pickle
import sys
from collections import OrderedDict

import pytest

from llmopt.cache.memory import MemoryStore


def pickled(store):
    return pickle.loads(pickle.dumps(store))  # noqa: S301


@pytest.mark.parametrize("twin", [copy.deepcopy, copy.copy, pickled])
def test_a_copy_is_new_and_empty(twin):
    store = MemoryStore(7, 700)
    store.put(b"a", b"1", 0.0)
    other = twin(store)
    assert (other.max_entries, other.max_bytes, list(other)) == (7, 700, [])


def test_an_entry_that_goes_while_it_is_read_is_none():
    class Vanishing(OrderedDict):
        def get(self, key):
            return self.pop(key, None)

    store = MemoryStore()
    store.put(b"a", b"1", 0.0)
    store._entries = Vanishing(store._entries)
    assert store.get(b"a") is None


def test_a_prompt_that_is_its_own_key_counts_with_its_texts():
    store = MemoryStore()
    texts = (b"head", "s" * 300, "t" * 2000)
    store.put(texts, b"1", 0.0)
    held = store.stats()["bytes"]
    assert held == sum(map(sys.getsizeof, (texts, texts[1], texts[2], b"1")))
    store.delete(texts)
    assert store.stats()["bytes"] == 0
