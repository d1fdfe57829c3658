"""What has to be read when a call begins: it may be another when the call has ended."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..types import Call
from .record import BATCH, WHOM, Batch, Whom


class Begun(NamedTuple):
    """What has to be read when a call begins.

    Attributes:
        role: the role that it is made in, unless the log's own holds.
        agent: the agent that it is made for, likewise.
        trace_id: the trace that it belongs to.
        parent_id: the call whose tools it answers for.
        batch_id: the batch that it is a part of.
        continues: whether its conversation has a history.
    """

    role: str | None = None
    agent: str | None = None
    trace_id: str | None = None
    parent_id: str | None = None
    batch_id: str | None = None
    continues: bool = False


ALONE = Begun()
_NOBODY = Whom()


def begin(call: Call, writer: object) -> Begun:
    """Return what has to be read of a call that begins, and tell its batch where it is logged.

    Args:
        call: the call.
        writer: the writer of the log.
    """
    whom, batch, conversation = WHOM.get(), BATCH.get(), call.conversation
    if whom is None and batch is None and conversation is None:
        return ALONE
    role, agent, trace_id = whom or _NOBODY
    continues, parent_id, first_id, batch_id = False, None, None, None
    if conversation is not None:
        continues = bool(conversation.responses or getattr(conversation, "loaded_messages", None))
        parent_id, first_id = kin_of(call.prompt, conversation)
    if batch is not None:
        batch_id = _joined(batch, writer)
    return Begun(role, agent, trace_id or first_id, parent_id, batch_id, continues)


def _joined(batch: Batch, writer: object) -> str | None:
    try:
        batch.writers.add(writer)
    except Exception:  # noqa: BLE001 - somebody's own
        return None
    return batch.id


def kin_of(prompt: Any, conversation: Any) -> tuple[str | None, str | None]:
    """Return the ids of the call before this one in its loop of tools, and of the first of that loop."""
    before = conversation.responses if prompt.tool_results else ()
    first = None
    for response in reversed(before):
        first = response.id
        if not response.prompt.tool_results:
            break
    return (before[-1].id, first) if before else (None, None)
