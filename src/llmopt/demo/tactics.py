"""What agents can do, and rules for what they had better do: the simulated model's, and the fallback's."""

from __future__ import annotations

from collections.abc import Iterable
from math import dist
from typing import TypeAlias, TypeVar

from .world import Agent, Cover, Enemy, Point, Snapshot

__all__ = ["LOW_AMMO_ROUNDS", "LOW_HP", "MAX_STEPS", "ORDERS", "TOOLS", "Step", "decide", "heuristic"]

ORDERS = """\
You plan for agents in a tactical game. Places are in metres.
Stay alive first, then stay able to fight, then fight, then follow the objective."""
MAX_STEPS = 3
LOW_HP = 35
LOW_AMMO_ROUNDS = 5
ROUNDS_PER_ATTACK = 4
ENGAGE_M = {"tactical": 25, "support": 18, "exploration": 12, "stealth": 8}
"""How near an enemy has to be before a role takes it on."""

Step: TypeAlias = "list[str | int]"
"""A step as a row of an answer has it: the name of a tool, and its arguments."""

PlacedT = TypeVar("PlacedT", Enemy, Cover)


def move_to(x: int, y: int) -> None:
    """Walk to a place."""


def attack(enemy: int, rounds: int) -> None:
    """Shoot at an enemy, by its id."""


def take_cover(x: int, y: int) -> None:
    """Hide behind what is there."""


def lie_down() -> None:
    """Hide where there is no cover."""


def reload() -> None:
    """Fill the magazine."""


def heal() -> None:
    """Dress wounds."""


TOOLS = (move_to, attack, take_cover, lie_down, reload, heal)


def heuristic(_agent: Agent, seen: Snapshot) -> list[Step]:
    """Return the plan of an agent for whom the model has made none."""
    return decide(seen)


def decide(seen: Snapshot) -> list[Step]:
    """Return a plan for what an agent sees: survive, then be able to fight, then fight, then obey.

    Example:
        >>> from llmopt.demo.world import battle, snapshot
        >>> world = battle(10, seed=7)
        >>> seen = snapshot(world, world.agents[0])
        >>> decide({**seen, "hp": 80, "ammo": 2, "enemies": []})[0]
        ['reload']
    """
    enemy = _nearest(seen["enemies"], seen["pos"])
    if seen["hp"] < LOW_HP:
        return [_take_cover(seen), ["heal"]]
    if seen["ammo"] < LOW_AMMO_ROUNDS:
        return [_take_cover(seen), ["reload"]] if enemy else [["reload"], _move_on(seen)]
    if enemy and _away_m(enemy["pos"], seen["pos"]) <= ENGAGE_M[seen["role"]]:
        return [["attack", enemy["id"], min(ROUNDS_PER_ATTACK, seen["ammo"])], _move_on(seen)]
    return [_move_on(seen)]


def _move_on(seen: Snapshot) -> Step:
    return ["move_to", *_xy(seen["objective"]["pos"])]


def _take_cover(seen: Snapshot) -> Step:
    cover = _nearest(seen["cover"], seen["pos"])
    return ["take_cover", *_xy(cover["pos"])] if cover else ["lie_down"]


def _nearest(things: Iterable[PlacedT], here: Point) -> PlacedT | None:
    return min(things, key=lambda thing: _away_m(thing["pos"], here), default=None)


def _away_m(there: Point, here: Point) -> float:
    return dist(_xy(there), _xy(here))


def _xy(place: Point) -> tuple[int, int]:
    return place["x"], place["y"]
