"""Performs an assembled batch: asks the models, and reads and keeps what they answer."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from inspect import Parameter, signature
from typing import Any, cast

from ..compress import judge
from ..errors import PlanValidationError
from ..trace import Trace
from ..types import Clock
from ..usage.batches import Batch, FlushedBy
from ..usage.record import role as usage_role
from . import arequests, requests
from .assembly import Assembly, Job, Memory
from .desk import Desk
from .drive import AsyncSource, Source
from .events import Callback, Ended, Office, Reader
from .handles import Handle
from .log import PlanLog
from .quality import Outcome
from .reading import PlanReader
from .rows import RowFault, parse_row
from .session import FIRST, Ask, Session, Tier
from .settings import Settings, is_model
from .types import AgentId, Plan, Step


class Performance:
    """One batch, ready to be driven.

    Args:
        settings: how it is planned.
        assembly: who is asked for, and what is said.
        memory: takes what is learned.
        clock: the time that all goes by.
        flushed_by: what sent it off.
    """

    def __init__(
        self,
        settings: Settings,
        assembly: Assembly,
        memory: Memory,
        clock: Clock,
        flushed_by: FlushedBy = "demand",
    ) -> None:
        self._settings = settings
        self._assembly = assembly
        self._memory = memory
        self._prompts: dict[int, str] = {}
        self._batch = Batch(clock.time(), flushed_by)
        jobs = assembly.jobs
        session = Session(
            [job.schedule for job in jobs],
            tiers=[Tier(name_of(tier), is_model(tier)) for tier in settings.fallback],
            repair=settings.repair,
        )
        callbacks = {
            n: self._callback(tier) for n, tier in enumerate(settings.fallback) if not is_model(tier)
        }
        count = jobs[0].scene.brief.counter.count if jobs else len
        office = Office(self._reader, count, self._sent, self._keep, callbacks, self._answered)
        self.desk = Desk(session, office, clock, list(assembly.seen), assembly.known)
        self.log = PlanLog(self._batch, settings, assembly, self.desk, memory.logs)

    def source(self, deadline_s: float | None) -> Source:
        """Return what performs the requests in this thread, or in threads."""
        listen = partial(requests.listen, self._prompt, self._enough, self._labels)
        if self._in_turn and deadline_s is None:
            return requests.InTurn(listen)
        return requests.InThreads(listen, self._settings.concurrency, deadline_s, self.desk.take)

    def asource(self, deadline_s: float | None) -> AsyncSource:
        """Return what performs the requests in this task, or in tasks."""
        if self._settings.is_async:
            listen: arequests.Listen = partial(arequests.alisten, self._prompt, self._enough, self._labels)
        else:
            blocking = partial(requests.listen, self._prompt, self._enough, self._labels)
            listen = partial(arequests.in_thread, blocking)
        if self._in_turn and deadline_s is None:
            return arequests.InTurn(listen)
        return arequests.InTasks(listen, self._settings.concurrency, deadline_s, self.desk.take)

    @property
    def _in_turn(self) -> bool:
        """Whether no two first requests may run at the same time."""
        schedules = [job.schedule for job in self._assembly.jobs]
        alone = all(len(wave) == 1 for schedule in schedules for wave in schedule.waves)
        overlap = any(schedule.eager and len(schedule.waves) > 1 for schedule in schedules)
        return len(schedules) <= 1 and alone and not overlap

    def _job(self, ask: Ask) -> Job:
        return self._assembly.jobs[ask.job]

    def _prompt(self, ask: Ask) -> Any:
        settings = self._settings
        model: Any = settings.model if ask.tier is None else settings.fallback[ask.tier]
        system = self._job(ask).scene.brief.system
        return model.prompt(self._text(ask), system=system, **settings.options)

    def _text(self, ask: Ask) -> str:
        if ask.number not in self._prompts:
            self._prompts[ask.number] = self._job(ask).scene.prompt(ask.agents, ask.faults)
        return self._prompts[ask.number]

    def _sent(self, ask: Ask) -> str:
        return f"{self._job(ask).scene.brief.system}\n{self._text(ask)}"

    @contextmanager
    def _labels(self, ask: Ask) -> Generator[None, None, None]:
        role = self._job(ask).role
        with self._batch.calls(), usage_role(role) if role else nullcontext():
            yield

    def _enough(self, ask: Ask) -> bool:
        return not self.desk.wants_more(ask)

    def _reader(self, ask: Ask) -> Reader:
        scene = self._job(ask).scene
        return PlanReader(scene.brief.tools, scene.handles, scene.vault, scene.brief.max_steps)

    def _keep(self, plan: Plan) -> None:
        recall = self._memory.recall
        if recall is not None:
            recall.put(self._assembly.keys.get(plan.agent), plan.steps)

    def _answered(self, ended: Ended, good: int) -> None:
        ask, cut, rows = ended.ask, ended.error is not None, len(ended.ask.agents)
        job, guard, key = self._job(ask), self._memory.guard, str(self._settings.model.model_id)
        if ask.attempt == FIRST:
            outcome = Outcome(rows, good, cut, job.cap, ask.agents in job.at_cap)
            self._memory.quality.record(key, job.role, outcome)
            if guard is not None and not cut:
                guard.tell((key, job.role), job.scene.brief.profile, good, rows)
        if isinstance(getattr(ended.facts.response, "llmopt", None), Trace):  # of a wrapped model
            judge(ended.facts.response, valid=good, rows=rows)

    def _callback(self, tier: Any) -> Callback:
        takes_one = takes_agent_only(tier)

        def help_out(agent: AgentId) -> Any:
            seen = self._assembly.seen[agent]
            return tier(seen.agent) if takes_one else tier(seen.agent, seen.snapshot)

        return Callback(name_of(tier), help_out, self._steps, self._batch.calls)

    def _steps(self, agent: AgentId, made: Any) -> tuple[Step, ...]:
        """Turn what a fallback has made into steps: a plan, steps, or what a row would hold."""
        scene = next(job.scene for job in self._assembly.jobs if agent in job.scene.handles)
        handle = scene.handles.handle_of(agent)
        row = _row(handle, made)
        read = parse_row(
            row, scene.brief.tools, scene.handles, max_steps=scene.brief.max_steps, allow_empty=True
        )
        if isinstance(read, RowFault):
            raise PlanValidationError(read.reason, agent_id=agent, raw=read.raw)
        return read.steps


def _row(handle: Handle, made: Any) -> dict[str, Any] | list[Any]:
    """Return the row that a model would have written, from a plan, a step, steps, or the rest of a row."""
    if isinstance(made, Plan) and not made:
        raise PlanValidationError("the fallback has no plan either", agent_id=made.agent)
    if isinstance(made, Mapping):
        return {"agent": handle, **cast("Mapping[str, Any]", made)}
    given: list[Any] = [made] if isinstance(made, Step) else list(made)
    return [handle, *([step.tool, dict(step.args)] if isinstance(step, Step) else step for step in given)]


def name_of(tier: Any) -> str:
    """Return what the provenance of a tier's plans says: the model's id, or the callable's name."""
    return str(getattr(tier, "model_id", None) or getattr(tier, "__name__", None) or type(tier).__name__)


def takes_agent_only(tier: Any) -> bool:
    """Tell whether a fallback takes the agent alone, and not what it sees as well."""
    try:
        parameters = signature(tier).parameters.values()
    except (TypeError, ValueError):  # some builtins have none
        return True
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    several = any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters)
    return not several and sum(parameter.kind in kinds for parameter in parameters) == 1
