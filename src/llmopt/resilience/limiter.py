"""A rate limiter for requests and tokens per minute together, by GCRA, with a queue.

GCRA (the generic cell rate algorithm, ITU-T I.371) keeps one number per rate: the *theoretical
arrival time*, at which everything that was started would be worked off at exactly that rate. A call
may start when its own work would not put that time more than the burst ahead of now.

Calls that may not start yet wait in a queue, first come, first served. Only what has really started
is charged, so a refund or a cancelled caller moves those who wait forward at once, and no caller
that oversleeps can break the rate: the bound holds for the times at which calls do start.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from threading import RLock
from typing import Literal, overload

from ._common import Refusal, is_number, refuse_negative, require
from ._line import Line

_NOW_S = 1e-6  # a shorter wait is none: it may be lost in the rounding of a monotonic clock
_STEP_BACK_S = 1.0  # threads read the clock before they get the lock; more than this is a clock set back
_LOST_S = 30.0  # a place whose holder has not come back so long after its turn blocks nobody any more


@dataclass(slots=True, eq=False)
class Reservation:
    """A call's place: in the queue while it waits, on the books once it has started.

    Attributes:
        tokens: what the call is expected to use, input and output together.
        wait_s: seconds to wait before `Limiter.claim` is asked; 0.0 when it has started.
        state: "waiting", "started", or "closed" after `settle` or `cancel`.
        due: the monotonic second at which the wait is over.
        requests_mark: requests started up to and with this one.
        tokens_mark: tokens started up to and with this one.
    """

    tokens: int
    wait_s: float
    due: float
    state: Literal["waiting", "started", "closed"] = "waiting"
    requests_mark: int = 0
    tokens_mark: int = 0


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """Counters of a `Limiter` since it was made.

    Attributes:
        started: calls let through.
        delayed: calls that had to wait first.
        refused: calls refused because the wait would have been too long.
        cancelled: calls that gave their place back.
        waiting: calls in the queue now.
        refunded_tokens: tokens reserved and not used.
        extra_tokens: tokens used beyond what was reserved.
    """

    started: int
    delayed: int
    refused: int
    cancelled: int
    waiting: int
    refunded_tokens: int
    extra_tokens: int


class _Bucket:
    """GCRA for one rate; everything but `started` is in seconds of work at that rate."""

    __slots__ = ("burst_s", "started", "tat", "unit_s")

    def __init__(self, per_minute: float | None, burst_s: float) -> None:
        self.unit_s = 60.0 / per_minute if per_minute else 0.0
        self.burst_s = max(burst_s, self.unit_s) if per_minute else inf
        self.tat = -inf
        self.started = 0

    def due(self, units: int, ahead: int, since: float) -> float:
        """Return when `units` may start, after the `ahead` units of those who start from `since` on."""
        work_s = min(units * self.unit_s, self.burst_s)
        return max(self.tat, since) + ahead * self.unit_s + work_s - self.burst_s

    def refund(self, units: int, mark: int, last_start: float) -> None:
        """Take `units` back from the call that ended at `mark`.

        What was started after it keeps its charge: capacity that could only have been used before
        then is gone, and giving it out now would break the bound.
        """
        floor = last_start + (self.started - mark) * self.unit_s
        self.tat = min(self.tat, max(self.tat - units * self.unit_s, floor))


class Limiter:
    """Spaces calls so that requests and tokens per minute stay within their limits.

    For every window of w seconds: requests started <= requests_per_minute * w / 60 + burst, and
    tokens likewise, where the burst is `burst_s` seconds' worth of the rate (at least one request).
    Tokens count as reserved, or as used where `settle` has given the rest back.

    A call of more tokens than the burst is not refused: it starts alone, when the bucket is full, and
    those behind it wait until its tokens are worked off. The bound above then holds with that call's
    tokens in place of the burst.

    Args:
        requests_per_minute: limit of requests, or None for no limit.
        tokens_per_minute: limit of tokens, input and output together, or None for no limit.
        burst_s: how many seconds' worth of both rates may start at once. Azure OpenAI meters over 1
            or 10 seconds, others over a minute; 10 overshoots a minute's limit by a sixth at most.
            A refund can use no more than the burst: the longer calls take, and the less of their
            estimate they use, the longer it should be.

    Raises:
        ConfigurationError: a rate or the burst is not a positive number, or both rates are None.

    Example:
        >>> limiter = Limiter(requests_per_minute=60, tokens_per_minute=6000, burst_s=10)
        >>> first = limiter.reserve(0.0, tokens=900)
        >>> first.wait_s
        0.0
        >>> second = limiter.reserve(0.0, tokens=900)    # 1000 tokens at once, then 100 per second
        >>> second.wait_s
        8.0
        >>> limiter.settle(first, 2.0, actual_tokens=300)
        >>> limiter.claim(second, 2.0)                   # the refund lets it start sooner
        0.0
        >>> limiter.stats().refunded_tokens
        600
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        burst_s: float = 10.0,
    ) -> None:
        right = "a number above 0, or None"
        rpm, tpm = requests_per_minute, tokens_per_minute
        require(rpm is None or is_number(rpm, above=0), "Limiter: requests_per_minute", rpm, right)
        require(tpm is None or is_number(tpm, above=0), "Limiter: tokens_per_minute", tpm, right)
        require(rpm or tpm, "Limiter: requests_per_minute", rpm, "given, or tokens_per_minute")
        require(is_number(burst_s, above=0), "Limiter: burst_s", burst_s, "a number of seconds above 0")
        self._requests = _Bucket(rpm, burst_s)
        self._tokens = _Bucket(tpm, burst_s)
        self._queue = Line()
        self._now = self._last_start = -inf
        self._delayed = self._refused = self._cancelled = self._refunded = self._extra = 0
        self._lock = RLock()

    @overload
    def reserve(self, now: float, tokens: int = 0) -> Reservation: ...
    @overload
    def reserve(self, now: float, tokens: int = 0, *, max_wait_s: float) -> Reservation | Refusal: ...
    def reserve(self, now: float, tokens: int = 0, *, max_wait_s: float = inf) -> Reservation | Refusal:
        """Start a call of `tokens` now, or give it a place in the queue.

        Args:
            now: monotonic seconds.
            tokens: what the call is expected to use, input and output together.
            max_wait_s: refuse the call, and keep no place, if it would have to wait longer.

        Returns:
            A reservation. If its `wait_s` is 0.0 the call has started; else ask `claim` after so
            long. A `Refusal` ("wait") where the wait would exceed `max_wait_s`.

        Raises:
            ConfigurationError: `tokens` is negative.
        """
        if tokens < 0:
            refuse_negative("Limiter.reserve: tokens", tokens)
        with self._lock:
            if now < self._now:
                now = self._step_back(now)
            self._now = now
            reservation = Reservation(tokens, 0.0, now)
            if self._queue or not self._fits(tokens, now):
                return self._wait(reservation, now, max_wait_s)
            self._start(reservation, now)
            return reservation

    def claim(self, reservation: Reservation, now: float) -> float:
        """Start the call if its turn has come.

        Asking early is allowed and pays while others are being settled or cancelled, which shortens
        the wait. Asking is also what keeps the place: one that is overdue by 30 seconds goes to the
        end of the queue, so that callers who vanished block nobody.

        Returns:
            0.0 when the call has started (now or before), else the seconds to wait before asking again.

        Raises:
            ConfigurationError: the reservation was settled or cancelled.
        """
        with self._lock:
            if reservation.state == "started":
                return 0.0
            open_still = reservation.state == "waiting"
            require(open_still, "Limiter.claim: reservation", reservation, "neither settled nor cancelled")
            now = self._tick(now)
            self._drop_lost(now, asking=reservation)
            if reservation not in self._queue:
                self._queue.join(reservation)
            due = self._due(reservation.tokens, *self._queue.ahead(reservation), now)
            reservation.due, reservation.wait_s = due, due - now
            if reservation.wait_s <= _NOW_S:
                self._queue.leave(reservation)
                reservation.wait_s = 0.0
                self._start(reservation, now)
            return reservation.wait_s

    def settle(self, reservation: Reservation, now: float, actual_tokens: int) -> None:
        """Replace the expected tokens of a finished call by those it used.

        What it used beyond is charged to the calls that follow. What it left over is given back,
        except where later calls have filled the burst since. Only the first `settle` or `cancel`
        of a reservation counts; settling one that never started cancels it.

        Args:
            reservation: the call's place.
            now: monotonic seconds.
            actual_tokens: tokens used, input and output together.

        Raises:
            ConfigurationError: `actual_tokens` is negative.
        """
        refuse_negative("Limiter.settle: actual_tokens", actual_tokens)
        with self._lock:
            self._tick(now)
            if reservation.state != "started":
                self._leave(reservation)
                return
            reservation.state = "closed"
            surplus = reservation.tokens - actual_tokens
            if surplus < 0:
                self._extra -= surplus
                self._tokens.tat -= surplus * self._tokens.unit_s
            elif surplus:
                self._refunded += surplus
                self._tokens.refund(surplus, reservation.tokens_mark, self._last_start)

    def cancel(self, reservation: Reservation, now: float) -> None:
        """Give the place of a call back that was not sent; those who wait behind it move up."""
        with self._lock:
            self._tick(now)
            if reservation.state == "started":
                reservation.state = "closed"
                self._cancelled += 1
                self._requests.refund(1, reservation.requests_mark, self._last_start)
                self._tokens.refund(reservation.tokens, reservation.tokens_mark, self._last_start)
            else:
                self._leave(reservation)

    def stats(self) -> LimiterStats:
        """Return the counters."""
        with self._lock:
            return LimiterStats(
                started=self._requests.started,
                delayed=self._delayed,
                refused=self._refused,
                cancelled=self._cancelled,
                waiting=len(self._queue),
                refunded_tokens=self._refunded,
                extra_tokens=self._extra,
            )

    def _fits(self, tokens: int, now: float) -> bool:
        """Tell whether a call may start now when nobody waits: `_due(...) <= now`, in half the time."""
        latest = now + _NOW_S
        requests, bucket = self._requests, self._tokens
        if requests.tat + requests.unit_s - requests.burst_s > latest:
            return False
        work_s = tokens * bucket.unit_s
        return bucket.tat + work_s - bucket.burst_s <= latest or (
            work_s > bucket.burst_s and bucket.tat <= latest
        )

    def _due(self, tokens: int, ahead_requests: int, ahead_tokens: int, now: float) -> float:
        first, since = self._queue.first(), -inf
        if ahead_requests and first is not None and first.due > now:
            since = now  # it sleeps until its turn, and may not know yet that a refund has brought it forward
        return max(
            self._requests.due(1, ahead_requests, since), self._tokens.due(tokens, ahead_tokens, since)
        )

    def _start(self, reservation: Reservation, now: float) -> None:
        self._last_start = now
        reservation.state = "started"
        tokens = reservation.tokens
        # max() takes eight times as long as the comparison.
        bucket = self._requests
        bucket.tat = (bucket.tat if bucket.tat > now else now) + bucket.unit_s  # noqa: FURB136
        bucket.started = reservation.requests_mark = bucket.started + 1
        bucket = self._tokens
        bucket.tat = (bucket.tat if bucket.tat > now else now) + tokens * bucket.unit_s  # noqa: FURB136
        bucket.started = reservation.tokens_mark = bucket.started + tokens

    def _wait(self, reservation: Reservation, now: float, max_wait_s: float) -> Reservation | Refusal:
        self._drop_lost(now)
        reservation.due = self._due(reservation.tokens, len(self._queue), self._queue.tokens, now)
        reservation.wait_s = reservation.due - now
        if reservation.wait_s <= _NOW_S:
            reservation.wait_s = 0.0
            self._start(reservation, now)
        elif reservation.wait_s > max_wait_s:
            self._refused += 1
            return Refusal("wait", retry_after_s=reservation.wait_s)
        else:
            self._delayed += 1
            self._queue.join(reservation)
        return reservation

    def _leave(self, reservation: Reservation) -> None:
        if reservation.state == "waiting":
            reservation.state = "closed"
            self._cancelled += 1
            if reservation in self._queue:
                self._queue.leave(reservation)

    def _drop_lost(self, now: float, *, asking: Reservation | None = None) -> None:
        while (first := self._queue.first()) is not None:
            if first is asking or first.due + _LOST_S >= now:
                return
            self._queue.leave(first)

    def _tick(self, now: float) -> float:
        self._now = self._step_back(now) if now < self._now else now
        return self._now

    def _step_back(self, now: float) -> float:
        """Return the time to reckon with: a clock that was set back takes all state back with it."""
        behind_s = self._now - now
        if behind_s <= _STEP_BACK_S:
            return self._now
        self._last_start -= behind_s
        self._requests.tat -= behind_s
        self._tokens.tat -= behind_s
        for reservation in self._queue:
            reservation.due -= behind_s
        return now
