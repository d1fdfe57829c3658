"""How the simulated model decides: a few rules from what an agent sees to what it does."""

from __future__ import annotations

from collections.abc import Iterable
from math import dist
from typing import TypedDict, TypeVar

from .world import Cover, Enemy, Point, Snapshot

__all__ = ["LOW_AMMO_ROUNDS", "LOW_HP", "Plan", "Step", "decide"]

LOW_HP = 35
LOW_AMMO_ROUNDS = 5
ROUNDS_PER_ATTACK = 4
ENGAGE_M = {"tactical": 25, "support": 18, "exploration": 12, "stealth": 8}
"""How near an enemy has to be before a role takes it on."""

PlacedT = TypeVar("PlacedT", Enemy, Cover)


class Step(TypedDict, total=False):
    """One step of a plan: what to do, and the arguments of that."""

    act: str
    target: int
    rounds: int
    pos: Point


class Plan(TypedDict):
    """What the model answers: one row for one agent."""

    agent: int
    steps: list[Step]


def decide(seen: Snapshot) -> Plan:
    """Return a plan for what an agent sees: survive, then be able to fight, then fight, then obey.

    Example:
        >>> from llmopt.demo.world import battle, snapshot
        >>> world = battle(10, seed=7)
        >>> seen = snapshot(world, world.agents[0])
        >>> decide({**seen, "hp": 80, "ammo": 2, "enemies": []})["steps"][0]
        {'act': 'reload'}
    """
    return Plan(agent=seen["agent"], steps=_steps(seen))


def _steps(seen: Snapshot) -> list[Step]:
    enemy = _nearest(seen["enemies"], seen["pos"])
    if seen["hp"] < LOW_HP:
        return [*_take_cover(seen), Step(act="heal")]
    if seen["ammo"] < LOW_AMMO_ROUNDS:
        shelter = _take_cover(seen) if enemy else []
        return [*shelter, Step(act="reload"), *([] if enemy else [_move_on(seen)])]
    if enemy and _away_m(enemy["pos"], seen["pos"]) <= ENGAGE_M[seen["role"]]:
        rounds = min(ROUNDS_PER_ATTACK, seen["ammo"])
        return [Step(act="attack", target=enemy["id"], rounds=rounds), _move_on(seen)]
    return [_move_on(seen)]


def _move_on(seen: Snapshot) -> Step:
    return Step(act="move_to", pos=seen["objective"]["pos"])


def _take_cover(seen: Snapshot) -> list[Step]:
    cover = _nearest(seen["cover"], seen["pos"])
    return [Step(act="take_cover", pos=cover["pos"])] if cover else [Step(act="lie_down")]


def _nearest(things: Iterable[PlacedT], here: Point) -> PlacedT | None:
    return min(things, key=lambda thing: _away_m(thing["pos"], here), default=None)


def _away_m(there: Point, here: Point) -> float:
    return dist((there["x"], there["y"]), (here["x"], here["y"]))
