"""The simulated model: it reads the snapshot in its prompt, and answers at the pace of a real one.

This file imports llm, so it is imported where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import llm

from .. import tokens
from ..chain.clock import SystemClock
from ..tokens import TokenCounter
from ..types import Clock
from .dialogue import object_in
from .tactics import decide

if TYPE_CHECKING:
    from llm.models import Conversation, Prompt, Response

__all__ = ["SimulatedModel"]


class SimulatedModel(llm.Model):
    """A local llm model that plans by rules and streams its answer token by token.

    Args:
        tokens_per_s: how many tokens it says in a second.
        first_token_s: seconds until the first one.
        counter: what it counts tokens with; o200k_base unless given.
        clock: the clock that it waits on; the real one unless given.

    Example:
        >>> SimulatedModel(tokens_per_s=100_000).prompt("Hello").text()
        'There is no snapshot in this prompt.'
    """

    can_stream = True

    def __init__(
        self,
        *,
        tokens_per_s: float = 250.0,
        first_token_s: float = 0.060,
        counter: TokenCounter | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.model_id = "llmopt-demo"
        self.tokens_per_s = tokens_per_s
        self.first_token_s = first_token_s
        self.counter = counter or tokens.counter("o200k_base")
        self.clock: Clock = clock or SystemClock()

    def execute(
        self,
        prompt: Prompt,
        stream: bool,  # noqa: ARG002, FBT001 - llm's signature
        response: Response,
        conversation: Conversation | None = None,  # noqa: ARG002 - likewise
    ) -> Iterator[str]:
        """Yield the plan for the snapshot in the prompt, each token when its time has come."""
        asked_at = self.clock.monotonic()
        text = _answer(prompt.prompt)
        said_tokens = 0
        for said_tokens, token in enumerate(_tokens_of(text, self.counter), start=1):
            due_at = asked_at + self.first_token_s + (said_tokens - 1) / self.tokens_per_s
            self.clock.sleep(max(0.0, due_at - self.clock.monotonic()))
            yield token
        asked_tokens = sum(map(self.counter.count, (prompt.system or "", prompt.prompt)))
        response.set_usage(input=asked_tokens, output=said_tokens)


def _answer(asked: str) -> str:
    snapshot = object_in(asked)
    if snapshot is None:
        return "There is no snapshot in this prompt."
    return json.dumps(decide(snapshot), separators=(",", ":"))


def _tokens_of(text: str, counter: TokenCounter) -> Iterator[str]:
    """Yield `text` in the pieces that it has as tokens."""
    starts = [counter.truncate(text, count) for count in range(counter.count(text) + 1)]
    for shorter, longer in pairwise(starts):
        yield longer[len(shorter) :]
