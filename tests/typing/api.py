"""The public interface as type checkers see it: mypy and pyright read this file, nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

import llm

import llmopt
from llmopt.errors import BudgetExceeded, CallTimeout, ConfigurationError, FallbackFailed
from llmopt.types import Call, Flow, Middleware, Reply, Run, Sleep


def a_middleware_is_a_generator_function(call: Call) -> Flow:
    assert_type(call.model_id, str)
    assert_type(call.remaining_s(), float | None)
    yield Sleep(0.5)
    rows = yield Run(lambda: [1])
    assert_type(rows, Any)
    reply: Reply = yield call.buffered()
    assert_type(reply.text, str)
    assert_type(reply.usage.input_tokens, int | None)


def it_is_taken_as_one() -> Middleware:
    return a_middleware_is_a_generator_function


def errors_carry_their_figures(
    timeout: CallTimeout, budget: BudgetExceeded, fallback: FallbackFailed, bad: ConfigurationError
) -> None:
    assert_type(timeout.limit_s, float | None)
    assert_type(budget.retry_after_s, float | None)
    assert_type(fallback.errors, tuple[Exception, ...])
    _: ValueError = bad
    _also: TimeoutError = timeout


def a_wrapped_model_keeps_its_type(model: llm.Model, amodel: llm.AsyncModel) -> None:
    wrapped = llmopt.wrap(model, a_middleware_is_a_generator_function)
    assert_type(wrapped, llm.Model)
    assert_type(wrapped.prompt("hello").text(), str)
    assert_type(llmopt.wrap(amodel), llm.AsyncModel)
    assert_type(llmopt.unwrap(wrapped), llm.Model)
