"""Plans for many agents: from their snapshots, in as few and as early-answering requests as possible.

`llmopt.planner` is the way in. What it is made of can be used alone: `Tool` reads signatures and binds
arguments, `split` separates the world from what each agent sees, `Session` decides who is asked next.
"""

from __future__ import annotations

from .batch import AsyncBatch, Batch
from .calibrate import Calibration, Observation, calibrate
from .cost_model import PRESETS, CostModel
from .decorator import planner
from .explain import Explanation
from .frames import PlanQueue
from .measure import logged, probe
from .planning import Planner
from .strategy import Choice, Estimate, choose, predict
from .tool import Tool, Tools
from .types import AgentId, Plan, PlanBatch, Provenance, Status, Step, Usage
from .world import World, split

__all__ = [
    "PRESETS",
    "AgentId",
    "AsyncBatch",
    "Batch",
    "Calibration",
    "Choice",
    "CostModel",
    "Estimate",
    "Explanation",
    "Observation",
    "Plan",
    "PlanBatch",
    "PlanQueue",
    "Planner",
    "Provenance",
    "Status",
    "Step",
    "Tool",
    "Tools",
    "Usage",
    "World",
    "calibrate",
    "choose",
    "logged",
    "planner",
    "predict",
    "probe",
    "split",
]
