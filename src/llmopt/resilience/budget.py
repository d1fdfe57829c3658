"""Budgets over a window of time: how many retries, and how much may be spent.

`RetryBudget` keeps retries to a fraction of the calls (Finagle's `RetryBudget`, Envoy's `retry_budget`),
so that an outage is not answered by a multiple of the usual load. `SpendBudget` keeps tokens and money
per minute, hour or day within a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from threading import RLock
from typing import Literal, TypeAlias

from ._common import Refusal, is_count, is_number, refuse_negative, require
from ._window import Slot, Window

_RETRY_SLOTS = 10
_SPEND_SLOTS = 60
_WINDOWS_S = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}

WindowLength: TypeAlias = Literal["minute", "hour", "day"]


@dataclass(frozen=True, slots=True)
class RetryBudgetStats:
    """Counters of a `RetryBudget`.

    Attributes:
        window_calls: calls in the window when it was last asked.
        window_retries: retries in the window when it was last asked.
        allowed: retries allowed since it was made.
        refused: retries refused since it was made.
    """

    window_calls: int
    window_retries: int
    allowed: int
    refused: int


class RetryBudget:
    """Allows retries up to a fraction of the recent calls, plus a few.

    Within the window: retries <= ratio * calls + min_per_s * window_s. The window slides in steps of a
    tenth of its length and is at most that much longer than asked for.

    The ratio is Finagle's and Envoy's default (20 %), the window Finagle's (10 s). Finagle's minimum of
    10 retries per second is meant for services; one per second leaves a program that makes a call now
    and then all the attempts of a `RetryPolicy`.

    Args:
        ratio: retries per call, from 0 up.
        min_per_s: retries per second that are allowed however few calls there are, from 0 up.
        window_s: length of the window in seconds.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> budget = RetryBudget(ratio=0.2, min_per_s=0.1, window_s=10)
        >>> for _ in range(10):
        ...     budget.record_call(0.0)
        >>> [budget.try_retry(1.0) for _ in range(4)]    # 0.2 * 10 + 0.1 * 10 = 3
        [True, True, True, False]
    """

    def __init__(self, *, ratio: float = 0.2, min_per_s: float = 1.0, window_s: float = 10.0) -> None:
        right = "a number from 0 up"
        require(ratio == 0 or is_number(ratio, above=0), "RetryBudget: ratio", ratio, right)
        require(min_per_s == 0 or is_number(min_per_s, above=0), "RetryBudget: min_per_s", min_per_s, right)
        right = "a number of seconds above 0"
        require(is_number(window_s, above=0), "RetryBudget: window_s", window_s, right)
        self._ratio = ratio
        self._least = min_per_s * window_s
        self._window = Window(window_s / _RETRY_SLOTS, keep=_RETRY_SLOTS + 1)
        self._allowed = self._refused = 0
        self._lock = RLock()

    def record_call(self, now: float) -> None:
        """Count the first attempt of a call.

        Args:
            now: monotonic seconds.
        """
        with self._lock:
            self._window.book(self._window.at(now), 1, 0)

    def try_retry(self, now: float) -> bool:
        """Count a retry if the budget allows it now, and tell whether it does."""
        with self._lock:
            slot = self._window.at(now)
            calls, retries = self._window.sums
            if retries + 1 > self._ratio * calls + self._least:
                self._refused += 1
                return False
            self._window.book(slot, 0, 1)
            self._allowed += 1
            return True

    def stats(self) -> RetryBudgetStats:
        """Return the counters."""
        with self._lock:
            calls, retries = self._window.sums
            return RetryBudgetStats(calls, retries, self._allowed, self._refused)


@dataclass(slots=True, eq=False)
class Spending:
    """What one call was allowed to spend.

    Attributes:
        tokens: tokens reserved.
        nano_usd: nano-dollars reserved (1 USD = 10**9).
        slot: the part of the window that they are booked in.
        open: whether it is still to be settled or cancelled.
    """

    tokens: int
    nano_usd: int
    slot: Slot
    open: bool = True


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of a budget; None where it sets no limit.

    Attributes:
        tokens: tokens, from 0 up.
        nano_usd: nano-dollars, from 0 up.
    """

    tokens: int | None
    nano_usd: int | None


@dataclass(frozen=True, slots=True)
class SpendBudgetStats:
    """Counters of a `SpendBudget`.

    Attributes:
        window_tokens: tokens reserved or used in the window when it was last asked.
        window_nano_usd: nano-dollars likewise.
        reserved: reservations made.
        refused: reservations refused.
        cancelled: reservations cancelled.
    """

    window_tokens: int
    window_nano_usd: int
    reserved: int
    refused: int
    cancelled: int


