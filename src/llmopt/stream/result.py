"""What is known of a stream when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..errors import PlanStreamError
from .expectations import AgentId

__all__ = ["FailedRow", "StreamResult", "StreamStats"]

PlanT = TypeVar("PlanT")


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A piece of the reply that should have been a plan and is none.

    Attributes:
        agent_id: whose plan it was to be, or None if that cannot be told.
        raw: the text as it came.
        offset: where it began: characters before it, or bytes where bytes were fed.
        error: what is wrong with it.
    """

    agent_id: AgentId | None
    raw: str
    offset: int
    error: PlanStreamError


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Counts of one stream.

    Attributes:
        chars: how much was read: characters, or bytes where bytes were fed.
        plans: plans handed out, those of `StreamResult.plans` included.
        repaired: those of them that were no exact JSON.
        failed: rows that should have been plans and are none.
        dropped: second plans of an agent that were not handed out.
    """

    chars: int = 0
    plans: int = 0
    repaired: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StreamResult(Generic[PlanT]):
    """The end of a stream.

    Attributes:
        plans: the plans that the end of the reply made certain, and no `feed` had handed out.
        missing: expected ids without a plan, in the order in which they were given.
        unexpected: ids of plans that nobody had asked for; those plans were handed out as all others.
        duplicates: ids that came more than once, as far as ids were looked at.
        failed: what should have been plans, with text, id and error.
        truncated: whether the reply ended in the middle of a plan, of the list, or of thinking aloud.
        repaired: ids of the plans that were no exact JSON; None for one without an id.
        stats: counts.
    """

    plans: tuple[PlanT, ...] = ()
    missing: tuple[AgentId, ...] = ()
    unexpected: tuple[AgentId, ...] = ()
    duplicates: tuple[AgentId, ...] = ()
    failed: tuple[FailedRow, ...] = ()
    truncated: bool = False
    repaired: tuple[Any, ...] = ()
    stats: StreamStats = StreamStats()

    @property
    def errors(self) -> tuple[PlanStreamError, ...]:
        """What is wrong with each of the failed rows."""
        return tuple(row.error for row in self.failed)
