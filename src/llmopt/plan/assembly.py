"""From agents to a batch that can be performed: jobs by role, prompts, who is asked for in which request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..compress import Guard, LossReport, Role
from ..errors import ConfigurationError
from ..usage.batches import Logs
from .handles import Handles
from .prefix import Profile, rules_of
from .prompt import Brief, Order, Scene
from .quality import QualityBook
from .recall import Recall
from .session import Schedule
from .settings import AnyStrategy, Settings
from .sizing import PLAN_TOKENS, Batch, Budgets, Member, pack
from .strategy import Choice, Strategy, choose
from .types import AgentId, Plan, Provenance
from .world import split, text_of

if TYPE_CHECKING:
    from ..tokens import TokenCounter

_CHARS_PER_TOKEN = 2.5
"""Of compact JSON, at least; no encoding has more tokens. Measured: 2.8 for game data in o200k_base."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An agent and what it sees.

    Args:
        agent: the agent, as the planner was given it.
        id: what it is called.
        snapshot: what it sees: a JSON object.
    """

    agent: Any
    id: AgentId
    snapshot: Mapping[str, Any]


@dataclass(slots=True)
class Memory:
    """What a planner remembers from batch to batch."""

    quality: QualityBook
    recall: Recall | None
    guard: Guard | None = None
    briefs: dict[tuple[str, str], Brief] = field(default_factory=dict["tuple[str, str]", Brief])
    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    ticks: int = 0
    logs: Logs = field(default_factory=Logs)

    def copy(self) -> Memory:
        """Return a memory that can be assembled with, and forgotten."""
        orders = {role: order.copy() for role, order in self.orders.items()}
        return Memory(self.quality, self.recall, self.guard, dict(self.briefs), orders, self.ticks)


@dataclass(frozen=True)
class Job:
    """Agents of one role, with what they are told and how they are asked for.

    Args:
        role: the name of the role, or "".
        scene: what is said of them.
        schedule: who is asked for in which request.
        choice: why so; None where the strategy was given.
        loss: what the role has left out of their snapshots, by agent.
        at_cap: the requests that only the quality of the answers keeps from being larger.
        cap: the most agents that a request may have for that.
    """

    role: str
    scene: Scene
    schedule: Schedule
    choice: Choice | None
    loss: Mapping[AgentId, LossReport]
    at_cap: frozenset[tuple[AgentId, ...]]
    cap: int

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the strategy and the encoding of the static part are what they are, where that was chosen."""
        chosen = self.choice.reason if self.choice else ""
        return tuple(filter(None, (chosen, self.scene.prefix.reason)))


@dataclass(frozen=True, slots=True)
class Assembly:
    """A batch, ready to be performed.

    Args:
        jobs: one for each role.
        known: plans that are remembered.
        keys: under which the plans of the others are to be remembered.
        seen: the agents by id, in the order in which they were given.
    """

    jobs: tuple[Job, ...]
    known: Mapping[AgentId, Plan]
    keys: Mapping[AgentId, bytes | None]
    seen: Mapping[AgentId, Seen]


def assemble(settings: Settings, memory: Memory, seen: Iterable[Seen], counter: TokenCounter) -> Assembly:
    """Return the batch for some agents.

    Raises:
        ConfigurationError: an id is there twice, or a role is unknown.
    """
    listed = list(seen)
    by_id = {each.id: each for each in listed}
    if len(by_id) < len(listed):
        twice = next(each.id for each in listed if sum(each.id == other.id for other in listed) > 1)
        raise ConfigurationError(f"planner: agent {twice!r} is there more than once; give id_of=")
    memory.ticks += 1
    groups: dict[str, tuple[Role | None, list[Seen]]] = {}
    for each in listed:
        role = settings.role_for(each.agent)
        groups.setdefault(role.name if role else "", (role, []))[1].append(each)
    known: dict[AgentId, Plan] = {}
    keys: dict[AgentId, bytes | None] = {}
    jobs: list[Job] = []
    for role, members in groups.values():
        job = _Group(settings, memory, role, counter).job(members, known, keys)
        jobs += [job] if job else []
    return Assembly(tuple(jobs), known, keys, by_id)


