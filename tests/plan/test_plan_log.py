"""What batches leave in the usage log: a row each, with a slot for every agent, whatever becomes of them."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import llm
import orjson
import pytest

import llmopt
from llmopt.cache.memory import MemoryStore
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel, VirtualClock
from llmopt.tokens.estimate import Estimate
from llmopt.usage.record import BATCH

LOOPS = ["asyncio", "trio"]
WORLDS = ["sync", *LOOPS, "asyncio, sync model", "trio, sync model"]
PATIENCE_S = 20
SECRET = "XYZZY"
GOOD = {who: f'["{who}",["wait",{n}]]\n' for n, who in enumerate(("ann", "bob", "cid", "dee"), start=1)}
BAD = f'["bob",["{SECRET}",1]]\n'
COLUMNS = ("id", "wall_s", "duration_ms", "n", "flushed_by", "prompt_tokens", "role", "strategy", "slots")


def wait(seconds: int) -> None:
    """Stay still."""


class Diary:
    """A middleware in the place of the usage log: it does with batches what that does."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None]] = []
        self.payloads: list[bytes] = []

    def __call__(self, call: Any) -> Any:
        batch = BATCH.get()
        self.calls.append((call.response.id, batch and batch.id))
        if batch is not None:
            batch.writers.add(self)
        yield call

    def put(self, payload: bytes) -> None:
        assert SECRET.encode() not in payload
        self.payloads.append(payload)

    @property
    def row(self) -> dict[str, Any]:
        """The only row; each slot is the agent, whether its plan was valid, and what was wrong."""
        (payload,) = self.payloads
        kind, *values = orjson.loads(payload)
        assert kind == "batch"
        row = dict(zip(COLUMNS, values, strict=True))
        assert [slot[0] for slot in row["slots"]] == list(range(row["n"]))
        assert {batch for _, batch in self.calls} == {row["id"]}
        return row

    @property
    def slots(self) -> list[tuple[Any, ...]]:
        return [(agent, ok, error) for _, agent, _, ok, _, error in self.row["slots"]]


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture(autouse=True)
def nobody_is_left_in_a_batch() -> Iterator[None]:
    yield
    assert BATCH.get() is None


def planner_on(model: Any, diary: Diary, **chosen: Any) -> Any:
    wrapped = llmopt.wrap(model, diary)
    settings = {"tools": [wait], "strategy": "one_call", "repair": False, **chosen}
    return llmopt.planner(wrapped, **settings)(lambda agent: {"name": agent})


def chunks(*agents: str) -> Answer:
    return Answer(chunks=[GOOD[agent] for agent in agents])


def planned(world: str, script: list[Any], diary: Diary, agents: str, **chosen: Any) -> llmopt.PlanBatch:
    """Return the result of a batch in a world."""
    loop, _, sync = world.partition(",")
    if loop == "sync":
        return planner_on(ScriptedModel(script), diary, **chosen).batch(agents.split()).result()
    cls = ScriptedModel if sync else AsyncScriptedModel
    planner = planner_on(cls(script), diary, **chosen)

    async def main() -> Any:
        return await planner.abatch(agents.split()).result()

    return anyio.run(main, backend=loop)


