"""A small battle made from a seed: who stands where, and what each agent sees of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, dist
from random import Random
from typing import TypedDict

__all__ = ["Agent", "Cover", "Enemy", "Point", "Snapshot", "World", "battle", "skirmish", "snapshot"]

ROLES = ("tactical", "stealth", "support", "exploration")
TASKS = ("hold_bridge", "scout_ridge", "secure_tower", "escort_convoy", "reach_extraction")
COVER_KINDS = ("wall", "sandbags", "crates", "trench")
FACTS = {
    "weather": ("clear", "rain", "fog"),
    "light": ("day", "dusk", "night"),
    "bridge": ("intact", "damaged"),
    "alarm": (True, False),
}
ENEMY_SIGHT_M = 25
COVER_SIGHT_M = 20
ALLY_SIGHT_M = 30
SIDE_PER_AGENT_M = 32  # the side of the map grows with the square root of the number of agents
CARRIED_ROUNDS = 30
UNDER_FIRE = 0.4  # the share of the agents that a skirmish draws in


class Point(TypedDict):
    """A place on the map, in metres."""

    x: int
    y: int


class Enemy(TypedDict):
    """An enemy, as whoever sees it sees it."""

    id: int
    hp: int
    pos: Point


class Cover(TypedDict):
    """A thing to hide behind."""

    kind: str
    pos: Point


class Ally(TypedDict):
    """Another agent, as it is seen from a distance."""

    agent: int
    role: str
    pos: Point


class Objective(TypedDict):
    """What an agent is ordered to do, and where."""

    task: str
    pos: Point


class Snapshot(TypedDict):
    """The world as one agent sees it: what a planner is asked about."""

    agent: int
    role: str
    hp: int
    pos: Point
    ammo: int
    objective: Objective
    enemies: list[Enemy]
    cover: list[Cover]
    allies: list[Ally]
    facts: dict[str, str | bool]


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent and its state.

    Attributes:
        id: counted from 1.
        role: one of `ROLES`.
        hp: health, 1 to 100.
        ammo: rounds left.
        pos: where it stands.
        objective: its orders.
    """

    id: int
    role: str
    hp: int
    ammo: int
    pos: Point
    objective: Objective


@dataclass(frozen=True, slots=True)
class World:
    """Everything there is. Never changed: a later moment is another world.

    Attributes:
        agents: who is planned for, by id.
        enemies: their enemies.
        cover: what can be hidden behind.
        facts: what everybody knows.
    """

    agents: tuple[Agent, ...]
    enemies: tuple[Enemy, ...]
    cover: tuple[Cover, ...]
    facts: dict[str, str | bool]


def battle(agents: int, seed: int) -> World:
    """Return a world with this many agents; the same seed makes the same world.

    Example:
        >>> [agent.role for agent in battle(4, seed=7).agents]
        ['tactical', 'stealth', 'support', 'exploration']
        >>> battle(4, seed=7) == battle(4, seed=7)
        True
    """
    random = Random(seed)  # noqa: S311 - a game
    side_m = ceil(SIDE_PER_AGENT_M * agents**0.5)
    return World(
        agents=tuple(_agent(number, random, side_m) for number in range(1, agents + 1)),
        enemies=tuple(
            Enemy(id=100 + number, hp=random.randrange(20, 101, 5), pos=_place(random, side_m))
            for number in range(2 * agents)
        ),
        cover=tuple(
            Cover(kind=random.choice(COVER_KINDS), pos=_place(random, side_m)) for _ in range(3 * agents)
        ),
        facts={name: random.choice(values) for name, values in FACTS.items()},
    )


def _agent(number: int, random: Random, side_m: int) -> Agent:
    return Agent(
        id=number,
        role=ROLES[(number - 1) % len(ROLES)],
        hp=random.randint(20, 100),
        ammo=random.randint(0, CARRIED_ROUNDS),
        pos=_place(random, side_m),
        objective=Objective(task=random.choice(TASKS), pos=_place(random, side_m)),
    )


def _place(random: Random, side_m: int) -> Point:
    return Point(x=random.randrange(side_m), y=random.randrange(side_m))


def skirmish(world: World, seed: int) -> World:
    """Return the world a moment later: some agents came under fire, to the others nothing has happened.

    Example:
        >>> before = battle(10, seed=7)
        >>> after = skirmish(before, seed=7)
        >>> sum(old != new for old, new in zip(before.agents, after.agents))
        4
    """
    random = Random(f"skirmish {seed}")  # noqa: S311 - a game
    count = ceil(UNDER_FIRE * len(world.agents))
    drawn_in = {agent.id for agent in random.sample(world.agents, count)}
    return replace(world, agents=tuple(_fired_at(a, random) if a.id in drawn_in else a for a in world.agents))


def _fired_at(agent: Agent, random: Random) -> Agent:
    lost_hp = random.randint(5, 45)
    fired = random.randint(2, 12)
    return replace(agent, hp=max(1, agent.hp - lost_hp), ammo=max(0, agent.ammo - fired))


def snapshot(world: World, agent: Agent) -> Snapshot:
    """Return what `agent` sees of the world, the nearest things first.

    Example:
        >>> world = battle(10, seed=7)
        >>> seen = snapshot(world, world.agents[0])
        >>> seen["agent"], seen["role"], seen["hp"] == world.agents[0].hp
        (1, 'tactical', True)
    """

    def away_m(place: Point) -> float:
        return dist((place["x"], place["y"]), (agent.pos["x"], agent.pos["y"]))

    others = (
        Ally(agent=other.id, role=other.role, pos=other.pos)
        for other in world.agents
        if other is not agent and away_m(other.pos) <= ALLY_SIGHT_M
    )
    return Snapshot(
        agent=agent.id,
        role=agent.role,
        hp=agent.hp,
        pos=agent.pos,
        ammo=agent.ammo,
        objective=agent.objective,
        enemies=sorted(
            (enemy for enemy in world.enemies if away_m(enemy["pos"]) <= ENEMY_SIGHT_M),
            key=lambda enemy: away_m(enemy["pos"]),
        ),
        cover=sorted(
            (cover for cover in world.cover if away_m(cover["pos"]) <= COVER_SIGHT_M),
            key=lambda cover: away_m(cover["pos"]),
        ),
        allies=sorted(others, key=lambda ally: away_m(ally["pos"])),
        facts=world.facts,
    )
