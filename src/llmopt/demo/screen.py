"""What the demo shows while it runs: a line for each plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from .dialogue import readable
from .run import Planned
from .text import cut, encodable, printable
from .world import Snapshot

__all__ = ["WIDTH", "Screen", "Silent"]

WIDTH = 79
"""Columns of a line at most, for terminals of 80."""

_HEAD = 32  # columns of a line before the plan itself


@dataclass(slots=True)
class Screen:
    """Shows plans as they arrive: in one line that is rewritten on a terminal, else line by line.

    Attributes:
        out: where to.
        live: whether `out` is a terminal, where a line can be rewritten.
        width: columns of a line.
    """

    out: TextIO
    live: bool
    width: int = WIDTH
    _drawn: int = field(default=0, init=False)

    def begins(self, number: int, changed: int) -> None:
        """Show the head of a tick."""
        what = f": {changed} came under fire, for the others nothing has changed" if number > 1 else ""
        self.say(f"\nTick {number}{what}")

    def arriving(self, seen: Snapshot, text: str) -> None:
        """Show the end of what has come of an answer."""
        if self.live:
            room = max(1, self.width - _HEAD)
            self._draw(_line(seen["agent"], seen["role"], "...", None, printable(text)[-room:]))

    def planned(self, planned: Planned) -> None:
        """Show a plan, or what became of it."""
        self._draw(_line(planned.agent, planned.role, planned.source, planned.duration_s, _outcome(planned)))
        self.end_line()

    def say(self, text: str = "") -> None:
        """Write a line that stays."""
        self.out.write(encodable(text, self.out) + "\n")
        self.out.flush()

    def end_line(self) -> None:
        """Leave the line that is being rewritten as it is."""
        if self._drawn:
            self.say()
        self._drawn = 0

    def _draw(self, line: str) -> None:
        line = encodable(cut(line.rstrip(), self.width), self.out)
        self.out.write(("\r" if self._drawn else "") + line.ljust(self._drawn))
        self.out.flush()
        self._drawn = len(line)


def _line(agent: int, role: str, source: str, duration_s: float | None, text: str) -> str:
    took = "" if duration_s is None else f"{1000 * duration_s:.0f} ms"
    return f"{agent:3} {role:11} {source:6}{took:>8}  {text}"


def _outcome(planned: Planned) -> str:
    result = planned.result
    if result.problem is not None:
        return printable(result.problem if planned.source == "error" else f"malformed: {result.problem}")
    return printable("; ".join(map(readable, result.steps)))


class Silent:
    """Shows nothing."""

    def begins(self, number: int, changed: int) -> None:
        """Hear that a tick begins."""

    def arriving(self, seen: Snapshot, text: str) -> None:
        """Hear how much of an answer is there."""

    def planned(self, planned: Planned) -> None:
        """Hear what came of a call."""
