"""What a call leaves for the log, as the log's files hold it: JSON values alone, nothing of the live call."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import orjson

from .values import EXACT_ONLY, plain


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


Values: TypeAlias = "tuple[Any, ...]"
"""The values of a `Record` in order: a plain tuple is made in a third of the time."""


class Record(NamedTuple):
    """One call, in JSON values: what is a tuple here comes back from the file as a list.

    Attributes:
        id: id of the call: that of llm's response. The writer finds another if that response ran before.
        turn_id: id of llm's response.
        trace_id: trace that the call belongs to, or None.
        parent_id: id of the call whose tools this one answers for, or None.
        conversation_id: id of llm's conversation, or None.
        batch_id: batch that the call is a part of, or None.
        provider: the name of the model's key, or of its plugin.
        host: host of the model's own endpoint, or None.
        model_id: id of the model that was called.
        options_json: the options of the prompt, or None.
        prompt_digest: digest of all that was asked, or None where it cannot be told.
        texts: (kind, position, digest, bytes, tokens, tokens_source, content, redacted) of each, or None.
            Kinds: "system", "context" (fragments, results of tools), "prompt", "tool", "schema", "reply".
        stream: whether the consumer wanted a stream.
        limit_s: how long the whole call might take, or None.
        role: role that it was made in.
        agent: agent that it was made for.
        tags_json: tags of the log, as JSON.
        wall_s: when it began, in seconds since the epoch.
        began_s: the same in monotonic seconds of the chain's clock, as all that follows.
        ended_s: when it ended.
        fault: the values of a `Fault`, or None.
        source: what answered: "model", "cache", "fallback", ...
        resolved_model: the model that answered, by the provider's word.
        finish_reason: why it stopped, by the provider's word.
        usage: (input tokens, output tokens, details) by the provider's word, or None.
        counted: (input tokens, output tokens, source), counted here as the provider has said nothing.
        attempts: (model_id, started_at, waited_s, first_event_at, ended_at, usage) of each run of a model.
        faults: for each run the values of its `Fault` or None; None if there was none.
        notes: what middlewares have noted that has a column, or None.
    """

    id: str
    turn_id: str
    trace_id: str | None
    parent_id: str | None
    conversation_id: str | None
    batch_id: str | None
    provider: str | None
    host: str | None
    model_id: str
    options_json: str | None
    prompt_digest: str | None
    texts: Any
    stream: bool
    limit_s: float | None
    role: str | None
    agent: str | None
    tags_json: str | None
    wall_s: float
    began_s: float
    ended_s: float
    fault: Any
    source: str | None
    resolved_model: str | None
    finish_reason: str | None
    usage: Any
    counted: Any
    attempts: Any
    faults: Any
    notes: Any


def encode(values: Iterable[Any], kind: str = "call") -> bytes:
    """Return the payload of a record: a JSON array whose first element is its kind.

    What JSON cannot hold is null in it, wherever it stands: nothing that somebody has put into a record
    loses the rest of it.

    Args:
        values: the values of a `Record`, or of another kind of payload.
        kind: the kind.

    Example:
        >>> encode((1.5, float("nan"), {"huge": 2**70}))
        b'["call",1.5,null,{"huge":null}]'
    """
    return encoded((kind, *values))


def encoded(values: Values) -> bytes:
    """Return a payload by its values, the kind among them."""
    try:
        return orjson.dumps(values, option=EXACT_ONLY)
    except TypeError:
        return orjson.dumps(plain(values, nodes=_MANY))


_MANY = 200_000  # a record of a call with very many fragments


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


class Whom(NamedTuple):
    """What `role`, `agent` and `trace` say about a call.

    Attributes:
        role: the role that it is made in.
        agent: the agent that it is made for.
        trace_id: the trace that it belongs to.
    """

    role: str | None = None
    agent: str | None = None
    trace_id: str | None = None


class Batch(Protocol):
    """A batch of agents that are planned for together.

    Attributes:
        id: its id.
        writers: the writers of the logs that its calls are written to: each adds its own.
    """

    @property
    def id(self) -> str: ...  # noqa: D102 - above

    @property
    def writers(self) -> set[Any]: ...  # noqa: D102


WHOM: ContextVar[Whom | None] = ContextVar("llmopt_usage_whom", default=None)
"""What `role`, `agent` and `trace` say about the calls that begin now; None outside of them."""

BATCH: ContextVar[Batch | None] = ContextVar("llmopt_usage_batch", default=None)
"""The batch that the calls which begin now are a part of."""


@contextmanager
def role(name: str) -> Generator[None, None, None]:
    """Log the calls that begin inside the block under this role, whatever role their log was given.

    Args:
        name: the role.

    Example:
        >>> with role("tactical"):
        ...     WHOM.get()
        Whom(role='tactical', agent=None, trace_id=None)
    """
    with _said(role=name):
        yield


@contextmanager
def agent(name: str) -> Generator[None, None, None]:
    """Log the calls that begin inside the block as made for this agent.

    Args:
        name: the agent.

    Example:
        >>> with role("tactical"), agent("A17"):
        ...     WHOM.get()
        Whom(role='tactical', agent='A17', trace_id=None)
    """
    with _said(agent=name):
        yield


@contextmanager
def trace(name: str | None = None) -> Generator[str, None, None]:
    """Log the calls that begin inside the block as one trace, whichever models and threads they use.

    A tool loop of llm is a trace by itself; inside of the block it belongs to this one.

    Args:
        name: id of the trace, such as that of the request that is being answered; None for a new ULID.

    Yields:
        The id, which stands in `calls.trace_id`.

    Example:
        >>> with trace("nightly-7") as trace_id:
        ...     WHOM.get().trace_id == trace_id == "nightly-7"
        True
    """
    trace_id = _new_ulid() if name is None else name
    with _said(trace_id=trace_id):
        yield trace_id


@contextmanager
def _said(**what: str) -> Generator[None, None, None]:
    token = WHOM.set((WHOM.get() or Whom())._replace(**what))
    try:
        yield
    finally:
        WHOM.reset(token)


def _new_ulid() -> str:
    from ulid import ULID  # comes with llm, which makes the ids of its responses with it

    return str(ULID()).lower()