@pytest.mark.parametrize("world", WORLDS)
class TestOutcomes:
    def test_valid_plans(self, world: str, diary: Diary) -> None:
        batch = planned(world, [chunks("ann", "bob")], diary, "ann bob")
        row, (call,) = diary.row, diary.calls
        assert [row[name] for name in ("n", "flushed_by", "strategy", "role")] == [
            *(2, "demand", "one_call", None)
        ]
        assert row["prompt_tokens"] == batch.usage.input_tokens > 10
        assert [slot[1:4] for slot in row["slots"]] == [["ann", call[0], 1], ["bob", call[0], 1]]
        times = [slot[4] for slot in row["slots"]]
        assert times == sorted(times)
        assert times[-1] == row["duration_ms"] == batch["bob"].provenance.arrived_s * 1000 > 0

    def test_rows_that_are_repaired(self, world: str, diary: Diary) -> None:
        script = [Answer(chunks=[GOOD["ann"], BAD]), chunks("bob"), chunks("cid")]
        batch = planned(world, script, diary, "ann bob cid", repair=True)
        assert batch.status() == {"ok": 1, "repaired": 2, "fallback": 0, "missing": 0}
        assert diary.slots == [("ann", 1, None), ("bob", 1, "invalid"), ("cid", 1, "missing")]
        assert [slot[2] for slot in diary.row["slots"]] == [call for call, _ in diary.calls]

    def test_functions_and_models_that_help_out(self, world: str, diary: Diary) -> None:
        other = llmopt.wrap((AsyncScriptedModel if world in LOOPS else ScriptedModel)([chunks("bob")]), diary)
        tiers = [other, lambda agent: [["wait", 9]]]
        script = [Answer(chunks=[GOOD["ann"], BAD])]
        batch = planned(world, script, diary, "ann bob cid", fallback=tiers)
        assert batch.status()["fallback"] == 2
        assert diary.slots == [("ann", 1, None), ("bob", 1, "invalid"), ("cid", 0, "missing")]
        assert [slot[2] for slot in diary.row["slots"]] == [*(call for call, _ in diary.calls), None]

    def test_a_model_that_fails(self, world: str, diary: Diary) -> None:
        error = ConnectionError(SECRET)
        batch = planned(world, [Answer(chunks=[GOOD["ann"]], error=error, error_after=1)], diary, "ann bob")
        assert batch.status()["missing"] == 1
        assert diary.slots == [("ann", 1, None), ("bob", 0, "ConnectionError")]
        assert diary.row["slots"][1][2::2] == [None, None]

    def test_functions_that_fail(self, world: str, diary: Diary) -> None:
        def fail(agent: str) -> Any:
            return {"ann": [[SECRET]], "bob": 1 / 0}[agent] if agent == "bob" else [[SECRET]]

        planned(world, [Answer(text="")], diary, "ann bob", fallback=fail)
        assert diary.slots == [("ann", 0, "PlanValidationError"), ("bob", 0, "ZeroDivisionError")]

    def test_time_that_is_up(self, world: str, diary: Diary) -> None:
        slow = Answer(chunks=[GOOD["ann"], GOOD["bob"]], chunk_delay_s=1.0)
        fallback = [lambda agent: [["wait", 9]]]
        batch = planned(world, [slow], diary, "ann bob", deadline_s=0.5, fallback=fallback)
        assert batch.status()["fallback"] == 1
        assert diary.slots == [("ann", 1, None), ("bob", 0, "deadline")]
        assert diary.row["prompt_tokens"] is None  # no request has ended
        assert diary.row["duration_ms"] >= 500


class TestEnds:
    def test_a_batch_that_is_left_early(self, diary: Diary) -> None:
        with planner_on(ScriptedModel([chunks("ann", "bob")]), diary).batch(["ann", "bob"]) as batch:
            assert next(batch).agent == "ann"
            assert BATCH.get() is None
            assert diary.payloads == []
        assert diary.slots == [("ann", 1, None), ("bob", None, "abandoned")]
        assert diary.row["duration_ms"] > diary.row["slots"][0][4]

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("strategy", ["one_call", "fanout"])
    def test_a_batch_that_is_left_early_in_a_loop(self, loop: str, strategy: str, diary: Diary) -> None:
        def answer(prompt: Any) -> Answer:
            if strategy == "one_call":
                return chunks("ann", "bob")
            return chunks("ann") if "ann" in prompt.prompt else Answer(text=GOOD["bob"], delay_s=5)

        async def main() -> None:
            planner = planner_on(AsyncScriptedModel(answer), diary, strategy=strategy)
            async with planner.abatch(["ann", "bob"]) as batch:
                assert (await anext(batch)).agent == "ann"
                assert BATCH.get() is None

        anyio.run(main, backend=loop)
        assert diary.slots == [("ann", 1, None), ("bob", None, "abandoned")]

    def test_a_batch_that_nobody_holds_any_longer(self, diary: Diary) -> None:
        batch = planner_on(ScriptedModel([chunks("ann", "bob")]), diary).batch(["ann", "bob"])
        next(batch)
        del batch
        gc.collect()
        assert diary.slots == [("ann", 1, None), ("bob", None, "abandoned")]

    def test_a_batch_that_never_began(self, diary: Diary) -> None:
        planner_on(ScriptedModel([]), diary).batch(["ann"]).close()
        assert (diary.calls, diary.payloads) == ([], [])

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("deadline_s", [None, 60])
    def test_a_task_that_is_cancelled(self, loop: str, deadline_s: float | None, diary: Diary) -> None:
        slow = Answer(chunks=[GOOD["ann"], GOOD["bob"]], chunk_delay_s=30)

        async def main() -> None:
            planner = planner_on(AsyncScriptedModel([slow]), diary, deadline_s=deadline_s)
            with anyio.move_on_after(0.1):
                await planner.abatch(["ann", "bob"]).result()

        anyio.run(main, backend=loop)
        assert diary.slots == [("ann", 1, None), ("bob", None, "cancelled")]

    def test_a_person_who_interrupts(self, diary: Diary) -> None:
        answer = Answer(chunks=[GOOD["ann"]], error=KeyboardInterrupt(), error_after=1)
        with pytest.raises(KeyboardInterrupt):
            planner_on(ScriptedModel([answer]), diary).batch(["ann", "bob"]).result()
        assert diary.slots == [("ann", 1, None), ("bob", None, "cancelled")]

    def test_a_fault_of_the_planner_itself(self, diary: Diary) -> None:
        class Counter:
            def __getattr__(self, name: str) -> Any:
                return getattr(Estimate(), name)

            def count(self, text: str) -> int:
                if text.startswith('["bob"'):
                    raise OverflowError(SECRET)
                return Estimate().count(text)

        planner = planner_on(ScriptedModel([chunks("ann", "bob")]), diary, counter=Counter())
        with pytest.raises(OverflowError):
            planner.batch(["ann", "bob"]).result()
        assert diary.slots == [("ann", 1, None), ("bob", None, "OverflowError")]

    def test_a_log_that_is_broken_changes_nothing(self) -> None:
        class Broken(Diary):
            def put(self, payload: bytes) -> None:
                raise OSError("the disk is full")

            def lose(self, reason: str) -> None:
                self.payloads.append(reason.encode())

        batch = planner_on(ScriptedModel([chunks("ann")]), diary := Broken()).batch(["ann"])
        assert batch.result().status()["ok"] == 1
        assert diary.payloads == [b"OSError"]


