"""A circuit breaker: stops calling what keeps failing, and tries again with one call at a time.

The states and their names are Nygard's (*Release It!*, 2007). What opens it is the failure rate over
the last calls, as in resilience4j's count-based window; one probe closes or reopens it, as in Hystrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from threading import RLock
from typing import Literal

from ._common import Refusal, is_count, is_number, require


class Permit:
    """Leave to make calls, by `Breaker.allow`; hand it to what records the outcome.

    All calls of one closed period share a permit, so outcomes that arrive after the breaker has
    opened are recognised as old news and change nothing.
    """

    __slots__ = ("probe",)

    def __init__(self, *, probe: bool = False) -> None:
        self.probe = probe

    def __repr__(self) -> str:
        return f"Permit(probe={self.probe})"


@dataclass(frozen=True, slots=True)
class BreakerStats:
    """State and counters of a `Breaker`.

    Attributes:
        state: "closed", "open" or "half_open". An open breaker whose cooldown is over stays "open"
            until the next call asks.
        since: monotonic second of the last change of state, or None before the first.
        window_calls: outcomes in the window now.
        window_failures: failures among them.
        opened: how often it has opened, reopening after a failed probe included.
        refused: calls refused.
        probes: probes let through.
    """

    state: Literal["closed", "open", "half_open"]
    since: float | None
    window_calls: int
    window_failures: int
    opened: int
    refused: int
    probes: int


class Breaker:
    """Opens when too many of the last calls failed; after a pause lets one probe through.

    * closed: every call passes. It opens when, of the last `window` outcomes (at least `min_calls`),
      a fraction of `failure_threshold` or more are failures.
    * open: no call passes for `cooldown_s`.
    * half-open: one call, the probe, passes. Its success closes the breaker with an empty window, its
      failure opens it again, its `release` lets another call be the probe. A probe that says nothing
      for `cooldown_s` is taken for lost, and its outcome no longer counts.

    The threshold and the count-based window are resilience4j's defaults (0.5, COUNT_BASED); Hystrix has
    the same threshold and a volume of 20. Their window of 100 calls and cooldowns of 60 and 5 seconds
    are made for fast services: for calls that take seconds each, 20 calls, of which 10 must be in, and
    30 seconds.

    Args:
        failure_threshold: failure rate that opens it, above 0 and up to 1.
        window: how many of the last outcomes are counted.
        min_calls: outcomes needed before the rate is looked at; from 1 to `window`.
        cooldown_s: seconds for which it stays open.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> breaker = Breaker(window=4, min_calls=2, cooldown_s=30)
        >>> for now in (0.0, 1.0):
        ...     permit = breaker.allow(now)
        ...     breaker.record_failure(permit, now)
        >>> breaker.allow(11.0)
        Refusal(reason='open', retry_after_s=20.0)
        >>> probe = breaker.allow(31.0)
        >>> breaker.allow(32.0)
        Refusal(reason='half_open', retry_after_s=29.0)
        >>> breaker.record_success(probe, 33.0)
        >>> breaker.stats().state
        'closed'
    """

    def __init__(
        self,
        *,
        failure_threshold: float = 0.5,
        window: int = 20,
        min_calls: int = 10,
        cooldown_s: float = 30.0,
    ) -> None:
        right = "a fraction above 0 and up to 1"
        fraction = is_number(failure_threshold, above=0) and failure_threshold <= 1
        require(fraction, "Breaker: failure_threshold", failure_threshold, right)
        require(is_count(window, least=1), "Breaker: window", window, "a whole number of calls from 1 up")
        right = f"a whole number of calls from 1 to window={window}"
        fits = is_count(min_calls, least=1) and min_calls <= window
        require(fits, "Breaker: min_calls", min_calls, right)
        right = "a number of seconds above 0"
        require(is_number(cooldown_s, above=0), "Breaker: cooldown_s", cooldown_s, right)
        self._failure_threshold = failure_threshold
        self._window = window
        self._mask = (1 << window) - 1
        self._min_calls = min_calls
        self._cooldown_s = cooldown_s
        self._closed: Permit | None = Permit()  # None unless closed
        self._probe: Permit | None = None
        self._since: float | None = None
        self._ask_at = -inf  # when an open breaker lets the next probe through
        self._calls = self._failures = 0  # _failures has one bit per outcome in the window, 1 for a failure
        self._opened = self._refused = self._probes = 0
        self._lock = RLock()

    def allow(self, now: float) -> Permit | Refusal:
        """Ask whether a call may be made now.

        Args:
            now: monotonic seconds.

        Returns:
            A permit, to be handed to `record_success`, `record_failure` or `release`; or a `Refusal`
            ("open", "half_open") with the seconds after which it pays to ask again.
        """
        # Reading one attribute needs no lock: a call that passes while another thread opens the
        # breaker is as good as one that came just before.
        permit = self._closed
        if permit is not None:
            return permit
        with self._lock:
            return self._closed or self._allow_probe(now)

    def record_success(self, permit: Permit, now: float) -> None:
        """Tell that the call has succeeded."""
        if permit is self._closed and not self._failures and self._calls == self._window:
            return  # a window full of successes stays what it is
        with self._lock:
            if permit is self._closed:
                self._record(0)
            elif permit is self._probe:
                self._since = now
                self._calls = self._failures = 0
                self._probe = None
                self._closed = Permit()

    def record_failure(self, permit: Permit, now: float) -> None:
        """Tell that the call has failed in a way that speaks against the service."""
        with self._lock:
            if permit is self._closed:
                self._record(1)
                enough = self._calls >= self._min_calls
                if enough and self._failures.bit_count() >= self._failure_threshold * self._calls:
                    self._open(now)
            elif permit is self._probe:
                self._open(now)

    def release(self, permit: Permit) -> None:
        """Tell that the call was given up and says nothing about the service; another may probe."""
        with self._lock:
            if permit is self._probe:
                self._probe = None
                self._ask_at = -inf

    def stats(self) -> BreakerStats:
        """Return the state and the counters."""
        with self._lock:
            return BreakerStats(
                state="closed" if self._closed else "half_open" if self._probe else "open",
                since=self._since,
                window_calls=self._calls,
                window_failures=self._failures.bit_count(),
                opened=self._opened,
                refused=self._refused,
                probes=self._probes,
            )

    def _record(self, failed: int) -> None:
        self._failures = (self._failures << 1 | failed) & self._mask
        if self._calls < self._window:
            self._calls += 1

    def _open(self, now: float) -> None:
        self._closed = self._probe = None
        self._since = now
        self._ask_at = now + self._cooldown_s
        self._opened += 1

    def _allow_probe(self, now: float) -> Permit | Refusal:
        left_s = self._ask_at - now
        if left_s > self._cooldown_s:  # the clock was set back
            left_s = self._cooldown_s
            self._ask_at = now + left_s
        if left_s > 0:
            self._refused += 1
            return Refusal("half_open" if self._probe else "open", retry_after_s=left_s)
        self._probe = Permit(probe=True)
        self._ask_at = now + self._cooldown_s
        self._probes += 1
        return self._probe
