"""What is remembered of plans, and what becomes of a store that fails."""

from __future__ import annotations

from typing import Any

import pytest

from llmopt.cache.memory import MemoryStore
from llmopt.errors import StoreError
from llmopt.plan import Step, Tools
from llmopt.plan.recall import Recall
from llmopt.testing import VirtualClock


def wait(seconds: int) -> None:
    """Stay still."""


TOOLS = Tools.of([wait])
STEPS = (Step("wait", {"seconds": 2}),)


class Broken(MemoryStore):
    def get(self, key: Any) -> Any:
        raise StoreError(f"the disk of {key!r} is gone")

    def put(self, key: Any, value: Any, now: float) -> None:
        raise StoreError(f"the disk of {key!r} is full at {now}: {value!r}")


def test_a_plan_is_remembered_for_its_time() -> None:
    clock = VirtualClock()
    recall = Recall(MemoryStore(), 60, clock)
    key = recall.key("gpt", "Plan.", {"hp": 1})
    recall.put(key, STEPS)
    assert recall.get(key, TOOLS) == STEPS
    clock.sleep(61)
    assert recall.get(key, TOOLS) is None


def test_everything_that_a_plan_depends_on_is_in_the_key() -> None:
    recall = Recall(MemoryStore(), None, VirtualClock())
    keys = [
        ("gpt", "Plan.", {"hp": 1}),
        ("gpt", "Plan.", {"hp": 1.0}),
        ("gpt", "Plan!", {"hp": 1}),
        ("o1", "Plan.", {"hp": 1}),
    ]
    assert len({recall.key(*key) for key in keys}) == len(keys)
    assert recall.key("gpt", "Plan.", {"hp": object()}) is None


def test_without_a_key_nothing_is_remembered() -> None:
    recall = Recall(MemoryStore(), None, VirtualClock())
    recall.put(None, STEPS)
    assert recall.get(None, TOOLS) is None


def test_a_store_that_fails_is_as_good_as_an_empty_one() -> None:
    recall = Recall(Broken(), None, VirtualClock())
    recall.put(b"k", STEPS)
    assert recall.get(b"k", TOOLS) is None


@pytest.mark.parametrize("kept", [b"no json", b'[["fly",{}]]', b'[["wait",{"seconds":"soon"}]]', b"[1]"])
def test_what_is_no_plan_any_more_is_forgotten(kept: bytes) -> None:
    store = MemoryStore()
    store.put(b"k", kept, 0.0)
    assert Recall(store, None, VirtualClock()).get(b"k", TOOLS) is None


def test_arguments_that_json_cannot_hold_are_not_remembered() -> None:
    store = MemoryStore()
    Recall(store, None, VirtualClock()).put(b"k", (Step("wait", {"seconds": object()}),))
    assert list(store) == []