class TestWhoAsks:
    def test_all_calls_carry_the_batch(self, diary: Diary) -> None:
        adviser = llmopt.wrap(ScriptedModel(["wait"]), diary)

        def ask_somebody(agent: str) -> list[Any]:
            return [[adviser.prompt("What now?").text(), 1]]

        script = [chunks("ann"), chunks("bob"), "", llm.ModelError("down")]
        planner = planner_on(ScriptedModel(script), diary, repair=True, fallback=ask_somebody)
        assert planner.batch(["ann", "bob", "cid"]).result().status()["fallback"] == 1
        assert len(diary.calls) == 4  # the first, the repair, one alone, and the function's own
        assert diary.row["slots"][2][2] is None

    @pytest.mark.parametrize("loop", LOOPS)
    def test_calls_of_an_async_function_too(self, loop: str, diary: Diary) -> None:
        adviser = llmopt.wrap(AsyncScriptedModel(["wait"]), diary)

        async def ask_somebody(agent: str) -> list[Any]:
            await anyio.lowlevel.checkpoint()
            return [[await adviser.prompt("What now?").text(), 1]]

        planned(loop, [""], diary, "ann", fallback=ask_somebody)
        assert len(diary.calls) == 2
        assert diary.slots == [("ann", 0, "missing")]

    def test_an_async_function_is_not_run_without_a_loop(self, diary: Diary) -> None:
        async def ask_somebody(agent: str) -> list[Any]:
            return [["wait", 1]]

        planned("sync", [""], diary, "ann", fallback=ask_somebody)
        assert diary.slots == [("ann", 0, "TypeError")]

    @pytest.mark.parametrize("world", WORLDS)
    def test_requests_side_by_side(self, world: str, diary: Diary) -> None:
        def answer(prompt: Any) -> str:
            return next(row for who, row in GOOD.items() if who in prompt.prompt.rpartition("Agents:")[2])

        planned(world, answer, diary, "ann bob cid dee", strategy="leader_then_fanout", concurrency=2)
        row = diary.row
        assert (row["strategy"], len(diary.calls)) == ("leader_then_fanout", 4)
        assert {slot[2] for slot in row["slots"]} == {call for call, _ in diary.calls}

    def test_two_batches_at_once_keep_apart(self, diary: Diary) -> None:
        def answer(prompt: Any) -> Answer:
            return chunks("ann", "bob") if "ann" in prompt.prompt else chunks("cid", "dee")

        planner = planner_on(ScriptedModel(answer), diary)
        with planner.batch(["ann", "bob"]) as one, planner.batch(["cid", "dee"]) as two:
            assert [next(plans).agent for plans in (one, two, one, two)] == ["ann", "cid", "bob", "dee"]
            assert [list(one), list(two)] == [[], []]
        rows = [orjson.loads(payload) for payload in diary.payloads]
        assert {row[1] for row in rows} == {batch for _, batch in diary.calls}
        assert len({row[1] for row in rows}) == 2

    def test_two_logs_both_get_the_row(self, diary: Diary) -> None:
        other = Diary()
        model = llmopt.wrap(ScriptedModel([chunks("ann")]), other)
        planner_on(model, diary).batch(["ann"]).result()
        assert diary.payloads == other.payloads != []

    def test_a_role_is_named_where_all_share_it(self) -> None:
        for role, named in (("tactical", "tactical"), (lambda agent: ROLES[agent], None)):
            diary = Diary()
            planner_on(ScriptedModel([chunks("ann"), chunks("bob")]), diary, role=role).batch(ROLES).result()
            assert diary.row["role"] == named

    def test_what_auto_has_chosen_is_named(self, diary: Diary) -> None:
        planned("sync", [chunks("ann", "bob")], diary, "ann bob", strategy="auto")
        assert diary.row["strategy"] == "one_call"

    def test_times_are_those_of_the_clock(self, diary: Diary) -> None:
        clock = VirtualClock(wall_s=1000.0)
        model = ScriptedModel([Answer(chunks=[GOOD["ann"], GOOD["bob"]], chunk_delay_s=2.0)], clock=clock)
        planner_on(model, diary, clock=clock).batch(["ann", "bob"]).result()
        row = diary.row
        assert (row["wall_s"], row["duration_ms"]) == (1000.0, 2000.0)
        assert [slot[4] for slot in row["slots"]] == [0.0, 2000.0]

    def test_numbers_are_ids_too(self, diary: Diary) -> None:
        planner = planner_on(ScriptedModel(['[7,["wait",1]]']), diary)
        planner.batch([7]).result()
        assert diary.slots == [("7", 1, None)]


