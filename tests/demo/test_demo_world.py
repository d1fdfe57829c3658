"""The world of the demo: made from a seed, seen from each agent, and changed for some of them only."""

from __future__ import annotations

import json
from math import ceil, dist

from hypothesis import given
from hypothesis import strategies as st

from llmopt.demo.world import ALLY_SIGHT_M, COVER_SIGHT_M, ENEMY_SIGHT_M, battle, skirmish, snapshot

worlds = st.builds(battle, st.integers(1, 30), st.integers())
SIGHTS_M = {"enemies": ENEMY_SIGHT_M, "cover": COVER_SIGHT_M, "allies": ALLY_SIGHT_M}


def views(world):
    return [snapshot(world, agent) for agent in world.agents]


def place(thing):
    return thing["pos"]["x"], thing["pos"]["y"]


@given(st.integers(1, 30), st.integers())
def test_a_seed_makes_one_world(agents, seed):
    assert battle(agents, seed) == battle(agents, seed)
    assert skirmish(battle(agents, seed), seed) == skirmish(battle(agents, seed), seed)


def test_seeds_make_different_worlds():
    assert len({json.dumps(views(battle(10, seed))) for seed in range(20)}) == 20


@given(worlds)
def test_agents_see_what_is_near_and_nothing_else_the_nearest_first(world):
    everything = {
        "enemies": [enemy["id"] for enemy in world.enemies],
        "allies": [agent.id for agent in world.agents],
    }
    for seen in views(world):
        for kind, sight_m in SIGHTS_M.items():
            away_m = [dist(place(thing), place(seen)) for thing in seen[kind]]
            assert away_m == sorted(away_m)
            assert all(away <= sight_m for away in away_m)
        near = [e["id"] for e in world.enemies if dist(place(e), place(seen)) <= ENEMY_SIGHT_M]
        assert sorted(enemy["id"] for enemy in seen["enemies"]) == sorted(near)
        assert seen["agent"] not in [ally["agent"] for ally in seen["allies"]]
        assert {ally["agent"] for ally in seen["allies"]} <= set(everything["allies"])


@given(worlds)
def test_a_snapshot_is_json(world):
    for seen in views(world):
        assert json.loads(json.dumps(seen)) == seen


@given(worlds, st.integers())
def test_a_skirmish_changes_what_some_agents_see_and_nobody_elses(world, seed):
    later = skirmish(world, seed)
    changed = [old["agent"] for old, new in zip(views(world), views(later), strict=True) if old != new]
    drawn_in = [old.id for old, new in zip(world.agents, later.agents, strict=True) if old != new]
    assert changed == drawn_in
    assert len(changed) == ceil(0.4 * len(world.agents))
    assert all(agent.hp >= 1 and agent.ammo >= 0 for agent in later.agents)
