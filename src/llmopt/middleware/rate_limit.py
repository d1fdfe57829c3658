"""Spaces calls so that a provider's limits per minute are kept."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from math import inf

from ..errors import RateLimited
from ..resilience import Limiter, Refusal, Reservation
from ..resilience._common import is_number, require
from ..types import Call, Flow, Sleep
from ._configured import Configured, freeze, named
from ._expected import Expectation, total_tokens

_LOOK_S = 1.0
"""How long a call waits before it looks whether its turn has come nearer."""


@dataclass(frozen=True)
class RateLimit(Configured):
    """Holds calls back until they fit into requests and tokens per minute, first come, first served.

    Tokens are reserved by an estimate before the call and settled with the provider's figures after it.
    All models that one instance is given to share its limits.

    Args:
        requests_per_minute: limit of requests, or None.
        tokens_per_minute: limit of tokens, input and output together, or None.
        burst_s: how many seconds' worth of both may start at once.
        max_wait_s: refuse a call with `RateLimited` that would have to wait longer; None for no bound. A
            call with a deadline never waits beyond it.

    Raises:
        ConfigurationError: an argument is out of its range, or both limits are None.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel, VirtualClock
        >>> clock = VirtualClock()
        >>> limit = llmopt.RateLimit(requests_per_minute=60, burst_s=1)
        >>> model = llmopt.wrap(ScriptedModel(), limit, clock=clock)
        >>> began = clock.monotonic()
        >>> for _ in range(3):
        ...     _ = model.prompt("Hi").text()
        >>> clock.monotonic() - began
        2.0
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst_s: float = 10.0
    max_wait_s: float | None = None
    _limiter: Limiter = field(init=False, repr=False, compare=False)
    _expected: Expectation = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        right = self.max_wait_s is None or self.max_wait_s == 0 or is_number(self.max_wait_s, above=0)
        require(right, "RateLimit: max_wait_s", self.max_wait_s, "a number of seconds from 0 up, or None")
        with named("RateLimit"):
            limiter = Limiter(self.requests_per_minute, self.tokens_per_minute, burst_s=self.burst_s)
        freeze(self, _limiter=limiter, _expected=Expectation())

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        limiter, clock = self._limiter, call.clock
        tokens = 0
        if self.tokens_per_minute is not None:
            tokens = total_tokens(self._expected.of(call)) or 0
        longest_s = self._longest_s(call)
        place = limiter.reserve(clock.monotonic(), tokens, max_wait_s=longest_s)
        if isinstance(place, Refusal):
            raise _refused(call, place.retry_after_s or 0.0, longest_s)
        if place.wait_s > 0:
            yield from self._queue(call, place, longest_s)
        # A call that fails keeps what it had reserved: nobody knows how much of it the provider counts.
        reply = yield call
        if reply.response is None:  # a middleware inside has answered, and no tokens were used
            limiter.settle(place, clock.monotonic(), 0)
            return
        used = total_tokens(reply.usage)
        limiter.settle(place, clock.monotonic(), tokens if used is None else used)
        self._expected.learn(call.model_id, reply.usage)

    def _queue(self, call: Call, place: Reservation, longest_s: float) -> Generator[Sleep, None, None]:
        """Wait until it is this call's turn; those before it use less or more than they had reserved."""
        queued_s, wait_s = 0.0, place.wait_s
        try:
            while 0.0 < wait_s <= longest_s - queued_s:
                slice_s = min(wait_s, _LOOK_S)
                yield Sleep(slice_s)
                queued_s += slice_s
                wait_s = self._limiter.claim(place, call.clock.monotonic())
        finally:
            if place.state == "waiting":  # refused after all, or given up
                self._limiter.cancel(place, call.clock.monotonic())
        if wait_s > 0.0:
            raise _refused(call, wait_s, longest_s)
        call.trace.notes["queue_s"] = queued_s

    def _longest_s(self, call: Call) -> float:
        left_s = call.remaining_s()
        longest_s = inf if self.max_wait_s is None else self.max_wait_s
        return longest_s if left_s is None else min(longest_s, left_s)

    def stats(self) -> dict[str, int]:
        """Return how many calls were started, delayed, refused and cancelled, and how estimates fared."""
        return asdict(self._limiter.stats())


def _refused(call: Call, wait_s: float, longest_s: float) -> RateLimited:
    msg = f"the rate limit of {call.model_id} would hold this call back for {wait_s:.1f} s, "
    return RateLimited(msg + f"and it may wait for {longest_s:.1f} s at most", retry_after_s=wait_s)
