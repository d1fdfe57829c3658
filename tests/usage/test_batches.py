"""The payload of a batch, and the batch that calls find while it is under way."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.usage.batches import Batch, Logs, Slot, payload
from llmopt.usage.record import BATCH


class Log:
    """A usage log's writer."""

    def put(self, payload: bytes) -> None:
        raise NotImplementedError

    def lose(self, reason: str) -> None:
        raise NotImplementedError


class TestPayload:
    def test_all_that_is_known_has_its_place(self) -> None:
        slots = [Slot("ann", "01k", True, 18.5), Slot("bob", None, False, 20.0, "invalid"), Slot("cid")]
        batch = Batch(1.5, "time")
        made = payload(batch, str, 20.0, slots, prompt_tokens=70, role="tactical", strategy="fanout")
        assert orjson.loads(made) == [
            *("batch", batch.id, 1.5, 20.0, 3, "time", 70, "tactical", "fanout"),
            [
                [0, "ann", "01k", 1, 18.5, None],
                [1, "bob", None, 0, 20.0, "invalid"],
                [2, "cid", None, None, None, None],
            ],
        ]

    @given(st.lists(st.text(st.characters(), max_size=8), max_size=4))  # surrogates too
    def test_any_id_of_an_agent_can_be_written(self, agents: list[str]) -> None:
        made = orjson.loads(payload(Batch(1.5), Logs().clean, 20.0, [Slot(agent) for agent in agents]))
        read = [agent for _, agent, *_ in made[-1]]
        assert made[4] == len(agents)
        assert read == [agent.encode(errors="replace").decode() for agent in agents]


class TestBatch:
    def test_each_has_an_id_of_its_own_in_order(self) -> None:
        ids = [Batch(1.5).id for _ in range(100)]
        assert ids == sorted(set(ids))
        assert {len(one) for one in ids} == {26}

    def test_two_threads_that_ask_at_once_get_the_same_id(self) -> None:
        for _ in range(50):
            batch, ids, start = Batch(1.5), list[str](), threading.Barrier(2)

            def ask(batch: Batch = batch, ids: list[str] = ids, start: threading.Barrier = start) -> None:
                start.wait()
                ids.append(batch.id)

            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert ids == [batch.id] * 2

    def test_calls_find_the_innermost(self) -> None:
        outer, inner = Batch(1.5), Batch(1.5)
        with outer.calls():
            with inner.calls():
                assert BATCH.get() is inner
            assert BATCH.get() is outer
        assert BATCH.get() is None

    def test_an_error_ends_it_for_the_calls(self) -> None:
        with pytest.raises(ValueError, match="no plan"), Batch(1.5).calls():
            raise ValueError("no plan")
        assert BATCH.get() is None

    def test_a_thread_with_a_copy_of_the_context_finds_it(self) -> None:
        batch, found = Batch(1.5), list[Any]()
        with batch.calls():
            run = copy_context().run
        thread = threading.Thread(target=run, args=(lambda: found.append(BATCH.get()),))
        thread.start()
        thread.join()
        assert found == [batch]


class TestLogs:
    def test_they_are_those_of_the_calls(self) -> None:
        logs, batch, log = Logs(), Batch(1.5), Log()
        batch.writers.update((log, log))
        assert logs.of(batch) == (log,)

    def test_earlier_ones_are_known_to_a_batch_without_calls(self) -> None:
        logs, first, second = Logs(), Batch(1.5), Batch(1.5)
        first.writers.add(earlier := Log())
        second.writers.add(later := Log())
        assert logs.of(Batch(1.5)) == ()
        assert logs.of(first) == logs.of(Batch(1.5)) == (earlier,)
        assert logs.of(second) == (later,)
        assert set(logs.of(Batch(1.5))) == {earlier, later}

    def test_names_are_written_without_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHOP_PASSWORD", "correct horse battery")
        clean = Logs().clean
        assert clean("ann") == "ann"
        assert clean("correct horse battery ann") == "[redacted:secret] ann"
        key = "sk-" + "proj-" + "Ab1" * 16
        made = payload(Batch(1.5), clean, 20.0, [Slot(f"ann {key}")], role=f"scout {key}")
        assert key.encode() not in made