ROLES = {"ann": "tactical", "bob": "support"}


class TestRemembered:
    def test_remembered_plans_are_slots_without_a_call(self, diary: Diary) -> None:
        planner = planner_on(ScriptedModel([chunks("ann"), chunks("bob")]), diary, cache=MemoryStore())
        planner.batch(["ann"]).result()
        planner.batch(["ann", "bob"]).result()
        first, second = map(orjson.loads, diary.payloads)
        assert [row[1] for row in (first, second)] == [batch for _, batch in diary.calls]
        assert second[-1][0] == [0, "ann", None, 1, 0.0, None]
        assert second[-1][1][1:4] == ["bob", diary.calls[1][0], 1]

    def test_one_that_is_left_before_anybody_was_asked(self, diary: Diary) -> None:
        planner = planner_on(ScriptedModel([chunks("ann"), chunks("bob")]), diary, cache=MemoryStore())
        planner.batch(["ann"]).result()
        with planner.batch(["ann", "bob"]) as batch:
            assert next(batch).provenance.source == "cache"
        assert len(diary.calls) == 1
        slots = orjson.loads(diary.payloads[1])[-1]
        assert slots == [[0, "ann", None, 1, 0.0, None], [1, "bob", None, None, None, "abandoned"]]

    def test_a_batch_that_asks_nobody_goes_where_the_others_went(self, diary: Diary) -> None:
        store = MemoryStore()
        planner = planner_on(ScriptedModel([chunks("ann")]), diary, cache=store)
        planner.batch(["ann"]).result()
        planner.batch(["ann"]).result()
        row = orjson.loads(diary.payloads[1])
        assert (row[3], row[5:9]) == (0.0, ["demand", None, None, None])
        assert row[9] == [[0, "ann", None, 1, 0.0, None]]
        another = planner_on(ScriptedModel([]), diary, cache=store)
        assert another("ann").provenance.source == "cache"
        assert len(diary.payloads) == 2  # it has not heard of a log yet


