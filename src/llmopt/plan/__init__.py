"""Plans for many agents: from their snapshots, in as few and as early-answering requests as possible."""

from __future__ import annotations

from .types import AgentId, Plan, PlanBatch, Provenance, Status, Step, Usage

__all__ = ["AgentId", "Plan", "PlanBatch", "Provenance", "Status", "Step", "Usage"]
