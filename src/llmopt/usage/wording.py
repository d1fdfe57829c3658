"""Which texts a call sends and gets. What is read of llm's insides for that is read here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from ..chain.compat import texts_in
from .texts import Part

if TYPE_CHECKING:
    from ..types import Call, Reply


def parts_of(prompt: Any, tools: Callable[[Any], str]) -> list[Part]:
    """Return the texts that a prompt sends beside its history, in order.

    Args:
        prompt: llm's prompt.
        tools: what returns the text of a tool.
    """
    system, question = texts_in(prompt)
    system[-1] = system[-1].strip()  # as llm sends it
    parts = [("system", place, text) for place, text in enumerate(system) if text]
    if len(question) > 1 or prompt.tool_results:
        said = [*question[:-1], *map(_result, prompt.tool_results)]
        parts += [("context", place, text) for place, text in enumerate(said) if text]
    if question[-1]:
        parts.append(("prompt", 0, question[-1]))
    if prompt.tools:
        parts += [("tool", place, tools(tool)) for place, tool in enumerate(prompt.tools)]
    if prompt.schema:
        parts.append(("schema", 0, _json(prompt.schema)))
    return parts


def tool_text(tool: Any) -> str:
    """Return what a model is told of a tool, as JSON."""
    said = {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
    config = getattr(tool, "_config", None)  # of those that the provider runs
    return _json({**said, "config": config} if config else said)


def texts_sent(prompt: Any, tools: Callable[[Any], str]) -> list[str]:
    """Return every text that a prompt sends, its history included."""
    texts = [text for message in prompt.messages for text in map(_said_in, message.parts) if text]
    texts += map(tools, prompt.tools)
    return [*texts, _json(prompt.schema)] if prompt.schema else texts


def said_by(call: Call) -> str | None:
    """Return the text that a call has brought, or None where that cannot be told.

    The consumer's response has all that has come, unless somebody outside of the log changes or holds it.
    """
    response: Any = call.response
    return None if call.path else "".join(response._chunks)  # noqa: SLF001


def tools_asked(reply: Reply) -> list[str]:
    """Return the tool calls that an answer asks for, as texts."""
    return [_json((tool.name, tool.arguments)) for tool in reply.tool_calls]


def _said_in(part: Any) -> str | None:
    said = getattr(part, "text", None) or getattr(part, "output", None)
    return said if isinstance(said, str) else None


def _result(result: Any) -> str:
    output = result.output
    return output if isinstance(output, str) else _json(output)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def has_history(prompt: Any) -> bool:
    """Tell whether a prompt sends messages that its own texts do not tell of.

    llm writes the messages out for each call of a conversation, its first one included.
    """
    messages = prompt._explicit_messages  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if messages is None:
        return False
    own = copy.copy(prompt)
    own._explicit_messages = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return bool(messages != own.messages)
