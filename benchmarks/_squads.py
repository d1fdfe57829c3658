"""Squads of agents in one world, and what each of them sees: made by rule, the same for the same seed.

A snapshot has the shape that a game engine sends its planners: time, the player, the agent itself, those of
the enemies that it sees, points of interest, obstacles, the objective. All agents are in the same world: what
two of them see of an enemy is the same. Beside them stand what the agents can do and are told, that of the
seed prompt, and plans of three steps as a model may answer them.
"""

from __future__ import annotations

from random import Random
from typing import Any

from _seed_data import EXAMPLES, RULES
from _seed_data import TOOLS as SPECS

from llmopt.compress import encode
from llmopt.plan.parameter import Parameter
from llmopt.plan.role_tools import tool_of

SIZE = 61
TICK_S = 0.5
SIGHT = 0.6
ENEMIES, OBSTACLES = 12, 30
COVERS = ("none", "low", "partial", "unknown")
POIS = ("breach_door", "ammo_crate", "medkit", "extraction_zone", "comms_tower")
COOLDOWNS_S = {"throw:smoke": 8.0, "throw:grenade": 12.0, "heal": 20.0}
OBJECTIVE = "Secure the comms tower, then extract through the east gate"

TOOLS = [tool_of(spec) for group in SPECS.values() for spec in group]
_SHORT = [short for group in RULES.values() for _, short in group if short]
INSTRUCTIONS = "\n".join((*_SHORT, f"Examples: {encode(list(EXAMPLES), 'safe')}"))


class Squad:
    """Agents, and the world that they are in.

    Args:
        agents: how many; they are called 1, 2, ...
        seed: another seed, another world.

    Example:
        >>> squad = Squad(2)
        >>> [snapshot["me"]["ammo"] for snapshot in squad.snapshots()] == [a["ammo"] for a in squad.agents]
        True
        >>> squad.step()
        >>> squad.snapshots()[0]["t"]
        13.0
    """

    def __init__(self, agents: int, seed: int = 7) -> None:
        self._random = random = Random(seed)
        self._t = 12.5
        self.enemies = [self._enemy(100 + number) for number in range(ENEMIES)]
        self.pois: list[dict[str, Any]] = [{"k": kind, "pos": self._pos()} for kind in POIS]
        self.obstacles = [self._pos() for _ in range(OBSTACLES)]
        self.agents = [self._agent() for _ in range(agents)]
        self._sees = [[random.random() < SIGHT for _ in self.enemies] for _ in self.agents]

    def snapshots(self) -> list[dict[str, Any]]:
        """Return what each agent sees, in the order of their ids, with nothing shared between them."""
        return [self._snapshot(index) for index in range(len(self.agents))]

    def step(self) -> None:
        """Let half a second pass: some walk, cooldowns run down, and enemies that walk are seen anew."""
        self._t = round(self._t + TICK_S, 1)
        for enemy in self.enemies:
            if self._random.random() < 0.4:
                self._walk(enemy["pos"])
                enemy["last_seen"] = self._t
        for agent in self.agents:
            if self._random.random() < 0.4:
                self._walk(agent["pos"])
            cooldowns = agent["cooldowns"]
            agent["cooldowns"] = {name: round(max(0.0, s - TICK_S), 1) for name, s in cooldowns.items()}

    def _snapshot(self, index: int) -> dict[str, Any]:
        me = self.agents[index]
        return {
            "t": self._t,
            "player": {"hp": 100, "pos": {"x": 20, "y": 20}, "stance": "crouch", "orders": ["hold_east"]},
            "me": {**me, "cooldowns": {**me["cooldowns"]}, "pos": {**me["pos"]}},
            "enemies": [
                {**enemy, "pos": {**enemy["pos"]}}
                for enemy, seen in zip(self.enemies, self._sees[index], strict=True)
                if seen
            ],
            "pois": [{**poi, "pos": {**poi["pos"]}} for poi in self.pois],
            "obstacles": [{**cell} for cell in self.obstacles],
            "objective": OBJECTIVE,
        }

    def _pos(self) -> dict[str, int]:
        return {"x": self._random.randrange(SIZE), "y": self._random.randrange(SIZE)}

    def _enemy(self, number: int) -> dict[str, Any]:
        random = self._random
        hp = random.choice((20, 40, 60, 75, 80, 100))
        seen_s = round(random.uniform(0.5, 6.0), 2)
        return {
            "id": number,
            "pos": self._pos(),
            "hp": hp,
            "cover": random.choice(COVERS),
            "last_seen": seen_s,
        }

    def _agent(self) -> dict[str, Any]:
        random = self._random
        return {
            "ammo": random.choice((0, random.randrange(31))),
            "cooldowns": {name: round(random.uniform(0.0, most), 1) for name, most in COOLDOWNS_S.items()},
            "morale": round(random.random(), 3),
            "pos": self._pos(),
        }

    def _walk(self, pos: dict[str, int]) -> None:
        axis = self._random.choice("xy")
        pos[axis] = min(SIZE - 1, max(0, pos[axis] + self._random.choice((-1, 1))))


def ticks(agents: int, count: int = 3, seed: int = 7) -> list[list[dict[str, Any]]]:
    """Return what the agents of a squad see in some ticks, one after the other."""
    squad = Squad(agents, seed)
    seen = [squad.snapshots()]
    for _ in range(count - 1):
        squad.step()
        seen.append(squad.snapshots())
    return seen


def plan(agent: int, random: Random, steps: int = 3) -> list[Any]:
    """Return a plan as the row of an answer; its steps are drawn from all tools.

    Example:
        >>> plan(7, Random(1), 2)
        [7, ['quick_shot', 101], ['taunt']]
    """
    drawn = [random.choice(TOOLS) for _ in range(steps)]
    return [agent, *([tool.name, *_arguments(tool.parameters, random)] for tool in drawn)]


def _arguments(parameters: tuple[Parameter, ...], random: Random) -> list[Any]:
    return [_argument(parameter, random) for parameter in parameters if parameter.required]


def _argument(parameter: Parameter, random: Random) -> Any:
    kind = parameter.type
    if kind.choices:
        return random.choice(kind.choices)
    if parameter.name == "id":
        return 100 + random.randrange(ENEMIES)
    if kind.kind == "array":
        return [random.randrange(SIZE) for _ in range(4)]
    return random.choice(POIS) if kind.kind == "string" else random.randrange(SIZE)
