"""The demo from beginning to end, without a word about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import usage
from ..chain.clock import SystemClock
from ..errors import ConfigurationError
from ..middleware.retry import Retry
from ..middleware.timeout import Timeout
from ..middleware.usage_log import UsageLog
from ..plan import Explanation
from ..types import Clock, Middleware
from .run import Squad, Tick, Watch
from .world import battle, skirmish

if TYPE_CHECKING:
    from ..tokens import TokenCounter

__all__ = ["Demo", "Played"]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a demo.

    Attributes:
        ticks: the two moments.
        logged: how many calls the usage log has taken.
        exact: whether the tokens of prompts that were not sent are counted with the model's own tokenizer.
    """

    ticks: tuple[Tick, ...]
    logged: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Demo:
    """Plans for the agents of a small world, and again a moment later.

    Attributes:
        model: the llm model that is asked for plans.
        log: path of the usage log.
        agents: how many agents there are.
        seed: what the world is made from.
        clock: the time that all goes by.

    Raises:
        ConfigurationError: there is no agent.

    Example:
        >>> import tempfile
        >>> from llmopt.demo.model import SimulatedModel
        >>> from llmopt.demo.screen import Silent
        >>> from llmopt.testing import VirtualClock
        >>> clock = VirtualClock()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     demo = Demo(SimulatedModel(mistakes=1, clock=clock), Path(folder, "usage.db"), clock=clock)
        ...     played = demo.run(Silent())
        >>> [(tick.batch.usage.calls, tick.remembered) for tick in played.ticks]
        [(2, 0), (1, 6)]
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
            Exception: what the model raised, if it never answered.
        """
        log = UsageLog(self.log, role="demo")
        squad = self._squad(log, Retry(attempts=3), Timeout(120))
        now = squad.world
        ticks: list[Tick] = []
        try:
            for number, squad.world in enumerate((now, skirmish(now, self.seed)), start=1):
                changed = sum(new != old for new, old in zip(squad.world.agents, now.agents, strict=True))
                watch.begins(number, changed)
                ticks.append(squad.tick(watch, number=number))
        finally:
            usage.flush()
        logged = log.stats()["written"] - len(ticks)  # the planner's batches are in the log, too
        return Played(tuple(ticks), max(0, logged), squad.counter.exact)

    def explain(self) -> Explanation:
        """Return what would be sent at the first moment; nothing is."""
        return self._squad().explain()

    def _squad(self, *stack: Middleware) -> Squad:
        counter: TokenCounter | None = getattr(self.model, "counter", None)
        world = battle(self.agents, self.seed)
        return Squad(world, self.model, stack, clock=self.clock, counter=counter)
