"""The rate limiter: its bound in every window, its queue, refunds, and clocks that jump."""

from __future__ import annotations

import heapq
import math
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from llmopt.errors import ConfigurationError
from llmopt.resilience import Limiter, Refusal, Reservation

EPS = 1e-3  # requests or tokens; a start may be a microsecond early


def seconds(values):
    return [pytest.approx(value, abs=1e-9) for value in values]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "requests_per_minute"),
        ({"requests_per_minute": 0}, "requests_per_minute=0"),
        ({"requests_per_minute": math.nan}, "requests_per_minute=nan"),
        ({"requests_per_minute": "60"}, "requests_per_minute='60'"),
        ({"requests_per_minute": True}, "requests_per_minute=True"),
        ({"tokens_per_minute": -1}, "tokens_per_minute=-1"),
        ({"tokens_per_minute": math.inf}, "tokens_per_minute=inf"),
        ({"requests_per_minute": 60, "burst_s": 0}, "burst_s=0"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ConfigurationError, match=name):
        Limiter(**arguments)


def test_negative_amounts_are_refused():
    limiter = Limiter(60)
    with pytest.raises(ConfigurationError, match="tokens=-1"):
        limiter.reserve(0.0, tokens=-1)
    place = limiter.reserve(0.0)
    with pytest.raises(ConfigurationError, match="actual_tokens=-5"):
        limiter.settle(place, 0.0, actual_tokens=-5)


def test_requests_are_spaced_at_the_rate_after_the_burst():
    limiter = Limiter(requests_per_minute=60, burst_s=2)
    waits = [limiter.reserve(0.0).wait_s for _ in range(5)]
    assert waits == seconds([0, 0, 1, 2, 3])


def test_a_rate_below_the_burst_still_lets_one_request_through():
    limiter = Limiter(requests_per_minute=1, burst_s=1)
    assert limiter.reserve(0.0).wait_s == 0.0
    assert limiter.reserve(0.0).wait_s == pytest.approx(60)


def test_tokens_and_requests_hold_together():
    limiter = Limiter(requests_per_minute=60, tokens_per_minute=600, burst_s=1)
    assert limiter.reserve(0.0, tokens=10).wait_s == 0.0
    assert limiter.reserve(0.0, tokens=1).wait_s == pytest.approx(1.0)  # for its request
    assert limiter.reserve(0.0, tokens=10).wait_s == pytest.approx(2.0)
    limiter = Limiter(requests_per_minute=6000, tokens_per_minute=600, burst_s=1)
    limiter.reserve(0.0, tokens=10)
    assert limiter.reserve(0.0, tokens=5).wait_s == pytest.approx(0.5)  # for its tokens


def test_a_call_larger_than_the_burst_starts_alone_when_the_bucket_is_full():
    limiter = Limiter(tokens_per_minute=600, burst_s=10)  # 100 tokens at once, 10 per second
    limiter.reserve(0.0, tokens=50)
    big = limiter.reserve(0.0, tokens=500)
    assert big.wait_s == pytest.approx(5)
    assert limiter.claim(big, 5.0) == 0.0
    after = limiter.reserve(5.0, tokens=100)
    assert after.wait_s == pytest.approx(50)
    assert Limiter(tokens_per_minute=600).reserve(0.0, tokens=10**6).wait_s == 0.0


def test_a_wait_beyond_the_maximum_is_refused_and_leaves_no_trace():
    limiter = Limiter(requests_per_minute=60, burst_s=1)
    limiter.reserve(0.0)
    assert limiter.reserve(0.0, max_wait_s=0.5) == Refusal("wait", retry_after_s=1.0)
    assert isinstance(limiter.reserve(0.0, max_wait_s=1.0), Reservation)
    assert limiter.stats().refused == 1
    assert limiter.stats().waiting == 1


def test_cancelling_all_who_wait_leaves_no_phantom_queue():
    for order in (1, -1):
        limiter = Limiter(requests_per_minute=60, tokens_per_minute=600, burst_s=1)
        limiter.reserve(0.0, tokens=10)
        waiting = [limiter.reserve(0.0, tokens=10) for _ in range(20)]
        for place in waiting[::order]:
            limiter.cancel(place, 0.5)
            limiter.cancel(place, 0.5)
        assert limiter.stats().cancelled == 20
        assert limiter.reserve(0.5, tokens=10).wait_s == pytest.approx(0.5)


def test_cancelling_a_started_call_gives_back_request_and_tokens():
    limiter = Limiter(requests_per_minute=60, tokens_per_minute=600, burst_s=1)
    first = limiter.reserve(0.0, tokens=10)
    limiter.cancel(first, 0.0)
    limiter.cancel(first, 0.0)
    assert limiter.reserve(0.0, tokens=10).wait_s == 0.0
    assert limiter.reserve(0.0, tokens=10).wait_s == pytest.approx(1)
    assert limiter.stats().cancelled == 1