class _Group:
    """Makes the job of the agents of one role."""

    def __init__(self, settings: Settings, memory: Memory, role: Role | None, counter: TokenCounter) -> None:
        self._settings = settings
        self._memory = memory
        self._role = role
        self._name = role.name if role else ""
        self._counter = counter

    def job(
        self, members: Sequence[Seen], known: dict[AgentId, Plan], keys: dict[AgentId, bytes | None]
    ) -> Job | None:
        """Return the job of those whose plans are not remembered; None if all are."""
        brief = self._brief()
        views: dict[AgentId, Any] = {}
        loss: dict[AgentId, LossReport] = {}
        for each in members:
            view, loss[each.id] = (
                self._role.apply(each.snapshot) if self._role else (each.snapshot, LossReport())
            )
            if not self._remembered(each.id, brief, view, known, keys):
                views[each.id] = view
        if not views:
            return None
        handles = Handles.of(views, self._counter)
        agents = sorted(views, key=lambda agent: (isinstance(agent, str), agent))
        world = split([cast("Mapping[str, Any]", views[agent]) for agent in agents])
        order = self._memory.orders.setdefault(self._name, Order())
        groups = order.groups(world.shared)
        rules, requests = rules_of(str(self._settings.model.model_id)), self._requests(len(agents))
        scene = Scene(brief, handles, agents, world, groups, order, self._settings.vault, rules, requests)
        return self._scheduled(scene, {agent: loss[agent] for agent in agents})

    def _requests(self, agents: int) -> int:
        """Return how many requests are expected to say the world of so many agents."""
        one_call = self._settings.strategy in {"auto", "one_call"}
        return -(-agents // self._cap()) if one_call else agents

    def _cap(self) -> int:
        settings = self._settings
        return settings.max_agents or self._memory.quality.cap(str(settings.model.model_id), self._name)

    def _brief(self) -> Brief:
        profile = self._profile()
        brief = self._memory.briefs.get((self._name, profile))
        if brief is None:
            settings = self._settings
            tools = settings.tools_for(self._role)
            brief = Brief(
                self._role, tools, settings.instructions, settings.max_steps, profile, self._counter
            )
            self._memory.briefs[self._name, profile] = brief
        return brief

    def _profile(self) -> Profile:
        """Return the encoding that this model understands for this role, as far as the guard knows."""
        settings, guard = self._settings, self._memory.guard
        if guard is None:
            return settings.profile
        key = str(settings.model.model_id), self._name
        return cast("Profile", guard.profile(key, settings.profile))

    def _remembered(
        self,
        agent: AgentId,
        brief: Brief,
        view: Any,
        known: dict[AgentId, Plan],
        keys: dict[AgentId, bytes | None],
    ) -> bool:
        recall = self._memory.recall
        if recall is None:
            return False
        keys[agent] = recall.key(str(self._settings.model.model_id), brief.system, view)
        steps = recall.get(keys[agent], brief.tools)
        if steps is not None:
            known[agent] = Plan(agent, steps, provenance=Provenance(source="cache"))
        return steps is not None

    def _scheduled(self, scene: Scene, loss: Mapping[AgentId, LossReport]) -> Job:
        settings = self._settings
        cap = self._cap()
        strategy: AnyStrategy = settings.strategy
        choice = None
        if strategy == "auto":
            choice = self._choice(scene)
            strategy = choice.strategy
        if strategy != "one_call":
            schedule = one_each(scene.agents, strategy, cap)
            return Job(self._name, scene, schedule, choice, loss, frozenset(), cap)
        batches = self._packed(scene, cap)
        schedule = Schedule(_waves([batch.agents for batch in batches]), eager=True, limit=cap)
        at_cap = frozenset(batch.agents for batch in batches if batch.at_cap)
        return Job(self._name, scene, schedule, choice, loss, at_cap, cap)

    def _choice(self, scene: Scene) -> Choice:
        brief = scene.brief
        return choose(
            self._settings.cost_model,
            len(scene.agents),
            static_tokens=sum(part.tokens for part in brief.parts),
            world_tokens=sum(part.tokens for part in scene.shared),
            line_tokens=max(1, _line_tokens(scene) // len(scene.agents)),
            output_tokens=PLAN_TOKENS,
            goal=self._settings.goal,
        )

    def _packed(self, scene: Scene, cap: int) -> tuple[Batch, ...]:
        settings = self._settings
        budgets = Budgets(settings.context_tokens, settings.output_tokens, cap)
        static = sum(part.tokens for part in (*scene.brief.parts, *scene.shared))
        line = max(1, _line_tokens(scene) // len(scene.agents))
        members = [Member(agent, line) for agent in scene.agents]
        return pack(members, budgets, static_tokens=static, seed=self._memory.ticks - 1).batches


def _line_tokens(scene: Scene) -> int:
    """Return tokens that the lines of all agents have at most, without encoding them."""
    return int(len(text_of(scene.world.own)) / _CHARS_PER_TOKEN)


def _waves(requests: Sequence[tuple[AgentId, ...]]) -> tuple[tuple[tuple[AgentId, ...], ...], ...]:
    """Return waves: the first request brings the prefix that the others find."""
    return ((requests[0],), tuple(requests[1:])) if len(requests) > 1 else ((requests[0],),)


def one_each(agents: Sequence[AgentId], strategy: Strategy, limit: int) -> Schedule:
    """Return the schedule of one request for each agent."""
    single = [(agent,) for agent in agents]
    if strategy == "sequential":
        return Schedule(tuple((request,) for request in single), limit=limit)
    if strategy == "fanout" or len(single) == 1:
        return Schedule((tuple(single),), limit=limit)
    return Schedule(((single[0],), tuple(single[1:])), eager=True, limit=limit)
