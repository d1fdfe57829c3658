"""Planners say how good answers were, and step down to a plainer encoding where they are worse."""

from __future__ import annotations

import asyncio
import json

import pytest

import llmopt
from llmopt import Compress
from llmopt.compress import Guard, decode, legend
from llmopt.errors import ConfigurationError
from llmopt.testing import AsyncScriptedModel, ScriptedModel

AGENTS = list(range(1, 7))
WALLS = [{"x": n * 7 % 61, "y": n * 13 % 53} for n in range(30)]


def wait(seconds: int):
    """Stay still."""


def asked(prompt):
    table = prompt.prompt.rpartition("Agents:\n")[2].partition("\n\n")[0]
    return [row["agent"] for row in decode(table)]


def answer(prompt, *, bad=()):
    return "\n".join(json.dumps([agent, ["fly" if agent in bad else "wait", 2]]) for agent in asked(prompt))


def profile_of(prompt):
    return next(name for name in ("dense", "balanced", "safe") if legend(name) in prompt.system)


def planner_on(model, **chosen):
    given = {"tools": [wait], "id_of": int, "profile": "dense", "max_agents": 10, **chosen}
    return llmopt.planner(model, **{"strategy": "one_call", **given})(
        lambda agent: {"walls": WALLS, "hp": agent}
    )


def test_the_legend_is_part_of_what_stays_the_same():
    for profile in ("safe", "balanced", "dense"):
        model = ScriptedModel(answer)
        explained = planner_on(model, profile=profile).explain(AGENTS)
        parts = {part.name: part.text for part in explained.requests[0].system}
        assert parts.get("legend", "") == legend(profile)
        assert [*parts][-1] == "form"


@pytest.mark.parametrize("kind", [ScriptedModel, AsyncScriptedModel])
def test_each_answer_is_judged(kind):
    traces = []

    def keep(call):
        traces.append(call.trace)
        yield call

    calls = iter([{2, 3}, {3}, {3}])
    model = llmopt.wrap(kind(lambda prompt: answer(prompt, bad=next(calls))), keep, default=False)
    plan_for = planner_on(model)
    if kind is ScriptedModel:
        plan_for.batch(AGENTS).result()
    else:
        asyncio.run(plan_for.abatch(AGENTS).result())
    judged = [(trace.notes["rows"], trace.notes["valid_rows"]) for trace in traces]
    assert judged == [(6, 4), (2, 1), (1, 0)]


def test_what_failed_or_is_not_wrapped_is_not_judged():
    assert planner_on(ScriptedModel([ConnectionError("no")])).batch(AGENTS).result().status()["missing"] == 6
    traces = []

    def keep(call):
        traces.append(call.trace)
        yield call

    model = llmopt.wrap(ScriptedModel([ConnectionError("no")]), keep, default=False)
    guard = Guard(min_calls=1)
    planner_on(model, guard=guard).batch(AGENTS).result()
    assert [trace.notes for trace in traces] == [{}]
    assert guard.rates(("scripted", "")) == {}


def test_the_guard_of_compress_hears_of_it():
    guard = Guard(min_calls=1)
    rules = json.dumps([{"id": n, "kind": "rule", "at": {"x": n, "y": -n}} for n in range(40)])
    model = llmopt.wrap(
        ScriptedModel(lambda prompt: answer(prompt, bad={2})),
        compress := Compress("balanced", system=True, guard=guard), default=False,
    )  # fmt: skip
    plan_for = planner_on(model, instructions=rules, repair=False, profile="balanced")
    plan_for.batch(AGENTS).result()
    assert guard.rates(("scripted", "")) == {"balanced": pytest.approx(5 / 6)}
    assert compress.stats()["compressed"] == 1


def test_a_planner_steps_down_where_rows_are_worse():
    model = ScriptedModel(
        lambda prompt: answer(prompt, bad={2} if profile_of(prompt) == "dense" else ()), model_id="mine"
    )
    plan_for = planner_on(model, repair=False, guard=Guard(min_calls=2))
    for _ in range(6):
        plan_for.batch(AGENTS).result()
    used = [profile_of(call.prompt) for call in model.calls]
    assert used == ["dense", "dense", *["balanced"] * 4]
    assert "[each {x y}" in model.calls[-1].prompt.prompt
    assert "[each {x:### y:###}" in model.calls[0].prompt.prompt


def test_each_role_by_itself():
    guard = Guard(min_calls=1)
    model = ScriptedModel(lambda prompt: answer(prompt, bad={2}), model_id="mine")
    plan_for = planner_on(
        model, role=lambda agent: "tactical" if agent < 4 else "support", guard=guard, repair=False
    )
    plan_for.batch(AGENTS).result()
    assert guard.rates(("mine", "tactical")) == {"dense": pytest.approx(2 / 3)}
    assert guard.rates(("mine", "support")) == {"dense": 1}


def test_only_first_answers_count_and_false_is_none():
    guard = Guard(min_calls=1)
    calls = iter([{2}, ()])
    model = ScriptedModel(lambda prompt: answer(prompt, bad=next(calls)), model_id="mine")
    planner_on(model, guard=guard).batch(AGENTS).result()
    assert guard.rates(("mine", "")) == {"dense": pytest.approx(5 / 6)}
    model = ScriptedModel(lambda prompt: answer(prompt, bad={2}))
    plan_for = planner_on(model, repair=False, guard=False)
    for _ in range(60):
        plan_for.batch(AGENTS).result()
    assert {profile_of(call.prompt) for call in model.calls} == {"dense"}


def test_to_explain_changes_nothing():
    guard = Guard(min_calls=1)
    plan_for = planner_on(ScriptedModel(answer, model_id="mine"), guard=guard)
    assert str(plan_for.explain(AGENTS)) == str(plan_for.explain(AGENTS))
    assert (guard.steps(), guard.rates(("mine", ""))) == ({}, {})


def test_a_guard_that_is_none():
    with pytest.raises(ConfigurationError, match="planner: guard='yes' is wrong: it must be True, False"):
        planner_on(ScriptedModel(), guard="yes")
