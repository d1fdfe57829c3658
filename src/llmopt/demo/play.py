"""The demo from beginning to end, without a word about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import usage
from ..chain.clock import SystemClock
from ..errors import ConfigurationError
from ..middleware.cache import Cache
from ..middleware.retry import Retry
from ..middleware.timeout import Timeout
from ..middleware.usage_log import UsageLog
from ..types import Clock
from .run import Planner, Tick, Watch
from .world import battle, skirmish, snapshot

__all__ = ["Demo", "Played"]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a demo.

    Attributes:
        ticks: the two moments.
        logged: how many calls the usage log has taken.
    """

    ticks: tuple[Tick, ...]
    logged: int


@dataclass(frozen=True, slots=True)
class Demo:
    """Plans for the agents of a small world, and again a moment later.

    Attributes:
        model: the llm model that is asked for plans.
        log: path of the usage log.
        agents: how many agents there are.
        seed: what the world is made from.
        clock: the time that the chain goes by.

    Raises:
        ConfigurationError: there is no agent.

    Example:
        >>> import tempfile
        >>> from llmopt.demo.model import SimulatedModel
        >>> from llmopt.demo.screen import Silent
        >>> from llmopt.testing import VirtualClock
        >>> clock = VirtualClock()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     demo = Demo(SimulatedModel(clock=clock), Path(folder, "usage.db"), clock=clock)
        ...     played = demo.run(Silent())
        >>> [tick.hits for tick in played.ticks], played.logged
        ([0, 6], 20)
    """

    model: Any
    log: Path
    agents: int = 10
    seed: int = 7
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        if self.agents < 1:
            raise ConfigurationError(f"agents is {self.agents}: there has to be at least one")

    def run(self, watch: Watch) -> Played:
        """Plan for both moments.

        Args:
            watch: who is told while it happens.

        Returns:
            What came of it.

        Raises:
            Exception: what the very first call raised.
        """
        log = UsageLog(self.log)
        stack = (log, Cache(), Retry(attempts=3), Timeout(60))
        planner = Planner(self.model, stack, clock=self.clock, watch=watch)
        now = battle(self.agents, self.seed)
        ticks: list[Tick] = []
        try:
            for number, world in enumerate((now, skirmish(now, self.seed)), start=1):
                views = [snapshot(world, agent) for agent in world.agents]
                changed = sum(new != old for new, old in zip(world.agents, now.agents, strict=True))
                watch.begins(number, changed)
                ticks.append(planner.tick(views, number=number))
        finally:
            usage.flush()
        return Played(tuple(ticks), logged=log.stats()["written"])
