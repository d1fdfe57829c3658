"""Makes one batch of the agents whose plans are awaited at about the same time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.lowlevel import RunVar

from .arequests import spawn
from .assembly import Seen
from .types import AgentId, Plan


@dataclass(slots=True)
class _Place:
    """One agent that somebody waits for, or several do."""

    seen: Seen
    over: anyio.Event = field(default_factory=anyio.Event)
    outcome: Plan | Exception | None = None


class Gatherer:
    """Collects agents for a moment, and plans for all of them at once.

    Args:
        plans: performs a batch.
        gather_s: seconds for which the first agent waits for others.
    """

    def __init__(
        self, plans: Callable[[Sequence[Seen]], AsyncGenerator[Plan, None]], gather_s: float
    ) -> None:
        self._plans = plans
        self._gather_s = gather_s
        self._open: RunVar[dict[AgentId, _Place] | None] = RunVar("llmopt.plan.gather", None)

    async def plan(self, seen: Seen) -> Plan:
        """Wait for the plan of one agent."""
        places = self._open.get()
        if places is None:
            places = dict[AgentId, _Place]()
            self._open.set(places)
            spawn(self._run, places)
        place = places.setdefault(seen.id, _Place(seen))
        await place.over.wait()
        if isinstance(place.outcome, Plan):
            return place.outcome
        raise place.outcome or RuntimeError(f"no plan came for {seen.id!r}")

    async def _run(self, places: dict[AgentId, _Place]) -> None:
        await anyio.sleep(self._gather_s)
        self._open.set(None)
        try:
            async with aclosing(self._plans([place.seen for place in places.values()])) as plans:
                async for plan in plans:
                    _settle(places[plan.agent], plan)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            for place in places.values():
                _settle(place, error)


def _settle(place: _Place, outcome: Any) -> None:
    if place.outcome is None:
        place.outcome = outcome
        place.over.set()
