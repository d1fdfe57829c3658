"""What goes to and fro between a batch's desk, its driver, and the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from .session import Ask
from .types import AgentId, Plan, Step


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader has made of one row of an answer.

    Args:
        agent: whose it is; None where nobody can tell.
        steps: its plan, or None if it is none.
        fault: what is wrong with it, or None.
        text: the row as it came.
    """

    agent: AgentId | None
    steps: tuple[Step, ...] | None = None
    fault: str = ""
    text: str = ""


class Reader(Protocol):
    """Makes rows of the text of one answer."""

    def feed(self, text: str, /) -> Iterable[Found]:
        """Take more text and return the rows that are complete with it."""
        ...

    def close(self) -> Iterable[Found]:
        """Take note that the answer has ended, and return what can still be said."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call: its id, its usage as far as the provider states it, and its response."""

    call_id: str | None = None
    input_tokens: int | None = None
    cached_tokens: int = 0
    output_tokens: int | None = None
    response: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Said:
    """A request has brought `text`."""

    ask: Ask
    text: str
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A request is over: well, or with `error`."""

    ask: Ask
    facts: Facts
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """The batch's time is up."""


Event: TypeAlias = "Said | Ended | Expired"


Within: TypeAlias = "Callable[[], AbstractContextManager[None]]"


@dataclass(frozen=True, slots=True)
class Do:
    """Have `fn` make the plan of `agent`; the course is resumed with what it returns, or with its error."""

    fn: Callable[[AgentId], Any]
    agent: AgentId
    within: Within = nullcontext


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for the next event; the course is resumed with it, or with None if nothing is under way."""


Action: TypeAlias = "Plan | Ask | Do | Await"
"""What a driver does next: hand out a plan, begin a request, run a callable, or wait."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A callable tier.

    Args:
        name: what the provenance of its plans says.
        fn: makes something of an agent.
        steps: turns that, for the agent, into the steps of a plan.
        within: returns what surrounds the run of `fn`.
    """

    name: str
    fn: Callable[[AgentId], Any]
    steps: Callable[[AgentId, Any], tuple[Step, ...]]
    within: Within = nullcontext


def _nobody(ended: Ended, good: int) -> None:
    """Hear of a request that is over, and make nothing of it."""


@dataclass(frozen=True, slots=True)
class Office:
    """What a desk needs to know of the outside.

    Args:
        reader: makes the reader of one request's answer.
        count: counts the tokens of a text, for usage that the provider does not state.
        sent: returns the text that a request sends.
        kept: told of every plan that a model has made, to keep it for the next time.
        tiers: the callables among the fallback tiers, by their index.
        answered: told of every request that is over, with the number of its agents that got a plan by it.
    """

    reader: Callable[[Ask], Reader]
    count: Callable[[str], int]
    sent: Callable[[Ask], str]
    kept: Callable[[Plan], None]
    tiers: Mapping[int, Callback]
    answered: Callable[[Ended, int], None] = _nobody
