"""What planning costs, in exact tokens of o200k_base; and what becomes of answers that are partly broken."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmopt
from llmopt import tokens
from llmopt.compress import decode
from llmopt.compress.encode import forget_shapes
from llmopt.testing import Answer, ScriptedModel

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
MODEL = "gpt-4o"  # whose tokens are o200k_base's
CACHE_FROM_TOKENS, CACHE_STEP_TOKENS, CACHED_PRICE = 1024, 128, 0.1
count = tokens.counter("o200k_base").count


def from_benchmarks(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [BENCHMARKS, *sys.path])
        return importlib.import_module(name)


squads = from_benchmarks("_squads")


@pytest.fixture(autouse=True)
def no_shapes_from_other_tests():
    """What a list's template was found from decides its last few tokens."""
    forget_shapes()


def planner_on(model, **chosen):
    """Return a planner for agents that are given as (id, what it sees)."""
    plan_for = llmopt.planner(model, tools=squads.TOOLS, id_of=lambda agent: agent[0], **chosen)
    return plan_for(lambda agent: agent[1])


def numbered(snapshots):
    return list(enumerate(snapshots, 1))


def agents_in(prompt):
    table = prompt.prompt.rpartition("Agents:\n")[2].partition("\n\n")[0]
    return [row["agent"] for row in decode(table)]


def row_of(agent):
    """Return what a model answers for an agent: three steps, which no other agent of a test gets."""
    return [agent, ["move_to", agent, 5], ["attack", 100 + agent % 12], ["reload"]]


def written(row):
    return json.dumps(row, separators=(",", ":"))


def obedient(prompt):
    return "".join(f"{written(row_of(agent))}\n" for agent in agents_in(prompt))


def scripted(answer=obedient):
    return ScriptedModel(answer, model_id=MODEL)


def prompts_of(model):
    return [f"{call.prompt.system}\n{call.prompt.prompt}" for call in model.calls]


def cached_shares(prompts):
    """Return the share of tokens that a provider finds in its cache, and effective tokens a call.

    A prompt is found as far as an earlier one begins with the same tokens, from 1,024 on in steps of 128.
    """
    encoded = [tokens.counter("o200k_base").encode(text) for text in prompts]
    found = [max((_same(own, other) for other in encoded[:at]), default=0) for at, own in enumerate(encoded)]
    cached = [same - same % CACHE_STEP_TOKENS if same >= CACHE_FROM_TOKENS else 0 for same in found]
    total = sum(map(len, encoded))
    return sum(cached) / total, (total - (1 - CACHED_PRICE) * sum(cached)) / len(prompts)


def _same(one, other):
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


def test_the_metric_does_what_the_providers_say():
    text = " word" * 1500
    assert cached_shares([text, text]) == (1408 / 3000, (3000 - 0.9 * 1408) / 2)
    assert cached_shares([text, " word" * 1023]) == (0, 2523 / 2)
    assert cached_shares([text, "other" + text]) == (0, 3001 / 2)


@pytest.mark.parametrize(
    ("profile", "targets"),
    [("dense", {10: 85, 30: 55, 1000: 38}), ("balanced", {10: 85, 30: 56, 1000: 42})],
)
def test_input_tokens_per_agent_with_the_world_said_once(profile, targets):
    for agents, most in targets.items():
        chosen = {"max_agents": 1000, "output_tokens": 100_000, "context_tokens": 400_000}
        plan_for = planner_on(scripted(), profile=profile, strategy="one_call", **chosen)
        explained = plan_for.explain(numbered(squads.ticks(agents, 1)[0]))
        (request,) = explained.requests
        user = "\n\n".join(part.text for part in request.user)
        system = "\n\n".join(part.text for part in request.system)
        assert request.tokens == count(system) + count(user)
        assert count(user) / agents <= most, (agents, count(user) / agents)
        assert explained.exact


def test_three_steps_are_answered_in_26_tokens():
    random = Random(3)
    rows = [squads.plan(agent, random) for agent in range(1, 301)]
    text = "".join(f"{written(row)}\n" for row in rows)
    assert count(text) / len(rows) <= 26
    named = [
        {"agent_id": row[0], "plan": [{"act": name, "args": args} for name, *args in row[1:]]} for row in rows
    ]
    assert count(text) < 0.6 * count("".join(f"{written(row)}\n" for row in named))
    model = scripted([text])
    squad = numbered(squads.ticks(300, 1)[0])
    result = planner_on(model, strategy="one_call", max_agents=300).batch(squad).result()
    assert {plan.status for plan in result.values()} == {"ok"}
    assert len(model.calls) == 1


@pytest.mark.parametrize("profile", ["balanced", "dense"])
@pytest.mark.parametrize("strategy", ["sequential", "fanout", "leader_then_fanout"])
def test_thirty_calls_of_ten_agents_find_most_of_their_prompts_cached(strategy, profile):
    model = scripted()
    plan_for = planner_on(model, strategy=strategy, profile=profile, instructions=squads.INSTRUCTIONS)
    for snapshots in squads.ticks(10, 3):
        assert all(plan.ok for plan in plan_for.batch(numbered(snapshots)).result().values())
    prompts = prompts_of(model)
    assert len(prompts) == 30
    assert count(model.calls[0].prompt.system) > CACHE_FROM_TOKENS
    share, effective = cached_shares(prompts)
    assert share >= 0.85
    assert effective <= 402


