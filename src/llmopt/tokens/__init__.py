"""Exact token counts without a network; a marked estimate where a tokenizer is not public.

Example:
    >>> from llmopt import tokens
    >>> tokens.counter("gpt-4o").count("Hello, world!")
    4
"""

from __future__ import annotations

from .counters import TokenCounter, counter, preload_tiktoken
from .estimate import Estimate
from .exact import ExactCounter

__all__ = ["Estimate", "ExactCounter", "TokenCounter", "counter", "preload_tiktoken"]
