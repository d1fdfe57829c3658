"""Plans for every agent of a world, one call each, and keeps account of what that took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .. import tokens, usage
from ..types import Call, Clock, Flow, Middleware, Trace
from ..wrapping import wrap
from .dialogue import SYSTEM, Understood, prompt_for, understood
from .world import Snapshot

if TYPE_CHECKING:
    from llm.models import Response

__all__ = ["Counts", "Planned", "Planner", "Tick", "Watch", "told"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What one call took.

    Attributes:
        requests: how many requests reached the model.
        asked_tokens: input tokens of the call.
        sent_tokens: input tokens of all its requests.
        output_tokens: tokens that the model made.
        estimated: whether these are llmopt's own counts, for want of the provider's.
    """

    requests: int = 0
    asked_tokens: int = 0
    sent_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """What came of one agent's call.

    Attributes:
        agent: the agent's id.
        role: its role.
        result: its plan, or what is wrong with the answer.
        source: what answered: "model", "cache", or "error" where nothing did.
        duration_s: seconds from the call to the end of the answer.
        counts: what it took.
    """

    agent: int
    role: str
    result: Understood
    source: str
    duration_s: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class Tick:
    """One round of planning.

    Attributes:
        number: counted from 1.
        plans: what came of each agent's call.
        first_plan_s: seconds until the first whole plan was there; None without any.
        duration_s: seconds until the last answer was there.
    """

    number: int
    plans: tuple[Planned, ...]
    first_plan_s: float | None
    duration_s: float

    @property
    def counts(self) -> Counts:
        """What all its calls took together."""
        counted = [planned.counts for planned in self.plans]
        return Counts(
            requests=sum(counts.requests for counts in counted),
            asked_tokens=sum(counts.asked_tokens for counts in counted),
            sent_tokens=sum(counts.sent_tokens for counts in counted),
            output_tokens=sum(counts.output_tokens for counts in counted),
            estimated=any(counts.estimated for counts in counted),
        )

    @property
    def hits(self) -> int:
        """How many calls the cache answered."""
        return sum(planned.source == "cache" for planned in self.plans)


class Watch(Protocol):
    """Who is told while plans arrive."""

    def begins(self, number: int, changed: int) -> None:
        """Hear that a tick begins, and for how many agents the world has changed."""
        ...

    def arriving(self, seen: Snapshot, text: str) -> None:
        """Hear how much of an agent's answer is there by now."""
        ...

    def planned(self, planned: Planned) -> None:
        """Hear what came of an agent's call."""
        ...


class Planner:
    """Asks a model for plans, one agent after the other.

    Args:
        model: the llm model.
        stack: the middlewares that its calls run through, outermost first.
        clock: the time that all goes by.
        watch: who is told while it happens.
    """

    def __init__(self, model: Any, stack: Sequence[Middleware], *, clock: Clock, watch: Watch) -> None:
        self._model = wrap(model, self._traced, *stack, clock=clock)
        self._clock = clock
        self._watch = watch
        self._trace = Trace()
        self._answered = False

    def _traced(self, call: Call) -> Flow:
        """Keep the trace: a call that fails has no other way to tell what it took."""
        self._trace = call.trace
        yield call

    def tick(self, views: Sequence[Snapshot], *, number: int) -> Tick:
        """Ask for a plan for each of the agents.

        Args:
            views: what the agents see.
            number: the number of the tick.

        Returns:
            The plans, and what they took.

        Raises:
            Exception: what the very first call raised: there is no use in going on. Later failures are
                reported as the problem of that agent's plan.
        """
        clock = self._clock
        began_at = clock.monotonic()
        plans: list[Planned] = []
        first_plan_s: float | None = None
        for seen in views:
            planned = self._plan(seen)
            if planned.result.steps and first_plan_s is None:
                first_plan_s = clock.monotonic() - began_at
            plans.append(planned)
            self._watch.planned(planned)
        return Tick(number, tuple(plans), first_plan_s, clock.monotonic() - began_at)

    def _plan(self, seen: Snapshot) -> Planned:
        prompt = prompt_for(seen)
        began_at = self._clock.monotonic()
        try:
            with usage.role(seen["role"]), usage.agent(str(seen["agent"])):
                response: Response = self._model.prompt(prompt, system=SYSTEM)
                text = ""
                for chunk in response:
                    text += chunk
                    self._watch.arriving(seen, text)
        except Exception as error:
            if not self._answered:
                raise
            result, source = Understood(problem=told(error, self._model)), "error"
            counts = Counts(requests=_requests(self._trace))
        else:
            self._answered = True
            result, source = understood(text, seen["agent"]), self._trace.source or "model"
            counts = _counted(response, prompt, _requests(self._trace))
        duration_s = self._clock.monotonic() - began_at
        return Planned(seen["agent"], seen["role"], result, source, duration_s, counts)


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
    try:
        key = model.get_key()
    except ModelError:  # there is none
        return said
    return said.replace(key, "***") if key else said


def _requests(trace: Trace) -> int:
    return len(trace.attempts or ())


def _counted(response: Response, prompt: str, requests: int) -> Counts:
    stated = response.usage()
    counter = tokens.counter(response.model.model_id)
    asked = stated.input or sum(map(counter.count, (SYSTEM, prompt)))
    said = stated.output or counter.count(response.text())
    return Counts(
        requests=requests,
        asked_tokens=asked,
        sent_tokens=asked * requests,
        output_tokens=said if requests else 0,
        estimated=not (stated.input and stated.output),
    )
