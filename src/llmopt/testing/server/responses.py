"""The responses API: requests in, bodies and events out."""

from __future__ import annotations

import json
from itertools import takewhile
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from .echo import pieces
from .query import (
    CREATED,
    Frame,
    Query,
    Segment,
    ToolSpec,
    array_in,
    as_text,
    format_schema,
    object_in,
    sse,
    tool_choice,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .query import Completion


def read(body: Mapping[str, Any]) -> Query:
    """Return the meaning of a request."""
    items = body["input"]
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    tools = array_in(body, "tools")
    users = [item for item in items if item.get("role") == "user"]
    segments = [*map(json.dumps, tools), body.get("instructions") or "", *map(_item_text, items)]
    return Query(
        body=body,
        model=body["model"],
        stream=bool(body.get("stream")),
        segments=[Segment(text) for text in segments if text],
        user_text=as_text(users[-1]["content"]) if users else "",
        tool_results=_tool_results(items),
        tools=[
            ToolSpec(tool["name"], object_in(tool, "parameters"))
            for tool in tools
            if tool["type"] == "function"
        ],
        tool_choice=tool_choice(body.get("tool_choice")),
        schema=format_schema(object_in(object_in(body, "text"), "format")),
        thinks=_asks_for_reasoning(body),
        shows_reasoning=bool(object_in(body, "reasoning").get("summary")),
    )


def body(completion: Completion) -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    items = [item for item, _ in _items(completion, "whole")]
    return _response(completion, _final_status(completion), items)


def frames(completion: Completion) -> Iterator[Frame]:
    """Yield the events of a streamed answer."""
    yield from _Stream(completion).frames()


def error_frame(body: Any, number: int) -> Frame:
    """Return an error as an event of a stream.

    OpenAI documents a flat event and sends a nested one; this is what it sends.
    Source: issue 881 of openai/openai-dotnet.
    """
    return Frame(sse("error", {"type": "error", "sequence_number": number, **body}))


class _Stream:
    """The events of one answer, numbered."""

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self._number = -1

    def frames(self) -> Iterator[Frame]:
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=_response(self._completion, "in_progress", []))
        for index, (item, deltas) in enumerate(_items(self._completion, "done")):
            yield self._event("response.output_item.added", output_index=index, item=_begun(item))
            yield from self._item(index, item, deltas)
            yield self._event("response.output_item.done", output_index=index, item=item)
        final = _final_status(self._completion)
        # OpenAI encrypts reasoning anew for the final event.
        items = [item for item, _ in _items(self._completion, "completed")]
        yield self._event(f"response.{final}", response=_response(self._completion, final, items))

    def _item(self, index: int, item: dict[str, Any], deltas: Sequence[str]) -> Iterator[Frame]:
        where: dict[str, Any] = {"item_id": item["id"], "output_index": index}
        if item["type"] == "function_call":
            yield from self._deltas("response.function_call_arguments", where, deltas)
            yield self._event("response.function_call_arguments.done", **where, arguments=item["arguments"])
        elif item["type"] == "message":
            where["content_index"] = 0
            part = item["content"][0]
            yield self._event("response.content_part.added", **where, part=part | {"text": ""})
            yield from self._deltas("response.output_text", where | {"logprobs": []}, deltas)
            yield self._event("response.output_text.done", **where, text=part["text"], logprobs=[])
            yield self._event("response.content_part.done", **where, part=part)
        elif item["summary"]:
            where["summary_index"] = 0
            part = item["summary"][0]
            yield self._event("response.reasoning_summary_part.added", **where, part=part | {"text": ""})
            yield from self._deltas("response.reasoning_summary_text", where, deltas)
            yield self._event("response.reasoning_summary_text.done", **where, text=part["text"])
            yield self._event("response.reasoning_summary_part.done", **where, part=part)

    def _event(self, kind: str, **fields: Any) -> Frame:
        self._number += 1
        return Frame(sse(kind, {"type": kind, "sequence_number": self._number, **fields}))

    def _deltas(self, kind: str, where: dict[str, Any], deltas: Sequence[str]) -> Iterator[Frame]:
        # Everything around the piece and its number is the same in every event, so it is encoded once.
        name = f"{kind}.delta"
        frame = sse(name, {"type": name, **where})[:-3]
        for piece in deltas:
            self._number += 1
            text = encode_basestring_ascii(piece).encode()
            yield Frame(
                b'%b, "sequence_number": %d, "delta": %b}\n\n' % (frame, self._number, text), is_content=True
            )


def _items(completion: Completion, sealed: str) -> Iterator[tuple[dict[str, Any], Sequence[str]]]:
    """Yield the finished output items, each with the pieces in which it is streamed."""
    number = completion.number
    if completion.reasoning is not None:
        yield _reasoning_item(completion, completion.reasoning, sealed), completion.reasoning
    if completion.chunks:
        part: dict[str, Any] = {"type": "output_text", "text": completion.text, "annotations": []}
        item: dict[str, Any] = {"id": f"msg_{number}", "type": "message", "role": "assistant"}
        yield item | {"content": [part | {"logprobs": []}], "status": "completed"}, completion.chunks
    for index, call in enumerate(completion.tool_calls):
        item = {"id": f"fc_{number}_{index}", "type": "function_call", "call_id": call.id, "name": call.name}
        yield item | {"arguments": call.json, "status": "completed"}, pieces(call.json)


def _reasoning_item(completion: Completion, reasoning: Sequence[str], sealed: str) -> dict[str, Any]:
    text = "".join(reasoning)
    return {
        "id": f"rs_{completion.number}",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if completion.query.shows_reasoning else [],
        "encrypted_content": f"sealed-{completion.number}-{sealed}",
    }


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as it is announced: without what its deltas will bring."""
    if item["type"] == "reasoning":
        return item | {"summary": [], "encrypted_content": ""}
    empty: dict[str, Any] = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
    return item | empty | {"status": "in_progress"}


def _final_status(completion: Completion) -> str:
    return "incomplete" if completion.finish in ("length", "content_filter") else "completed"


def _response(completion: Completion, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(completion.finish)
    return {
        "id": f"resp_{completion.number}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "model": completion.query.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None if status == "in_progress" or completion.omit_usage else _usage(completion),
    }


def _usage(completion: Completion) -> dict[str, Any]:
    tokens = completion.tokens
    cache = {"cached_tokens": tokens.cache_read_tokens, "cache_write_tokens": tokens.cache_write_tokens}
    return {
        "input_tokens": tokens.input_tokens,
        "input_tokens_details": cache,
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
        "total_tokens": tokens.input_tokens + tokens.output_tokens,
    }


def _asks_for_reasoning(body: Mapping[str, Any]) -> bool:
    if object_in(body, "reasoning").get("effort") == "none":
        return False
    return "reasoning" in body or "reasoning.encrypted_content" in array_in(body, "include")


def _item_text(item: Mapping[str, Any]) -> str:
    """Return what the model reads of an input item."""
    match item.get("type"):
        case "function_call":
            return f"{item['name']} {item['arguments']}"
        case "function_call_output":
            return as_text(item["output"])
        case "reasoning":
            return str(item.get("encrypted_content") or "")
        case _:
            return f"{item['role']} {as_text(item['content'])}"


def _tool_results(items: Sequence[Any]) -> list[str]:
    latest = takewhile(lambda item: item.get("type") == "function_call_output", reversed(items))
    return [as_text(item["output"]) for item in latest][::-1]
