"""Plans for the squad through `llmopt.planner`, and keeps account of what that took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..cache.memory import MemoryStore
from ..plan import Explanation, Plan, PlanBatch, Planner
from ..plan.decorator import planner
from ..types import Call, Clock, Flow, Middleware, Trace
from ..wrapping import wrap
from .tactics import MAX_STEPS, ORDERS, TOOLS, heuristic
from .world import Agent, Snapshot, World, snapshot

if TYPE_CHECKING:
    from ..tokens import TokenCounter

__all__ = ["MAX_AGENTS", "Squad", "Tick", "Watch", "masked", "told"]

MAX_AGENTS = 15
"""Agents that one request asks for at most; batches of 15 kept their accuracy in arXiv 2511.04108."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One round of planning.

    Attributes:
        number: counted from 1.
        plans: the plans in the order in which they came.
        batch: what came of the whole.
        requests: how many requests reached the model, with those that `Retry` has made again.
        pretty_tokens: input tokens of one prompt for each agent, with what it sees as indented JSON.
        compact_tokens: the same, as JSON without white space.
    """

    number: int
    plans: tuple[Plan, ...]
    batch: PlanBatch
    requests: int
    pretty_tokens: int
    compact_tokens: int

    @property
    def remembered(self) -> int:
        """How many plans are those that the same agents had before."""
        return sum(plan.provenance.source == "cache" for plan in self.plans)


class Watch(Protocol):
    """Who is told while plans arrive."""

    def begins(self, number: int, changed: int) -> None:
        """Hear that a tick begins, and for how many agents the world has changed."""
        ...

    def planned(self, agent: Agent, plan: Plan) -> None:
        """Hear of an agent's plan."""
        ...


class Squad:
    """The agents of a world that moves on, and their planner.

    Args:
        world: the world at first.
        model: the llm model.
        stack: the middlewares that its calls run through, outermost first.
        clock: the time that all goes by.
        counter: counts tokens of the prompts that are not sent; the planner's own unless given.
    """

    def __init__(
        self,
        world: World,
        model: Any,
        stack: Sequence[Middleware] = (),
        *,
        clock: Clock,
        counter: TokenCounter | None = None,
    ) -> None:
        self.world = world
        self._model = model
        self._traces: list[Trace] = []
        self._error: Exception | None = None
        self._answered = False
        self._planner: Planner = planner(
            wrap(model, self._witnessed, *stack, clock=clock),
            tools=TOOLS,
            instructions=ORDERS,
            fallback=heuristic,
            strategy="one_call",
            max_agents=MAX_AGENTS,
            max_steps=MAX_STEPS,
            cache=MemoryStore(),
            clock=clock,
        )(self.sees)
        self.counter = counter or self._planner.counter
        (request,) = self._planner.explain(world.agents[:1]).requests
        self._instructions = "\n\n".join(part.text for part in request.system)

    def sees(self, agent: Agent) -> Snapshot:
        """Return what an agent sees: what the planner is decorated round."""
        return snapshot(self.world, agent)

    def explain(self) -> Explanation:
        """Return what would be sent for all agents."""
        return self._planner.explain(self.world.agents)

    def tick(self, watch: Watch, *, number: int) -> Tick:
        """Plan for all agents.

        Args:
            watch: who is told of each plan.
            number: the number of the tick.

        Raises:
            Exception: what the model raised, if it has never made a plan: there is no use in going on.
        """
        self._traces.clear()
        agents = {agent.id: agent for agent in self.world.agents}
        pretty, compact = self._one_by_one(indent=2), self._one_by_one(separators=(",", ":"))
        plans: list[Plan] = []
        with self._planner.batch(self.world.agents) as batch:
            for plan in batch:
                self._answered |= plan.ok
                if self._error is not None and not self._answered:
                    raise self._error
                plans.append(plan)
                watch.planned(agents[int(plan.agent)], plan)
            result = batch.result()
        requests = sum(len(trace.attempts or ()) for trace in self._traces)
        return Tick(number, tuple(plans), result, requests, pretty, compact)

    def _one_by_one(self, **style: Any) -> int:
        """Return the tokens of a prompt for each agent alone: the same instructions, and JSON."""
        views = (json.dumps(self.sees(agent), **style) for agent in self.world.agents)
        instructions = self.counter.count(self._instructions)
        return sum(instructions + self.counter.count(f"Agent:\n{view}") for view in views)

    def _witnessed(self, call: Call) -> Flow:
        """Keep what a batch does not tell: how many requests it took, and why there was no answer."""
        self._traces.append(call.trace)
        try:
            yield call
        except Exception as error:
            self._error = error
            raise


def told(error: Exception, model: Any) -> str:
    """Return what is to be said of an error of `model`; an API key in it is masked.

    Example:
        >>> from llmopt.testing import ScriptedKeyModel
        >>> model = ScriptedKeyModel()
        >>> model.key = "sk-secret"
        >>> told(PermissionError("the key sk-secret is not valid"), model)
        'PermissionError: the key *** is not valid'
    """
    from llm import ModelError

    said = str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
    return masked(said, model)


def masked(text: str, model: Any) -> str:
    """Return `text` without the API key of `model`."""
    from llm import ModelError

    try:
        key = model.get_key()
    except ModelError:  # there is none
        return text
    return text.replace(key, "***") if key else text
