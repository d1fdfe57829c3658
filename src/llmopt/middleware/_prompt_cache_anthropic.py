"""Breakpoints of Anthropic's prompt cache, put into the requests of llm-anthropic's models.

The plugin's own option `cache` marks the last block of the last message, and nothing else. Its public method
`build_kwargs` returns the whole request, so a copy of the model marks what that returns; the option is set as
well, for without it the plugin does not hand on what the cache has read and written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from ..types import Call

__all__ = ["MOST", "Request", "mark", "takes_breakpoints", "with_marks"]

Request: TypeAlias = "dict[str, Any]"
Block: TypeAlias = "dict[str, Any]"

MOST: Final = 4
"""Breakpoints that a request may have.
Source: Anthropic's guide to prompt caching, as of 2026-07."""

_MARK: Final = {"type": "ephemeral"}
_STATIC: Final = "static"  # on a block while places are looked for
_SYSTEM, _HISTORY, _TOOLS, _MESSAGE, _SYSTEM_REST = range(5)


def takes_breakpoints(model: Any) -> bool:
    """Tell whether a model is one of llm-anthropic's, whose requests can be marked."""
    ours = any(base.__module__ == "llm_anthropic" for base in type(model).__mro__)
    return ours and hasattr(model, "build_kwargs") and "cache" in model.Options.model_fields


def with_marks(call: Call, marks: Callable[[Request, Any], None]) -> Call:
    """Return the call for a copy of its model that has `marks` work on every request.

    Args:
        call: the call of a model that takes breakpoints.
        marks: gets the arguments of a request, which it may change, and the prompt that they are made of.
    """
    model: Any = call.model
    build = model.build_kwargs

    def build_kwargs(prompt: Any, *args: Any, **kwargs: Any) -> Request:
        request: Request = build(prompt, *args, **kwargs)
        marks(request, prompt)
        return request

    twin: Any = copy.copy(model)
    state: dict[str, Any] = twin.__dict__
    state["build_kwargs"] = build_kwargs
    if model is call.response.model and "__llmopt__" in state:  # its chain is the one that runs now
        state["__llmopt__"] = replace(state["__llmopt__"], middlewares=())
    prompt = copy.copy(call.prompt)
    prompt.options = prompt.options.model_copy(update={"cache": True})
    return call.replace(model=twin, prompt=prompt)


def mark(
    request: Request,
    static_chars: Callable[[str], int],
    *,
    most: int = MOST,
    minimum_bytes: int = 0,
    history: bool = True,
    undeclared: bool = True,
) -> int:
    """Put breakpoints into a request where a later one is likely to begin the same; return how many.

    What comes first is kept when there are more places than breakpoints: the static part of the system prompt
    (or all of it), the end of the messages, the tools, the static beginning of a message, all of the system
    prompt. The same request always gets the same breakpoints.

    Args:
        request: the arguments of a request, which are changed.
        static_chars: tells how much of the beginning of a text is declared to stay the same.
        most: how many breakpoints there may be.
        minimum_bytes: shorter prefixes get none: a token has at least one byte.
        history: whether the messages will be sent again, with more behind them.
        undeclared: whether what nobody has declared to stay the same gets breakpoints.

    Returns:
        The number of breakpoints.
    """
    system = _system_blocks(request, static_chars)
    places = list(_places(request, system, static_chars, history=history))
    wanted = [place for place in places if place.declared or undeclared]
    wanted = [place for place in wanted if place.prefix_bytes >= minimum_bytes]
    chosen = sorted(wanted, key=lambda place: place.rank)[:most]
    for place in chosen:
        place.block["cache_control"] = dict(_MARK)
    if len(system) > 1 or any("cache_control" in block for block in system):
        request["system"] = system
    return len(chosen)


class _Place(NamedTuple):
    """A block behind which a breakpoint may stand."""

    rank: int
    block: Block
    prefix_bytes: int
    declared: bool


def _places(
    request: Request, system: list[Block], static_chars: Callable[[str], int], *, history: bool
) -> Iterator[_Place]:
    """Yield the places of a request, in its order; messages are split where a static part ends."""
    tools: list[Block] = request.get("tools") or []
    size = len(orjson.dumps(tools, default=str)) if tools else 0
    if tools and "input_schema" in tools[-1]:
        yield _Place(_TOOLS, tools[-1], size, declared=False)
    for number, block in enumerate(system):
        size += _bytes(block)
        static = number == 0 and static_chars(_all_text(system)) > 0
        yield _Place(_SYSTEM if number == 0 else _SYSTEM_REST, block, size, static)
    last: Block | None = None
    for message in request["messages"]:
        message["content"] = list(_content_blocks(message, static_chars))
        for block in message["content"]:
            size += _bytes(block)
            if block.pop(_STATIC, False):
                yield _Place(_MESSAGE, block, size, declared=True)
            last = block if message["role"] == "user" else None
    if history and last is not None:
        yield _Place(_HISTORY, last, size, declared=False)


def _system_blocks(request: Request, static_chars: Callable[[str], int]) -> list[Block]:
    """Return the system prompt as blocks: its static part, and the rest."""
    system = request.get("system")
    return list(_text_blocks(system, static_chars(system))) if isinstance(system, str) and system else []


def _content_blocks(message: dict[str, Any], static_chars: Callable[[str], int]) -> Iterator[Block]:
    """Yield the blocks of a message without breakpoints, each text as its static part and the rest."""
    for block in message["content"]:
        block.pop("cache_control", None)
        length = static_chars(block["text"]) if message["role"] == "user" and block["type"] == "text" else 0
        if not length:
            yield block
            continue
        first, *rest = _text_blocks(block["text"], length)
        yield {**first, _STATIC: True}
        yield from rest


def _text_blocks(text: str, length: int) -> Iterator[Block]:
    for part in (text[:length], text[length:]):
        if part:
            yield {"type": "text", "text": part}


def _all_text(blocks: list[Block]) -> str:
    return "".join([block["text"] for block in blocks])


def _bytes(block: Block) -> int:
    return (
        len(block["text"].encode("utf-8", "replace"))
        if "text" in block
        else len(orjson.dumps(block, default=str))
    )