def test_batches_of_ever_other_agents_share_their_beginning():
    model, random = scripted(), Random(3)
    plan_for = planner_on(model, strategy="one_call", max_agents=10, instructions=squads.INSTRUCTIONS)
    for snapshots in squads.ticks(10, 10):
        some = random.sample(numbered(snapshots), random.randint(5, 10))
        plan_for.batch(some).result()
    assert len({len(agents_in(call.prompt)) for call in model.calls}) > 3
    assert cached_shares(prompts_of(model))[0] >= 0.53


def test_what_has_not_changed_is_said_in_the_same_bytes():
    model = scripted()
    plan_for = planner_on(model, strategy="one_call", max_agents=10, profile="dense")
    for snapshots in squads.ticks(10, 4):
        plan_for.batch(numbered(snapshots)).result()
    first, *later = ({*call.prompt.prompt.split("\n\n")} for call in model.calls[1:])
    assert all(len(parts & first) == 1 for parts in later)
    assert "obstacles" in "".join(first.intersection(*later))


BROKEN = {
    "unclosed": lambda row: written(row)[:-1] + "\n",
    "cut in a string": lambda row: written(row).rpartition("load")[0] + "\n",
    "cut in a number": lambda row: written(row).rpartition(",5]")[0] + "\n",
    "unquoted": lambda row: written(row).replace('"attack"', "attack") + "\n",
    "prose": lambda row: f"Agent {row[0]} should stay where it is.\n",
    "no such tool": lambda row: written([row[0], ["fly", 3]]) + "\n",
    "argument missing": lambda row: written([row[0], ["move_to", 3]]) + "\n",
    "argument of another type": lambda row: written([row[0], ["attack", "nobody"]]) + "\n",
    "no steps": lambda row: written([row[0]]) + "\n",
    "missing": lambda row: "",
    "for somebody else": lambda row: written([row[0] + 1000, *row[1:]]) + "\n",
}
REPEATED = {
    "twice": lambda row: (written(row) + "\n") * 2,
    "twice, and other": lambda row: written(row) + "\n" + written([row[0], ["brace"]]) + "\n",
    "with a stranger": lambda row: written(row) + "\n" + written([row[0] + 1000, ["brace"]]) + "\n",
}


class Careless:
    """A model that breaks one row in five, at first or always, and whose first answers may be cut off."""

    def __init__(self, agents, random, *, always=False):
        self.random = random
        self.always = always
        self.broken = {agent: random.choice([*BROKEN]) for agent in random.sample(agents, len(agents) // 5)}
        self.good = [agent for agent in agents if agent not in self.broken]
        self.repeated = {agent: random.choice([*REPEATED]) for agent in random.sample(self.good, 3)}
        self.asked = Counter()

    def __call__(self, prompt):
        agents = agents_in(prompt)
        text = "".join(map(self._said, agents))
        last = written(row_of(agents[-1])) + "\n"
        if text.endswith(last) and not self.asked[agents[-1]] and self.random.random() < 0.3:
            self.good = [agent for agent in self.good if agent != agents[-1] or agent in self.repeated]
            text = text[: -self.random.randint(2, len(last) - 1)]
        self.asked.update(agents)
        size = self.random.randint(1, 40)
        return Answer(chunks=[text[at : at + size] for at in range(0, len(text), size)])

    def _said(self, agent):
        row = row_of(agent)
        if agent in self.broken and (self.always or not self.asked[agent]):
            return BROKEN[self.broken[agent]](row)
        if agent in self.repeated:
            return REPEATED[self.repeated[agent]](row)
        return f"{written(row)}\n"


def steps_of(plan):
    return [[step.tool, *step.args.values()] for step in plan]


@settings(max_examples=150)
@given(st.integers(0, 1 << 30))
def test_a_fifth_of_broken_rows_costs_one_more_call_and_no_good_row(number):
    agents = list(range(1, 21))
    careless = Careless(agents, Random(number))
    model = scripted(careless)
    plan_for = planner_on(model, strategy="one_call", max_agents=7)
    result = plan_for.batch([(agent, {"hp": agent, "walls": [[1, 2]]}) for agent in agents]).result()
    assert {agent: steps_of(plan) for agent, plan in result.items()} == {a: row_of(a)[1:] for a in agents}
    assert {agent for agent, plan in result.items() if plan.status == "ok"} == {*careless.good}
    assert {plan.status for plan in result.values()} <= {"ok", "repaired"}
    calls = [{*agents_in(call.prompt)} for call in model.calls]
    assert len(calls[:3]) == 3
    failed = [group for group in calls[:3] if group.difference(careless.good)]
    assert len(calls) - 3 <= len(failed)


@settings(max_examples=75)
@given(st.integers(0, 1 << 30))
def test_who_is_answered_badly_every_time_gets_a_fallback(number):
    agents = list(range(1, 11))
    careless = Careless(agents, Random(number), always=True)
    plan_for = planner_on(scripted(careless), strategy="one_call", fallback=lambda agent: [["scan", 10]])
    result = plan_for.batch([(agent, {"hp": agent}) for agent in agents]).result()
    assert {agent for agent, plan in result.items() if plan.status == "fallback"} == {*careless.broken}
    wanted = {a: [["scan", 10]] if a in careless.broken else row_of(a)[1:] for a in agents}
    assert {agent: steps_of(plan) for agent, plan in result.items()} == wanted
