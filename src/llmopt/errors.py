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

`Abandoned` stands outside: it is a BaseException, as GeneratorExit is, because it tells a flow
that nobody waits for the answer any more, and no `except Exception` may take it for a failure.

What a model or an SDK raises is never replaced by one of these: it passes through as it is.
"""

from __future__ import annotations

__all__ = [
    "Abandoned",
    "BudgetExceeded",
    "CallError",
    "CallTimeout",
    "CircuitOpen",
    "ConfigurationError",
    "FallbackFailed",
    "FlowError",
    "LLMOptError",
    "NoAnswer",
    "RateLimited",
    "StoreError",
    "StreamStarted",
    "TokenizerError",
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
