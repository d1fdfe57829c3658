"""The simulated model decides by what it reads, not by who is asked."""

from __future__ import annotations

from math import dist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.demo.tactics import ENGAGE_M, LOW_AMMO_ROUNDS, LOW_HP, MAX_STEPS, TOOLS, decide, heuristic
from llmopt.demo.world import ROLES, battle, snapshot
from llmopt.plan import Tools
from llmopt.plan.handles import Handles
from llmopt.plan.rows import Row, parse_row

numbers = st.integers(0, 60)
places = st.fixed_dictionaries({"x": numbers, "y": numbers})
enemies = st.fixed_dictionaries({"id": numbers, "hp": numbers, "pos": places})
covers = st.fixed_dictionaries({"kind": st.just("wall"), "pos": places})
snapshots = st.fixed_dictionaries(
    {
        "agent": numbers,
        "role": st.sampled_from(ROLES),
        "hp": st.integers(1, 100),
        "pos": places,
        "ammo": st.integers(0, 30),
        "objective": st.fixed_dictionaries({"task": st.just("hold_bridge"), "pos": places}),
        "enemies": st.lists(enemies, max_size=4),
        "cover": st.lists(covers, max_size=3),
        "allies": st.just([]),
        "facts": st.just({}),
    }
)


def acts(seen):
    return [tool for tool, *_ in decide(seen)]


def away_m(place, seen):
    return dist((place["x"], place["y"]), (seen["pos"]["x"], seen["pos"]["y"]))


@given(snapshots)
def test_every_plan_is_one_that_the_tools_allow(seen):
    read = parse_row([1, *decide(seen)], Tools.of(TOOLS), Handles.of([1]), max_steps=MAX_STEPS)
    assert isinstance(read, Row), read
    assert not read.repairs


def test_the_fallback_goes_by_the_same_rules():
    world = battle(1, seed=3)
    seen = snapshot(world, world.agents[0])
    assert heuristic(world.agents[0], seen) == decide(seen)


@given(snapshots)
def test_who_is_hurt_hides_and_heals(seen):
    first = "take_cover" if seen["cover"] else "lie_down"
    assert acts({**seen, "hp": LOW_HP - 1}) == [first, "heal"]
    assert "heal" not in acts({**seen, "hp": LOW_HP})


@given(snapshots)
def test_who_is_short_of_ammo_reloads_and_hides_from_enemies(seen):
    seen = {**seen, "hp": 100}
    short = acts({**seen, "ammo": LOW_AMMO_ROUNDS - 1})
    assert "reload" in short
    assert (short[0] in {"take_cover", "lie_down"}) is bool(seen["enemies"])
    assert "reload" not in acts({**seen, "ammo": LOW_AMMO_ROUNDS})


@given(snapshots)
def test_the_nearest_enemy_is_attacked_if_it_is_near_enough_for_the_role(seen):
    seen = {**seen, "hp": 100, "ammo": 10}
    *others, last = decide(seen)
    nearest_m = min((away_m(enemy["pos"], seen) for enemy in seen["enemies"]), default=None)
    assert last == ["move_to", seen["objective"]["pos"]["x"], seen["objective"]["pos"]["y"]]
    if nearest_m is None or nearest_m > ENGAGE_M[seen["role"]]:
        assert others == []
    else:
        ((tool, target, rounds),) = others
        assert tool == "attack"
        assert target in [enemy["id"] for enemy in seen["enemies"] if away_m(enemy["pos"], seen) == nearest_m]
        assert 0 < rounds <= seen["ammo"]


@given(snapshots)
def test_cover_is_the_nearest_there_is(seen):
    (_, *place), _ = decide({**seen, "hp": 1})
    if seen["cover"]:
        nearest_m = min(away_m(cover["pos"], seen) for cover in seen["cover"])
        assert away_m(dict(zip("xy", place, strict=True)), seen) == nearest_m


@pytest.mark.parametrize("seed", range(5))
def test_the_demos_world_shows_different_plans(seed):
    world = battle(10, seed)
    assert len({tuple(acts(snapshot(world, agent))) for agent in world.agents}) >= 3