class TestWhatSendsThemOff:
    @pytest.mark.parametrize("loop", LOOPS)
    def test_agents_that_were_gathered(self, loop: str, diary: Diary) -> None:
        planner = planner_on(AsyncScriptedModel([chunks("ann", "bob")]), diary, gather_s=0.02)

        async def main() -> None:
            async with anyio.create_task_group() as group:
                for agent in ("ann", "bob"):
                    group.start_soon(planner, agent)

        anyio.run(main, backend=loop)
        assert (diary.row["flushed_by"], diary.row["n"]) == ("time", 2)

    def test_one_agent_is_a_batch_too(self, diary: Diary) -> None:
        planner_on(ScriptedModel([chunks("ann")]), diary)("ann")
        assert (diary.row["flushed_by"], diary.row["n"]) == ("demand", 1)

    def test_one_agent_alone_in_a_loop(self, diary: Diary) -> None:
        asyncio.run(planner_on(AsyncScriptedModel([chunks("ann")]), diary)("ann"))
        assert (diary.row["flushed_by"], diary.row["n"]) == ("demand", 1)

    def test_a_queue(self, diary: Diary) -> None:
        queue = planner_on(ScriptedModel([chunks("ann", "bob")]), diary).queue()
        for agent in ("ann", "bob"):
            queue.add(agent)
        queue.flush()
        for thread in threading.enumerate():
            if thread.name == "llmopt-queue":
                thread.join(PATIENCE_S)
        assert len(queue.ready()) == 2
        assert (diary.row["flushed_by"], diary.row["n"]) == ("demand", 2)


class TestFile:
    """The same with the usage log itself."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        return str(tmp_path / "usage.db")

    @pytest.mark.parametrize("world", WORLDS)
    def test_rows_are_joined_with_their_calls(self, world: str, path: str) -> None:
        script = [Answer(chunks=[GOOD["ann"], BAD]), chunks("bob"), ""]
        log: Any = llmopt.UsageLog(path)
        fallback = [lambda agent: [["wait", 9]]]
        planned(world, script, log, "ann bob cid", repair=True, fallback=fallback, role="tactical")
        assert rows(
            path,
            "SELECT agent_id, plan_ok, error, status FROM batch_slots LEFT JOIN calls ON calls.id = call_id"
            " ORDER BY slot",
        ) == [("ann", 1, None, "ok"), ("bob", 1, "invalid", "ok"), ("cid", 0, "missing", None)]
        assert rows(
            path,
            "SELECT n, flushed_by, b.role, strategy, prompt_tokens = sum(input_tokens), count(*),"
            " abs(julianday(b.started_at) - julianday(min(c.started_at))) < 1e-3"
            " FROM batches AS b JOIN calls AS c ON c.batch_id = b.id GROUP BY b.id",
        ) == [(3, "demand", "tactical", "one_call", 1, 3, 1)]
        assert rows(path, "SELECT agents, calls_per_batch, good_plans, bad_plans FROM batch_stats") == [
            (3, 3.0, 2, 1)
        ]
        assert rows(path, "SELECT * FROM drops") == []

    @pytest.mark.parametrize("world", WORLDS)
    def test_an_early_end_leaves_both_rows(self, world: str, path: str) -> None:
        slow = Answer(chunks=[GOOD["ann"], GOOD["bob"]], chunk_delay_s=1.0)
        planned(world, [slow], llmopt.UsageLog(path), "ann bob", deadline_s=0.5)  # type: ignore[arg-type]
        assert rows(path, "SELECT agent_id, plan_ok, error FROM batch_slots ORDER BY slot") == [
            ("ann", 1, None),
            ("bob", 0, "deadline"),
        ]

    def test_no_secret_is_written(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHOP_PASSWORD", "correct horse battery")
        agent = "correct horse battery"
        log: Any = llmopt.UsageLog(path)
        batch = planner_on(ScriptedModel([f'["{agent}",["wait",1]]']), log).batch([agent])
        assert batch.result().status()["ok"] == 1
        assert rows(path, "SELECT agent_id FROM batch_slots") == [("[redacted:secret]",)]

    def test_a_batch_that_is_left_early(self, path: str) -> None:
        log: Any = llmopt.UsageLog(path)
        with planner_on(ScriptedModel([chunks("ann", "bob")]), log).batch(["ann", "bob"]) as batch:
            next(batch)
        assert rows(
            path, "SELECT agent_id, plan_ok, error, status FROM batch_slots JOIN calls USING (batch_id)"
        ) == [("ann", 1, None, "abandoned"), ("bob", None, "abandoned", "abandoned")]


def rows(path: str, query: str) -> list[tuple[Any, ...]]:
    database = llmopt.usage.open(path)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def test_without_a_log_nothing_is_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmopt.plan.log.payload", lambda *_, **__: pytest.fail("nobody asked"))
    model = llmopt.wrap(ScriptedModel([chunks("ann")]), default=False)
    planner = llmopt.planner(model, tools=[wait])(lambda agent: {"hp": 1})
    assert planner("ann").ok
