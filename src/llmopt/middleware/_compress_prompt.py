"""Rewrites the messages of a prompt in their order: what was sent before is sent again byte for byte."""

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

    The legend stands at the head of the first message that needs one, or of the system prompt if that is the
    first message or the one behind the system prompt. So it is decided when that message comes, and for good.

    Args:
        messages: llm messages; they are not changed.
        rewriting: rewrites their texts.
        system: whether JSON in system prompts is rewritten that was not given as `Data`.
    """
    changed: list[Message] = []
    for index, message in enumerate(messages):
        was_explained = rewriting.explained
        changed.append(_message(message, rewriting, system=system))
        if rewriting.explained and not was_explained:
            first = 0 if index == 1 and _has_text(changed[0]) else index
            changed[first] = _after(rewriting.legend, changed[first])
    same = all(new is old for new, old in zip(changed, messages, strict=True))
    return None if same else changed


def _has_text(message: Message) -> bool:
    """Tell whether it is a system prompt that a legend can be put into."""
    return message.role == "system" and any(getattr(part, "text", "") for part in message.parts)


def _after(legend: str, message: Message) -> Message:
    """Return a message that begins with the legend: a copy of what may already be one."""
    parts: list[Any] = list(message.parts)
    at, name = next(
        (at, name) for at, part in enumerate(parts) for name in ("text", "output") if getattr(part, name, "")
    )
    parts[at] = _with(parts[at], name, f"{legend}\n\n{getattr(parts[at], name)}")
    changed = copy.copy(message)
    changed.parts = parts
    return changed


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
