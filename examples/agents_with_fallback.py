"""Three agents ask a model that is down half of the time; none of them goes without an order.

python examples/agents_with_fallback.py
"""

from __future__ import annotations

import llmopt
from llmopt.testing import FaultPlan, ScriptedModel, VirtualClock


def heuristic(call: llmopt.Call) -> str:
    return "HOLD"


clock = VirtualClock()
flaky = ScriptedModel(FaultPlan.of("429", "ok", "503", "500", "503", "ok", answer="ADVANCE"), clock=clock)
model = llmopt.wrap(
    flaky,
    llmopt.UsageLog("agents.db", role="tactical"),
    llmopt.Fallback(heuristic),
    llmopt.Retry(attempts=2),
    clock=clock,
)
for agent in ("alpha", "bravo", "charlie"):
    response = model.prompt(f"Order for {agent}?")
    print(f"{agent:8} {response.text():8} tier {response.llmopt.notes.get('tier', 0)}")

llmopt.usage.flush()
(row,) = llmopt.usage.open("agents.db").query(
    "select count(*) as calls, sum(attempts) as attempts from calls"
)
print(row)
