"""Joins a session to what the models say: text goes in, plans and further tasks come out."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..types import Clock
from .events import Action, Await, Callback, Do, Ended, Event, Facts, Found, Office, Reader, Said
from .session import Ask, Help, Session, Task
from .types import AgentId, Plan, PlanBatch, Provenance, Usage

TAIL_CHARS = 256
"""How much of an answer is still read when all its plans are there: the end brings the provider's usage."""


class Desk:
    """Takes what happens, from any thread, and says what follows.

    Args:
        session: decides who is asked next.
        office: what there is to read answers with.
        clock: the time that all goes by.
        order: the agents in the order in which the batch lists them.
        known: plans that are there already, which the session does not know of.

    Attributes:
        wrong: what was wrong last, by agent: "invalid", "missing", "deadline", or the class of an error.
    """

    def __init__(
        self,
        session: Session,
        office: Office,
        clock: Clock,
        order: Sequence[AgentId],
        known: Mapping[AgentId, Plan],
    ) -> None:
        self._session = session
        self._office = office
        self._clock = clock
        self._order = tuple(order)
        self._known = dict(known)
        self._began_s = clock.monotonic()
        self._first_s: float | None = 0.0 if known else None
        self._usage = Usage()
        self._readers: dict[int, Reader] = {}
        self._said: dict[int, list[str]] = {}
        self._tail: dict[int, int] = {}
        self._good: Counter[int] = Counter()
        self._expired = False
        self._lock = threading.Lock()
        self.wrong: dict[AgentId, str] = {}

    def course(self) -> Generator[Action, Any, None]:
        """Return what a driver has to do, from the first plan to the last."""
        plans = list(self._known.values())
        tasks: list[Task] = self._session.begin()
        while True:
            yield from plans
            plans = yield from self._started(tasks)
            yield from plans
            event = None if self._expired and self._session.done else (yield Await())
            if event is None:
                return
            plans, tasks = self.take(event)

    def take(self, event: Event) -> tuple[list[Plan], list[Task]]:
        """Take what has happened, and return the plans that are there by it, and the tasks that begin.

        It may be called from any thread: what comes after a batch has ended is late, but not lost.
        """
        with self._lock:
            if isinstance(event, Said):
                plans, tasks = self._said_text(event)
            elif isinstance(event, Ended):
                plans, tasks = self._ended(event)
            else:
                self._expired = True
                self._went_wrong(self._order, "deadline")
                plans, tasks = [], self._session.expire()
            return [*plans, *self._missing()], tasks

    def wants_more(self, ask: Ask) -> bool:
        """Tell whether the rest of an answer is worth reading."""
        return self._tail.get(ask.number, 0) <= TAIL_CHARS

    def result(self) -> PlanBatch:
        """Return the batch as it stands."""
        with self._lock:
            plans = {**self._known, **self._session.plans}
            listed = {agent: plans[agent] for agent in self._order if agent in plans}
            elapsed_s = self._clock.monotonic() - self._began_s
            return PlanBatch(listed, tuple(self._session.late), self._usage, elapsed_s, self._first_s)

    def _started(self, tasks: Sequence[Task]) -> Generator[Action, Any, list[Plan]]:
        """Begin tasks: requests are begun, callables are run. Return the plans that these have made."""
        todo, plans = deque(tasks), list[Plan]()
        while todo:
            task = todo.popleft()
            if isinstance(task, Ask):
                yield task
                continue
            tier = self._office.tiers[task.tier]
            made = yield Do(tier.fn, task.agent, tier.within)
            with self._lock:
                plan, more = self._helped(task, tier, made)
                plans += [*([plan] if plan else []), *self._missing()]
            todo.extend(more)
        return plans

    def _helped(self, task: Help, tier: Callback, made: Any) -> tuple[Plan | None, list[Task]]:
        if isinstance(made, Exception):
            return None, self._failed(task, made)
        try:
            steps = tier.steps(task.agent, made)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next tier is tried
            return None, self._failed(task, error)
        plan = self._session.helped(task, steps, self._provenance(tier.name, None, 0, 0))
        self._handed([plan] if plan else [])
        return plan, self._session.ended(task)

    def _said_text(self, event: Said) -> tuple[list[Plan], list[Task]]:
        ask = event.ask
        reader = self._readers.get(ask.number)
        if reader is None:
            reader = self._readers[ask.number] = self._office.reader(ask)
        self._said.setdefault(ask.number, []).append(event.text)
        found = self._rows(ask, reader.feed(event.text), event.call_id)
        if all(agent in self._session.plans for agent in ask.agents):
            self._tail[ask.number] = self._tail.get(ask.number, 0) + len(event.text)
        return found

    def _ended(self, event: Ended) -> tuple[list[Plan], list[Task]]:
        ask = event.ask
        reader = self._readers.pop(ask.number, None)
        plans, tasks = self._rows(ask, reader.close(), event.facts.call_id) if reader else ([], [])
        self._add_usage(ask, event.facts, "".join(self._said.pop(ask.number, ())))
        self._office.answered(event, self._good.pop(ask.number, 0))
        return plans, [*tasks, *self._failed(ask, event.error)]

    def _rows(self, ask: Ask, rows: Iterable[Found], call_id: str | None) -> tuple[list[Plan], list[Task]]:
        plans: list[Plan] = []
        tasks: list[Task] = []
        for row in rows:
            if row.steps is None or row.agent is None:
                self._went_wrong([] if row.agent is None else [row.agent], "invalid")
                self._session.fault(ask, row.agent, row.fault)
                continue
            where = self._provenance(
                self._session.source(ask), call_id, self._office.count(row.text), ask.attempt
            )
            plan, more = self._session.row(ask, row.agent, row.steps, where)
            if plan is not None:
                plans.append(plan)
                self._good[ask.number] += row.agent in ask.agents
            tasks += more
        return self._handed(plans), tasks

    def _failed(self, task: Task, error: Exception | None) -> list[Task]:
        agents = task.agents if isinstance(task, Ask) else (task.agent,)
        if error is None:
            self._went_wrong([agent for agent in agents if agent not in self.wrong], "missing")
        else:
            self._went_wrong(agents, type(error).__name__)
        return self._session.ended(task, error)

    def _went_wrong(self, agents: Iterable[AgentId], word: str) -> None:
        plans = self._session.plans
        self.wrong.update((agent, word) for agent in agents if not (agent in plans or agent in self._known))

    def _handed(self, plans: list[Plan]) -> list[Plan]:
        for plan in plans:
            if plan.ok:
                self._office.kept(plan)
        if plans and self._first_s is None:
            self._first_s = plans[0].provenance.arrived_s
        return plans

    def _missing(self) -> list[Plan]:
        missing, self._session.missing = self._session.missing, []
        return missing

    def _provenance(self, source: str, call_id: str | None, tokens: int, attempt: int) -> Provenance:
        return Provenance(call_id, source, tokens, self._clock.monotonic() - self._began_s, attempt)

    def _add_usage(self, ask: Ask, facts: Facts, said: str) -> None:
        count, usage = self._office.count, self._usage
        sent = count(self._office.sent(ask)) if facts.input_tokens is None else facts.input_tokens
        answered = count(said) if facts.output_tokens is None else facts.output_tokens
        self._usage = replace(
            usage,
            calls=usage.calls + 1,
            input_tokens=usage.input_tokens + sent,
            cached_tokens=usage.cached_tokens + facts.cached_tokens,
            output_tokens=usage.output_tokens + answered,
            exact=usage.exact and facts.input_tokens is not None and facts.output_tokens is not None,
        )
