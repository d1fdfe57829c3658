"""The machines under threads that switch all the time, and under finalisers in the middle of their work."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from llmopt.resilience import Breaker, Flights, Limiter, Permit, RetryBudget, SpendBudget, Spending

THREADS = 8
ROUNDS = 150


@pytest.fixture(autouse=True)
def switch_all_the_time():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def race(work):
    """Run work(number) in all threads at once, and return what each returned."""
    barrier = threading.Barrier(THREADS)

    def run(number):
        barrier.wait(timeout=30)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS), timeout=60))


def test_limiter_counts_every_caller_once():
    limiter = Limiter(requests_per_minute=600, tokens_per_minute=60_000, burst_s=1)
    clock = itertools.count()

    def work(number):
        for turn in range(ROUNDS):
            now = next(clock) * 1e-3
            place = limiter.reserve(now, tokens=100)
            if turn % 3 == number % 3:
                limiter.cancel(place, now)
            else:
                while limiter.claim(place, next(clock) * 0.1) > 0:
                    pass
                limiter.settle(place, next(clock) * 0.1, actual_tokens=60)

    race(work)
    stats = limiter.stats()
    assert stats.waiting == 0
    assert stats.cancelled == THREADS * ROUNDS // 3
    assert stats.refunded_tokens == 40 * THREADS * ROUNDS * 2 // 3
    assert not limiter._queue
    assert limiter._queue.tokens == 0


def test_limiter_never_lets_more_than_the_burst_through_at_one_moment():
    limiter = Limiter(requests_per_minute=60, burst_s=10)
    waits = race(lambda number: [limiter.reserve(5.0).wait_s for _ in range(ROUNDS)])
    everyone = sorted(wait for each in waits for wait in each)
    assert everyone.count(0.0) == 10
    assert everyone[10:] == pytest.approx([float(wait) for wait in range(1, THREADS * ROUNDS - 9)])


def test_breaker_has_one_probe_at_a_time():
    breaker = Breaker(window=2, min_calls=1, cooldown_s=1e9)
    breaker.record_failure(breaker.allow(0.0), 0.0)
    flying, most = [], []

    def work(number):
        probes = 0
        for _ in range(ROUNDS):
            answer = breaker.allow(2e9)
            if isinstance(answer, Permit):
                flying.append(number)
                most.append(len(flying))
                probes += 1
                flying.remove(number)
                breaker.release(answer)
        return probes

    probes = sum(race(work))
    assert set(most) == {1}
    assert breaker.stats().probes == probes
    assert breaker.stats().refused == THREADS * ROUNDS - probes


def test_breaker_loses_no_failure():
    breaker = Breaker(failure_threshold=1, window=THREADS * ROUNDS + 1, min_calls=1)
    breaker.record_success(breaker.allow(0.0), 0.0)
    race(lambda number: [breaker.record_failure(breaker.allow(0.0), 0.0) for _ in range(ROUNDS)])
    assert breaker.stats().window_failures == THREADS * ROUNDS


def test_budgets_are_exact():
    retries = RetryBudget(ratio=0.5, min_per_s=0)
    spend = SpendBudget(tokens=1000)

    def work(number):
        for _ in range(ROUNDS):
            retries.record_call(1.0)
        allowed = sum(retries.try_retry(1.0) for _ in range(ROUNDS))
        booked = [spend.reserve(1.0, tokens=5) for _ in range(ROUNDS)]
        kept = [each for each in booked if isinstance(each, Spending)]
        for each in kept[::2]:
            spend.cancel(each, 1.0)
        return allowed, len(kept[1::2])

    results = race(work)
    assert sum(allowed for allowed, _ in results) <= THREADS * ROUNDS // 2
    assert retries.stats().window_calls == THREADS * ROUNDS
    assert retries.stats().window_retries == sum(allowed for allowed, _ in results)
    assert spend.stats().window_tokens == 5 * sum(kept for _, kept in results) <= 1000


def follow(ticket):
    """Wait as the module says; return the result, or None when this caller has to lead."""
    while True:
        channel = ticket.flight.channel
        if ticket.flight.done:
            return ticket.flight.result
        if ticket.leads:
            return None
        channel.result(timeout=30)


def signal(channel):
    if channel is not None:
        channel.set_result(None)


def test_flights_serve_everyone_with_one_leader_at_a_time():
    flights = Flights(Future)
    leading, most = [], []

    def lead(ticket, number, *, give_up):
        leading.append(number)
        most.append(len(leading))
        leading.remove(number)
        signal(flights.abandon(ticket) if give_up else flights.finish(ticket, "answer"))

    def work(number):
        served = 0
        for turn in range(number, number + ROUNDS):
            ticket = flights.join("key")
            if turn % 5 == 0 and not ticket.leads:
                signal(flights.abandon(ticket))  # it may have been promoted meanwhile
            elif follow(ticket) == "answer":
                served += 1
            else:
                lead(ticket, number, give_up=turn % 3 == 0)
        return served

    race(work)
    stats = flights.stats()
    assert stats.led + stats.followed == THREADS * ROUNDS
    assert stats.open == 0
    assert set(most) == {1}


def test_a_finaliser_may_give_back_in_the_middle_of_anything():
    """The garbage collector may close a caller's generator while its own thread holds the lock."""
    limiter, breaker, spend = Limiter(60), Breaker(), SpendBudget(tokens=10)
    flights = Flights(Future)
    place, permit, spending = limiter.reserve(0.0), breaker.allow(0.0), spend.reserve(0.0, tokens=5)
    ticket = flights.join("key")
    freed = []

    class Caller:
        def __init__(self):
            self.itself = self

        def __del__(self):
            limiter.cancel(place, 0.0)
            breaker.release(permit)
            spend.cancel(spending, 0.0)
            flights.abandon(ticket)
            freed.append(True)

    Caller()

    def collect():
        with limiter._lock, breaker._lock, spend._lock, flights._lock:
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert freed == [True]
    assert not thread.is_alive()
    assert flights.stats().open == 0
    assert spend.remaining(0.0).tokens == 10
