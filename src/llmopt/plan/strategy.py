"""One request for all agents, or one for each, at once or in turn: which is best on which engine.

None is always best. One request reads what is common once but writes all plans one after the other, over a
longer context; requests at once write them together, and pay for the common part unless the engine shares it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Final, Literal, TypeAlias, get_args

from ..errors import ConfigurationError
from ..resilience._common import is_count, require
from .cost_model import CostModel

__all__ = ["Choice", "Estimate", "Goal", "Strategy", "choose", "predict"]

Strategy: TypeAlias = Literal["one_call", "sequential", "fanout", "leader_then_fanout"]
"""one_call: one request for all agents. sequential: one for each, one after the other. fanout: one for each,
all at once. leader_then_fanout: one, and the rest as soon as its prefix can be reused. Of equal ones the
first is taken."""

Goal: TypeAlias = Literal["latency", "first_plan", "tokens", "balanced"]
"""What to keep small: the time to the last plan, the time to the first one, the cost, or all three."""

STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)
GOALS: Final[tuple[Goal, ...]] = get_args(Goal)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a strategy is expected to take.

    Attributes:
        first_s: seconds until the first plan is there.
        total_s: seconds until all are.
        input_tokens: tokens of input of all requests.
        cached_tokens: those of them that need not be read again.
        output_tokens: tokens of output of all requests.
        effective_tokens: tokens of input, cached ones counted as they are priced.
        cost_nano_usd: price in nano-dollars; 0 where the model has no prices.
        calls: requests.
    """

    first_s: float
    total_s: float
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    effective_tokens: float
    cost_nano_usd: int
    calls: int

    def measure(self, goal: Goal) -> tuple[float, ...]:
        """Return what is to be small for a goal other than "balanced", the most important first."""
        spent = self.cost_nano_usd or self.effective_tokens
        if goal == "tokens":
            return (spent, self.total_s, self.first_s)
        if goal == "first_plan":
            return (self.first_s, self.total_s, spent)
        return (self.total_s, self.first_s, spent)


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy, and what there was to choose from.

    Attributes:
        strategy: the one to take.
        estimates: what each is expected to take.
        goal: what it was chosen for.
        reason: the choice in one sentence.
    """

    strategy: Strategy
    estimates: Mapping[Strategy, Estimate]
    goal: Goal
    reason: str


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do: `n` agents with a common prefix of which `warm` tokens are cached already."""

    model: CostModel
    prefix: int
    line: int
    output: int
    warm: int

    def wave_s(self, at_once: int, cached: int, output: int, beside: int = 0) -> float:
        """Return the seconds of requests that run at once and each find `cached` tokens of the prefix.

        While they write, `beside` others do.
        """
        model, prompt = self.model, self.prefix + self.line
        if model.unified:
            read_s = model.prefill_s((prompt - cached) * at_once, cached * at_once)
        elif model.shares_running:
            read_s = model.prefill_s(self.prefix - cached, cached)
            read_s += model.prefill_s(self.line, self.prefix) * model.contended(at_once)
        else:
            read_s = model.prefill_s(prompt - cached, cached) * model.contended(at_once)
        return model.overhead_s + read_s + model.decode_s(output, prompt, at_once + beside)

    def waves(self, n: int, cached: int, later: int, beside: int = 0) -> tuple[float, float, int]:
        """Return seconds to the first plans and to all, and cached tokens, of `n` requests sent at once.

        Those of the first wave find `cached` tokens of the prefix, and the others `later`.
        """
        width = min(n, max(1, self.model.concurrency - beside))
        first_s = self.wave_s(width, cached, self.output, beside)
        full, rest = divmod(n - width, width)
        total_s = first_s + full * self.wave_s(width, later, self.output)
        if rest:
            total_s += self.wave_s(rest, later, self.output)
        shared = self.model.cacheable(self.prefix) if self.model.shares_running else cached
        found = cached + max(cached, shared) * (width - 1) + max(later, shared) * (n - width)
        return first_s, total_s, found


