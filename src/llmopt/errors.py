"""The one error tree of llmopt.

* LLMOptError                 everything that llmopt raises by itself
  * ConfigurationError        an argument is wrong; raised where it was given (also a ValueError)
  * FlowError                 a middleware broke the flow protocol
    - StreamStarted           it asked for another answer after events had reached the consumer
    - NoAnswer                it ended without a reply and without an error
  * CallError                 a middleware refused a call, or gave it up
    - CallTimeout             a limit of `Timeout` has passed (also a TimeoutError)
    - CircuitOpen             `CircuitBreaker` refuses calls for now
    - RateLimited             `RateLimit` would have to wait longer than it may
    - BudgetExceeded          `Budget` has nothing left in its window
    - FallbackFailed          every tier of `Fallback` has failed
  * StoreError                a cache store or the usage log could not do its work
  * TokenizerError            exact token counts were demanded and no rank file is to be had
  * EncodingError             `compress` was given what JSON cannot hold (also a ValueError)
  * DecodingError             a text is no encoding that `compress` has made (also a ValueError)
  * PlanStreamError           a reply is not the stream of plans that was asked for (also a ValueError)
    - PlanSyntaxError         it is no JSON from some place on
    - TruncatedStreamError    it ended in the middle of a plan, or of the list
    - PlanValidationError     one plan is JSON, but not of the type that was asked for
    - LimitExceeded           an element, its depth, the preamble or the count is over a limit

`Abandoned` stands outside: it is a BaseException, as GeneratorExit is, because it tells a flow
that nobody waits for the answer any more, and no `except Exception` may take it for a failure.

What a model or an SDK raises is never replaced by one of these: it passes through as it is.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Abandoned",
    "BudgetExceeded",
    "CallError",
    "CallTimeout",
    "CircuitOpen",
    "ConfigurationError",
    "DecodingError",
    "EncodingError",
    "FallbackFailed",
    "FlowError",
    "LLMOptError",
    "LimitExceeded",
    "NoAnswer",
    "PlanStreamError",
    "PlanSyntaxError",
    "PlanValidationError",
    "RateLimited",
    "StoreError",
    "StreamStarted",
    "TokenizerError",
    "TruncatedStreamError",
]


class Abandoned(BaseException):
    """Thrown into every flow, innermost first, when the consumer of a call is gone.

    The consumer closed the stream, its task was cancelled, or the process is being interrupted.
    A flow may record and release things, with `Run` steps only; whatever else it yields is refused.
    """


class LLMOptError(Exception):
    """Base class of all errors that llmopt raises by itself."""


class ConfigurationError(LLMOptError, ValueError):
    """An argument is wrong, or two of them exclude each other. The message says what would be right."""


class FlowError(LLMOptError):
    """A middleware broke the flow protocol; the message names it."""


class StreamStarted(FlowError):
    """A flow asked for another answer after an event of the first had reached the consumer."""


class NoAnswer(FlowError):
    """A flow ended without having performed a call or a reply, or swallowed the error of its only one."""


class CallError(LLMOptError):
    """A middleware refused a call, or gave it up."""


class CallTimeout(CallError, TimeoutError):
    """A limit of `Timeout` has passed.

    Attributes:
        limit: which one: "first_token", "between_tokens" or "total".
        limit_s: its length in seconds.
    """

    def __init__(self, message: str, *, limit: str = "total", limit_s: float | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.limit_s = limit_s


class _RetryLater(CallError):
    """A refusal that ends by itself.

    Attributes:
        retry_after_s: seconds until a call may be let through, or None where that is unknown.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CircuitOpen(_RetryLater):
    """The circuit breaker refuses calls until `retry_after_s` seconds have passed."""


class RateLimited(_RetryLater):
    """The rate limiter would have to hold this call back longer than it may."""


class BudgetExceeded(_RetryLater):
    """The budget of the current window is spent."""


class FallbackFailed(CallError):
    """Every tier has failed.

    Attributes:
        errors: one exception per tier, in the order in which the tiers were tried.
    """

    def __init__(self, message: str, *, errors: tuple[Exception, ...] = ()) -> None:
        super().__init__(message)
        self.errors = errors


class StoreError(LLMOptError):
    """A cache store or the usage log could not do its work."""


class TokenizerError(LLMOptError):
    """Exact token counts were demanded and no valid rank file is to be had."""


class EncodingError(LLMOptError, ValueError):
    """A value cannot be encoded: it holds what JSON cannot. The message says where."""


class DecodingError(LLMOptError, ValueError):
    """A text is no encoding that `llmopt.compress` has made, or what it refers to is missing.

    Attributes:
        line: the line of the text, counted from 1, or None where it is not about one line.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class PlanStreamError(LLMOptError, ValueError):
    """A reply is not the stream of plans that was asked for.

    Attributes:
        plans: the plans that were complete and had not been handed out when it was raised.
    """

    def __init__(self, message: str, *, plans: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.plans = plans


class _PlaceError(PlanStreamError):
    """A fault at some place of the reply.

    Attributes:
        offset: characters of the reply before the place, or bytes where bytes were fed.
        line: its line, counted from 1.
        column: its column, counted from 1.
        excerpt: the text around it.
    """

    def __init__(
        self,
        message: str,
        *,
        offset: int = 0,
        line: int = 1,
        column: int = 1,
        excerpt: str = "",
        plans: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(message, plans=plans)
        self.offset = offset
        self.line = line
        self.column = column
        self.excerpt = excerpt


class PlanSyntaxError(_PlaceError):
    """The reply is no JSON from `offset` on."""


class TruncatedStreamError(_PlaceError):
    """The reply ended in the middle of a plan, or of the list of plans."""


class PlanValidationError(PlanStreamError):
    """A plan is JSON, but not of the type that was asked for.

    Attributes:
        agent_id: whose plan it is, or None if that cannot be told.
        raw: the JSON text of the plan.
    """

    def __init__(
        self, message: str, *, agent_id: str | int | None = None, raw: str = "", plans: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(message, plans=plans)
        self.agent_id = agent_id
        self.raw = raw


class LimitExceeded(PlanStreamError):
    """An element, its depth, the text before the plans, or their number is over a limit."""
