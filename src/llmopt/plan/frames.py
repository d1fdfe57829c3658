"""A queue of agents for loops that must not wait: game frames, control loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any

from .batch import Batch
from .types import Plan


class PlanQueue:
    """Collects agents, plans for them in the background, and hands out what is ready; nothing here waits.

    Args:
        begin: begins a batch for some agents.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> def wait(seconds: int): "Stay still."
        >>> model = ScriptedModel(['["scout",["wait",2]]'])
        >>> plan_for = llmopt.planner(model, tools=[wait])(lambda agent: {"hp": 100})
        >>> queue = plan_for.queue()
        >>> queue.add("scout")
        >>> queue.flush()
        1
        >>> while not (plans := queue.ready()):
        ...     pass  # draw the next frame
        >>> plans[0].agent, queue.waiting
        ('scout', 0)
    """

    def __init__(self, begin: Callable[[Iterable[Any]], Batch]) -> None:
        self._begin = begin
        self._agents: list[Any] = []
        self._outcomes: SimpleQueue[tuple[Plan | Exception, int]] = SimpleQueue()
        self._failed: Exception | None = None
        self._under_way = 0

    @property
    def waiting(self) -> int:
        """How many agents have been added and not been handed out."""
        return len(self._agents) + self._under_way

    def add(self, agent: Any) -> None:
        """Have the next `flush` plan for an agent."""
        self._agents.append(agent)

    def flush(self) -> int:
        """Begin to plan for all that were added, and return how many they are.

        What they see is looked at now, in this thread.

        Raises:
            ConfigurationError: as `batch` does.
        """
        agents, self._agents = self._agents, []
        if agents:
            batch = self._begin(agents)
            self._under_way += len(agents)
            threading.Thread(
                target=self._run, args=(batch, len(agents)), name="llmopt-queue", daemon=True
            ).start()
        return len(agents)

    def ready(self) -> list[Plan]:
        """Return the plans that have come since the last time, without waiting.

        Raises:
            Exception: a batch has failed as a whole; its agents are no longer waited for. The plans that had
                come before that were returned the time before.
        """
        plans: list[Plan] = []
        while self._failed is None:
            try:
                outcome, settled = self._outcomes.get_nowait()
            except Empty:
                return plans
            self._under_way -= settled
            if isinstance(outcome, Plan):
                plans.append(outcome)
            else:
                self._failed = outcome
        if plans:
            return plans
        failed, self._failed = self._failed, None
        raise failed

    def _run(self, batch: Batch, agents: int) -> None:
        try:
            for plan in batch:
                self._outcomes.put((plan, 1))
                agents -= 1
        except Exception as error:  # noqa: BLE001 - the loop hears of it
            self._outcomes.put((error, agents))