def test_what_was_used_beyond_the_estimate_delays_those_behind():
    limiter = Limiter(tokens_per_minute=600, burst_s=10)
    first = limiter.reserve(0.0, tokens=100)
    limiter.settle(first, 1.0, actual_tokens=300)
    limiter.settle(first, 1.0, actual_tokens=900)  # only the first settle counts
    assert limiter.reserve(1.0, tokens=100).wait_s == pytest.approx(29)
    assert limiter.stats().extra_tokens == 200


def test_a_refund_never_brings_back_capacity_that_has_passed():
    limiter = Limiter(tokens_per_minute=60, burst_s=10)
    old = limiter.reserve(0.0, tokens=10)
    limiter.reserve(20.0, tokens=10)
    limiter.settle(old, 20.0, actual_tokens=0)
    assert limiter.reserve(20.0, tokens=10).wait_s == pytest.approx(10)


def test_refunds_in_reverse_order_never_add_a_debt():
    limiter = Limiter(tokens_per_minute=60, burst_s=10)
    for place in [limiter.reserve(0.0, tokens=3) for _ in range(3)][::-1]:
        limiter.settle(place, 0.0, actual_tokens=0)
    assert limiter.reserve(0.0, tokens=10).wait_s <= 3.0


def test_settling_a_call_that_never_started_frees_its_place():
    limiter = Limiter(requests_per_minute=60, burst_s=1)
    limiter.reserve(0.0)
    waiting = limiter.reserve(0.0)
    limiter.settle(waiting, 0.0, actual_tokens=0)
    assert limiter.stats().waiting == 0
    with pytest.raises(ConfigurationError, match="neither settled nor cancelled"):
        limiter.claim(waiting, 5.0)


def test_claiming_early_tells_what_is_left_and_claiming_twice_is_harmless():
    limiter = Limiter(requests_per_minute=60, burst_s=1)
    limiter.reserve(0.0)
    place = limiter.reserve(0.0)
    assert limiter.claim(place, 0.25) == pytest.approx(0.75)
    assert limiter.claim(place, 1.0) == 0.0
    assert limiter.claim(place, 1.0) == 0.0
    assert limiter.stats().started == 2


def test_a_waiter_who_vanished_blocks_nobody_for_long():
    limiter = Limiter(requests_per_minute=60, burst_s=1)
    limiter.reserve(0.0)
    vanished = limiter.reserve(0.0)
    later = limiter.reserve(0.0)
    assert limiter.claim(later, 1.5) == pytest.approx(0.5)  # its turn, and nobody else's, is kept
    assert limiter.reserve(32.5).wait_s == 0.0
    assert limiter.stats().waiting == 0
    assert limiter.claim(vanished, 33.5) == 0.0  # it may come back, at the end of the queue
    assert limiter.claim(later, 33.5) == pytest.approx(1.0)
    limiter.reserve(70.0)
    limiter.cancel(later, 70.0)  # lost again; nothing is left to give back
    stats = limiter.stats()
    assert (stats.waiting, stats.cancelled) == (0, 1)


def test_a_vanished_waiter_does_not_make_newcomers_wait():
    limiter = Limiter(requests_per_minute=60, burst_s=1)
    limiter.reserve(0.0)
    limiter.reserve(0.0)
    assert limiter.reserve(10.0).wait_s == pytest.approx(0, abs=1)
    assert limiter.reserve(60.0).wait_s == 0.0


def test_the_first_in_the_queue_may_come_late():
    limiter = Limiter(requests_per_minute=1, burst_s=1)
    limiter.reserve(0.0)
    first, second = limiter.reserve(0.0), limiter.reserve(0.0)
    assert limiter.claim(first, 95.0) == 0.0
    assert limiter.claim(second, 95.0) == pytest.approx(60)


def test_a_latecomer_does_not_use_up_what_a_refund_has_freed_for_one_who_sleeps():
    limiter = Limiter(tokens_per_minute=600, burst_s=0.5)  # 5 tokens at once, then ten a second
    large = limiter.reserve(0.0, tokens=6)
    sleeps = limiter.reserve(0.0, tokens=2)
    assert sleeps.wait_s == pytest.approx(0.3)
    limiter.settle(large, 0.1, actual_tokens=0)
    assert limiter.reserve(0.2, tokens=14).wait_s == pytest.approx(0.2)
    assert limiter.claim(sleeps, 0.3) == 0.0


def test_refunds_and_lost_waiters_survive_a_clock_set_back():
    limiter = Limiter(tokens_per_minute=60, burst_s=10)
    place = limiter.reserve(1e6, tokens=10)
    limiter.reserve(1e6, tokens=10)
    limiter.settle(place, 0.0, actual_tokens=0)
    assert limiter.reserve(0.0, tokens=1, max_wait_s=5).wait_s == pytest.approx(1)
    limiter.reserve(50.0)
    assert limiter.stats().waiting == 0


