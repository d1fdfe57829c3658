"""Four ways to come by a plan, the last of which cannot fail; each agent goes down only as far as it must.

python examples/tiers.py

1. full: a large model, asked for all agents at once, and again for those whose rows were bad.
2. simplified: a smaller model, asked for those who are left.
3. heuristic: rules, one agent at a time.
4. emergency: the same for everybody.
"""

from __future__ import annotations

from math import dist
from typing import Any

import llmopt
from llmopt.testing import ScriptedModel

MORALE_MIN = 0.3  # morale goes from 0 to 1
ENEMY_NEAR = 3.0  # cells

Snapshot = dict[str, Any]
Rows = list[list[Any]]


def move_to(x: int, y: int) -> None:
    """Walk to a cell."""


def attack(enemy: int) -> None:
    """Shoot at an enemy, by its id."""


def take_cover(x: int, y: int) -> None:
    """Hide at a cell."""


def heal() -> None:
    """Rest until morale is back."""


def reload() -> None:
    """Fill the magazine."""


def scan(radius: int) -> None:
    """Look round."""


def wait(seconds: float) -> None:
    """Stay still."""


def heuristic(agent: str, seen: Snapshot) -> Rows:
    """The first rule that fits; an agent whose snapshot lacks something is left to the next tier."""
    me, here = seen["me"], (seen["me"]["x"], seen["me"]["y"])
    enemy = min(seen["enemies"], key=lambda enemy: dist((enemy["x"], enemy["y"]), here), default=None)
    if me["morale"] < MORALE_MIN:
        return [["heal"]]
    if me["ammo"] <= 0:
        return [["reload"]]
    if enemy and dist((enemy["x"], enemy["y"]), here) <= ENEMY_NEAR:
        return [["attack", enemy["id"]]]
    if enemy:
        return [["take_cover", *here]]
    if any(word in seen["objective"] for word in ("extract", "reach")):
        return [["move_to", *seen["goal"]]]
    return [["scan", 10]]


def emergency(agent: str) -> Rows:
    """Needs to know nothing, so nothing can go wrong."""
    return [["scan", 10], ["wait", 1]]


def saying(rows: dict[str, str]) -> Any:
    """A scripted model's answer: the rows of those agents that it is asked for, if it has any."""

    def answer(prompt: Any) -> str:
        table = prompt.prompt.rpartition("Agents:\n")[2].partition("\n\n")[0]
        asked = [row["agent"] for row in llmopt.compress.decode(table)]
        return "\n".join(rows[agent] for agent in asked if agent in rows) or "I cannot help with that."

    return answer


# In the place of a large model and a small one: the large one knows what ann does, gets bob's row wrong
# however often it is asked, and has nothing for the others; the small one can do bob.
full = ScriptedModel(
    saying({"ann": '["ann",["attack",31],["reload"]]', "bob": '["bob",["fly",9]]'}), model_id="full"
)
simplified = ScriptedModel(saying({"bob": '["bob",["take_cover",4,4]]'}), model_id="simplified")

WORLD: dict[str, Snapshot] = {
    "ann": {"me": {"x": 2, "y": 3, "ammo": 12, "morale": 0.9}},
    "bob": {"me": {"x": 4, "y": 4, "ammo": 1, "morale": 0.8}},
    "cid": {"me": {"x": 9, "y": 5, "ammo": 30, "morale": 0.8}},
    "dee": {"me": {"x": 5, "y": 2, "ammo": 7, "morale": 0.2}},
    "eve": {},  # nobody knows where she is
}
ENEMIES = [{"id": 31, "x": 40, "y": 4}, {"id": 32, "x": 10, "y": 7}]


@llmopt.planner(
    llmopt.wrap(full, llmopt.Retry(attempts=2)),
    tools=[move_to, attack, take_cover, heal, reload, scan, wait],
    fallback=[llmopt.wrap(simplified, llmopt.Retry(attempts=2)), heuristic, emergency],
    strategy="one_call",
)
def plan_for(agent: str) -> Snapshot:
    return {"objective": "reach the bridge", "goal": [20, 20], "enemies": ENEMIES, **WORLD[agent]}


if __name__ == "__main__":
    tiers = ("full", "simplified", "heuristic", "emergency")
    batch = plan_for.batch(WORLD)
    for plan in batch:
        print(f"{plan.agent}  {plan.status:8}  {tiers[plan.tier]:10}", *plan)
        for fault in plan.faults:
            print(f"     {fault:.74}")
    print(
        f"{len(full.calls)} calls of full, {len(simplified.calls)} of simplified; {batch.result().status()}"
    )
