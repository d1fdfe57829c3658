"""What a test scripts and what it finds recorded: `Answer`, `ToolCall`, `Tokens` and `Request`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...errors import ConfigurationError

Finish: TypeAlias = 'Literal["stop", "length", "tool_calls", "content_filter"]'
"""Why the model stopped, in the words of the chat completions API; other APIs get their own word for it."""

_FINISHES = ("stop", "length", "tool_calls", "content_filter")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the server's model asks for.

    Attributes:
        name: the tool's name.
        arguments: its arguments; a string goes out as it is, to play a model that writes broken JSON.
        id: the call's id, or None for a running number.

    Example:
        >>> ToolCall("move_to", {"x": 3}).json
        '{"x": 3}'
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict[str, Any])
    id: str | None = None

    @property
    def json(self) -> str:
        """The arguments as they go over the wire."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(dict(self.arguments))


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts of one answer; each API reports them in its own shape.

    Attributes:
        input_tokens: all input tokens, cached ones included.
        output_tokens: all output tokens, reasoning included.
        cache_read_tokens: input tokens that came from the prefix cache.
        cache_write_tokens: input tokens that were written to the prefix cache.
        reasoning_tokens: output tokens spent on reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server does with one request. Without arguments it echoes, at once.

    Attributes:
        text: what the model says; None for the echo, or nothing where `tool_calls` are given.
        chunks: the same, in the pieces in which it is streamed; excludes `text`.
        tool_calls: the tool calls that the model asks for.
        reasoning: what the model thinks first; None lets it think only where the request asks for it.
        finish: why the model stopped; None for "tool_calls" or "stop", whichever applies.
        tokens: token counts to report instead of the computed ones.
        omit_usage: report no token counts at all, as some servers do; the messages API must report them.
        empty: the model says nothing whatsoever.
        status: HTTP status; from 400 on, an error body goes out in place of an answer.
        headers: further response headers, such as `{"retry-after": "1"}`. The OpenAI and Anthropic SDKs
            repeat failed requests by themselves unless `{"x-should-retry": "false"}` is among them.
        json_error_body: the error body, in place of the one that fits `status`.
        raw_body: the body in bytes, whatever they are: a proxy's HTML page, broken JSON.
        delay_s: seconds before the first byte.
        chunk_delay_s: seconds between two content chunks of a stream.
        end_delay_s: seconds between the last event of a stream and the end of its HTTP body, which
            otherwise share one write.
        cut_after_chunks: close the connection after so many content chunks of a stream (text, reasoning
            and tool argument pieces), or half way through the body of another answer. 0 closes it
            without a byte. With `hang` or `error_in_stream` those happen there instead.
        error_in_stream: end the stream with the API's error event. A request that is not streamed gets a
            status 500.
        hang: send nothing (more), until the client leaves or the server closes.

    Raises:
        ConfigurationError: if an argument is out of range, or two exclude each other.

    Example:
        >>> Answer(text="HOLD", delay_s=0.2).status
        200
    """

    text: str | None = None
    chunks: Sequence[str] | None = None
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str | None = None
    finish: Finish | None = None
    tokens: Tokens | None = None
    omit_usage: bool = False
    empty: bool = False
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    json_error_body: Any = None
    raw_body: bytes | None = None
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    end_delay_s: float = 0.0
    cut_after_chunks: int | None = None
    error_in_stream: bool = False
    hang: bool = False

    def __post_init__(self) -> None:
        if self.text is not None and self.chunks is not None:
            raise ConfigurationError("Answer takes either text= or chunks=, not both")
        if self.empty and (self.text or self.chunks or self.tool_calls or self.reasoning):
            raise ConfigurationError(
                "Answer(empty=True) says nothing, so give it no text, tool calls or reasoning"
            )
        if self.hang and self.error_in_stream:
            raise ConfigurationError("Answer takes either hang= or error_in_stream=, not both")
        self._check_ranges()

    def _check_ranges(self) -> None:
        if not 200 <= self.status <= 599:  # noqa: PLR2004 - the final statuses of RFC 9110, section 15
            raise ConfigurationError(f"Answer.status must lie in 200..599, not {self.status!r}")
        for name in ("delay_s", "chunk_delay_s", "end_delay_s", "cut_after_chunks"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigurationError(f"Answer.{name} must be finite and not negative, not {value!r}")
        if self.finish is not None and self.finish not in _FINISHES:
            raise ConfigurationError(
                f"Answer.finish must be one of {', '.join(_FINISHES)}, not {self.finish!r}"
            )
        if any(set(f"{name}{value}") & set("\r\n") for name, value in self.headers.items()):
            raise ConfigurationError("Answer.headers must not contain line breaks")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server received it. Credentials in the headers are masked before it is recorded.

    Attributes:
        method: "GET" or "POST".
        path: the path as sent, with its query.
        headers: the headers, names in lower case.
        body: the decoded JSON body; None if there was none.
        connection_id: running number of the TCP connection that it came over, from 1.
        received_s: `time.perf_counter()` when it had arrived whole.
        user_text: text of the last user message, for handlers; empty where there is none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    connection_id: int
    received_s: float
    user_text: str = ""
