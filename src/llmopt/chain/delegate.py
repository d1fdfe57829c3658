"""Runs the model at the end of the chain and reads what it has left on its response."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..types import Attempt, Call, Reply
from . import compat

Execute = Callable[[Any, Call, Any], Any]
"""(model, call, response) -> the model's own stream of events."""


class Delegate:
    """The bottom of one call's chain.

    The consumer's response is written to directly by the first run of the original prompt. A run with
    another prompt or model, or a repeated one, gets a response of its own, and the one that counts is
    copied to the consumer's at the end.
    """

    __slots__ = ("_attempt", "_call", "_execute", "_response")

    def __init__(self, execute: Execute, call: Call) -> None:
        self._execute = execute
        self._call = call
        self._response: Any = None
        self._attempt: Attempt | None = None

    def start(self, call: Call) -> Any:
        """Start a model and return its events; they are asked for in the world of the call."""
        outer: Any = call.response
        if self._response is None and call.prompt is outer.prompt and call.model is outer.model:
            response = outer
        else:
            response = compat.inner_response(outer, call.prompt, call.model)
        self._response = response
        if call.trace.attempts is not None:
            self._attempt = attempt = Attempt(call.model_id, call.clock.monotonic(), call.trace.waited_s)
            call.trace.attempts.append(attempt)
            call.trace.waited_s = 0.0
        return self._execute(call.model, call, response)

    def begins(self) -> None:
        """Note that an event of this run has come, whether or not it gets through."""
        attempt = self._attempt
        if attempt is not None and attempt.first_event_at is None:
            attempt.first_event_at = self._call.clock.monotonic()

    def ended(self) -> Reply:
        """Return the reply of the run that has just ended well."""
        reply = compat.ModelReply(self._response)
        attempt = self._attempt
        if attempt is not None:
            attempt.ended_at = self._call.clock.monotonic()
            attempt.usage = reply.usage
            self._attempt = None
        return reply

    def failed(self, error: BaseException) -> None:
        """Note that the run under way, if there is one, has failed."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.ended_at = self._call.clock.monotonic()
            attempt.error = error

    def finish(self, reply: Reply | None) -> None:
        """Give the consumer's response what the answer that counts has left, and the trace."""
        if reply is None:
            return
        outer: Any = self._call.response
        if reply.response is not outer:
            compat.apply(reply, outer)
        self._call.trace.source = reply.source
        outer.llmopt = self._call.trace
