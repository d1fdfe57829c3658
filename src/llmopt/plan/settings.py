"""How a planner plans: its settings, checked when they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ..chain.clock import SystemClock
from ..compress import Guard
from ..compress.roles import Role, role_of
from ..errors import ConfigurationError
from ..resilience._common import is_count, is_number, require
from ..types import Clock, Store
from .cost_model import CostModel
from .prefix import Profile
from .role_tools import tools_of
from .strategy import GOALS, STRATEGIES, Goal, Strategy
from .tool import Tools
from .types import AgentId

if TYPE_CHECKING:
    from ..compress import Vault
    from ..tokens import TokenCounter

AnyStrategy: TypeAlias = "Literal['auto'] | Strategy"
Tier: TypeAlias = "Callable[..., Any] | Any"
"""A fallback: an llm model, or a callable that is given the agent and its snapshot."""


@dataclass(frozen=True)
class Settings:
    """The settings of a planner; `llmopt.planner` says what they mean.

    Raises:
        ConfigurationError: one is out of its range, or there are no tools.
    """

    model: Any
    role: Role | str | Callable[[Any], Role | str] | None = None
    tools: Sequence[Any] | Tools = ()
    fallback: Sequence[Tier] = ()
    instructions: str = ""
    strategy: AnyStrategy = "auto"
    goal: Goal = "tokens"
    profile: Profile = "balanced"
    max_steps: int | None = None
    max_agents: int | None = None
    concurrency: int = 8
    deadline_s: float | None = None
    gather_s: float = 0.0
    repair: bool = True
    cache: Store | None = None
    cache_ttl_s: float | None = None
    id_of: Callable[[Any], AgentId] | None = None
    vault: Vault | None = None
    engine: CostModel | str = "hosted"
    context_tokens: int = 128_000
    output_tokens: int = 16_384
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    counter: TokenCounter | None = None
    guard: Guard | bool = True
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        _require(callable(getattr(self.model, "prompt", None)), "model", self.model, "an llm model")
        _require(
            self.strategy in ("auto", *STRATEGIES), "strategy", self.strategy, f"auto or one of {STRATEGIES}"
        )
        _require(self.goal in GOALS, "goal", self.goal, f"one of {GOALS}")
        _require(self.profile in get_args(Profile), "profile", self.profile, f"one of {get_args(Profile)}")
        for name in ("max_steps", "max_agents"):
            value = getattr(self, name)
            _require(
                value is None or is_count(value, least=1), name, value, "a whole number from 1 up, or None"
            )
        _require(
            is_count(self.concurrency, least=1), "concurrency", self.concurrency, "a whole number from 1 up"
        )
        for name in ("deadline_s", "cache_ttl_s"):
            value = getattr(self, name)
            _require(value is None or is_number(value, above=0), name, value, "seconds above 0, or None")
        _require(
            is_number(self.gather_s, above=-1) and self.gather_s >= 0,
            "gather_s",
            self.gather_s,
            "seconds from 0 up",
        )
        _require(_is_guard(self.guard), "guard", self.guard, "True, False, or a Guard")
        for tier in self.fallback:
            _require(is_model(tier) or callable(tier), "fallback", tier, "made of callables and llm models")
        if not callable(self.role) or isinstance(self.role, Role):
            self.tools_for(self.role_for(None))

    def role_for(self, agent: Any) -> Role | None:
        """Return the role of an agent."""
        role: Any = self.role
        if callable(role) and not isinstance(role, Role):
            role = role(agent)
        return role_of(role)

    def tools_for(self, role: Role | None) -> Tools:
        """Return what agents of a role can do: the planner's tools, or else the role's own.

        Raises:
            ConfigurationError: there are none.
        """
        tools = Tools.of(self.tools) if len(self.tools) else tools_of(role)
        if not len(tools):
            raise ConfigurationError(
                "planner: give tools=[...], or a role that has some: agents must be able to act"
            )
        return tools

    @property
    def cost_model(self) -> CostModel:
        """What is known of the engine."""
        return self.engine if isinstance(self.engine, CostModel) else CostModel.preset(self.engine)

    @property
    def own_guard(self) -> Guard | None:
        """The guard: the one that was given, or a new one; None for none."""
        return self.guard if isinstance(self.guard, Guard) else Guard() if self.guard else None

    @property
    def is_async(self) -> bool:
        """Whether the model is one of llm's async models."""
        return is_async(self.model)


def is_model(tier: object) -> bool:
    """Tell whether a fallback is an llm model."""
    return hasattr(tier, "model_id") and callable(getattr(tier, "prompt", None))


def is_async(model: object) -> bool:
    """Tell whether a model is one of llm's async models."""
    from llm.models import AsyncKeyModel, AsyncModel

    return isinstance(model, (AsyncModel, AsyncKeyModel))


def _is_guard(guard: object) -> bool:
    return isinstance(guard, (Guard, bool))


def _require(ok: object, name: str, value: object, right: str) -> None:
    require(ok, f"planner: {name}", value, right)
