"""Packing: every agent once, within the budgets, in even batches, the same each time."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.plan.sizing import PLAN_TOKENS, Budgets, Member, pack, plan_tokens


def sizes(packing):
    return [len(batch.members) for batch in packing.batches]


def agents(packing):
    return [batch.agents for batch in packing.batches]


def members(count, line=40, output=30):
    return [Member(number, line, output) for number in range(count)]


def test_quality_bounds_the_number_of_agents():
    assert sizes(pack(members(8), Budgets())) == [8]
    assert sizes(pack(members(9), Budgets())) == [4, 5]
    assert sizes(pack(members(30), Budgets(max_agents=15))) == [15, 15]
    assert pack([], Budgets()).batches == ()


def test_context_bounds_input_and_output_together():
    budgets = Budgets(context_tokens=1000, max_agents=100, safety=1)
    packing = pack(members(20), budgets, static_tokens=300)  # 700 / 70 = 10 agents
    assert sizes(packing) == [10, 10]
    assert {(batch.input_tokens, batch.output_tokens) for batch in packing.batches} == {(700, 300)}
    assert sizes(pack(members(21), budgets, static_tokens=300)) == [7, 7, 7]
    assert sizes(pack(members(20), Budgets(context_tokens=1000, max_agents=100), static_tokens=300)) == [
        6,
        7,
        7,
    ]


def test_output_bounds():
    assert sizes(pack(members(20), Budgets(output_tokens=300, max_agents=100, safety=1))) == [10, 10]


def test_latency_bounds():
    slow = Budgets(latency_s=10, first_token_s=1, output_s_per_token=0.03, max_agents=100)  # 300 tokens
    assert sizes(pack(members(20), slow)) == [10, 10]
    too_slow = Budgets(latency_s=1, first_token_s=2, output_s_per_token=0.03)
    assert [batch.fits for batch in pack(members(3), too_slow).batches] == [False] * 3
    fast = Budgets(latency_s=1, first_token_s=0.5, output_s_per_token=0, max_agents=100)
    assert sizes(pack(members(20), fast)) == [20]


def test_what_is_seen_by_several_counts_once():
    seen = {"door": 100, "hall": 100}
    budgets = Budgets(context_tokens=400, safety=1)
    both = [Member(n, 20, 10, frozenset(seen)) for n in range(5)]
    assert sizes(pack(both, budgets, entity_tokens=seen)) == [5]
    assert pack(both, budgets, entity_tokens=seen).batches[0].input_tokens == 300


def test_agents_that_see_the_same_stand_together():
    groups = [Member(n, 10, 10, frozenset({f"room{n % 2}"})) for n in range(8)]
    packing = pack(groups, Budgets(max_agents=4), entity_tokens={"room0": 50, "room1": 50})
    assert agents(packing) == [(0, 2, 4, 6), (1, 3, 5, 7)]
    assert [batch.input_tokens for batch in packing.batches] == [90, 90]


def test_one_large_agent_does_not_make_all_batches_small():
    budgets = Budgets(context_tokens=1000, max_agents=100, safety=1)
    packing = pack([*members(44, 20, 5), Member("big", 900, 50)], budgets)
    assert (sizes(packing), packing.alone) == ([22, 22, 1], 1)
    assert packing.batches[-1].agents == ("big",)
    assert packing.batches[-1].fits


def test_an_agent_too_large_for_any_request_is_not_lost():
    packing = pack([*members(3), Member("big", 9000)], Budgets(context_tokens=1000))
    assert agents(packing) == [(0, 1, 2), ("big",)]
    assert [batch.fits for batch in packing.batches] == [True, False]
    assert not any(batch.fits for batch in pack(members(3), Budgets(), static_tokens=200_000).batches)


def test_the_order_is_rotated_by_the_seed():
    firsts = {pack(members(5), Budgets(), seed=seed).batches[0].agents[0] for seed in range(5)}
    assert firsts == {0, 1, 2, 3, 4}
    assert agents(pack(members(5), Budgets(), seed=2)) == [(2, 3, 4, 0, 1)]


def test_batches_say_whether_the_cap_has_bounded_them():
    def at_cap(count, **budgets):
        return {batch.at_cap for batch in pack(members(count), Budgets(**budgets)).batches}

    assert at_cap(8) == at_cap(10) == at_cap(1, max_agents=1) == {True}
    assert at_cap(7) == at_cap(20, max_agents=100, output_tokens=300) == {False}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Member(1, -1), "line_tokens=-1"),
        (lambda: Member(1, 1, True), "output_tokens=True"),
        (lambda: Budgets(context_tokens=0), "context_tokens=0"),
        (lambda: Budgets(max_agents=1.5), "max_agents=1.5"),
        (lambda: Budgets(latency_s=0), "latency_s=0"),
        (lambda: Budgets(first_token_s=-1), "first_token_s=-1"),
        (lambda: Budgets(safety=1.1), "safety=1.1"),
        (lambda: pack([], Budgets(), static_tokens=-1), "static_tokens=-1"),
        (lambda: pack([Member(1, 1), Member(1, 2)], Budgets()), "agent=1 is there more than once"),
    ],
)
def test_bad_arguments_are_named(make, name):
    with pytest.raises(ConfigurationError, match=name):
        make()


def test_output_is_reckoned_from_what_was_seen():
    assert plan_tokens([]) == PLAN_TOKENS
    assert plan_tokens([10] * 19) == PLAN_TOKENS
    assert plan_tokens([10] * 20) == 10
    assert plan_tokens([*range(1, 101)]) == 95
    assert plan_tokens([80]) == 80


GROUPS = st.lists(
    st.builds(
        Member,
        agent=st.integers(0, 99) | st.text(max_size=3),
        line_tokens=st.integers(0, 200) | st.integers(0, 5000),
        output_tokens=st.integers(0, 60),
        sees=st.frozensets(st.sampled_from("abc")),
    ),
    unique_by=lambda member: repr(member.agent),
    max_size=40,
)
LIMITS = st.builds(
    Budgets,
    context_tokens=st.integers(1, 3000),
    output_tokens=st.integers(1, 600),
    max_agents=st.integers(1, 20),
    latency_s=st.none() | st.floats(0.1, 20),
    first_token_s=st.floats(0, 2),
    output_s_per_token=st.floats(0, 0.1),
)


@settings(max_examples=100)
@given(GROUPS, LIMITS, st.integers(0, 500), st.integers(-3, 9), st.randoms())
def test_every_agent_is_in_one_batch_and_every_batch_keeps_the_budgets(
    group, budgets, static, seed, shuffler
):
    world = {"a": 30, "b": 60}
    packing = pack(group, budgets, static_tokens=static, entity_tokens=world, seed=seed)
    packed = [member for batch in packing.batches for member in batch.members]
    assert sorted(map(repr, packed)) == sorted(map(repr, group))
    for batch in packing.batches:
        seen = set().union(*(member.sees for member in batch.members))
        lines = sum(member.line_tokens for member in batch.members)
        assert batch.input_tokens == static + lines + sum(world.get(entity, 0) for entity in seen)
        assert batch.output_tokens == sum(member.output_tokens for member in batch.members)
        assert 1 <= len(batch.members) <= budgets.max_agents
        kept = batch.input_tokens + batch.output_tokens <= budgets.safety * budgets.context_tokens
        assert batch.fits == (kept and batch.output_tokens <= budgets.output_limit())
        assert batch.fits or len(batch.members) == 1
    together = sizes(packing)[: len(packing.batches) - packing.alone]
    assert not together or max(together) - min(together) <= 1
    shuffled = [*group]
    shuffler.shuffle(shuffled)
    assert pack(shuffled, budgets, static_tokens=static, entity_tokens=world, seed=seed) == packing


@settings(max_examples=100)
@given(st.integers(1, 200), st.integers(1, 20))
def test_there_are_as_few_batches_as_quality_allows(count, cap):
    assert len(pack(members(count), Budgets(max_agents=cap)).batches) == -(-count // cap)


def test_a_thousand_agents_of_all_sizes_are_packed_at_once():
    rng = random.Random(3)
    world = {f"e{n}": rng.randint(5, 40) for n in range(60)}
    group = [
        Member(n, int(rng.paretovariate(1.0) * 20), rng.randint(10, 60), frozenset(rng.sample([*world], 5)))
        for n in range(1000)
    ]
    started = time.process_time()
    packing = pack(group, Budgets(context_tokens=4000, max_agents=40), static_tokens=500, entity_tokens=world)
    assert time.process_time() - started < 5
    assert len(packing.batches) < 200
