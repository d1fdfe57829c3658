"""Anthropic's messages API: requests in, bodies and events out."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from .echo import pieces
from .query import Frame, Query, Segment, ToolSpec, array_in, as_text, object_in, sse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .query import Completion

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def read(body: Mapping[str, Any]) -> Query:
    """Return the meaning of a request."""
    messages = body["messages"]
    tools = [tool for tool in array_in(body, "tools") if "input_schema" in tool]
    thinking = object_in(body, "thinking")
    texts = [as_text(message["content"]) for message in messages if message["role"] == "user"]
    return Query(
        body=body,
        model=body["model"],
        stream=bool(body.get("stream")),
        segments=_segments(body),
        user_text=next((text for text in reversed(texts) if text), ""),
        tool_results=_tool_results(messages[-1]) if messages else (),
        tools=[ToolSpec(tool["name"], tool["input_schema"]) for tool in tools],
        tool_choice=_tool_choice(object_in(body, "tool_choice")),
        schema=object_in(object_in(body, "output_config"), "format").get("schema"),
        thinks=thinking.get("type") in ("enabled", "adaptive"),
        shows_reasoning=thinking.get("display") != "omitted",
        explicit_cache=True,
    )


def body(completion: Completion) -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    blocks = [block for block, _ in _blocks(completion)]
    return _message(completion) | {"content": blocks, "usage": _usage(completion)} | _stop(completion)


def count_body(completion: Completion) -> dict[str, Any]:
    """Return the answer to a request that only wants its tokens counted."""
    return {"input_tokens": completion.tokens.input_tokens}


def frames(completion: Completion) -> Iterator[Frame]:
    """Yield the events of a streamed answer."""
    usage = _usage(completion) | {"output_tokens": 0, "output_tokens_details": None}
    start: dict[str, Any] = _message(completion) | {
        "content": [],
        "usage": usage,
        "stop_reason": None,
        "stop_sequence": None,
    }
    yield _event("message_start", message=start)
    yield _event("ping")
    for index, (block, deltas) in enumerate(_blocks(completion)):
        yield _event("content_block_start", index=index, content_block=_begun(block))
        yield from _block_deltas(index, block, deltas)
        yield _event("content_block_stop", index=index)
    yield _event("message_delta", delta=_stop(completion), usage=_usage(completion))
    yield _event("message_stop")


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return an error as Anthropic words it."""
    kinds = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")  # noqa: PLR2004
    return {"type": "error", "error": {"type": kind, "message": message}}


def error_frame(body: Any, number: int) -> Frame:  # noqa: ARG001 - the responses API numbers its events
    """Return an error as an event of a stream."""
    return Frame(sse("error", body))


def _segments(body: Mapping[str, Any]) -> list[Segment]:
    """Return tools, system and messages, block by block: the order in which Anthropic caches."""
    blocks: list[Any] = [*array_in(body, "tools"), *_content(body.get("system"))]
    for message in body["messages"]:
        blocks += _content(message["content"])
    return [Segment(_block_text(block), "cache_control" in block) for block in blocks]


def _content(content: Any) -> Sequence[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or ()


def _block_text(block: Mapping[str, Any]) -> str:
    if block.get("type") == "text":
        return str(block["text"])
    return json.dumps({key: value for key, value in block.items() if key != "cache_control"})


def _tool_choice(choice: Mapping[str, Any]) -> str:
    match choice.get("type", "auto"):
        case "tool":
            return str(choice["name"])
        case "any":
            return "required"
        case kind:
            return str(kind)


def _tool_results(message: Mapping[str, Any]) -> list[str]:
    blocks = _content(message["content"])
    return [as_text(block.get("content")) for block in blocks if block["type"] == "tool_result"]


def _blocks(completion: Completion) -> Iterator[tuple[dict[str, Any], Sequence[str]]]:
    """Yield the finished content blocks, each with the pieces in which it is streamed."""
    if completion.reasoning is not None:
        shown = completion.reasoning if completion.query.shows_reasoning else ()
        signature = f"signed-{completion.number}"
        yield {"type": "thinking", "thinking": "".join(shown), "signature": signature}, shown
    if completion.chunks:
        yield {"type": "text", "text": completion.text, "citations": None}, completion.chunks
    for index, call in enumerate(completion.tool_calls):
        block = {"type": "tool_use", "id": call.id or f"toolu_{completion.number}_{index}", "name": call.name}
        yield block | {"input": _input(call.json)}, pieces(call.json)


def _input(arguments: str) -> Any:
    """Return a tool's input; what is no JSON can only be streamed, so here it stays empty."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _begun(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block as it is announced: without what its deltas will bring."""
    empty: dict[str, dict[str, Any]] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": ""},
        "tool_use": {"input": {}},
    }
    return block | empty[block["type"]]


def _block_deltas(index: int, block: dict[str, Any], deltas: Sequence[str]) -> Iterator[Frame]:
    kinds = {"thinking": "thinking", "text": "text", "tool_use": "partial_json"}
    field = kinds[block["type"]]
    kind = "input_json_delta" if field == "partial_json" else f"{field}_delta"
    # Everything around the piece is the same in every event, so it is encoded once.
    template = _event("content_block_delta", index=index, delta={"type": kind, field: "\0"}).data
    before, after = template.split(b'"\\u0000"')
    for piece in deltas:
        yield Frame(b"%b%b%b" % (before, encode_basestring_ascii(piece).encode(), after), is_content=True)
    if block["type"] == "thinking":
        delta = {"type": "signature_delta", "signature": block["signature"]}
        yield _event("content_block_delta", index=index, delta=delta)


def _message(completion: Completion) -> dict[str, Any]:
    number, model = completion.number, completion.query.model
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model, "container": None}


def _stop(completion: Completion) -> dict[str, Any]:
    return {"stop_reason": _STOP_REASONS[completion.finish], "stop_sequence": None}


def _usage(completion: Completion) -> dict[str, Any]:
    """Return the token counts; unlike OpenAI's, `input_tokens` leaves out what the cache read or wrote."""
    tokens = completion.tokens
    details = {"thinking_tokens": tokens.reasoning_tokens} if tokens.reasoning_tokens else None
    return {
        "input_tokens": tokens.input_tokens - tokens.cache_read_tokens - tokens.cache_write_tokens,
        "cache_creation_input_tokens": tokens.cache_write_tokens,
        "cache_read_input_tokens": tokens.cache_read_tokens,
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": details,
        "service_tier": "standard",
    }


def _event(kind: str, **fields: Any) -> Frame:
    return Frame(sse(kind, {"type": kind, **fields}))
