"""State machines that keep calls within bounds: they decide, and never wait, sleep or look at a clock.

Every method takes `now`, monotonic seconds, and returns at once; middlewares join the machines to the
chain, for threads, asyncio and trio alike. All of them may be shared by threads.

* `Limiter`: requests and tokens per minute (GCRA), with a queue.
* `Breaker`: circuit breaker with a single probe.
* `RetryPolicy`: whether and when to try again; `is_transient`, `http_status`, `error_class` and
  `retry_after_s` read the errors of providers and SDKs.
* `RetryBudget`: retries as a fraction of the calls. `SpendBudget`: tokens and money per window.
* `Flights`: which of several equal calls does the work.
"""

from __future__ import annotations

from ._common import Refusal
from .breaker import Breaker, BreakerStats, Permit
from .budget import Remaining, RetryBudget, RetryBudgetStats, SpendBudget, SpendBudgetStats, Spending
from .classify import (
    PERMANENT_STATUSES,
    TRANSIENT_STATUSES,
    ErrorClass,
    error_class,
    http_status,
    is_transient,
    retry_after_s,
)
from .flights import Flight, Flights, FlightsStats, Ticket
from .limiter import Limiter, LimiterStats, Reservation
from .retry import RetryPolicy

__all__ = [
    "PERMANENT_STATUSES",
    "TRANSIENT_STATUSES",
    "Breaker",
    "BreakerStats",
    "ErrorClass",
    "Flight",
    "Flights",
    "FlightsStats",
    "Limiter",
    "LimiterStats",
    "Permit",
    "Refusal",
    "Remaining",
    "Reservation",
    "RetryBudget",
    "RetryBudgetStats",
    "RetryPolicy",
    "SpendBudget",
    "SpendBudgetStats",
    "Spending",
    "Ticket",
    "error_class",
    "http_status",
    "is_transient",
    "retry_after_s",
]
