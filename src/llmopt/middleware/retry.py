"""Sends a failed call again, if it may succeed then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import ClassVar

from ..resilience import RetryBudget, RetryPolicy, is_transient
from ..resilience.retry import StopStrategy, WaitStrategy
from ..types import Call, Flow, Sleep
from ._configured import Configured, check_function, freeze, named


@dataclass(frozen=True)
class Retry(Configured):
    """Repeats calls that failed for a passing reason, as long as nothing has reached the consumer.

    A model that is wrapped with it is asked exactly `attempts` times at most: the provider SDK's own
    retries, which nobody sees, are turned off (for pooled models; see `wrap`). What the last attempt
    raised is raised, as it is. The wait honours `Retry-After`; the deadline of a `Timeout` outside holds
    for all attempts together.

    Args:
        attempts: attempts in all, the first included; from 1 up.
        wait: a tenacity wait strategy; by default exponential with full jitter, up to 30 s.
        stop: a tenacity stop strategy that may end the attempts earlier, or None.
        max_retry_after_s: longest wait, in seconds, that a server may ask for. If it asks for more, the
            call is given up at once.
        transient: tells which errors are worth another attempt; by default timeouts, failed connections
            and the statuses 408, 409, 425, 429, 500, 502, 503, 504 and 529, unless a quota is exhausted.
        budget_ratio: retries allowed per call, over 10 s, plus one a second; so that an outage is not
            answered by a multiple of the load. None sets no such bound.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import Answer, ScriptedModel, VirtualClock
        >>> model = ScriptedModel([Answer(error=ConnectionError("reset")), "Hello"])
        >>> llmopt.wrap(model, llmopt.Retry(attempts=2), clock=VirtualClock()).prompt("Hi").text()
        'Hello'
    """

    replaces_sdk_retries: ClassVar[bool] = True

    attempts: int = 4
    wait: WaitStrategy | None = None
    stop: StopStrategy | None = None
    max_retry_after_s: float = 60.0
    transient: Callable[[BaseException], bool] = is_transient
    budget_ratio: float | None = 0.2
    _policy: RetryPolicy = field(init=False, repr=False, compare=False)
    _budget: RetryBudget | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.wait is not None:
            right = "a tenacity wait strategy, such as wait_fixed(2), or None"
            check_function("Retry: wait", self.wait, right)
        if self.stop is not None:
            right = "a tenacity stop strategy, such as stop_after_delay(60), or None"
            check_function("Retry: stop", self.stop, right)
        right = "a function of an error, such as lambda error: isinstance(error, TimeoutError)"
        check_function("Retry: transient", self.transient, right)
        with named("Retry", ratio="budget_ratio"):
            policy = RetryPolicy(
                attempts=self.attempts,
                wait=self.wait,
                stop=self.stop,
                max_retry_after_s=self.max_retry_after_s,
                transient=self.transient,
            )
            budget = None if self.budget_ratio is None else RetryBudget(ratio=self.budget_ratio)
        freeze(self, _policy=policy, _budget=budget)

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        began = call.clock.monotonic()
        if self._budget is not None:
            self._budget.record_call(began)
        attempt = 1
        while True:
            try:
                yield call
            except Exception as error:
                delay_s = self._delay_s(call, error, attempt, began)
                if delay_s is None:
                    raise
            else:
                return
            call.trace.notes["retries"] = attempt
            yield Sleep(delay_s)
            attempt += 1

    def _delay_s(self, call: Call, error: Exception, attempt: int, began: float) -> float | None:
        if call.started:
            return None
        now = call.clock.monotonic()
        deadline = None if call.limits is None else call.limits.deadline
        delay_s = self._policy.decide(
            error, attempt, now, deadline, started=began, wall_now=call.clock.time()
        )
        if delay_s is None or self._budget is None or self._budget.try_retry(now):
            return delay_s
        return None

    def stats(self) -> dict[str, int]:
        """Return how many retries the budget has allowed and refused, and its window's counts."""
        return {} if self._budget is None else asdict(self._budget.stats())
