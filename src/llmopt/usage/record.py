"""What a call leaves for the log: put together on the caller's thread, so it is as little as can be."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from ..types import Attempt, Usage

if TYPE_CHECKING:
    from llm.models import Prompt


class Fault(NamedTuple):
    """What is kept of an error. Its message is not: it may quote the prompt, or a key.

    Attributes:
        status: "error", "cancelled" or "abandoned".
        type: its class, with the module unless it is a builtin.
        kind: its class across providers.
        http_status: the HTTP status that it carried.
        retry_after_ms: how long the server asked to be left alone.
    """

    status: str
    type: str | None = None
    kind: str | None = None
    http_status: int | None = None
    retry_after_ms: float | None = None


class Labels(NamedTuple):
    """Who a call was made for.

    Attributes:
        role: the role.
        agent: the agent.
        tags_json: tags of the log, as JSON.
    """

    role: str | None = None
    agent: str | None = None
    tags_json: str | None = None


Fragments: TypeAlias = "tuple[tuple[str, Sequence[str]], ...]"
"""Kind of the fragments ("system", "prompt") and their texts, which only the writer reads: to hash them."""


Values: TypeAlias = "tuple[Any, ...]"
"""The values of a `Record`, as they are queued: a plain tuple is made in a third of the time."""


class Record(NamedTuple):
    """One call. Nothing in it changes after the call, whenever it is written.

    Attributes:
        id: id of the call: that of llm's response, unless that response has run before.
        turn_id: id of llm's response.
        model: the model.
        options_json: the options of the prompt.
        fragments: the fragments of the prompt, or None.
        conversation_id: id of llm's conversation.
        stream: whether the consumer wanted a stream.
        limit_s: how long the whole call might take, or None.
        labels: who it was made for.
        wall_s: when it began, in seconds since the epoch.
        began_s: the same in monotonic seconds of the chain's clock, as all that follows.
        ended_s: when it ended.
        fault: what went wrong, or None.
        source: what answered: "model", "cache", "fallback", ...
        resolved_model: the model that answered, by the provider's word.
        finish_reason: why it stopped, by the provider's word.
        usage: the tokens of the answer.
        attempts: the runs of a model, without their errors.
        faults: what is kept of those errors, or None if there was none.
        notes: what the middlewares had noted when it ended, or None.
    """

    id: str
    turn_id: str
    model: Any
    options_json: str | None
    fragments: Fragments | None
    conversation_id: str | None
    stream: bool
    limit_s: float | None
    labels: Labels
    wall_s: float
    began_s: float
    ended_s: float
    fault: Fault | None
    source: str | None
    resolved_model: str | None
    finish_reason: str | None
    usage: Usage | None
    attempts: Sequence[Attempt]
    faults: Sequence[Fault | None] | None
    notes: Mapping[str, Any] | None


def fragments_of(prompt: Prompt) -> Fragments:
    """Return the texts of a prompt's fragments, by kind."""
    kinds = (("system", prompt.system_fragments), ("prompt", prompt.fragments))
    return tuple((kind, tuple(texts)) for kind, texts in kinds if texts)


def finish_reason(answer: Any) -> str | None:
    """Return why the model stopped, where the provider's raw answer says so in a word.

    Example:
        >>> finish_reason({"choices": [{"finish_reason": "length"}]})
        'length'
    """
    if type(answer) is not dict:
        return None
    given = cast("dict[str, Any]", answer)
    reason: Any = given.get("finish_reason") or given.get("stop_reason") or given.get("done_reason")
    for name in () if reason else ("choices", "candidates"):
        match given.get(name):
            case [{"finish_reason": of_choice}, *_] | [{"finishReason": of_choice}, *_]:
                reason = of_choice
            case _:
                pass
    reason = reason or given.get("status")
    return reason if isinstance(reason, str) and len(reason) <= _WORD else None


_WORD = 64  # characters: what is longer is no word

WHOM: ContextVar[Labels | None] = ContextVar("llmopt_usage_whom", default=None)
"""What `role` and `agent` say about the calls that begin now; None outside of them."""


@contextmanager
def role(name: str) -> Generator[None, None, None]:
    """Log the calls that begin inside the block under this role, whatever role their log was given.

    Args:
        name: the role.

    Example:
        >>> with role("tactical"):
        ...     WHOM.get()
        Labels(role='tactical', agent=None, tags_json=None)
    """
    token = WHOM.set((WHOM.get() or Labels())._replace(role=name))
    try:
        yield
    finally:
        WHOM.reset(token)


@contextmanager
def agent(name: str) -> Generator[None, None, None]:
    """Log the calls that begin inside the block as made for this agent.

    Args:
        name: the agent.

    Example:
        >>> with role("tactical"), agent("A17"):
        ...     WHOM.get()
        Labels(role='tactical', agent='A17', tags_json=None)
    """
    token = WHOM.set((WHOM.get() or Labels())._replace(agent=name))
    try:
        yield
    finally:
        WHOM.reset(token)
