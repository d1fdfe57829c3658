"""Stops asking a model that is down."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import CircuitOpen
from ..resilience import Breaker, Refusal, is_transient
from ..types import Call, Flow
from ._configured import Configured, freeze, named


@dataclass(frozen=True)
class CircuitBreaker(Configured):
    """Refuses calls with `CircuitOpen` while a model keeps failing, and probes it after a pause.

    Each model id and endpoint has a breaker of its own. It opens when at least `min_calls` of the last
    `window` calls are in and a fraction of `failure_threshold` of them have failed; after `cooldown_s`
    one call is let through, and its success closes it. Failures are those that speak against the service:
    timeouts, failed connections, 429 and 5xx; not a wrong request, nor a call that is cancelled. Put it
    inside `Retry` to count attempts, outside to count calls.

    Args:
        failure_threshold: failure rate that opens it, above 0 and up to 1.
        window: how many of the last outcomes are counted.
        min_calls: outcomes needed before the rate is looked at; from 1 to `window`.
        cooldown_s: seconds for which it stays open.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import Answer, ScriptedModel
        >>> model = llmopt.wrap(
        ...     ScriptedModel([Answer(error=ConnectionError("refused"))]),
        ...     llmopt.CircuitBreaker(window=1, min_calls=1, cooldown_s=30),
        ... )
        >>> for _ in range(2):
        ...     try:
        ...         model.prompt("Hi").text()
        ...     except Exception as error:
        ...         print(type(error).__name__)
        ConnectionError
        CircuitOpen
    """

    failure_threshold: float = 0.5
    window: int = 20
    min_calls: int = 10
    cooldown_s: float = 30.0
    _breakers: dict[tuple[str, Any], Breaker] = field(init=False, repr=False, compare=False)
    _lock: threading.Lock = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._made()  # refuses wrong arguments where they are given
        freeze(self, _breakers={}, _lock=threading.Lock())

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        clock = call.clock
        breaker = self._of(call)
        permit = breaker.allow(clock.monotonic())
        if isinstance(permit, Refusal):
            raise _refused(call, permit)
        call.trace.notes["breaker"] = "half-open" if permit.probe else "closed"
        try:
            yield call
        except Exception as error:
            if is_transient(error):
                breaker.record_failure(permit, clock.monotonic())
            else:
                breaker.release(permit)
            raise
        except BaseException as signal:
            # A consumer that has read enough is content with the model; one that is cancelled says nothing.
            if isinstance(signal.__cause__, GeneratorExit):
                breaker.record_success(permit, clock.monotonic())
            else:
                breaker.release(permit)
            raise
        breaker.record_success(permit, clock.monotonic())

    def _of(self, call: Call) -> Breaker:
        model = call.model
        key = (call.model_id, getattr(model, "api_base", None) or getattr(model, "base_url", None))
        breaker = self._breakers.get(key)
        if breaker is None:
            with self._lock:
                breaker = self._breakers.setdefault(key, self._made())
        return breaker

    def _made(self) -> Breaker:
        with named("CircuitBreaker"):
            return Breaker(
                failure_threshold=self.failure_threshold,
                window=self.window,
                min_calls=self.min_calls,
                cooldown_s=self.cooldown_s,
            )

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return the state and the counters of every breaker, by model id and, if it is set, endpoint."""
        with self._lock:
            return {_name(*key): asdict(breaker.stats()) for key, breaker in self._breakers.items()}


def _name(model_id: str, endpoint: Any) -> str:
    # What stands before an @ in an address may be a password.
    return f"{model_id} at {str(endpoint).rpartition('@')[2]}" if endpoint else model_id


def _refused(call: Call, refusal: Refusal) -> CircuitOpen:
    state, wait_s = refusal.reason.replace("_", "-"), refusal.retry_after_s or 0.0
    call.trace.notes["breaker"] = state
    why = "too many of the last calls have failed" if state == "open" else "one call finds out if it is back"
    msg = f"the circuit breaker of {call.model_id} is {state}: {why}; ask again in {wait_s:.1f} s"
    return CircuitOpen(msg, retry_after_s=refusal.retry_after_s)
