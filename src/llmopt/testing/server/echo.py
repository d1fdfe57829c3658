"""The model behind the server: it says what the test scripted, and otherwise echoes, the same every time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from .answer import Tokens, ToolCall
from .conforming import conforming
from .query import Completion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .answer import Answer
    from .prefix import Lookup
    from .query import Query, ToolSpec

_PIECE = re.compile(r"\s*(?:\w+|[^\w\s]+)(?:\s+\Z)?|\s+\Z")


def complete(query: Query, answer: Answer, lookup: Lookup, number: int) -> Completion:
    """Return what the model says.

    An answer without text echoes: it calls the tools that the user names, or the first one on offer, and
    reports their results when they are in; it fills a schema with `conforming` values; and it repeats the
    user's last message if there is neither.

    Args:
        query: what is asked.
        answer: what the test scripted.
        lookup: what the prefix cache knows of the prompt.
        number: running number of the answer.

    Returns:
        The completion, with its tokens counted as words.

    Example:
        >>> from llmopt.testing.server import Answer
        >>> from llmopt.testing.server.prefix import Lookup
        >>> from llmopt.testing.server.query import Query
        >>> complete(Query({}, "echo", user_text="Hold fire"), Answer(), Lookup(2, 0, 0, frozenset()), 1).text
        'Echo: Hold fire'
    """
    tool_calls = _tool_calls(query, answer, number)
    chunks = _chunks(query, answer, called=bool(tool_calls))
    reasoning = _reasoning(query, answer)
    return Completion(
        number=number,
        query=query,
        chunks=chunks,
        tool_calls=tool_calls,
        reasoning=reasoning,
        finish=answer.finish or ("tool_calls" if tool_calls else "stop"),
        tokens=answer.tokens or _tokens(lookup, chunks, tool_calls, reasoning or ()),
        omit_usage=answer.omit_usage,
    )


def pieces(text: str) -> list[str]:
    """Split text in words and punctuation, each with the white space before it; nothing gets lost.

    Example:
        >>> pieces("Hold fire, now")
        ['Hold', ' fire', ',', ' now']
    """
    return _PIECE.findall(text)


def _is_echo(answer: Answer) -> bool:
    return answer.text is None and answer.chunks is None and not answer.empty and not answer.tool_calls


def _tool_calls(query: Query, answer: Answer, number: int) -> list[ToolCall]:
    calls = answer.tool_calls
    if _is_echo(answer):
        calls = [ToolCall(tool.name, conforming(tool.schema)) for tool in _tools_to_call(query)]
    return [replace(call, id=call.id or f"call_{number}_{index}") for index, call in enumerate(calls)]


def _tools_to_call(query: Query) -> Sequence[ToolSpec]:
    if not query.tools or query.tool_choice == "none":
        return ()
    if query.tool_choice not in ("auto", "required"):
        return [tool for tool in query.tools if tool.name == query.tool_choice]
    if query.tool_results and query.tool_choice == "auto":
        return ()
    words = set(re.findall(r"\w+", query.user_text))
    return [tool for tool in query.tools if tool.name in words] or query.tools[:1]


def _chunks(query: Query, answer: Answer, *, called: bool) -> Sequence[str]:
    if answer.chunks is not None:
        return answer.chunks
    text = answer.text
    if text is None:
        text = "" if called or not _is_echo(answer) else _echo(query)
    if query.stream:
        return pieces(text)
    return [text] if text else []


def _echo(query: Query) -> str:
    if query.schema is not None:
        return json.dumps(conforming(query.schema))
    if query.tool_results:
        return f"Tool results: {'; '.join(query.tool_results)}"
    return f"Echo: {query.user_text}"


def _reasoning(query: Query, answer: Answer) -> Sequence[str] | None:
    if answer.reasoning is not None:
        return pieces(answer.reasoning)
    return pieces(f"Thinking about: {query.user_text}") if query.thinks and not answer.empty else None


def _tokens(
    lookup: Lookup, chunks: Sequence[str], tool_calls: Sequence[ToolCall], reasoning: Sequence[str]
) -> Tokens:
    called = sum(len(f"{call.name} {call.json}".split()) for call in tool_calls)
    thought = len("".join(reasoning).split())
    return Tokens(
        input_tokens=lookup.input_tokens,
        output_tokens=len("".join(chunks).split()) + called + thought,
        cache_read_tokens=lookup.read_tokens,
        cache_write_tokens=lookup.write_tokens,
        reasoning_tokens=thought,
    )
