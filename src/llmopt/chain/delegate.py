"""Runs the model at the end of the chain and reads what it has left on its response."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..trace import Attempt, RunUnderWay, Usage
from ..types import Call, Reply
from .compat import ModelReply, apply, inner_response

Execute = Callable[[Any, Call, Any], Any]
"""(model, call, response) -> the model's own stream of events."""


class Delegate:
    """The bottom of the chain; one serves all calls of a class of models, and keeps nothing of them.

    The consumer's response is written to directly by the first run of the original prompt. A run with
    another prompt or model, or a repeated one, gets a response of its own, and the one that counts is
    copied to the consumer's at the end.
    """

    __slots__ = ("_execute",)

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def start(self, call: Call) -> Any:
        """Start a model and return its events; they are asked for in the world of the call."""
        trace, model, response = call.trace, call.model, call.response
        if (
            trace.run_response is not None
            or call.prompt is not response.prompt
            or model is not response.model
        ):
            response = inner_response(response, call.prompt, model)
        trace.run_response = response
        if trace.attempts is not None:
            trace.run = (model.model_id, call.clock.monotonic(), trace.waited_s)
            trace.first_event_at = None
            trace.waited_s = 0.0
        return self._execute(model, call, response)


def begins(call: Call) -> None:
    """Note that an event of the run under way has come, whether or not it gets through."""
    trace = call.trace
    if trace.first_event_at is None and trace.run is not None:
        trace.first_event_at = call.clock.monotonic()


def ended(call: Call) -> Reply:
    """Return the reply of the run that has just ended well."""
    response = call.trace.run_response
    reply = ModelReply(response)
    if call.trace.run is not None:
        # Who records attempts asks for these; read one by one from the reply they cost several times as much.
        tokens = (response.input_tokens, response.output_tokens, response.token_details)
        usage = reply.usage = tuple.__new__(Usage, tokens)  # in half the time of a call of the class
        reply.response_json, reply.resolved_model = response.response_json, response.resolved_model
        _note(call, call.trace.run, None, usage)
    return reply


def failed(call: Call, error: BaseException) -> None:
    """Note that the run under way, if there is one, has failed."""
    if call.trace.run is not None:
        _note(call, call.trace.run, error, None)


def _note(call: Call, run: RunUnderWay, error: BaseException | None, usage: Usage | None) -> None:
    """Turn the run under way into an attempt."""
    trace = call.trace
    trace.run = None
    attempt = (*run, trace.first_event_at, call.clock.monotonic(), error, usage)
    trace.record().append(tuple.__new__(Attempt, attempt))  # in half the time of a call of the class


def finish(call: Call, reply: Reply) -> None:
    """Give the consumer's response what the answer that counts has left, and the trace."""
    outer: Any = call.response
    if reply.response is not outer:
        apply(reply, outer)
    trace = call.trace
    trace.source = reply.source
    trace.run_response = None  # or trace and response would keep each other until the next collection
    outer.llmopt = trace
