"""RateLimit: spacing on the chain's clock, tokens settled, calls refused, and places given back."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmopt
from llmopt import RateLimit, Retry, Sleep, Timeout
from llmopt.errors import RateLimited
from llmopt.resilience import Limiter
from llmopt.testing import Answer, VirtualClock
from llmopt.types import Trace, Usage


def starts(world, outcomes):
    """The seconds at which the calls reached the model."""
    return sorted(attempt.started_at for outcome in outcomes for attempt in outcome.trace.attempts or ())


def uses(input_tokens, output_tokens):
    return Answer(text="ok", usage=Usage(input_tokens, output_tokens))


SPACING = {
    "one a second": (RateLimit(60, burst_s=1), [0, 1, 2, 3, 4]),
    "a burst first": (RateLimit(60, burst_s=3), [0, 0, 0, 1, 2]),
    "ten a second": (RateLimit(600, burst_s=0.1), [0, 0.1, 0.2, 0.3, 0.4]),
    "one a minute, without a burst to speak of": (RateLimit(1, burst_s=1), [0, 60, 120, 180, 240]),
    "no limit that is reached": (RateLimit(6000, 10**9), [0, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "at the same time"])
@pytest.mark.parametrize("case", SPACING)
def test_spacing(world, case, together):
    # A thread may read the virtual clock and be held up while others move it on by minutes, which the limiter
    # takes for a clock that was set back: threads wait for seconds only.
    limit, expected_s = SPACING[case if world.is_async or not together else "one a second"]
    limit = llmopt.RateLimit(limit.requests_per_minute, limit.tokens_per_minute, burst_s=limit.burst_s)
    wrapped = world.wrap([], limit)
    outcomes = world.ask_all([wrapped] * 5) if together else [world.ask(wrapped) for _ in range(5)]
    assert [outcome.told for outcome in outcomes] == ["Hi"] * 5
    at_s = starts(world, outcomes)
    if together and not world.is_async:  # threads move the virtual clock on, each by its own wait
        assert all(start_s >= least_s - 1e-6 for start_s, least_s in zip(at_s, expected_s, strict=True))
    else:
        assert at_s == pytest.approx(expected_s)
    assert [outcome.notes.get("queue_s", 0) for outcome in outcomes] == [out.waits[0] for out in outcomes]
    assert (limit.stats()["started"], limit.stats()["waiting"]) == (5, 0)
    assert limit.stats()["delayed"] == sum(wait_s > 0 for outcome in outcomes for wait_s in outcome.waits)


def test_a_call_that_need_not_wait_notes_nothing(world):
    assert "queue_s" not in world.ask(world.wrap([], RateLimit(60))).notes


def test_models_share_the_limit_of_one_instance(world):
    limit = RateLimit(60, burst_s=1)
    outcomes = [world.ask(world.wrap([], limit)) for _ in range(3)]
    assert starts(world, outcomes) == [0, 1, 2]


def test_tokens_are_settled_with_the_providers_figures(world):
    # A thousand tokens at once and a hundred a second; the first estimate is 1 + 256 tokens.
    limit = RateLimit(tokens_per_minute=6000, burst_s=10)
    wrapped = world.wrap([uses(500, 400), uses(90, 10), uses(90, 10)], limit)
    assert starts(world, [world.ask(wrapped)]) == [0]
    second = world.ask(wrapped)
    # 900 of 1000 were used; 1 + 400, as usual, are to be had after three seconds.
    assert starts(world, [second]) == [pytest.approx(3.01)]
    assert limit.stats()["extra_tokens"] == 900 - 257
    assert limit.stats()["refunded_tokens"] == 401 - 100


def test_an_answer_without_usage_keeps_its_estimate(world):
    limit = RateLimit(tokens_per_minute=6000, burst_s=10)
    world.ask(world.wrap([Answer(text="ok", usage=Usage())], limit))
    assert (limit.stats()["extra_tokens"], limit.stats()["refunded_tokens"]) == (0, 0)


def test_what_a_middleware_inside_answers_uses_no_tokens(world):
    def canned(call):
        yield llmopt.Reply.of_text("canned", source="canned")

    limit = RateLimit(tokens_per_minute=6000, burst_s=10)
    assert world.ask(world.wrap([], limit, canned)).told == "canned"
    assert limit.stats()["refunded_tokens"] == 257


def test_max_tokens_bounds_the_estimate(world):
    limit = RateLimit(tokens_per_minute=6000, burst_s=10)
    world.ask(world.wrap([uses(1, 1)], limit), "x" * 400, max_tokens=20)
    assert limit.stats()["refunded_tokens"] == 100 + 20 - 2


def test_the_results_of_tools_count_in_the_estimate(world):
    import llm

    limit = RateLimit(tokens_per_minute=6000, burst_s=10)
    wrapped = world.wrap([uses(1, 1)], limit)
    world.ask(wrapped, "", tool_results=[llm.ToolResult(name="scan", output="x" * 400, tool_call_id="1")])
    assert limit.stats()["refunded_tokens"] == 100 + 256 - 2


REFUSED = {
    "longer than it may wait": ((), 0.5, 0.5),
    "may not wait": ((), 0, 0.0),
    "longer than the deadline leaves": ((Timeout(0.25),), None, 0.25),
    "the shorter of the two": ((Timeout(0.75),), 0.5, 0.5),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(world, case):
    outside, max_wait_s, longest_s = REFUSED[case]
    wrapped = world.wrap([], *outside, RateLimit(60, burst_s=1, max_wait_s=max_wait_s))
    assert world.ask(wrapped).told == "Hi"
    refused = world.ask(wrapped)
    assert isinstance(refused.error, RateLimited)
    assert refused.error.retry_after_s == 1
    assert str(refused.error) == (
        "the rate limit of scripted would hold this call back for 1.0 s, "
        f"and it may wait for {longest_s:.1f} s at most"
    )
    assert (refused.attempts, world.clock.sleeps) == ([], [])
    world.clock.advance(1)
    assert world.ask(wrapped).told == "Hi"


class MeanwhileClock(VirtualClock):
    """While somebody sleeps, something happens."""

    def __init__(self, happens):
        super().__init__()
        self.happens = happens

    def sleep(self, seconds):
        self.happens()
        super().sleep(seconds)

    async def asleep(self, seconds):
        self.happens()
        await super().asleep(seconds)


@pytest.mark.parametrize("stack", [(), (Timeout(10),)], ids=["max_wait_s", "deadline"])
def test_a_wait_that_grows_beyond_what_is_allowed_is_refused_after_all(world, stack):
    limit = RateLimit(tokens_per_minute=6000, burst_s=3, max_wait_s=None if stack else 10)
    other = limit._limiter.reserve(0, tokens=257)
    clock = MeanwhileClock(lambda: limit._limiter.settle(other, clock.monotonic(), actual_tokens=1157))
    outcome = world.ask(world.wrap([], *stack, limit, clock=clock))
    # The call before it was taken for 257 tokens, which meant a wait of 2.14 s, and has used 900 more.
    assert (outcome.told, clock.sleeps) == ("RateLimited", [1])
    assert outcome.error.retry_after_s == pytest.approx(2.14 - 1 + 9)
    assert (limit.stats()["waiting"], limit.stats()["cancelled"]) == (0, 1)
    clock.advance(10.14)
    assert world.ask(world.wrap(["ok"], *stack, limit, clock=clock)).told == "ok"


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_what_a_call_has_not_used_lets_the_next_one_start(make_world, kind):
    # 257 tokens at once, then ten a second: 257 more are to be had after 25.7 s. After 2 s, 200 come back.
    world, limit = make_world(kind), RateLimit(tokens_per_minute=600, burst_s=25.7)
    wrapped = world.wrap([Answer(text="ok", delay_s=2, usage=Usage(27, 30)), uses(1, 1)], limit)
    outcomes = world.ask_all([wrapped] * 2)
    assert starts(world, outcomes) == [0, pytest.approx(5.7)]
    assert sorted(outcome.notes.get("queue_s", 0) for outcome in outcomes) == [0, pytest.approx(5.7)]


def test_a_place_is_given_back_when_its_caller_is_gone(world):
    limit = RateLimit(60, burst_s=1)
    model = world.model()
    assert world.ask(world.wrap(model, limit)).told == "Hi"
    gone = world.interrupt(model, limit)
    assert (gone.told, len(model.calls)) == ("KeyboardInterrupt", 1)
    assert limit.stats()["waiting"] == 0
    assert limit.stats()["cancelled"] == 1
    assert starts(world, [world.ask(world.wrap(model, limit))]) == [1]  # and not 2


def test_every_attempt_counts_inside_a_retry(world):
    import tenacity

    stack = (Retry(attempts=3, wait=tenacity.wait_none()), RateLimit(60, burst_s=1))
    outcome = world.ask(world.wrap([ConnectionError(), ConnectionError(), "ok"], *stack))
    assert (outcome.told, starts(world, [outcome])) == ("ok", [0, 1, 2])


def test_many_callers_at_once_keep_the_limit(world):
    limit = RateLimit(600, burst_s=0.1)
    outcomes = world.ask_all([world.wrap([], limit)] * 40)
    for number, start_s in enumerate(starts(world, outcomes)):
        assert start_s >= number / 10 - 1e-6
    assert limit.stats()["started"] == 40


def test_threads_on_the_real_clock_keep_the_limit(make_world):
    from llmopt.chain.clock import SystemClock

    world = make_world("sync")
    limit = RateLimit(60_000, burst_s=0.001)  # one a millisecond
    outcomes = world.ask_all([world.wrap([], limit, clock=SystemClock())] * 50)
    at_s = starts(world, outcomes)
    assert at_s[-1] - at_s[0] >= 0.049 * 0.99
    assert limit.stats()["started"] == 50


# What holds for any calls

BOOTED_S = 86_400.1  # what a monotonic clock says, whose fractions of a second are rounded


@dataclass(frozen=True)
class Asked:
    """A call of some tokens, of which it uses a share when it ends."""

    at_s: float
    tokens: int
    share: float
    takes_s: float

    def of(self, clock):
        """Return what the middleware needs of a call."""
        part = SimpleNamespace(text="x" * 4 * (self.tokens - 1))  # four characters a token, and one of output
        prompt = SimpleNamespace(
            messages=[SimpleNamespace(parts=[part])], options=SimpleNamespace(max_tokens=1)
        )
        return SimpleNamespace(
            clock=clock, prompt=prompt, trace=Trace(), model_id="m", started=False, remaining_s=lambda: None
        )

    def reply(self):
        return SimpleNamespace(response=object(), usage=Usage(int(self.tokens * self.share)))


def simulated(limit, all_asked):
    """Return the second at which each call starts, where nothing takes time but what says so."""
    clock, started_s = VirtualClock(start_s=BOOTED_S), {}
    flows = [limit(asked.of(clock)) for asked in all_asked]
    due = [(BOOTED_S + asked.at_s, number, asked, None) for number, asked in enumerate(all_asked)]
    while due:
        at_s, number, asked, value = heapq.heappop(due)
        clock.advance(at_s - clock.monotonic())
        try:
            step = flows[number].send(value)
        except StopIteration:
            continue
        if isinstance(step, Sleep):
            assert 0 < step.seconds <= 1
            heapq.heappush(due, (at_s + step.seconds, number, asked, None))
        else:
            started_s[number] = at_s - BOOTED_S
            heapq.heappush(due, (at_s + asked.takes_s, number, asked, asked.reply()))
    return [started_s[number] for number in range(len(all_asked))]


def calls(share):
    times = st.integers(0, 40).map(lambda tenths: tenths / 10)
    made = st.builds(Asked, at_s=times, tokens=st.integers(1, 300), share=share, takes_s=times)
    return st.lists(made, min_size=1, max_size=12, unique=True).map(
        lambda found: sorted(found, key=lambda asked: asked.at_s)
    )


LIMITS = st.builds(
    RateLimit,
    requests_per_minute=st.sampled_from([None, 30, 120]),
    tokens_per_minute=st.sampled_from([600, 6000]),
    burst_s=st.sampled_from([0.5, 3.0, 10.0]),
)


@given(limit=LIMITS, asked=calls(st.sampled_from([0.0, 0.1, 0.5, 1.0])))
def test_whoever_came_first_starts_at_most_a_look_later(limit, asked):
    started_s = simulated(limit, asked)
    for earlier, later in pairwise(range(len(asked))):
        assert started_s[earlier] <= min(started_s[later:]) + 1 + 1e-5
    assert limit.stats()["waiting"] == 0


@given(limit=LIMITS, asked=calls(st.sampled_from([0.0, 0.1, 0.5, 1.0])))
def test_nobody_waits_longer_for_what_others_give_back(limit, asked):
    started_s = simulated(limit, asked)
    kept = [Asked(call.at_s, call.tokens, 1.0, call.takes_s) for call in asked]
    without_refunds_s = simulated(
        RateLimit(limit.requests_per_minute, limit.tokens_per_minute, burst_s=limit.burst_s), kept
    )
    for sooner_s, later_s in zip(started_s, without_refunds_s, strict=True):
        assert sooner_s <= later_s + 1e-3


@given(limit=LIMITS, asked=calls(st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5])))
def test_no_window_holds_more_than_rate_and_burst(limit, asked):
    started_s = simulated(limit, asked)
    used = sorted(zip(started_s, (min(1.0, call.share) * call.tokens for call in asked), strict=True))
    burst_tokens = limit.tokens_per_minute / 60 * limit.burst_s
    most_at_once = max(burst_tokens, *(call.tokens for call in asked), 0)
    for first in range(len(used)):
        for last in range(first, len(used)):
            tokens = sum(int(amount) for _, amount in used[first : last + 1])
            window_s = used[last][0] - used[first][0]
            assert tokens <= limit.tokens_per_minute / 60 * window_s + most_at_once + 1


@given(per_minute=st.floats(0.6, 6000))
def test_a_wait_of_just_what_is_allowed_is_waited(per_minute):
    limiter = Limiter(per_minute, burst_s=0.001)
    _, second = limiter.reserve(BOOTED_S), limiter.reserve(BOOTED_S)
    limit = RateLimit(per_minute, burst_s=0.001, max_wait_s=second.wait_s)
    asked = [Asked(0.0, 1, 1.0, 0.0), Asked(0.0, 1, 1.0, 1.0)]
    assert simulated(limit, asked) == [0, pytest.approx(second.wait_s, abs=1e-5)]
