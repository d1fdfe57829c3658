"""`llmopt.planner`: the decorator, with all its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..chain.clock import SystemClock
from ..types import Clock, Store
from .cost_model import CostModel
from .planning import Planner
from .prefix import Profile
from .settings import AnyStrategy, Settings, Tier
from .strategy import Goal
from .types import AgentId

if TYPE_CHECKING:
    from ..compress import Guard, Role, Vault
    from ..tokens import TokenCounter


def planner(
    model: Any,
    *,
    role: Role | str | Callable[[Any], Role | str] | None = None,
    tools: Sequence[Any] = (),
    fallback: Tier | Sequence[Tier] = (),
    instructions: str = "",
    strategy: AnyStrategy = "auto",
    goal: Goal = "tokens",
    profile: Profile = "balanced",
    max_steps: int | None = None,
    max_agents: int | None = None,
    concurrency: int = 8,
    deadline_s: float | None = None,
    gather_s: float = 0.0,
    repair: bool = True,
    cache: Store | None = None,
    cache_ttl_s: float | None = None,
    id_of: Callable[[Any], AgentId] | None = None,
    vault: Vault | None = None,
    engine: CostModel | str = "hosted",
    context_tokens: int = 128_000,
    output_tokens: int = 16_384,
    options: Mapping[str, Any] | None = None,
    counter: TokenCounter | None = None,
    guard: Guard | bool = True,
    clock: Clock | None = None,
) -> Callable[[Callable[..., Any]], Planner]:
    """Make a planner of a function that says what an agent sees.

    Agents that are planned for together share the static part of the prompt and the world that all of them
    see; each has a line of its own, and gets its plan the moment its row of the answer is complete. Rows are
    validated against the tools. The missing and the broken go into one repair call, then each is asked for
    alone, then its fallback plans: every agent ends with exactly one plan.

    Args:
        model: an llm model, best one that `llmopt.wrap` has made: cache, retries and the log are its affair.
        role: a role, its name, or a function that tells an agent's; it says what of a snapshot is relevant.
        tools: what agents can do: functions, JSON Schemas, llm tools, or `Tool`s. The role's own by default.
        fallback: who plans when the model does not: callables, given the agent and what it sees (or the agent
            alone), which return steps such as `[["wait", 2]]`; and llm models.
        instructions: what agents are told beside their role.
        strategy: "one_call", "leader_then_fanout", "fanout", "sequential"; "auto" takes what `engine` is
            expected to do best.
        goal: what "auto" goes by: "latency", "first_plan", "tokens", or "balanced".
        profile: how snapshots are encoded; see `llmopt.compress`.
        max_steps: steps that a plan may have; None for any number.
        max_agents: agents that one request may ask for. By default 8 to begin with, more as long as rows are
            good, fewer when they are not.
        concurrency: requests at a time.
        deadline_s: seconds until those without a plan get a fallback; what comes later is recorded as late.
        gather_s: seconds for which an awaited call waits for others, to be planned for together with them.
        repair: whether the model is asked again.
        cache: a `Store` that remembers the plan of each agent by all that it saw.
        cache_ttl_s: seconds for which a plan is remembered; None for ever.
        id_of: returns what an agent is called; by default its `id`, its "id", or itself.
        vault: keeps opaque ids out of prompts and puts them back into plans.
        engine: what requests cost the engine: a `CostModel`, or the name of a preset.
        context_tokens: tokens that a prompt and its answer may have.
        output_tokens: tokens that an answer may have.
        options: options of the model.
        counter: counts tokens; by default the tokenizer of the model, or an estimate.
        guard: steps down to a plainer `profile` where a model's rate of valid rows falls; a `Guard` with
            other bounds, or False for none.
        clock: times the plans; deadlines and gathering go by real time.

    Returns:
        A decorator: of a function, async or not, of an agent, or of a method of one.

    Raises:
        ConfigurationError: an argument is wrong.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> def wait(seconds: int): "Stay still."
        >>> model = llmopt.wrap(ScriptedModel(['["scout",["wait",2]]']), default=False)
        >>> @llmopt.planner(model, tools=[wait])
        ... def plan_for(agent):
        ...     return {"hp": 100, "pos": [3, 4]}
        >>> plan = plan_for("scout")
        >>> plan.status, str(plan[0])
        ('ok', 'wait(seconds=2)')
    """
    listed: Any = fallback
    several = isinstance(listed, (list, tuple))
    tiers: tuple[Tier, ...] = tuple(cast("list[Tier]", listed)) if several else (listed,)
    settings = Settings(
        model,
        role,
        tools,
        tiers,
        instructions,
        strategy,
        goal,
        profile,
        max_steps,
        max_agents,
        concurrency,
        deadline_s,
        gather_s,
        repair,
        cache,
        cache_ttl_s,
        id_of,
        vault,
        engine,
        context_tokens,
        output_tokens,
        dict(options or {}),
        counter,
        guard,
        clock or SystemClock(),
    )
    return lambda snapshot: Planner(snapshot, settings)
