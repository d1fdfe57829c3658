"""When to send a failed call again, and after what wait. Nothing here is touched by calls that succeed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ._common import is_count, is_number, require
from .classify import error_class, http_status, is_transient, retry_after_s

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["RetryPolicy", "error_class", "http_status", "is_transient", "retry_after_s"]

WaitStrategy: TypeAlias = "Callable[[RetryCallState], float]"
StopStrategy: TypeAlias = "Callable[[RetryCallState], bool]"

_SPREAD = 0.1  # callers that were told the same Retry-After come back over a tenth of it
_DOUBLINGS = 60  # keeps 2 ** attempt finite


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Decides, after each failure, whether to try again and when.

    The default wait is exponential with full jitter, as tenacity's `wait_random_exponential` and
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/: uniform between
    `min_wait_s` and 1, 2, 4, ... seconds, up to `max_wait_s`. Any strategy of tenacity, or a callable
    like one, may take its place; it sees a `RetryCallState` of the failed attempt.

    Attributes:
        attempts: attempts in all, the first included; from 1 up.
        wait: tenacity wait strategy, or None for the default.
        stop: tenacity stop strategy that ends the attempts before `attempts` does, or None.
        min_wait_s: shortest wait of the default strategy.
        max_wait_s: longest wait of the default strategy.
        max_retry_after_s: longest wait that a server may ask for. If it asks for more, the call is
            given up at once: knocking earlier would only prolong it.
        transient: tells which errors are worth another attempt.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> policy = RetryPolicy(attempts=3)
        >>> 0.5 <= policy.decide(ConnectionError(), attempt=1, now=0.0) <= 1.0
        True
        >>> policy.decide(ConnectionError(), attempt=3, now=0.0) is None    # it was the last
        True
        >>> policy.decide(ConnectionError(), attempt=1, now=0.0, deadline=0.4) is None
        True
        >>> import tenacity
        >>> RetryPolicy(wait=tenacity.wait_fixed(2)).decide(TimeoutError(), attempt=1, now=0.0)
        2.0
    """

    attempts: int = 4
    wait: WaitStrategy | None = None
    stop: StopStrategy | None = None
    min_wait_s: float = 0.5
    max_wait_s: float = 30.0
    max_retry_after_s: float = 60.0
    transient: Callable[[BaseException], bool] = is_transient

    def __post_init__(self) -> None:
        right = "a whole number from 1 up"
        require(is_count(self.attempts, least=1), "RetryPolicy: attempts", self.attempts, right)
        right = "a callable that takes a RetryCallState, or None"
        require(self.wait is None or callable(self.wait), "RetryPolicy: wait", self.wait, right)
        require(self.stop is None or callable(self.stop), "RetryPolicy: stop", self.stop, right)
        right = "a callable that takes an error"
        require(callable(self.transient), "RetryPolicy: transient", self.transient, right)
        for name in ("min_wait_s", "max_wait_s", "max_retry_after_s"):
            value = getattr(self, name)
            right = "a number of seconds from 0 up"
            require(value == 0 or is_number(value, above=0), f"RetryPolicy: {name}", value, right)
        right = f"no more than max_wait_s={self.max_wait_s}"
        require(self.min_wait_s <= self.max_wait_s, "RetryPolicy: min_wait_s", self.min_wait_s, right)

    def decide(
        self,
        error: BaseException,
        attempt: int,
        now: float,
        deadline: float | None = None,
        *,
        started: float | None = None,
        wall_now: float | None = None,
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up.

        Args:
            error: what the attempt raised.
            attempt: which attempt it was, the first being 1.
            now: monotonic seconds.
            deadline: monotonic second by which the call must be done: no wait reaches it.
            started: monotonic second at which the first attempt began; for `stop` strategies on time.
            wall_now: seconds since the Unix epoch; for a `Retry-After` date from a server that does
                not tell its own time.

        Returns:
            Seconds from 0.0 up. A `Retry-After` is kept, with up to a tenth added so that callers who
            were told the same do not all return in the same moment.
        """
        if attempt >= self.attempts or not self.transient(error):
            return None
        asked_s = retry_after_s(error, wall_now) or 0.0
        if asked_s > self.max_retry_after_s:
            return None
        state = _State(error, attempt, now, now if started is None else started)
        delay_s = max(self._backoff_s(state), asked_s * random.uniform(1.0, 1.0 + _SPREAD))  # noqa: S311
        if self.stop is not None and self.stop(state.for_tenacity(delay_s)):
            return None
        if deadline is not None and now + delay_s >= deadline:
            return None
        return delay_s

    def _backoff_s(self, state: _State) -> float:
        if self.wait is not None:
            return max(0.0, float(self.wait(state.for_tenacity())))
        ceiling_s = min(2.0 ** min(state.attempt - 1, _DOUBLINGS), self.max_wait_s)
        return random.uniform(self.min_wait_s, max(self.min_wait_s, ceiling_s))  # noqa: S311


@dataclass(frozen=True, slots=True)
class _State:
    """A failed attempt."""

    error: BaseException
    attempt: int
    now: float
    started: float

    def for_tenacity(self, upcoming_sleep: float = 0.0) -> RetryCallState:
        """Return it as tenacity's strategies want to see it."""
        from tenacity import RetryCallState

        state = RetryCallState(cast("Any", None), None, (), {})
        state.set_exception((type(self.error), self.error, self.error.__traceback__))
        state.start_time, state.outcome_timestamp = self.started, self.now
        state.attempt_number, state.upcoming_sleep = self.attempt, upcoming_sleep
        return state
