"""The simulated model: it reads the planner's prompt, and answers at the pace of a real one.

This file imports llm, so it is imported where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import llm

from .. import tokens
from ..chain.clock import SystemClock
from ..compress import decode
from ..plan.world import World
from ..tokens import TokenCounter
from ..types import Clock
from .tactics import decide

if TYPE_CHECKING:
    from llm.models import Conversation, Prompt, Response

__all__ = ["MISTAKE", "SimulatedModel"]

MISTAKE = "teleport"
"""The tool that the model calls by mistake; there is none of this name."""


class SimulatedModel(llm.Model):
    """A local llm model that plans by rules and streams its answer token by token.

    Args:
        tokens_per_s: how many tokens it says in a second.
        first_token_s: seconds until the first one.
        mistakes: in how many of its answers, from the first on, it gets one row wrong on purpose.
        counter: what it counts tokens with; o200k_base unless given.
        clock: the clock that it waits on; the real one unless given.

    Example:
        >>> model = SimulatedModel(tokens_per_s=100_000)
        >>> model.prompt("Hello").text()
        'There are no agents in this prompt.'
    """

    can_stream = True

    def __init__(
        self,
        *,
        tokens_per_s: float = 120.0,
        first_token_s: float = 0.2,
        mistakes: int = 0,
        counter: TokenCounter | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.model_id = "llmopt-demo"
        self.tokens_per_s = tokens_per_s
        self.first_token_s = first_token_s
        self.mistakes = mistakes
        self.counter = counter or tokens.counter("o200k_base")
        self.clock: Clock = clock or SystemClock()
        self._answers = 0

    def execute(
        self,
        prompt: Prompt,
        stream: bool,  # noqa: ARG002, FBT001 - llm's signature
        response: Response,
        conversation: Conversation | None = None,  # noqa: ARG002 - likewise
    ) -> Iterator[str]:
        """Yield a row for each agent in the prompt, each token when its time has come."""
        asked_at = self.clock.monotonic()
        text = self._answer(prompt.prompt)
        said_tokens = 0
        for said_tokens, token in enumerate(_tokens_of(text, self.counter), start=1):
            due_at = asked_at + self.first_token_s + (said_tokens - 1) / self.tokens_per_s
            self.clock.sleep(max(0.0, due_at - self.clock.monotonic()))
            yield token
        asked_tokens = sum(map(self.counter.count, (prompt.system or "", prompt.prompt)))
        response.set_usage(input=asked_tokens, output=said_tokens)

    def _answer(self, asked: str) -> str:
        views = _views(asked)
        rows: list[list[Any]] = [[seen["agent"], *decide(seen)] for seen in views]
        if not rows:
            return "There are no agents in this prompt."
        self._answers += 1
        if self._answers <= self.mistakes:
            rows[len(rows) // 2][1:] = [[MISTAKE]]
        return "\n".join(json.dumps(row, separators=(",", ":")) for row in rows)


def _views(asked: str) -> list[Any]:
    """Return what the agents in a prompt of the planner's see."""
    said, found, after = asked.rpartition("Agents:\n")
    if not found:
        return []
    shared: dict[str, Any] = {}
    for part in filter(None, said.removeprefix("World:\n").split("\n\n")):
        shared |= decode(part)
    own: list[dict[str, Any]] = decode(after.partition("\n\n")[0])
    world = World(shared, tuple(own), {("enemies",): "id"})
    return [world.snapshot(index) for index in range(len(own))]


def _tokens_of(text: str, counter: TokenCounter) -> Iterator[str]:
    """Yield `text` in the pieces that it has as tokens."""
    starts = [counter.truncate(text, count) for count in range(counter.count(text) + 1)]
    for shorter, longer in pairwise(starts):
        yield longer[len(shorter) :]
