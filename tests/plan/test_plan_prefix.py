"""The static part of a planner's prompt: the cheapest encoding, a provider's cache considered."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmopt
from llmopt import tokens
from llmopt.compress import legend
from llmopt.compress.prefix.cache_rules import RULES
from llmopt.compress.prefix.report import paid_tokens, prefix_report
from llmopt.plan.prefix import choose_prefix, rules_of
from llmopt.plan.prompt import Order
from llmopt.testing import ScriptedModel

O200K = tokens.counter("o200k_base")
WALLS = [{"x": n * 7 % 61, "y": n * 13 % 53} for n in range(260)]
AGENTS = [1, 2, 3]


def wait(seconds: int):
    """Stay still."""


def obedient(prompt):
    return "\n".join(json.dumps([agent, ["wait", 2]]) for agent in AGENTS)


def planner_on(model_id, profile="dense", **chosen):
    """Return a model, and a planner on it whose world is the walls and a clock."""
    model = ScriptedModel(obedient, model_id=model_id)
    plan_for = llmopt.planner(
        model, tools=[wait], id_of=int, profile=profile, counter=O200K, **{"strategy": "one_call", **chosen}
    )
    clock = iter(range(999))
    tick = [next(clock)]
    planner = plan_for(lambda agent: {"walls": WALLS, "t": tick[0], "hp": agent})

    def go_on():
        planner.batch(AGENTS).result()
        tick[0] = next(clock)

    return model, planner, go_on


def effective_tokens(model, after=0):
    prompts = [f"{call.prompt.system}\n{call.prompt.prompt}" for call in model.calls][after:]
    return prefix_report(prompts, rules="openai").effective_tokens_per_call


@pytest.mark.parametrize("profile", ["dense", "balanced"])
def test_a_static_world_below_the_minimum_is_written_plainer_if_that_is_cheaper(profile):
    known, planner, go_on = planner_on("gpt-4o", profile)
    unknown, _, go_on_too = planner_on("my-own", profile)
    for _ in range(8):
        go_on()
        go_on_too()
    plainer = effective_tokens(known, after=1)
    if profile == "dense":
        assert plainer < 0.6 * effective_tokens(unknown, after=1)
    explained = planner.explain(AGENTS)
    static = explained.requests[0].system + explained.requests[0].user[:1]
    assert sum(part.tokens for part in static) >= 1024
    shown = " ".join(str(explained).split())
    assert ("static part as balanced, not dense: 1," in shown) == (profile == "dense")
    assert ("does not:" in shown) == (profile == "dense")
    assert explained.prompt.count(legend(profile)) == 1


def test_the_rest_is_written_as_it_was_asked_for():
    model, _, go_on = planner_on("gpt-4o")
    for _ in range(3):
        go_on()
    first, _, third = [call.prompt.prompt for call in model.calls]
    assert "walls:[each {x:### y:###}" in first  # nobody knows yet whether it will be asked for again
    assert "walls:[each {x y}" in third
    assert "Agents:\n[each {agent:### hp:###}" in third


def test_once_decided_it_stays():
    model, _, go_on = planner_on("gpt-4o")
    for _ in range(6):
        go_on()
    begins = {call.prompt.prompt.partition('{"t"')[0] for call in model.calls[1:]}
    assert len(begins) == 1


def test_several_requests_share_the_world_at_once():
    model, planner, _ = planner_on("gpt-4o", strategy="fanout")
    (reason,) = planner.explain(AGENTS).reasons
    assert reason.startswith("static part as balanced, not dense")
    assert "effective tokens a call over 3 calls, not 6" in reason
    planner.batch(AGENTS).result()
    assert all("[each {x y}" in call.prompt.prompt for call in model.calls)


@pytest.mark.parametrize("model_id", ["my-own", "claude-sonnet-4-5"])
def test_who_caches_nothing_by_itself_gets_it_as_asked_for(model_id):
    model, planner, go_on = planner_on(model_id)
    for _ in range(3):
        go_on()
    assert all("walls:[each {x:### y:###}" in call.prompt.prompt for call in model.calls)
    assert planner.explain(AGENTS).reasons == ()


def test_where_nothing_is_cheaper_nothing_is_said():
    model = ScriptedModel(obedient, model_id="gpt-4o")
    plan_for = llmopt.planner(model, tools=[wait], id_of=int, profile="dense", strategy="fanout")
    explained = plan_for(lambda agent: {"walls": WALLS[:9], "hp": agent}).explain(AGENTS)
    assert explained.reasons == ()
    assert "[each {x:### y:###}" in explained.prompt


def test_agents_that_share_nothing_have_nothing_to_decide():
    model = ScriptedModel(obedient, model_id="gpt-4o")
    plan_for = llmopt.planner(model, tools=[wait], id_of=int, strategy="one_call")
    assert plan_for(lambda agent: {"hp": agent}).explain(AGENTS).reasons == ()


@given(
    st.integers(0, 1500), st.tuples(st.integers(0, 1500), st.integers(0, 3000), st.integers(0, 3000)),
    st.sampled_from([1, 2, 30, math.inf]), st.sampled_from(["openai", "gemini-2.5", "vllm"]),
)  # fmt: skip
def test_never_dearer_than_what_was_asked_for(before, parts, calls, name):
    rules, (dense, balanced, safe) = RULES[name], parts
    sizes = {"dense": dense, "balanced": dense + balanced, "safe": dense + balanced + safe}
    chosen = choose_prefix("dense", sizes.__getitem__, rules=rules, before_tokens=before, calls=calls)
    paid = {profile: paid_tokens(before + size, rules=rules, calls=calls) for profile, size in sizes.items()}
    assert paid[chosen.profile] <= paid["dense"]
    if not rules.cacheable(before + dense) and calls > 1:
        assert paid[chosen.profile] == min(paid.values())
    else:
        assert chosen.profile == "dense"
    assert bool(chosen.reason) == (chosen.profile != "dense")


def test_rules_by_the_name_of_a_model():
    assert rules_of("gpt-4o-mini") is RULES["openai"]
    assert rules_of("claude-sonnet-4-5") is None  # caches what it is asked to, and a planner does not ask
    assert rules_of("my-own") is None


def test_how_long_a_part_lasts():
    order = Order()
    for tick in range(4):
        order.groups({"walls": 1, "t": tick, "phase": tick // 2})
        lasts = [order.lasts([key]) for key in ("walls", "t", "phase")]
        assert lasts == [[1, 1, 1], [math.inf, 2, math.inf], [math.inf, 1.5, 3], [math.inf, 4 / 3, 4]][tick]
    assert order.lasts(["walls", "t"]) == 4 / 3
