"""The course of a batch: who is asked next, and that every agent ends with exactly one plan."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmopt.plan.session import ALONE, FIRST, REPAIR, TIER, Ask, Help, Schedule, Session, Task, Tier
from llmopt.plan.types import Plan, Provenance, Step

STEPS = (Step("wait"),)
HERE = Provenance()


def one_call(*agents: str) -> Schedule:
    return Schedule(((agents,),))


def ask_of(tasks: list[Task]) -> Ask:
    (task,) = tasks
    assert isinstance(task, Ask)
    return task


def answer(session: Session, ask: Ask, *agents: str) -> list[Plan | None]:
    return [session.row(ask, agent, STEPS, HERE)[0] for agent in agents]


def test_a_complete_answer_is_all_that_is_asked_for() -> None:
    session = Session([one_call("a", "b")])
    ask = ask_of(session.begin())
    assert (ask.agents, ask.attempt, ask.faults) == (("a", "b"), FIRST, ())
    plans = answer(session, ask, "b", "a")
    assert [(plan.agent, plan.status) for plan in plans if plan] == [("b", "ok"), ("a", "ok")]
    assert session.ended(ask) == []
    assert session.done


def test_the_missing_and_the_broken_go_into_one_repair_call_with_their_faults() -> None:
    session = Session([one_call("a", "b", "c")])
    ask = ask_of(session.begin())
    answer(session, ask, "a")
    session.fault(ask, "b", "no such tool")
    session.fault(ask, None, "no JSON")
    session.fault(ask, "nobody", "no such agent")
    repair = ask_of(session.ended(ask))
    assert (repair.agents, repair.attempt, repair.faults) == (("b", "c"), REPAIR, (("b", "no such tool"),))
    plan_b, plan_c = answer(session, repair, "b", "c")
    assert plan_b is not None
    assert plan_c is not None
    assert (plan_b.status, plan_b.faults, plan_c.faults) == ("repaired", ("no such tool",), ())
    assert session.ended(repair) == []
    assert session.done


def test_who_is_left_after_a_repair_that_helped_is_asked_alone() -> None:
    session = Session([one_call("a", "b", "c")])
    repair = ask_of(session.ended(ask_of(session.begin())))
    answer(session, repair, "a")
    alone = session.ended(repair)
    assert [(task.agents, task.attempt) for task in alone if isinstance(task, Ask)] == [
        (("b",), ALONE),
        (("c",), ALONE),
    ]
    for task in alone:
        assert session.ended(task) == []
    assert session.done
    assert [plan.agent for plan in session.missing] == ["b", "c"]


def test_a_repair_that_brings_nothing_is_the_last_call() -> None:
    session = Session([one_call("a", "b")], tiers=[Tier("heuristic")])
    repair = ask_of(session.ended(ask_of(session.begin())))
    helps = session.ended(repair)
    assert [(task.agent, task.tier) for task in helps if isinstance(task, Help)] == [("a", 0), ("b", 0)]


def test_a_model_that_fails_without_a_row_is_not_asked_to_repair() -> None:
    session = Session([one_call("a")], tiers=[Tier("heuristic")])
    ask = ask_of(session.begin())
    (task,) = session.ended(ask, TimeoutError("too slow"))
    assert isinstance(task, Help)
    plan = session.helped(task, STEPS, HERE)
    assert plan is not None
    assert (plan.status, plan.tier, plan.faults) == ("fallback", 1, ("TimeoutError: too slow",))


def test_a_stream_that_is_cut_after_a_row_is_repaired() -> None:
    session = Session([one_call("a", "b")])
    ask = ask_of(session.begin())
    answer(session, ask, "a")
    assert ask_of(session.ended(ask, ConnectionError("cut"))).agents == ("b",)


def test_the_tiers_are_tried_in_turn_and_a_model_is_asked_for_all_at_once() -> None:
    session = Session([one_call("a", "b")], tiers=[Tier("small", asks=True), Tier("rules")], repair=False)
    small = ask_of(session.ended(ask_of(session.begin())))
    assert (small.agents, small.attempt, small.tier) == (("a", "b"), TIER, 0)
    (plan,) = answer(session, small, "a")
    assert plan is not None
    assert (plan.status, plan.tier) == ("fallback", 1)
    (task,) = session.ended(small)
    assert isinstance(task, Help)
    assert (task.agent, task.tier) == ("b", 1)
    assert session.ended(task, ValueError("no rule")) == []
    assert session.done
    assert session.missing[0].faults == ("ValueError: no rule",)


def test_a_repair_keeps_to_the_limit_of_a_request() -> None:
    session = Session([Schedule(((("a", "b", "c"),),), limit=2)])
    repairs = session.ended(ask_of(session.begin()))
    assert [task.agents for task in repairs if isinstance(task, Ask)] == [("a", "b"), ("c",)]
    assert session.ended(repairs[0]) == []


def test_the_first_row_lets_an_eager_wave_begin() -> None:
    session = Session([Schedule(((("a",),), (("b",), ("c",))), eager=True)])
    leader = ask_of(session.begin())
    plan, tasks = session.row(leader, "a", STEPS, HERE)
    assert plan is not None
    assert [task.agents for task in tasks if isinstance(task, Ask)] == [("b",), ("c",)]
    assert session.ended(leader) == []


def test_other_waves_wait_for_the_end_of_the_one_before() -> None:
    session = Session([Schedule(((("a",),), (("b",),)))])
    first = ask_of(session.begin())
    assert session.row(first, "a", STEPS, HERE)[1] == []
    assert ask_of(session.ended(first)).agents == ("b",)


def test_when_time_is_up_the_callables_serve_and_the_model_is_late() -> None:
    tiers = [Tier("small", asks=True), Tier("rules")]
    session = Session([one_call("a", "b")], tiers=tiers)
    ask = ask_of(session.begin())
    answer(session, ask, "a")
    (task,) = session.expire()
    assert isinstance(task, Help)
    assert (task.agent, task.tier) == ("b", 1)
    assert session.helped(task, STEPS, HERE) is not None
    assert session.ended(task) == []
    assert answer(session, ask, "b") == [None]
    (late,) = session.late
    assert (late.agent, late.provenance.late) == ("b", True)
    assert session.ended(ask) == []


def test_without_tiers_the_end_of_time_leaves_plans_missing() -> None:
    session = Session([one_call("a")])
    ask = ask_of(session.begin())
    assert session.expire() == []
    assert session.done
    assert answer(session, ask, "a") == [None]
    assert session.late[0].agent == "a"


def test_rows_for_strangers_and_second_rows_change_nothing() -> None:
    session = Session([one_call("a", "b")])
    ask = ask_of(session.begin())
    assert answer(session, ask, "x", "a")[0] is None
    assert answer(session, ask, "a") == [None]
    assert session.strangers == 2
    assert session.plans["a"].steps == STEPS


@given(st.data())
def test_every_agent_ends_with_exactly_one_plan(data: Any) -> None:
    count = data.draw(st.integers(1, 8), "agents")
    agents = [f"a{number}" for number in range(count)]
    size = data.draw(st.integers(1, count), "size")
    requests = tuple(tuple(agents[start : start + size]) for start in range(0, count, size))
    split = data.draw(st.integers(0, len(requests) - 1), "leaders")
    waves = tuple(wave for wave in (requests[:split], requests[split:]) if wave)
    schedule = Schedule(waves, data.draw(st.booleans(), "eager"), limit=size)
    tiers = [Tier(f"t{number}", data.draw(st.booleans())) for number in range(data.draw(st.integers(0, 2)))]
    session = Session([schedule], tiers=tiers, repair=data.draw(st.booleans(), "repair"))
    todo, handed = session.begin(), list[Plan]()
    asked = 0
    while todo:
        task = todo.pop(data.draw(st.integers(0, len(todo) - 1), "next"))
        asked += 1
        if isinstance(task, Help):
            if data.draw(st.booleans(), "helps"):
                handed += [plan for plan in [session.helped(task, STEPS, HERE)] if plan]
        else:
            for agent in data.draw(st.lists(st.sampled_from(agents), max_size=6), "rows"):
                plan, more = session.row(task, agent, STEPS, HERE)
                handed += [plan] if plan else []
                todo += more
        todo += session.ended(task, RuntimeError("no") if data.draw(st.booleans(), "fails") else None)
        handed += session.missing
        session.missing.clear()
        if data.draw(st.integers(0, 9), "time") == 0:
            todo += session.expire()
            handed += session.missing
            session.missing.clear()
    assert session.done
    assert sorted(str(plan.agent) for plan in handed) == agents
    assert set(session.plans) == set(agents)
    # first answers, repair, alone, and per tier one for each; time that is up twice asks nobody twice.
    assert asked <= count * (3 + len(tiers)) + len(requests)