@given(back_s=st.floats(0.0, 1e6), queued=st.integers(0, 5))
def test_a_clock_set_back_freezes_nothing(back_s, queued):
    limiter = Limiter(requests_per_minute=60, tokens_per_minute=600, burst_s=2)
    places = [limiter.reserve(1e6, tokens=10) for _ in range(2 + queued)]
    before = limiter.reserve(1e6, tokens=10, max_wait_s=0.0)
    assert isinstance(before, Refusal)
    after = limiter.reserve(1e6 - back_s, tokens=10, max_wait_s=0.0)
    assert isinstance(after, Refusal)
    assert after.retry_after_s <= before.retry_after_s + 1e-6
    for number, place in enumerate(places):
        assert limiter.claim(place, 1e6 - back_s + number + 1) == 0.0


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=25),
    rates=st.tuples(st.sampled_from([None, 30, 120]), st.sampled_from([600, 6000])),
    burst_s=st.sampled_from([0.5, 3.0, 10.0]),
)
def test_sleepers_all_start_in_order_and_no_later_than_the_rate_allows(sizes, rates, burst_s):
    limiter = Limiter(*rates, burst_s=burst_s)
    asleep, started = [], []
    for number, tokens in enumerate(sizes):
        place = limiter.reserve(0.0, tokens)
        heapq.heappush(asleep, (place.wait_s, number, place))
    for _ in range(50 * len(sizes)):
        if not asleep:
            break
        now, number, place = heapq.heappop(asleep)
        wait_s = limiter.claim(place, now)
        if wait_s:
            heapq.heappush(asleep, (now + wait_s, number, place))
        else:
            started.append((now, number))
    assert [number for _, number in started] == list(range(len(sizes)))
    work_s = sum(sizes) * 60 / rates[1] + (len(sizes) * 60 / rates[0] if rates[0] else 0)
    assert started[-1][0] <= work_s + EPS


class LimiterMachine(RuleBasedStateMachine):
    """Callers of all kinds; what they start must fit the rates in every window of time."""

    places = Bundle("places")

    def __init__(self):
        super().__init__()
        self.limiter = Limiter(requests_per_minute=120, tokens_per_minute=600, burst_s=5)
        self.now = 100.0
        self.waiting = {}
        self.started = {}  # place -> (time, requests, tokens really used so far as is known)

    @rule(dt=st.sampled_from([0.0, 0.01, 0.5, 1.0, 4.0, 10.0]))
    def pass_time(self, dt):
        self.now += dt

    def note(self, place, wait_s):
        if wait_s == 0.0:
            self.waiting.pop(place, None)
            self.started[place] = (self.now, 1, place.tokens)

    @rule(target=places, tokens=st.integers(0, 70))
    def reserve(self, tokens):
        place = self.limiter.reserve(self.now, tokens)
        self.waiting[place] = None
        self.note(place, place.wait_s)
        return place

    @rule(tokens=st.integers(0, 70), most=st.sampled_from([0.0, 2.0]))
    def reserve_with_a_maximum(self, tokens, most):
        place = self.limiter.reserve(self.now, tokens, max_wait_s=most)
        if isinstance(place, Refusal):
            assert place.retry_after_s > most
        else:
            assert place.wait_s <= most
            self.waiting[place] = None
            self.note(place, place.wait_s)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def claim(self, data):
        place = data.draw(st.sampled_from(list(self.waiting)))
        self.note(place, self.limiter.claim(place, self.now))

    @rule(place=places, share=st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5]))
    def settle(self, place, share):
        self.finish(place, lambda: self.limiter.settle(place, self.now, int(place.tokens * share)), share)

    @rule(place=places)
    def cancel(self, place):
        self.finish(place, lambda: self.limiter.cancel(place, self.now), None)

    def finish(self, place, act, share):
        first = place.state == "started"
        act()
        assert place.state == "closed"
        self.waiting.pop(place, None)
        if first:
            at, _, tokens = self.started[place]
            used = 0 if share is None else min(tokens, int(tokens * share))
            self.started[place] = (at, 0 if share is None else 1, used)

    @invariant()
    def no_window_holds_more_than_rate_and_burst(self):
        times = [at for at, _, _ in self.started.values()]
        for column, per_s, burst in ((1, 2.0, 10.0), (2, 10.0, 50.0)):
            amounts = [entry[column] for entry in self.started.values()]
            most = max([burst, *(place.tokens if column == 2 else 1 for place in self.started)])
            sums = [0, *accumulate(amounts)]
            for first in range(len(times)):
                for last in range(first, len(times)):
                    within = sums[last + 1] - sums[first]
                    assert within <= per_s * (times[last] - times[first]) + most + EPS
        assert all(earlier <= later for earlier, later in pairwise(times))

    @invariant()
    def the_books_agree(self):
        stats = self.limiter.stats()
        assert stats.started == len(self.started)
        assert stats.waiting <= len(self.waiting)


LimiterMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=30)
TestLimiterMachine = LimiterMachine.TestCase
