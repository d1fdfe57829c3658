"""What a batch would say, and why: shown before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill

from ..compress import LossReport
from .assembly import Job
from .prompt import Part
from .types import AgentId


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a batch would make first.

    Args:
        role: the role of its agents, or "".
        agents: whose plans it would ask for.
        system: the parts of its system prompt.
        user: the parts of its prompt.
    """

    role: str
    agents: tuple[AgentId, ...]
    system: tuple[Part, ...]
    user: tuple[Part, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all parts."""
        return sum(part.tokens for part in (*self.system, *self.user))

    @property
    def text(self) -> str:
        """The whole prompt, as it would be sent."""
        return "\n\n".join(part.text for part in (*self.system, *self.user))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a batch would send. Print it for a table.

    Args:
        requests: the first requests, in the order in which they would go out.
        known: agents whose plans are remembered, and who are not asked for.
        dropped: what the roles have left out, by agent.
        tokens_before: tokens of the snapshots as compact JSON.
        reasons: why, for each job whose strategy, or whose encoding of the static part, was chosen.
        exact: whether tokens are counted with the model's own tokenizer.
    """

    requests: tuple[Request, ...]
    known: tuple[AgentId, ...]
    dropped: Mapping[AgentId, LossReport]
    tokens_before: int
    reasons: tuple[str, ...]
    exact: bool

    @property
    def tokens(self) -> int:
        """Tokens of all requests."""
        return sum(request.tokens for request in self.requests)

    @property
    def prompt(self) -> str:
        """The text of the first request; "" if there is none."""
        return self.requests[0].text if self.requests else ""

    def __str__(self) -> str:
        """Return a table of the parts and their tokens."""
        about = "" if self.exact else "about "
        agents = _count(sum(len(request.agents) for request in self.requests), "agent")
        lines = [f"{agents} in {_count(len(self.requests), 'request')}: {about}{self.tokens} tokens"]
        lines += [f"their snapshots alone as compact JSON: {about}{self.tokens_before} tokens"]
        lines += [f"remembered, not asked for: {len(self.known)}"] if self.known else []
        for request in self.requests:
            agents = _count(len(request.agents), "agent")
            lines.append(f"{request.role or 'request'}: {agents}, {request.tokens} tokens")
            lines += [f"  {part.name:<56.56}{part.tokens:>8}" for part in (*request.system, *request.user)]
        paths = sum(len(report.paths) for report in self.dropped.values())
        lines += [f"left out by the roles: {_count(paths, 'value')}"] if paths else ["nothing left out"]
        return "\n".join([*lines, *(fill(reason, WIDTH, subsequent_indent="  ") for reason in self.reasons)])


WIDTH = 80


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def requests_of(jobs: tuple[Job, ...]) -> tuple[Request, ...]:
    """Return the first requests of some jobs."""
    return tuple(
        Request(job.role, agents, job.scene.brief.parts, job.scene.user(agents))
        for job in jobs
        for wave in job.schedule.waves
        for agents in wave
    )