def predict(
    model: CostModel,
    strategy: Strategy,
    n: int,
    *,
    static_tokens: int,
    world_tokens: int,
    line_tokens: int,
    output_tokens: int,
    warm_tokens: int = 0,
) -> Estimate:
    """Return what planning for `n` agents is expected to take.

    Args:
        model: the engine.
        strategy: how it is asked.
        n: agents.
        static_tokens: tokens of the part of the prompt that never changes.
        world_tokens: tokens of the shared world, which follows it.
        line_tokens: tokens of one agent's own part.
        output_tokens: tokens of one plan.
        warm_tokens: tokens of the prefix that the engine has cached from before.

    Raises:
        ConfigurationError: the strategy is unknown, or a number out of its range.

    Example:
        >>> sizes = dict(static_tokens=194, world_tokens=0, line_tokens=50, output_tokens=75)
        >>> paged = CostModel.preset("paged")
        >>> one, many = (predict(paged, strategy, 5, **sizes) for strategy in ("one_call", "fanout"))
        >>> one.total_s > 2 * many.total_s, one.first_s < one.total_s / 3
        (True, True)
    """
    require(strategy in STRATEGIES, "predict: strategy", strategy, f"one of {', '.join(STRATEGIES)}")
    require(is_count(n, least=1), "predict: n", n, "a whole number of agents from 1 up")
    sizes = (static_tokens, world_tokens, line_tokens, output_tokens, warm_tokens)
    names = ("static_tokens", "world_tokens", "line_tokens", "output_tokens", "warm_tokens")
    for name, value in zip(names, sizes, strict=True):
        require(is_count(value, least=0), f"predict: {name}", value, "a whole number from 0 up")
    prefix = static_tokens + world_tokens
    warm = 0 if model.reuse == "none" else model.cacheable(min(warm_tokens, prefix))
    work = _Work(model, prefix, line_tokens, output_tokens, warm)
    return _RULES[strategy](work, n)


def _one_call(work: _Work, n: int) -> Estimate:
    model, prompt = work.model, work.prefix + n * work.line
    read_s = model.overhead_s + model.prefill_s(prompt - work.warm, work.warm)
    first_s = read_s + model.decode_s(work.output, prompt)
    total_s = read_s + model.decode_s(n * work.output, prompt)
    return _estimate(model, first_s, total_s, (prompt, work.warm, n * work.output), calls=1)


def _sequential(work: _Work, n: int) -> Estimate:
    later = _later(work)
    first_s = work.wave_s(1, work.warm, work.output)
    total_s = first_s + (n - 1) * work.wave_s(1, later, work.output)
    return _many(work, n, first_s, total_s, work.warm + (n - 1) * later)


def _fanout(work: _Work, n: int) -> Estimate:
    first_s, total_s, cached = work.waves(n, work.warm, _later(work))
    return _many(work, n, first_s, total_s, cached)


def _leader_then_fanout(work: _Work, n: int) -> Estimate:
    if n == 1:
        return _fanout(work, n)
    model, later = work.model, _later(work)
    if model.reuse == "when_read" and model.concurrency > 1:
        # The others start when the leader's prompt has been read, and write beside it.
        starts_s = work.wave_s(1, work.warm, 0)
        beside = min(n, model.concurrency) - 1
        leader_s = work.wave_s(1, work.warm, work.output, beside)
        _, rest_s, cached = work.waves(n - 1, later, later, beside=1)
    else:
        # With slots, only the leader's own one has the prefix then.
        starts_s = leader_s = work.wave_s(1, work.warm, work.output)
        alone = model.reuse == "same_slot" and model.concurrency > 1
        _, rest_s, cached = work.waves(n - 1, work.warm if alone else later, later)
    return _many(work, n, leader_s, max(leader_s, starts_s + rest_s), work.warm + cached)


