"""The simulated model decides by what it reads, not by who is asked."""

from __future__ import annotations

from math import dist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.demo.tactics import ENGAGE_M, LOW_AMMO_ROUNDS, LOW_HP, decide
from llmopt.demo.world import ROLES, battle, snapshot

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
    return [step["act"] for step in decide(seen)["steps"]]


def away_m(thing, seen):
    return dist(*((place["pos"]["x"], place["pos"]["y"]) for place in (thing, seen)))


@given(snapshots)
def test_every_plan_is_for_its_agent_and_short(seen):
    plan = decide(seen)
    assert plan["agent"] == seen["agent"]
    assert 1 <= len(plan["steps"]) <= 3


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
    first, *others = decide(seen)["steps"]
    nearest_m = min((away_m(enemy, seen) for enemy in seen["enemies"]), default=None)
    if nearest_m is None or nearest_m > ENGAGE_M[seen["role"]]:
        assert first == {"act": "move_to", "pos": seen["objective"]["pos"]}
        assert others == []
    else:
        targets = [enemy["id"] for enemy in seen["enemies"] if away_m(enemy, seen) == nearest_m]
        assert first["act"] == "attack"
        assert first["target"] in targets
        assert 0 < first["rounds"] <= seen["ammo"]


@given(snapshots)
def test_cover_is_the_nearest_there_is(seen):
    (first, *_) = decide({**seen, "hp": 1})["steps"]
    if seen["cover"]:
        nearest_m = min(away_m(cover, seen) for cover in seen["cover"])
        assert away_m(first, seen) == nearest_m


@pytest.mark.parametrize("seed", range(5))
def test_the_demos_world_shows_different_plans(seed):
    world = battle(10, seed)
    assert len({tuple(acts(snapshot(world, agent))) for agent in world.agents}) >= 3
