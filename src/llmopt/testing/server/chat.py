"""The chat completions API and its forerunner, completions: requests in, bodies and events out."""

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
    tool_choice,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .query import Completion

_DONE = b"data: [DONE]\n\n"


def read_chat(body: Mapping[str, Any]) -> Query:
    """Return the meaning of a chat completions request."""
    messages = body["messages"]
    tools = array_in(body, "tools")
    users = [message for message in messages if message["role"] == "user"]
    return Query(
        body=body,
        model=body["model"],
        stream=bool(body.get("stream")),
        segments=[*(Segment(json.dumps(tool)) for tool in tools), *map(_segment, messages)],
        user_text=as_text(users[-1]["content"]) if users else "",
        tool_results=_tool_results(messages),
        tools=[_tool(tool["function"]) for tool in tools if tool.get("type") == "function"],
        tool_choice=tool_choice(body.get("tool_choice")),
        schema=format_schema(object_in(body, "response_format")),
        thinks=body.get("reasoning_effort") not in (None, "none"),
        wants_usage=bool(object_in(body, "stream_options").get("include_usage")),
    )


def chat_body(completion: Completion) -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.text, "refusal": None}
    if completion.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.json}}
            for call in completion.tool_calls
        ]
        message["content"] = completion.text or None
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish}
    return _head(completion, "chatcmpl", "chat.completion") | {"choices": [choice]} | _usage(completion)


def chat_frames(completion: Completion) -> Iterator[Frame]:
    """Yield the events of a streamed answer."""
    head = _head(completion, "chatcmpl", "chat.completion.chunk")
    yield _event(head, {"role": "assistant", "content": "", "refusal": None})
    # Everything around the text is the same in every chunk, so it is encoded once.
    before, after = _event(head, {"content": "\0"}).data.rsplit(b'"\\u0000"', 1)
    for piece in completion.chunks:
        yield Frame(b"%b%b%b" % (before, encode_basestring_ascii(piece).encode(), after), is_content=True)
    for index, call in enumerate(completion.tool_calls):
        function = {"name": call.name, "arguments": ""}
        yield _event(
            head, {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]}
        )
        for piece in pieces(call.json):
            delta = {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            yield _event(head, delta)._replace(is_content=True)
    yield _event(head, {}, completion.finish)
    yield from _ending(completion, head)


def read_completions(body: Mapping[str, Any]) -> Query:
    """Return the meaning of a completions request."""
    prompt = body["prompt"]
    text = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
    return Query(
        body=body,
        model=body["model"],
        stream=bool(body.get("stream")),
        segments=[Segment(text)],
        user_text=text,
        wants_usage=bool(object_in(body, "stream_options").get("include_usage")),
    )


def completions_body(completion: Completion) -> dict[str, Any]:
    """Return the body of a completion that is not streamed."""
    choice = {"text": completion.text, "index": 0, "logprobs": None, "finish_reason": completion.finish}
    return _head(completion, "cmpl", "text_completion") | {"choices": [choice]} | _usage(completion)


def completions_frames(completion: Completion) -> Iterator[Frame]:
    """Yield the events of a streamed completion."""
    head = _head(completion, "cmpl", "text_completion")
    last = len(completion.chunks) - 1
    for index, piece in enumerate(completion.chunks or ("",)):
        finish = completion.finish if index >= last else None
        choice = {"text": piece, "index": 0, "logprobs": None, "finish_reason": finish}
        yield Frame(_data(head | {"choices": [choice]}), is_content=last >= 0)
    yield from _ending(completion, head)


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return an error as OpenAI words it."""
    kinds = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
    }
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")  # noqa: PLR2004
    codes = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}
    return {"error": {"message": message, "type": kind, "param": None, "code": codes.get(status)}}


def error_frame(body: Any, number: int) -> Frame:  # noqa: ARG001 - the other APIs number their events
    """Return an error as an event of a stream."""
    return Frame(_data(body))


def _segment(message: Mapping[str, Any]) -> Segment:
    calls = [call["function"] for call in array_in(message, "tool_calls")]
    said = [f"{call['name']} {call['arguments']}" for call in calls]
    return Segment(" ".join([message["role"], as_text(message.get("content")), *said]))


def _tool_results(messages: Sequence[Any]) -> list[str]:
    latest = takewhile(lambda message: message["role"] == "tool", reversed(messages))
    return [as_text(message["content"]) for message in latest][::-1]


def _tool(function: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(function["name"], object_in(function, "parameters"))


def _head(completion: Completion, prefix: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{completion.number}",
        "object": kind,
        "created": CREATED,
        "model": completion.query.model,
        "system_fingerprint": "fp_llmopt",
    }


def _usage(completion: Completion) -> dict[str, Any]:
    if completion.omit_usage:
        return {}
    tokens = completion.tokens
    return {
        "usage": {
            "prompt_tokens": tokens.input_tokens,
            "completion_tokens": tokens.output_tokens,
            "total_tokens": tokens.input_tokens + tokens.output_tokens,
            "prompt_tokens_details": {"cached_tokens": tokens.cache_read_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens, "audio_tokens": 0},
        }
    }


def _ending(completion: Completion, head: dict[str, Any]) -> Iterator[Frame]:
    if completion.query.wants_usage and not completion.omit_usage:
        yield Frame(_data(head | {"choices": []} | _usage(completion)))
    yield Frame(_DONE)


def _event(head: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> Frame:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return Frame(_data(head | {"choices": [choice]}))


def _data(payload: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(payload).encode()
