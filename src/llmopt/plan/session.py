"""Decides who is asked next until every agent has a plan, and performs nothing.

A driver performs the tasks that a session hands out, together or one after the other, and tells it what
came of them. Each job (agents that share their instructions) takes this course, every station for those
agents only that have no plan yet:

1. first answers, in waves;
2. one repair call, which says what was wrong with each row;
3. one call for each agent alone, if the repair has brought anything;
4. the fallback tiers in turn: a model is asked for all at once, a callable for one agent after the other.

Whoever has no plan after that gets an empty one with the status "missing". When time is up, those who wait
turn to the callables among the tiers, and what the model still brings for them is late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from .types import AgentId, Plan, Provenance, Status, Step

FIRST, REPAIR, ALONE, TIER = 1, 2, 3, 4
"""The attempts: first answer, repair, one agent alone, the model of a tier."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One way to come by a plan when the model has failed.

    Args:
        name: what the provenance of its plans says.
        asks: whether it is a model, which is asked for many agents at once.
    """

    name: str
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who is asked for in one request, and which requests go out together.

    Args:
        waves: of each wave its requests, of each request its agents.
        eager: whether a row of one wave lets the next begin; otherwise its end does.
        limit: the most agents that a repair may ask for in one request.
    """

    waves: tuple[tuple[tuple[AgentId, ...], ...], ...]
    eager: bool = False
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a model for the plans of some agents.

    Args:
        number: tells the tasks of a session apart.
        job: the index of the job.
        agents: whose plans are wanted.
        attempt: `FIRST`, `REPAIR`, `ALONE` or `TIER`.
        tier: the index of the tier whose model is asked; None for the planner's own.
        faults: what was wrong with earlier rows, by agent.
    """

    number: int
    job: int
    agents: tuple[AgentId, ...]
    attempt: int = FIRST
    tier: int | None = None
    faults: tuple[tuple[AgentId, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Help:
    """Have the callable of a tier make the plan of one agent; `number` and `job` are as in `Ask`."""

    number: int
    job: int
    agent: AgentId
    tier: int


Task: TypeAlias = "Ask | Help"


@dataclass(slots=True)
class _Job:
    """The agents of one job that wait for a plan, each with what was wrong so far."""

    schedule: Schedule
    waiting: dict[AgentId, list[str]]
    course: Iterator[list[Task]] = field(default_factory=lambda: iter(()))
    waves_left: int = 0
    tier: int = 0
    rows: int = 0
    failed: bool = False
    """Whether a request has failed before it brought a row."""
    strays: list[str] = field(default_factory=list[str])
    """What was wrong with rows of which nobody can tell whose they are."""
    under_way: set[int] = field(default_factory=set[int])


class Session:
    """The state of one batch.

    Args:
        schedules: one for each job; no agent is in two of them.
        tiers: the fallback tiers, in the order in which they are tried.
        repair: whether a model is asked again for the agents that its first answer left out.

    Attributes:
        plans: the plans so far.
        late: plans that came after their agent had been given another, or none.
        missing: plans of those for whom there is none; whoever hands them out takes them from here.
        strangers: rows for somebody who was not asked for, or who had a plan by then.
    """

    def __init__(
        self, schedules: Sequence[Schedule], *, tiers: Sequence[Tier] = (), repair: bool = True
    ) -> None:
        self._tiers = tuple(tiers)
        self._repair = repair
        self._expired = False
        self._numbers = 0
        self._jobs: list[_Job] = []
        self.plans: dict[AgentId, Plan] = {}
        self.late: list[Plan] = []
        self.missing: list[Plan] = []
        self.strangers = 0
        for index, schedule in enumerate(schedules):
            agents = (agent for wave in schedule.waves for request in wave for agent in request)
            job = _Job(schedule, {agent: [] for agent in agents}, waves_left=len(schedule.waves))
            job.course = self._course(index, job)
            self._jobs.append(job)

    @property
    def done(self) -> bool:
        """Whether every agent has a plan."""
        return not any(job.waiting for job in self._jobs)

    def source(self, ask: Ask) -> str:
        """Return where the plans of a request come from: "model", or the name of its tier."""
        return "model" if ask.tier is None else self._tiers[ask.tier].name

    def begin(self) -> list[Task]:
        """Return the first tasks."""
        return [task for job in self._jobs for task in self._go_on(job)]

    def row(
        self, ask: Ask, agent: AgentId, steps: Iterable[Step], provenance: Provenance
    ) -> tuple[Plan | None, list[Task]]:
        """Take a row of an answer.

        Returns:
            The plan of its agent, unless there is one already, and the tasks that may begin now.
        """
        job = self._jobs[ask.job]
        job.rows += 1
        tier = 0 if ask.tier is None else ask.tier + 1
        status: Status = "fallback" if tier else "ok" if ask.attempt == FIRST else "repaired"
        plan = self._planned(job, agent, Plan(agent, tuple(steps), status, tier, (), provenance))
        eager = job.schedule.eager and job.waves_left and not self._expired
        return plan, self._go_on(job) if eager else []

    def fault(self, ask: Ask, agent: AgentId | None, reason: str) -> None:
        """Take note of a row that is no plan; `agent` is None where nobody can tell whose it is."""
        job = self._jobs[ask.job]
        if agent is None:
            job.strays.append(reason)
        elif agent in job.waiting:
            job.waiting[agent].append(reason)

    def helped(self, task: Help, steps: Iterable[Step], provenance: Provenance) -> Plan | None:
        """Take the plan that a callable has made. The task has still to be ended."""
        plan = Plan(task.agent, tuple(steps), "fallback", task.tier + 1, (), provenance)
        return self._planned(self._jobs[task.job], task.agent, plan)

    def ended(self, task: Task, error: Exception | None = None) -> list[Task]:
        """Take note that a task is over, and return the tasks that begin now."""
        job = self._jobs[task.job]
        if error is not None:
            job.failed = True
            for agent in task.agents if isinstance(task, Ask) else (task.agent,):
                job.waiting.get(agent, []).append(f"{type(error).__name__}: {error}")
        if task.number not in job.under_way:
            return []
        job.under_way.remove(task.number)
        return [] if job.under_way else self._go_on(job)

    def expire(self) -> list[Task]:
        """Take note that time is up, and return the tasks that give a plan to whoever has none."""
        self._expired = True
        tasks: list[Task] = []
        for index, job in enumerate(self._jobs):
            job.waves_left = 0
            job.under_way.clear()
            job.course = self._fallback(index, job)
            tasks += self._go_on(job)
        return tasks

    def _go_on(self, job: _Job) -> list[Task]:
        """Return the tasks of a job's next station that has any; without one, whoever waits misses out."""
        while job.waiting:
            tasks = next(job.course, None)
            if tasks is None:
                self._give_up(job)
                break
            if tasks:
                job.under_way.update(task.number for task in tasks)
                return tasks
        return []

    def _course(self, index: int, job: _Job) -> Iterator[list[Task]]:
        for wave in job.schedule.waves:
            job.waves_left -= 1
            yield [self._ask(index, agents) for agents in wave]
        answers = job.rows or not job.failed
        if self._repair and answers:
            before = job.rows
            yield self._asks(index, job, REPAIR)
            if job.rows > before:
                yield [self._ask(index, (agent,), ALONE) for agent in job.waiting]
        yield from self._fallback(index, job)

    def _fallback(self, index: int, job: _Job) -> Iterator[list[Task]]:
        while job.tier < len(self._tiers):
            job.tier += 1
            number = job.tier - 1
            if not self._tiers[number].asks:
                yield [Help(self._number(), index, agent, number) for agent in job.waiting]
            elif not self._expired:
                yield self._asks(index, job, TIER, number)

    def _asks(self, index: int, job: _Job, attempt: int, tier: int | None = None) -> list[Task]:
        """Return requests for all who wait, in as few as the limit allows."""
        waiting, limit = tuple(job.waiting), job.schedule.limit
        groups = [waiting[start : start + limit] for start in range(0, len(waiting), limit)]
        return [self._ask(index, agents, attempt, tier) for agents in groups]

    def _ask(
        self, index: int, agents: tuple[AgentId, ...], attempt: int = FIRST, tier: int | None = None
    ) -> Ask:
        waiting = self._jobs[index].waiting
        faults = tuple((agent, waiting[agent][-1]) for agent in agents if waiting.get(agent))
        return Ask(self._number(), index, agents, attempt, tier, faults)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _planned(self, job: _Job, agent: AgentId, plan: Plan) -> Plan | None:
        """Give a plan to its agent; one for somebody who has a plan, or whom nobody knows, is put aside."""
        if agent in job.waiting:
            plan = replace(plan, faults=tuple(job.waiting.pop(agent)))
            self.plans[agent] = plan
            return plan
        given = self.plans.get(agent)
        if self._expired and plan.ok and given is not None and not given.ok:
            self.late.append(replace(plan, provenance=replace(plan.provenance, late=True)))
        else:
            self.strangers += 1
        return None

    def _give_up(self, job: _Job) -> None:
        for agent, faults in job.waiting.items():
            plan = Plan(agent, (), "missing", faults=tuple(faults or job.strays[-1:]), provenance=NOWHERE)
            self.plans[agent] = plan
            self.missing.append(plan)
        job.waiting.clear()


NOWHERE = Provenance(source="nothing")
"""The provenance of a plan that is missing."""
