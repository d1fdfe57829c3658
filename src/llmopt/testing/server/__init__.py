"""A local server that speaks OpenAI's and Anthropic's APIs over real HTTP, for tests and benchmarks.

It needs the standard library only, runs in a thread of the test, and answers at once: with an echo of
what it was asked, or with what the test scripts. Nothing about it is random.

    >>> from llmopt.testing.server import Answer, openai_server
    >>> with openai_server() as server:
    ...     server.script(Answer(status=429, headers={"retry-after": "1"}), Answer(text="HOLD"))
    ...     server.url.startswith("http://127.0.0.1:")
    True

`python -m llmopt.testing.server` runs it as a process of its own.
"""

from __future__ import annotations

from .answer import Answer, Finish, Request, Tokens, ToolCall
from .lifecycle import OpenAIServer, openai_server
from .prefix import PrefixCache

__all__ = [
    "Answer",
    "Finish",
    "OpenAIServer",
    "PrefixCache",
    "Request",
    "Tokens",
    "ToolCall",
    "openai_server",
]
