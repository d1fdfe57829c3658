"""Rewrites the messages of a prompt, each by itself: what was sent before is sent again byte for byte."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..compress.found import may_hold_json
from ._compress_text import Rewriting

if TYPE_CHECKING:
    from llm.parts import Message

_SYSTEM = ("system", "developer")


def rewritten(messages: Sequence[Message], rewriting: Rewriting, *, system: bool) -> list[Message] | None:
    """Return the messages as they are sent, or None if all of them stay as they are.

    What the model has said itself is only given its handles back: it is to answer as it did, not in an
    encoding. Reasoning is signed, attachments and what the provider has executed are its own affair.

    Args:
        messages: llm messages; they are not changed.
        rewriting: rewrites their texts.
        system: whether JSON in system prompts is rewritten that was not given as `Data`.
    """
    changed = [_message(message, rewriting, system=system) for message in messages]
    same = all(new is old for new, old in zip(changed, messages, strict=True))
    return None if same else changed


def _message(message: Message, rewriting: Rewriting, *, system: bool) -> Message:
    parts = [_part(part, message.role, rewriting, system=system) for part in message.parts]
    if all(new is old for new, old in zip(parts, message.parts, strict=True)):
        return message
    changed = copy.copy(message)
    changed.parts = parts
    return changed


def _part(part: Any, role: str, rewriting: Rewriting, *, system: bool) -> Any:
    from llm.parts import TextPart, ToolCallPart, ToolResultPart

    if isinstance(part, TextPart):
        if role == "assistant":
            return _with(part, "text", rewriting.hidden(part.text))
        return _with(part, "text", rewriting.text(part.text, data_only=role in _SYSTEM and not system))
    if isinstance(part, ToolResultPart) and not part.server_executed:
        return _with(part, "output", rewriting.text(part.output))
    if isinstance(part, ToolCallPart) and not part.server_executed:
        return _with(part, "arguments", rewriting.value(part.arguments))
    return part


def _with(part: Any, name: str, value: Any) -> Any:
    """Return the part with another value, or the part itself if it has that already."""
    old = getattr(part, name)
    if value is old or value == old:
        return part
    changed = copy.copy(part)
    setattr(changed, name, value)
    return changed


def texts_of(messages: Sequence[Message]) -> list[str]:
    """Return the texts and the results of tools in messages."""
    parts: list[Any] = [part for message in messages for part in message.parts]
    return [getattr(part, "text", "") or getattr(part, "output", "") for part in parts]


def may_hold(texts: Iterable[str], *, ids: bool) -> bool:
    """Tell, at next to no cost, whether there can be anything to rewrite in texts.

    Args:
        texts: the texts of a prompt.
        ids: whether ids are looked for too.
    """
    return ids or any(map(may_hold_json, texts))