_RULES: Final = {
    "one_call": _one_call,
    "leader_then_fanout": _leader_then_fanout,
    "fanout": _fanout,
    "sequential": _sequential,
}


def _later(work: _Work) -> int:
    """Return what requests find that start after others with the same prefix have ended."""
    if work.model.reuse == "none":
        return work.warm
    return max(work.warm, work.model.cacheable(work.prefix))


def _many(work: _Work, n: int, first_s: float, total_s: float, cached: int) -> Estimate:
    sizes = (n * (work.prefix + work.line), cached, n * work.output)
    return _estimate(work.model, first_s, total_s, sizes, calls=n)


def _estimate(
    model: CostModel, first_s: float, total_s: float, sizes: tuple[int, int, int], *, calls: int
) -> Estimate:
    effective = model.effective_tokens(*sizes[:2])
    return Estimate(first_s, total_s, *sizes, effective, model.cost_nano_usd(*sizes), calls)


def choose(
    model: CostModel,
    n: int,
    *,
    static_tokens: int,
    world_tokens: int,
    line_tokens: int,
    output_tokens: int,
    warm_tokens: int = 0,
    goal: Goal = "balanced",
    among: Sequence[Strategy] = STRATEGIES,
) -> Choice:
    """Return the strategy that is expected to do best.

    Args:
        model: the engine.
        n: agents; the other sizes as in `predict`.
        static_tokens: tokens of the static part.
        world_tokens: tokens of the shared world.
        line_tokens: tokens of one agent's own part.
        output_tokens: tokens of one plan.
        warm_tokens: tokens of the prefix that are cached already.
        goal: what counts. "balanced" takes the smallest product of the time to the last plan, the time to the
            first, and the cost (effective tokens where there are no prices): none may grow by more, in
            proportion, than the others shrink.
        among: the strategies to choose from; of equal ones the first is taken.

    Raises:
        ConfigurationError: the goal or a strategy is unknown, `among` is empty, or a number out of its range.

    Example:
        >>> sizes = dict(static_tokens=1400, world_tokens=600, line_tokens=50, output_tokens=30)
        >>> choose(CostModel.preset("hosted"), 10, goal="tokens", **sizes).strategy
        'one_call'
        >>> choose(CostModel.preset("hosted"), 10, goal="latency", **sizes).strategy
        'fanout'
    """
    require(goal in GOALS, "choose: goal", goal, f"one of {', '.join(GOALS)}")
    if not among:
        raise ConfigurationError(f"choose: among={among!r}: it must name one of {', '.join(STRATEGIES)}")
    estimates: dict[Strategy, Estimate] = {
        name: predict(
            model,
            name,
            n,
            static_tokens=static_tokens,
            world_tokens=world_tokens,
            line_tokens=line_tokens,
            output_tokens=output_tokens,
            warm_tokens=warm_tokens,
        )
        for name in among
    }
    best = min(among, key=lambda name: _badness(estimates[name], goal))
    return Choice(best, estimates, goal, _reason(best, estimates, goal, model))


def _badness(estimate: Estimate, goal: Goal) -> tuple[float, ...]:
    measures = estimate.measure("latency")
    # Rounded, so that what differs in the last bit counts as equal, and the order of `among` decides.
    found = (prod(measures),) if goal == "balanced" else estimate.measure(goal)
    return tuple(float(f"{value:.9g}") for value in found)


def _reason(best: Strategy, estimates: Mapping[Strategy, Estimate], goal: Goal, model: CostModel) -> str:
    chosen = estimates[best]
    others = ", ".join(
        f"{name} {other.total_s:.3g} s/{ceil(other.effective_tokens)}"
        for name, other in estimates.items()
        if name != best
    )
    than = f"; instead: {others}" if others else ""
    return (
        f"{best} for {goal} on {model.name}: {chosen.total_s:.3g} s, first plan at {chosen.first_s:.3g} s, "
        f"{ceil(chosen.effective_tokens)} effective tokens{than}"
    )
