"""A squad whose planner is a method: plans as they arrive, an early stop, and what was sent.

python examples/squad.py               # a scripted model, no network
python examples/squad.py -m MODEL      # one of `llm models`
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import llm

import llmopt
from llmopt.testing import Answer, ScriptedModel


def move_to(x: int, y: int) -> None:
    """Walk to a cell."""


def attack(enemy: int) -> None:
    """Shoot at an enemy, by its id."""


def reload() -> None:
    """Fill the magazine."""


def hold(soldier: Soldier, seen: dict) -> list:
    """The fallback: whoever gets no plan from the model keeps still."""
    return [["move_to", seen["pos"]["x"], seen["pos"]["y"]]]


def scripted(prompt) -> Answer:
    """Stand in for a model: read the table of agents, answer with a row for each, four characters a time."""
    agents = llmopt.compress.decode(prompt.prompt.rpartition("Agents:\n")[2])
    rows = "".join(f'["{a["agent"]}",["reload"],["attack",{31 + a["ammo"] % 2}]]\n' for a in agents)
    return Answer(chunks=[rows[at : at + 4] for at in range(0, len(rows), 4)], chunk_delay_s=0.01)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("-m", "--model", help="an installed llm model")
chosen = parser.parse_args().model
model = llmopt.wrap(
    llm.get_model(chosen) if chosen else ScriptedModel(scripted),
    llmopt.UsageLog("squad.db"),
    llmopt.Retry(attempts=3),
)


@dataclass
class Soldier:
    id: str
    x: int
    y: int
    ammo: int


class Squad:
    def __init__(self, order: str, *soldiers: Soldier) -> None:
        self.order = order
        self.soldiers = soldiers
        self.enemies = [
            {"id": 31, "pos": {"x": 9, "y": 4}, "hp": 60},
            {"id": 32, "pos": {"x": 12, "y": 7}, "hp": 90},
        ]

    @llmopt.planner(model, tools=[move_to, attack, reload], fallback=hold, strategy="one_call", max_steps=3)
    def plan_for(self, soldier: Soldier) -> dict:
        return {
            "order": self.order,
            "enemies": self.enemies,
            "pos": {"x": soldier.x, "y": soldier.y},
            "ammo": soldier.ammo,
        }


squad = Squad(
    "hold the bridge",
    Soldier("ann", 2, 3, 12),
    Soldier("bob", 4, 4, 1),
    Soldier("cid", 3, 6, 30),
    Soldier("dee", 5, 2, 7),
)

print("One soldier:")
print("  ann:", *squad.plan_for(squad.soldiers[0]))

print("All of them, in one request:")
batch = squad.plan_for.batch(squad.soldiers)
for plan in batch:
    print(f"  {plan.provenance.arrived_s:5.2f} s  {plan.agent}  {plan.status:8}", *plan)
result = batch.result()
print(f"  {result.elapsed_s:5.2f} s  {result.usage.calls} call(s), {result.status()}")

print("The first two will do:")
with squad.plan_for.batch(squad.soldiers) as batch:  # the end of the block ends the call
    for number, plan in enumerate(batch, start=1):
        print(f"  {plan.provenance.arrived_s:5.2f} s  {plan.agent}  {plan.status:8}", *plan)
        if number == 2:
            break

print("What was sent:")
explained = squad.plan_for.explain(squad.soldiers)
print(explained)
print(f"\n{explained.prompt}")
