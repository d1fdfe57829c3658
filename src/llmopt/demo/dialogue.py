"""What a model is asked for one agent, and what its answer is taken for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from .text import cut
from .world import Snapshot

__all__ = ["SYSTEM", "Understood", "object_in", "prompt_for", "readable", "understood"]

SYSTEM = """\
You plan for one agent in a tactical game. You are given what the agent sees, as JSON; places are in metres.
Answer with one JSON object and nothing else. Its keys are "agent", the agent's id, and "steps", a list of one
to three steps to take now, in order. A step is an object with the key "act", which is one of move_to, attack,
take_cover, lie_down, reload and heal, and where it applies "target" (the id of an enemy), "rounds" and "pos".
Stay alive first, then stay able to fight, then fight, then follow the objective."""

_ACT_KEYS = ("act", "action", "tool", "name")
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Understood:
    """What an answer is taken for.

    Attributes:
        steps: the steps of the plan; empty if it is none.
        problem: what is wrong with the answer, or None.
    """

    steps: tuple[Any, ...] = ()
    problem: str | None = None


def prompt_for(seen: Snapshot) -> str:
    r"""Return the prompt that asks for the plan of one agent.

    Example:
        >>> from llmopt.demo.world import battle, snapshot
        >>> world = battle(1, seed=7)
        >>> prompt_for(snapshot(world, world.agents[0]))[:38]
        'Agent 1 sees:\n{"agent":1,"role":"tacti'
    """
    return f"Agent {seen['agent']} sees:\n{json.dumps(seen, separators=(',', ':'))}"


def object_in(text: str) -> Any:
    """Return the JSON object that begins at the first brace of `text`, or None if there is none.

    Example:
        >>> object_in('Here you are: {"agent": 1} Good luck!')
        {'agent': 1}
    """
    start = text.find("{")
    try:
        return None if start < 0 else json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def understood(text: str, agent: int) -> Understood:
    """Return the plan in a model's answer, or what is wrong with it.

    Args:
        text: the answer.
        agent: the id of the agent that was asked about.

    Example:
        >>> understood('{"agent": 1, "steps": [{"act": "heal"}]}', agent=1).steps
        ({'act': 'heal'},)
        >>> understood("I would rather not.", agent=1).problem
        "no JSON object in 'I would rather not.'"
    """
    row = object_in(text)
    if row is None:
        return Understood(problem=f"no JSON object in {cut(text, _SHOWN_CHARS)!r}")
    if str(row.get("agent")) != str(agent):
        return Understood(problem=f'"agent" is {cut(str(row.get("agent")), _SHOWN_CHARS)}, not {agent}')
    steps = row.get("steps")
    if not isinstance(steps, list) or not steps:
        return Understood(problem=f'"steps" is no list of steps: {cut(json.dumps(steps), _SHOWN_CHARS)}')
    return Understood(steps=tuple(steps))  # pyright: ignore[reportUnknownArgumentType] - JSON


def readable(step: Any) -> str:
    """Return a step in words.

    Example:
        >>> readable({"act": "attack", "target": 103, "rounds": 4})
        'attack target 103 rounds 4'
        >>> readable({"act": "move_to", "pos": {"x": 3, "y": 14}})
        'move_to (3, 14)'
    """
    if not isinstance(step, dict):
        return str(step)
    named = cast("dict[str, Any]", step)
    act = next((key for key in _ACT_KEYS if key in named), None)
    arguments = [_argument(name, value) for name, value in named.items() if name != act]
    return " ".join([str(named[act]) if act else "?", *arguments])


def _argument(name: str, value: Any) -> str:
    if isinstance(value, dict):
        place = cast("dict[str, Any]", value)
        if place.keys() == {"x", "y"}:
            return f"({place['x']}, {place['y']})"
    return f"{name} {value if isinstance(value, str) else json.dumps(value)}"
