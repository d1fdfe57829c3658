"""What the three APIs have in common: the meaning of a request, and the completion it gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .answer import Finish, Tokens, ToolCall

CREATED = 1_750_000_000
"""Creation time of every answer, seconds since the Unix epoch: fixed, so that answers can be compared."""


class Segment(NamedTuple):
    """One piece of a prompt, in the order in which a provider caches prefixes.

    Attributes:
        text: its text.
        breakpoint: whether the request asks to cache the prompt up to here.
    """

    text: str
    breakpoint: bool = False


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the request offers.

    Attributes:
        name: its name.
        schema: the JSON Schema of its arguments.
    """

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A request in terms that no API owns.

    Attributes:
        body: the request as it was sent.
        model: the model asked for.
        stream: whether the answer is to be streamed.
        segments: the whole prompt.
        user_text: text of the last user message.
        tool_results: results that came in after the model's last turn.
        tools: tools on offer.
        tool_choice: "auto", "none", "required", or the name of the tool that must be called.
        schema: JSON Schema of the answer, or None for prose.
        thinks: whether the request asks for reasoning.
        shows_reasoning: whether it wants to read the reasoning.
        wants_usage: whether a stream is to end with token counts.
        explicit_cache: whether only prefixes marked by a breakpoint are cached.
    """

    body: Mapping[str, Any]
    model: str
    stream: bool = False
    segments: Sequence[Segment] = ()
    user_text: str = ""
    tool_results: Sequence[str] = ()
    tools: Sequence[ToolSpec] = ()
    tool_choice: str = "auto"
    schema: Mapping[str, Any] | None = None
    thinks: bool = False
    shows_reasoning: bool = False
    wants_usage: bool = True
    explicit_cache: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model says to a query; the API's module puts it on the wire.

    Attributes:
        number: running number of the answer, for its ids.
        query: what was asked.
        chunks: its text, in the pieces in which it is streamed.
        tool_calls: the tool calls that it asks for, each with an id.
        reasoning: what it thought first, in pieces; None if it did not think.
        finish: why it stopped.
        tokens: the token counts to report.
        omit_usage: whether to report none.
    """

    number: int
    query: Query
    chunks: Sequence[str]
    tool_calls: Sequence[ToolCall]
    reasoning: Sequence[str] | None
    finish: Finish
    tokens: Tokens
    omit_usage: bool = False

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.chunks)


class Frame(NamedTuple):
    """One server-sent event.

    Attributes:
        data: its bytes.
        is_content: whether it carries a piece of the answer: text, reasoning or tool arguments.
    """

    data: bytes
    is_content: bool = False


def as_text(content: Any) -> str:
    """Return the text of a message's content, which is a string or a list of parts.

    Example:
        >>> as_text([{"type": "text", "text": "Hold"}, {"type": "image_url", "image_url": {}}, "fire"])
        'Hold fire'
    """
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content or ()
    texts = (part if isinstance(part, str) else part.get("text") for part in parts)
    return " ".join(text for text in texts if text)


def object_in(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object under a key, empty where it is missing or null."""
    value: Mapping[str, Any] | None = body.get(key)
    return value or {}


def array_in(body: Mapping[str, Any], key: str) -> Sequence[Any]:
    """Return the array under a key, empty where it is missing or null."""
    value: Sequence[Any] | None = body.get(key)
    return value or ()


def format_schema(response_format: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema that an OpenAI response format asks for, or None for prose.

    Example:
        >>> format_schema({"type": "json_schema", "json_schema": {"schema": {"type": "array"}}})
        {'type': 'array'}
    """
    match response_format.get("type"):
        case "json_schema":
            schema: Mapping[str, Any] = response_format.get("json_schema", response_format)["schema"]
            return schema
        case "json_object":
            return {"type": "object", "properties": {"echo": {"type": "string"}}}
        case _:
            return None


def tool_choice(choice: Any) -> str:
    """Return an OpenAI tool choice as a word or a tool's name.

    Example:
        >>> tool_choice(None), tool_choice({"type": "function", "function": {"name": "move_to"}})
        ('auto', 'move_to')
    """
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    name: str = choice.get("function", choice)["name"]
    return name


def sse(event: str, payload: Mapping[str, Any]) -> bytes:
    """Return a named server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), json.dumps(payload).encode())