class SpendBudget:
    """Keeps tokens and money per window within their limits.

    A call reserves what it will cost at most (or is expected to), and settles what it did cost. A
    fixed window begins anew at every multiple of its length on the caller's clock: with seconds since
    the Unix epoch these are the UTC minutes, hours and days. A sliding window covers the last `window`
    at every moment, in steps of a sixtieth of it.

    What is reserved or used never exceeds a limit, save by calls that used more than they had
    reserved: that much is booked at once and missing to those that follow. What a call did not use is
    given back if the part of the window it was booked in is still there.

    Args:
        tokens: limit of tokens, input and output together, or None for no limit.
        nano_usd: limit of money in integer nano-dollars (1 USD = 10**9), or None for no limit.
        window: "minute", "hour", "day", or a length in seconds.
        sliding: whether the window slides.

    Raises:
        ConfigurationError: an argument is out of its range, or both limits are None.

    Example:
        >>> budget = SpendBudget(tokens=1000, window="minute")
        >>> spending = budget.reserve(0.0, tokens=800)
        >>> budget.reserve(10.0, tokens=800)
        Refusal(reason='tokens', retry_after_s=50.0)
        >>> budget.settle(spending, 12.0, tokens=150)
        >>> budget.remaining(12.0)
        Remaining(tokens=850, nano_usd=None)
    """

    def __init__(
        self,
        *,
        tokens: int | None = None,
        nano_usd: int | None = None,
        window: WindowLength | float = "day",
        sliding: bool = False,
    ) -> None:
        right = "a whole number from 1 up, or None"
        require(tokens is None or is_count(tokens, least=1), "SpendBudget: tokens", tokens, right)
        require(nano_usd is None or is_count(nano_usd, least=1), "SpendBudget: nano_usd", nano_usd, right)
        require(tokens or nano_usd, "SpendBudget: tokens", tokens, "given, or nano_usd")
        right = "'minute', 'hour', 'day' or a number of seconds above 0"
        length_s = _WINDOWS_S.get(window, 0.0) if isinstance(window, str) else window
        require(is_number(length_s, above=0), "SpendBudget: window", window, right)
        self._limits = (tokens, nano_usd)
        self._most = (inf if tokens is None else tokens, inf if nano_usd is None else nano_usd)
        self._window = (
            Window(length_s / _SPEND_SLOTS, keep=_SPEND_SLOTS + 1) if sliding else Window(length_s, keep=1)
        )
        self._reserved = self._refused = self._cancelled = 0
        self._lock = RLock()

    def reserve(self, now: float, *, tokens: int = 0, nano_usd: int = 0) -> Spending | Refusal:
        """Book an estimate, if it still fits.

        Args:
            now: seconds on the caller's clock.
            tokens: tokens that the call may use.
            nano_usd: nano-dollars that it may cost.

        Returns:
            What is to be handed to `settle` or `cancel`; or a `Refusal` ("tokens" or "nano_usd")
            with the seconds after which this estimate fits, if nothing else is spent until then:
            None if it is more than the whole limit.

        Raises:
            ConfigurationError: an amount is negative.
        """
        refuse_negative("SpendBudget.reserve: estimate", tokens, nano_usd)
        with self._lock:
            slot = self._window.at(now)
            used_tokens, used_nano_usd = self._window.sums
            if used_tokens + tokens > self._most[0]:
                return self._refuse("tokens", now, (tokens, nano_usd))
            if used_nano_usd + nano_usd > self._most[1]:
                return self._refuse("nano_usd", now, (tokens, nano_usd))
            self._window.book(slot, tokens, nano_usd)
            self._reserved += 1
            return Spending(tokens, nano_usd, slot)

    def charge(self, now: float, *, tokens: int = 0, nano_usd: int = 0) -> None:
        """Book what has been spent already, whatever is left: by another process, or before a restart."""
        refuse_negative("SpendBudget.charge: amount", tokens, nano_usd)
        with self._lock:
            self._window.book(self._window.at(now), tokens, nano_usd)

    def settle(self, spending: Spending, now: float, *, tokens: int = 0, nano_usd: int = 0) -> None:
        """Replace an estimate by what the call did use; only the first settle or cancel counts."""
        refuse_negative("SpendBudget.settle: amount", tokens, nano_usd)
        with self._lock:
            if spending.open:
                spending.open = False
                more_tokens, more_nano_usd = tokens - spending.tokens, nano_usd - spending.nano_usd
                self._window.book(self._window.at(now), max(0, more_tokens), max(0, more_nano_usd))
                self._window.book(spending.slot, min(0, more_tokens), min(0, more_nano_usd))

    def cancel(self, spending: Spending, now: float) -> None:
        """Give back everything that a call had reserved and did not use."""
        with self._lock:
            self._cancelled += spending.open
            self.settle(spending, now)

    def remaining(self, now: float) -> Remaining:
        """Return what may still be spent now."""
        with self._lock:
            self._window.at(now)
            tokens, nano_usd = self._window.sums
            return Remaining(_left(self._limits[0], tokens), _left(self._limits[1], nano_usd))

    def resets_in_s(self, now: float) -> float:
        """Return the seconds until nothing that is booked now counts any more."""
        with self._lock:
            self._window.at(now)
            return self._window.empty_in_s(now)

    def stats(self) -> SpendBudgetStats:
        """Return the counters."""
        with self._lock:
            tokens, nano_usd = self._window.sums
            return SpendBudgetStats(tokens, nano_usd, self._reserved, self._refused, self._cancelled)

    def _refuse(self, reason: str, now: float, estimate: tuple[int, int]) -> Refusal:
        self._refused += 1
        return Refusal(reason, self._window.fits_in_s(now, estimate, self._most))


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
