"""What the demo shows while it runs: a line for each plan, as soon as it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TextIO

from ..plan import Plan, Step
from ..text import cut, encodable, printable
from .run import masked
from .world import Agent

__all__ = ["WIDTH", "Screen", "Silent", "readable"]

WIDTH = 79
"""Columns of a line at most, for terminals of 80."""

_INDENT = 16  # columns before the status


@dataclass(frozen=True, slots=True)
class Screen:
    """Shows plans as they arrive.

    Attributes:
        out: where to.
        model: the model, whose key must not be shown.
        width: columns of a line.
    """

    out: TextIO
    model: Any = None
    width: int = WIDTH

    def begins(self, number: int, changed: int) -> None:
        """Show the head of a tick."""
        what = f": {changed} came under fire, for the others nothing has changed" if number > 1 else ""
        self.say(f"\nTick {number}{what}")

    def planned(self, agent: Agent, plan: Plan) -> None:
        """Show a plan, and what was refused before it."""
        source = "remembered" if plan.provenance.source == "cache" else plan.status
        arrived = f"{1000 * plan.provenance.arrived_s:,.0f} ms"
        steps = "; ".join(map(readable, plan)) or "nothing to do"
        self._line(f"{agent.id:3} {agent.role:11} {source:10} {arrived:>8}  {steps}")
        for fault in plan.faults[-1:]:
            self._line(f"{'':{_INDENT}}^ {masked(fault, self.model) if self.model else fault}")

    def say(self, text: str = "") -> None:
        """Write a line."""
        self.out.write(encodable(text, self.out) + "\n")
        self.out.flush()

    def _line(self, text: str) -> None:
        self.say(cut(printable(text), self.width))


def readable(step: Step) -> str:
    """Return a step in few words.

    Example:
        >>> readable(Step("attack", {"enemy": 103, "rounds": 4}))
        'attack(103, 4)'
    """
    return f"{step.tool}({', '.join(map(str, step.args.values()))})"


class Silent:
    """Shows nothing."""

    def begins(self, number: int, changed: int) -> None:
        """Hear that a tick begins."""

    def planned(self, agent: Agent, plan: Plan) -> None:
        """Hear of a plan."""
