"""What planning gives back: steps, plans, and a batch with a status for every agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, overload

AgentId: TypeAlias = "str | int"
"""What an agent is called by its owner."""

Status: TypeAlias = Literal["ok", "repaired", "fallback", "missing"]
"""How an agent came by its plan: from the first answer, from a repair, from a fallback, or not at all."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a plan.

    Args:
        tool: the name of the tool.
        args: its arguments by name, as the tool's signature has converted them.

    Example:
        >>> print(Step("move_to", {"x": 3, "y": 4}))
        move_to(x=3, y=4)
    """

    tool: str
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        """Return the step as a call is written."""
        return f"{self.tool}({', '.join(f'{name}={value!r}' for name, value in self.args.items())})"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a plan comes from.

    Args:
        call_id: the id of the response that brought it, which is its id in the usage log; None where no
            model was asked.
        source: "model", "cache", or the name of the fallback tier.
        output_tokens: tokens of its row, counted or estimated; 0 where no model was asked.
        arrived_s: seconds from the start of the batch to the plan.
        attempt: 1 for the first call, 2 for the repair, and so on; 0 where no model was asked.
        late: whether its agent had been given a fallback when it came (`deadline_s`).
    """

    call_id: str | None = None
    source: str = "model"
    output_tokens: int = 0
    arrived_s: float = 0.0
    attempt: int = 0
    late: bool = False


@dataclass(frozen=True, slots=True)
class Plan(Sequence[Step]):
    """The plan of one agent: a sequence of steps.

    Args:
        agent: the agent's id.
        steps: what it is to do, in order.
        status: how it came by the plan.
        tier: the fallback tier that made it, counted from 1; 0 for a plan of the model's.
        faults: what was wrong with rows for this agent that were refused before.
        provenance: where it comes from.

    Example:
        >>> plan = Plan("scout", (Step("wait", {"s": 2}), Step("scan")))
        >>> len(plan), str(plan[0]), plan.ok
        (2, 'wait(s=2)', True)
    """

    agent: AgentId
    steps: tuple[Step, ...] = ()
    status: Status = "ok"
    tier: int = 0
    faults: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def ok(self) -> bool:
        """Whether the model made it: at once, or when asked again."""
        return self.status in ("ok", "repaired")

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        """Return a step, or a tuple of them for a slice."""
        return self.steps[index]

    def __len__(self) -> int:
        """Return how many steps it has."""
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        """Return the steps in order."""
        return iter(self.steps)

    def __bool__(self) -> bool:
        """Tell whether there is a plan; one without steps is a plan to do nothing."""
        return self.status != "missing"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a batch has cost, over all its calls.

    Args:
        calls: requests that were made of the model.
        input_tokens: as the provider states them, or counted where it does not.
        cached_tokens: those of them that the provider took from its prefix cache.
        output_tokens: as `input_tokens`.
        exact: whether all figures are the provider's own.
    """

    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    exact: bool = True


@dataclass(frozen=True, slots=True)
class PlanBatch(Mapping[AgentId, Plan]):
    """The plans of many agents by id, in the order in which the agents were given.

    Every agent that was asked for has an entry: one with the status "missing" where nothing, not even a
    fallback, made a plan.

    Args:
        plans: one plan per agent.
        late: plans that came after their agent had been given a fallback.
        usage: what the batch has cost.
        elapsed_s: seconds from start to end.
        first_s: seconds to the first plan; None if there was none.
    """

    plans: Mapping[AgentId, Plan]
    late: tuple[Plan, ...] = ()
    usage: Usage = field(default_factory=Usage)
    elapsed_s: float = 0.0
    first_s: float | None = None

    def __getitem__(self, agent: AgentId) -> Plan:
        """Return the plan of an agent."""
        return self.plans[agent]

    def __len__(self) -> int:
        """Return the number of agents."""
        return len(self.plans)

    def __iter__(self) -> Iterator[AgentId]:
        """Return the ids of the agents."""
        return iter(self.plans)

    def status(self) -> dict[Status, int]:
        """Return how many agents have each status.

        Example:
            >>> PlanBatch({"a": Plan("a"), "b": Plan("b", status="missing")}).status()
            {'ok': 1, 'repaired': 0, 'fallback': 0, 'missing': 1}
        """
        counts: dict[Status, int] = {"ok": 0, "repaired": 0, "fallback": 0, "missing": 0}
        for plan in self.plans.values():
            counts[plan.status] += 1
        return counts
