"""`@planner`: from a function that says what an agent sees to plans for one agent, or for many."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial, update_wrapper
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Self, cast

from ..errors import ConfigurationError
from ..tokens import TokenCounter
from ..tokens import counter as counter_for
from ..usage.batches import FlushedBy
from ._text import compact
from .assembly import Memory, Seen, assemble
from .batch import AsyncBatch, Batch
from .desk import Desk
from .drive import adrive, drive
from .explain import Explanation, requests_of
from .perform import Performance
from .quality import QualityBook
from .recall import Recall
from .settings import Settings
from .types import AgentId, Plan

if TYPE_CHECKING:
    from .frames import PlanQueue
    from .gather import Gatherer


class Planner:
    """Plans for the agents of one function; made by `llmopt.planner`.

    The function says what an agent sees. Called, the planner returns that agent's plan; `batch` and `abatch`
    plan for many; `explain` shows what they would send. On a class it works as a method does.

    Args:
        snapshot: takes an agent and returns what it sees, a JSON object; it may be async.
        settings: how it plans.
    """

    __name__: str

    def __init__(self, snapshot: Callable[..., Any], settings: Settings) -> None:
        self._snapshot = snapshot
        self._settings = settings
        recall = None
        if settings.cache is not None:
            recall = Recall(settings.cache, settings.cache_ttl_s, settings.clock)
        self._memory = Memory(QualityBook(), recall, settings.own_guard)
        self._counter = settings.counter
        self._is_async = iscoroutinefunction(snapshot)
        update_wrapper(self, snapshot)

    def __get__(self, instance: Any, owner: type | None = None) -> Self:
        """Return the planner of one instance, which shares what the class's planner has learned."""
        if instance is None:
            return self
        bound = object.__new__(type(self))
        if self._settings.gather_s:
            _ = self._gatherer  # one for all instances
        bound.__dict__.update(self.__dict__)
        bound._snapshot = partial(self._snapshot, instance)
        return bound

    def __call__(self, agent: Any) -> Any:
        """Return the plan of one agent; to be awaited if the function or the model is async."""
        if self._is_async or self._settings.is_async:
            return self._plan(agent)
        (plan,) = self.batch([agent])
        return plan

    def batch(self, agents: Iterable[Any], *, deadline_s: float | None = None) -> Batch:
        """Return the plans of many agents, each as soon as its last byte is there.

        Args:
            agents: the agents; each is called by its `id`, its "id", or what `id_of` returns.
            deadline_s: seconds until those who have no plan get a fallback; None takes the planner's.

        Raises:
            ConfigurationError: the model is async, or an agent is there twice.
            EncodingError: a snapshot holds what JSON cannot.
        """
        if self._settings.is_async:
            raise ConfigurationError("planner: the model is async: use abatch, or give the sync model")
        seen = [self._seen_now(agent) for agent in agents]
        performance = self._performance(seen)
        source = performance.source(deadline_s or self._settings.deadline_s)
        return Batch(drive(performance.desk.course(), source, performance.log), performance.desk)

    def abatch(self, agents: Iterable[Any], *, deadline_s: float | None = None) -> AsyncBatch:
        """Return the plans of many agents in an event loop, asyncio's or trio's; see `batch`.

        A sync model is asked in worker threads.
        """
        return AsyncBatch(partial(self._begin, list(agents), deadline_s))

    def explain(self, agents: Iterable[Any]) -> Explanation:
        """Return what a batch for these agents would send, part by part, and what it would leave out.

        Nothing is sent, and nothing is learned.
        """
        seen = [self._seen_now(agent) for agent in agents]
        assembly = assemble(self._settings, self._memory.copy(), seen, self.counter)
        dropped = {agent: report for job in assembly.jobs for agent, report in job.loss.items() if report}
        before = self.counter.count("\n".join(compact(dict(each.snapshot)) for each in seen))
        reasons = tuple(reason for job in assembly.jobs for reason in job.reasons)
        return Explanation(
            requests_of(assembly.jobs), tuple(assembly.known), dropped, before, reasons, self.counter.exact
        )

    def queue(self, *, deadline_s: float | None = None) -> PlanQueue:
        """Return a queue for loops that must not wait: add agents, flush, and take what is ready."""
        from .frames import PlanQueue

        return PlanQueue(partial(self.batch, deadline_s=deadline_s))

    @property
    def counter(self) -> TokenCounter:
        """What counts tokens: the model's own tokenizer, or an estimate."""
        if self._counter is None:
            self._counter = counter_for(str(self._settings.model.model_id))
        return self._counter

    async def _plan(self, agent: Any) -> Plan:
        seen = await self._seen_soon(agent)
        if self._settings.gather_s:
            return await self._gatherer.plan(seen)
        (plan,) = [plan async for plan in self._aplans([seen])]
        return plan

    @cached_property
    def _gatherer(self) -> Gatherer:
        from .gather import Gatherer

        return Gatherer(partial(self._aplans, flushed_by="time"), self._settings.gather_s)

    async def _begin(
        self, agents: Sequence[Any], deadline_s: float | None
    ) -> tuple[AsyncGenerator[Plan, None], Desk]:
        performance = self._performance([await self._seen_soon(agent) for agent in agents])
        source = performance.asource(deadline_s or self._settings.deadline_s)
        return adrive(performance.desk.course(), source, performance.log), performance.desk

    def _aplans(self, seen: Sequence[Seen], flushed_by: FlushedBy = "demand") -> AsyncGenerator[Plan, None]:
        performance = self._performance(seen, flushed_by)
        source = performance.asource(self._settings.deadline_s)
        return adrive(performance.desk.course(), source, performance.log)

    def _performance(self, seen: Sequence[Seen], flushed_by: FlushedBy = "demand") -> Performance:
        assembly = assemble(self._settings, self._memory, seen, self.counter)
        return Performance(self._settings, assembly, self._memory, self._settings.clock, flushed_by)

    def _seen_now(self, agent: Any) -> Seen:
        snapshot = self._snapshot(agent)
        if isawaitable(snapshot):
            cast("Any", snapshot).close()
            raise ConfigurationError(f"{self.__name__} is async: await it, or use abatch")
        return self._seen(agent, snapshot)

    async def _seen_soon(self, agent: Any) -> Seen:
        snapshot = self._snapshot(agent)
        return self._seen(agent, await snapshot if isawaitable(snapshot) else snapshot)

    def _seen(self, agent: Any, snapshot: Any) -> Seen:
        if not isinstance(snapshot, Mapping):
            right = "a dict of what the agent sees"
            raise ConfigurationError(
                f"{self.__name__} returned {type(snapshot).__name__}: it must return {right}"
            )
        found = id_of(agent) if self._settings.id_of is None else self._settings.id_of(agent)
        return Seen(agent, found, cast("Mapping[str, Any]", snapshot))


def id_of(agent: Any) -> AgentId:
    """Return what an agent is called: itself, its "id", or its `id`.

    Raises:
        ConfigurationError: it has none.

    Example:
        >>> id_of("scout"), id_of({"id": 7}), id_of(3)
        ('scout', 7, 3)
    """
    named: Any = agent
    if isinstance(agent, Mapping):
        named = cast("Mapping[str, Any]", agent).get("id")
    elif not isinstance(agent, (str, int)):
        named = getattr(agent, "id", None)
    if isinstance(named, bool) or not isinstance(named, (str, int)):
        raise ConfigurationError(f"planner: {agent!r:.80} has no id: give it one, or the planner id_of=")
    return named
