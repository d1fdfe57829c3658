"""Planners from the outside: one agent, many, in threads and loops, with everything that can go wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import llmopt
from llmopt.cache.memory import MemoryStore
from llmopt.compress import Vault
from llmopt.plan import PlanBatch
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel

BACKENDS = ["asyncio", "trio"]


def move_to(x: int, y: int) -> None:
    """Walk to a cell."""


def wait(seconds: int) -> None:
    """Stay still."""


TOOLS = [move_to, wait]


def agents_in(text: str) -> list[str]:
    """Return the handles in the table of agents, which is the last thing in a prompt."""
    table = text.rpartition("Agents:\n")[2].partition("\n\n")[0]
    return [str(row["agent"]) for row in llmopt.compress.decode(table)]


def obedient(prompt: Any) -> str:
    return "".join(f'["{agent}",["move_to",1,2],["wait",3]]\n' for agent in agents_in(prompt.prompt))


def see(agent: str) -> dict[str, Any]:
    return {"t": 7, "walls": [[1, 2], [3, 4]], "hp": len(agent) * 10, "name": agent}


def planner_on(model: Any, **settings: Any) -> Any:
    return llmopt.planner(model, **{"tools": TOOLS, "strategy": "one_call", **settings})(see)


def test_one_agent_gets_one_plan() -> None:
    plan_for = planner_on(ScriptedModel(obedient))
    plan = plan_for("scout")
    assert (plan.agent, plan.status, [str(step) for step in plan]) == (
        "scout",
        "ok",
        ["move_to(x=1, y=2)", "wait(seconds=3)"],
    )
    assert plan_for.__name__ == "see"


def test_many_agents_share_one_request_with_the_world_said_once() -> None:
    model = ScriptedModel(obedient)
    batch = planner_on(model).batch(["ann", "bob", "cy"])
    assert [plan.agent for plan in batch] == ["ann", "bob", "cy"]
    (call,) = model.calls
    assert call.prompt.prompt.count("walls") == 1
    assert "move_to(x:int,y:int): Walk to a cell" in call.prompt.system
    result = batch.result()
    assert isinstance(result, PlanBatch)
    assert (result.usage.calls, result.first_s is not None) == (1, True)


def test_plans_arrive_while_the_answer_is_under_way() -> None:
    model = ScriptedModel(lambda prompt: Answer(chunks=list(obedient(prompt))))
    with planner_on(model).batch(["ann", "bob"]) as batch:
        assert next(batch).agent == "ann"
        assert "bob" not in "".join(model.calls[0].response._chunks)
    assert not model.calls[0].response._done


def test_the_same_agents_get_the_same_prompt_but_for_the_rotation() -> None:
    plan_for = planner_on(ScriptedModel(obedient))
    first, second = (plan_for.explain(["ann", "bob"]).prompt for _ in range(2))
    assert first == second


def test_bad_rows_are_repaired_in_one_call_that_says_what_was_wrong() -> None:
    def careless(prompt: Any) -> str:
        if "could not be used" in prompt.prompt:
            return obedient(prompt)
        return '["ann",["move_to",1,2]]\n["bob",["fly",3]]\n["cy",["wait"]]\n'

    model = ScriptedModel(careless)
    result = planner_on(model).batch(["ann", "bob", "cy", "dan"]).result()
    assert {str(agent): plan.status for agent, plan in result.items()} == {
        "ann": "ok",
        "bob": "repaired",
        "cy": "repaired",
        "dan": "repaired",
    }
    first, repair = model.calls
    assert repair.prompt.system == first.prompt.system
    assert 'bob: step 1: there is no tool "fly"' in repair.prompt.prompt
    assert agents_in(repair.prompt.prompt) == ["bob", "cy", "dan"]
    world = first.prompt.prompt.partition("Agents:")[0]
    assert repair.prompt.prompt.startswith(world)


def test_a_broken_model_leaves_the_planning_to_the_fallbacks() -> None:
    small = ScriptedModel(lambda prompt: '["ann",["wait",1]]', model_id="small")
    tiers = [small, lambda agent, seen: [["wait", seen["hp"]]]]
    result = planner_on(ScriptedModel([RuntimeError("down")]), fallback=tiers).batch(["ann", "bob"]).result()
    assert [(plan.status, plan.tier, str(plan[0])) for plan in result.values()] == [
        ("fallback", 1, "wait(seconds=1)"),
        ("fallback", 2, "wait(seconds=30)"),
    ]
    assert result["ann"].provenance.source == "small"


def test_rows_for_others_of_the_group_count_but_not_as_the_request_s_own() -> None:
    model = ScriptedModel(lambda prompt: '["ann",["wait",1]]\n["bob",["wait",2]]')
    result = planner_on(model, strategy="fanout").batch(["ann", "bob"]).result()
    assert [plan.status for plan in result.values()] == ["ok", "ok"]


def test_a_snapshot_may_have_an_agent_of_its_own() -> None:
    model = ScriptedModel(['[1,["wait",1]]\n[2,["wait",2]]'])
    plan_for = llmopt.planner(model, tools=TOOLS, id_of=int)(lambda agent: {"agent": "Ann", "hp": agent})
    assert [plan.status for plan in plan_for.batch([1, 2]).result().values()] == ["ok", "ok"]
    assert "handle" in model.calls[0].prompt.prompt


def test_rows_that_are_no_json_are_told_of() -> None:
    plan = planner_on(ScriptedModel(lambda prompt: "[[[ not at all"))("ann")
    assert (plan.status, len(plan.faults)) == ("missing", 1)


def test_a_fallback_without_a_plan_makes_way_for_the_next() -> None:
    hopeless = planner_on(ScriptedModel([RuntimeError("down")]))
    plan = planner_on(
        ScriptedModel([RuntimeError("down")]), fallback=[hopeless, lambda agent: [["wait", 1]]]
    )("ann")
    assert (plan.status, plan.tier) == ("fallback", 2)


@pytest.mark.parametrize(
    "made",
    [
        [["wait", 5]],
        {"steps": [["wait", 5]]},
        llmopt.plan.Step("wait", {"seconds": 5}),
        [llmopt.plan.Step("wait", {"seconds": 5})],
        llmopt.plan.Plan("x", (llmopt.plan.Step("wait", {"seconds": 5}),)),
    ],
)
def test_fallbacks_may_return_steps_in_any_form(made: Any) -> None:
    plan_for = planner_on(ScriptedModel([RuntimeError("down")]), fallback=lambda agent: made)
    plan = plan_for("ann")
    assert (plan.status, [str(step) for step in plan]) == ("fallback", ["wait(seconds=5)"])


def test_a_fallback_that_names_no_tool_is_no_plan() -> None:
    plan = planner_on(ScriptedModel([RuntimeError("down")]), fallback=lambda agent: [["fly"]])("ann")
    assert plan.status == "missing"
    assert 'no tool "fly"' in plan.faults[-1]


def test_plans_are_remembered_by_what_an_agent_sees() -> None:
    model = ScriptedModel(obedient)
    plan_for = planner_on(model, cache=MemoryStore())
    plan_for.batch(["ann", "bob"]).result()
    result = plan_for.batch(["bob", "cy", "ann"]).result()
    assert [(agent, plan.provenance.source) for agent, plan in result.items()] == [
        ("bob", "cache"),
        ("cy", "model"),
        ("ann", "cache"),
    ]
    assert agents_in(model.calls[1].prompt.prompt) == ["cy"]
    plan_for.batch(["ann", "bob", "cy"]).result()
    assert len(model.calls) == 2


def test_opaque_ids_stay_out_of_the_prompt_and_come_back_in_the_plan() -> None:
    def follow(target: str) -> None:
        """Go after somebody."""

    uuid = "550e8400-e29b-41d4-a716-446655440000"
    model = ScriptedModel(['["ann",["follow","@1"]]'])
    plan_for = llmopt.planner(model, tools=[follow], vault=Vault())(lambda agent: {"sees": uuid})
    plan = plan_for("ann")
    assert uuid not in model.calls[0].prompt.prompt
    assert plan[0].args == {"target": uuid}


class Squad:
    def __init__(self, name: str) -> None:
        self.name = name

    @llmopt.planner(ScriptedModel(obedient), tools=TOOLS)
    def plan_for(self, agent: str) -> dict[str, Any]:
        return {"squad": self.name, "agent_name": agent}


def test_a_method_can_be_a_planner() -> None:
    squad = Squad("red")
    assert squad.plan_for("ann").ok
    assert "red" in squad.plan_for.explain(["ann"]).prompt
    assert Squad.plan_for.__name__ == "plan_for"


@pytest.mark.parametrize("strategy", ["one_call", "leader_then_fanout", "fanout", "sequential", "auto"])
def test_every_strategy_serves_everybody_once(strategy: str) -> None:
    model = ScriptedModel(obedient)
    names = ["ann", "bob", "cy", "dan"]
    result = planner_on(model, strategy=strategy).batch(names).result()
    assert list(result) == names
    assert all(plan.status == "ok" for plan in result.values())
    if strategy != "auto":
        assert len(model.calls) == (1 if strategy == "one_call" else 4)
    system = {call.prompt.system for call in model.calls}
    world = {call.prompt.prompt.partition("Agents:")[0] for call in model.calls}
    assert len(system) == len(world) == 1


def test_large_groups_go_out_in_even_batches() -> None:
    model = ScriptedModel(obedient)
    names = [f"a{number}" for number in range(20)]
    result = planner_on(model, max_agents=8).batch(names).result()
    assert all(plan.ok for plan in result.values())
    assert sorted(len(agents_in(call.prompt.prompt)) for call in model.calls) == [6, 7, 7]


def test_good_rows_let_the_batches_grow_and_bad_ones_halve_them() -> None:
    names = [f"a{number}" for number in range(16)]
    model = ScriptedModel(obedient)
    plan_for = planner_on(model)
    for _ in range(3):
        plan_for.batch(names).result()
    sizes = [len(agents_in(call.prompt.prompt)) for call in model.calls]
    assert sizes[:2] == [8, 8]
    assert max(sizes) <= 10
    bad = planner_on(ScriptedModel(lambda prompt: "nothing"), repair=False)
    bad.batch(names).result()
    assert bad._memory.quality.cap("scripted", "") == 4


def test_roles_may_differ_from_agent_to_agent() -> None:
    model = ScriptedModel(obedient)
    roles = {"ann": "tactical", "bob": "stealth"}
    plan_for = llmopt.planner(model, role=roles.__getitem__, tools=TOOLS)(see)
    result = plan_for.batch(["ann", "bob"]).result()
    assert all(plan.ok for plan in result.values())
    systems = [call.prompt.system for call in model.calls]
    assert len(set(systems)) == 2


def test_a_role_brings_its_tools_and_the_report_of_what_it_drops() -> None:
    plan_for = llmopt.planner(ScriptedModel(), role="tactical")(
        lambda agent: {"obstacles": [1], "orders": ["go"]}
    )
    explained = plan_for.explain(["ann"])
    assert "attack(id:int)" in explained.prompt
    assert explained.dropped["ann"].paths == ("/obstacles",)
    assert "left out by the roles: 1 value" in str(explained)


def test_the_explanation_fits_a_terminal_and_sends_nothing() -> None:
    model = ScriptedModel(obedient)
    plan_for = planner_on(model, strategy="auto")
    text = str(plan_for.explain([f"agent-{number}" for number in range(12)]))
    assert max(map(len, text.split("\n")[:-1])) <= 100
    assert not model.calls


def test_a_queue_never_waits() -> None:
    model = ScriptedModel(lambda prompt: Answer(obedient(prompt), delay_s=0.1))
    queue = planner_on(model).queue()
    assert queue.flush() == 0
    queue.add("ann")
    queue.add("bob")
    began_s = time.monotonic()
    assert queue.flush() == 2
    assert queue.ready() == []
    assert time.monotonic() - began_s < 0.1
    plans = []
    while len(plans) < 2 and time.monotonic() - began_s < 10:
        plans += queue.ready()
    assert [plan.agent for plan in plans] == ["ann", "bob"]
    assert queue.waiting == 0


def test_a_deadline_hands_out_fallbacks_in_time() -> None:
    model = ScriptedModel(lambda prompt: Answer(obedient(prompt), delay_s=0.5))
    batch = planner_on(model, fallback=lambda agent: [["wait", 0]]).batch(["ann", "bob"], deadline_s=0.1)
    began_s = time.monotonic()
    assert [plan.status for plan in batch] == ["fallback", "fallback"]
    assert time.monotonic() - began_s < 0.45
    for _ in range(200):
        if len(batch.result().late) == 2:
            break
        time.sleep(0.02)
    assert [plan.agent for plan in batch.result().late] == ["ann", "bob"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", [AsyncScriptedModel, ScriptedModel])
@pytest.mark.parametrize("strategy", ["one_call", "fanout"])
def test_batches_in_an_event_loop(model: Any, backend: str, strategy: str) -> None:
    plan_for = planner_on(model(obedient), strategy=strategy)

    async def main() -> list[Any]:
        batch = plan_for.abatch(["ann", "bob"])
        plans = [plan async for plan in batch]
        assert list(await batch.result()) == ["ann", "bob"]
        return plans

    plans = anyio.run(main, backend=backend)
    assert sorted((plan.agent, plan.status) for plan in plans) == [("ann", "ok"), ("bob", "ok")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_awaits_of_the_same_moment_become_one_batch(backend: str) -> None:
    model = AsyncScriptedModel(obedient)

    @llmopt.planner(model, tools=TOOLS, gather_s=0.05, strategy="one_call")
    async def plan_for(agent: str) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return see(agent)

    plans: dict[str, Any] = {}

    async def one(agent: str) -> None:
        plans[agent] = await plan_for(agent)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for agent in ("ann", "bob", "ann"):
                group.start_soon(one, agent)

    anyio.run(main, backend=backend)
    assert len(model.calls) == 1
    assert {agent: plan.status for agent, plan in plans.items()} == {"ann": "ok", "bob": "ok"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_gathered_awaits_share_an_error(backend: str) -> None:
    plan_for = llmopt.planner(AsyncScriptedModel(), tools=TOOLS, gather_s=0.01)(lambda agent: {"bad": {1, 2}})

    async def main() -> None:
        with pytest.raises(llmopt.errors.EncodingError, match="bad"):
            await plan_for("ann")

    anyio.run(main, backend=backend)


def test_an_async_snapshot_is_refused_where_nobody_awaits_it() -> None:
    @llmopt.planner(ScriptedModel(obedient), tools=TOOLS)
    async def plan_for(agent: str) -> dict[str, Any]:
        return see(agent)

    with pytest.raises(llmopt.errors.ConfigurationError, match="is async: await it"):
        plan_for.batch(["ann"])
    assert anyio.run(plan_for, "ann").ok


def test_an_async_model_is_refused_in_threads() -> None:
    with pytest.raises(llmopt.errors.ConfigurationError, match="use abatch"):
        planner_on(AsyncScriptedModel()).batch(["ann"])


@pytest.mark.parametrize(
    ("agents", "what"),
    [(["ann", "ann"], "more than once"), ([object()], "has no id"), ([True], "has no id")],
)
def test_agents_must_be_told_apart(agents: list[Any], what: str) -> None:
    with pytest.raises(llmopt.errors.ConfigurationError, match=what):
        llmopt.planner(ScriptedModel(), tools=TOOLS)(lambda agent: {})(agents[0]) if len(
            agents
        ) == 1 else planner_on(ScriptedModel()).batch(agents)


def test_a_snapshot_must_be_an_object() -> None:
    with pytest.raises(llmopt.errors.ConfigurationError, match="it must return a dict"):
        llmopt.planner(ScriptedModel(), tools=TOOLS)(lambda agent: [1])("ann")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"tools": []}, "give tools="),
        ({"strategy": "best"}, "strategy='best'"),
        ({"goal": "fun"}, "goal='fun'"),
        ({"profile": "tiny"}, "profile='tiny'"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"max_agents": 0}, "max_agents=0"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"deadline_s": 0}, "deadline_s=0"),
        ({"gather_s": -1}, "gather_s=-1"),
        ({"fallback": "rules"}, "fallback='rules'"),
        ({"role": "wizard"}, "wizard"),
    ],
)
def test_wrong_settings_are_refused_at_once(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(llmopt.errors.ConfigurationError, match=what):
        planner_on(ScriptedModel(), **settings)


def test_a_planner_needs_a_model() -> None:
    with pytest.raises(llmopt.errors.ConfigurationError, match="model='gpt-4o'"):
        llmopt.planner("gpt-4o", tools=TOOLS)(see)


def test_the_log_has_one_call_with_the_role(tmp_path: Path) -> None:
    model = llmopt.wrap(ScriptedModel(obedient), llmopt.UsageLog(tmp_path / "plans.db"))
    plan_for = llmopt.planner(model, role="tactical", tools=TOOLS, strategy="one_call")(see)
    plan_for.batch(["ann", "bob"]).result()
    llmopt.usage.flush()
    (row,) = llmopt.usage.open(tmp_path / "plans.db").query("select role, status from calls")
    assert row == {"role": "tactical", "status": "ok"}
