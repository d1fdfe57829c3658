"""Single flight: who asks the same thing at the same time hears one answer, live, whoever leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import llm
import pytest
from llm.parts import StreamEvent

import llmopt
from llmopt import Timeout
from llmopt.cache.memory import MemoryStore
from llmopt.errors import CallError, CallTimeout
from llmopt.middleware._cache_flight import Following, HandedOver, Promoted, Seat, Stream
from llmopt.middleware.cache import Cache
from llmopt.resilience import Flights
from llmopt.testing import Answer
from llmopt.types import Reply

from .conftest import WORLDS, Outcome, World, bounded, consume

TURN_S = 0.001
LIMIT_S = 10.0


def until(condition: Callable[[], bool]) -> None:
    """Wait in a thread; a test that waits in vain fails."""
    give_up_at = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        threading.Event().wait(TURN_S)


async def auntil(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - it may become true in any thread
            await anyio.sleep(TURN_S)


@dataclass
class Script:
    """What a live model says, and before which events it waits for what."""

    answers: list[Any]
    gates: dict[tuple[int, int], Callable[[], bool]] = field(default_factory=dict)
    runs: int = 0

    def steps(self):
        """Yield a condition to wait for, or an event."""
        run, self.runs = self.runs, self.runs + 1
        for place, event in enumerate(self.answers[min(run, len(self.answers) - 1)]):
            yield self.gates.get((run, place), lambda: True)
            if isinstance(event, Exception):
                raise event
            yield event
        yield self.gates.get((run, -1), lambda: True)


class Live(llm.Model):
    model_id = "live"

    def __init__(self, script):
        self.script = script

    def execute(self, prompt, stream, response, conversation):
        for step in self.script.steps():
            if callable(step):
                until(step)
            else:
                yield step
        response.set_usage(input=3, output=2, details={"cached": 1})


class AsyncLive(llm.AsyncModel):
    model_id = "live"

    def __init__(self, script):
        self.script = script

    async def execute(self, prompt, stream, response, conversation):
        for step in self.script.steps():
            if callable(step):
                await auntil(step)
            else:
                yield step
        response.set_usage(input=3, output=2, details={"cached": 1})


@dataclass
class Party:
    """One caller: when it begins to ask, how many events it takes, and what it got."""

    when: Callable[[], bool] = lambda: True
    take: int | None = None
    prompt: str = "Hi"
    key: str | None = None
    pause: Callable[[int], Callable[[], bool] | None] = lambda _seen: None
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def heard(self) -> list[str]:
        return [event.chunk for event in self.outcome.events]

    def join(self, model: Any) -> None:
        until(self.when)
        response = model.prompt(self.prompt)
        self.outcome.response = response
        stream = response.stream_events()
        try:
            for event in stream:
                self.outcome.events.append(event)
                until(self.pause(len(self.heard)) or (lambda: True))
                if len(self.heard) == self.take:
                    break
        except BaseException as error:
            self.outcome.error = error
        finally:
            stream.close()

    async def ajoin(self, model: Any) -> None:
        await auntil(self.when)
        response = model.prompt(self.prompt)
        self.outcome.response = response
        stream = response.astream_events()
        try:
            async for event in stream:
                self.outcome.events.append(event)
                await auntil(self.pause(len(self.heard)) or (lambda: True))
                if len(self.heard) == self.take:
                    break
        except Exception as error:
            self.outcome.error = error
        finally:
            await stream.aclose()


def live(world, script, *middlewares):
    model = (AsyncLive if world.is_async else Live)(script)
    return world.wrap(model, *middlewares)


def meet(world, model, *parties):
    """Let all parties ask, each in a thread or a task of its own; return what each got."""
    if world.is_async:

        async def main():
            async with anyio.create_task_group() as group:
                for party in parties:
                    group.start_soon(party.ajoin, model)

        world.run(main)
    else:
        for thread in [bounded(partial(party.join, model)) for party in parties]:
            thread.result(LIMIT_S + 5)
    for party in parties:
        party.outcome.trace = world.traces[party.outcome.response.id]
    return [party.outcome for party in parties]


def followed(cache, count):
    return lambda: cache._flights.stats().followed >= count


# one answer for all


@pytest.mark.parametrize(("kind", "callers"), [("sync", 8), ("asyncio", 20), ("trio", 20)])
def test_many_at_once_ask_the_model_once(kind, callers):
    world, cache = World(kind), Cache()
    script = Script([["one ", "two"]], {(0, 1): followed(cache, callers - 1)})
    outcomes = meet(world, live(world, script, cache), *(Party() for _ in range(callers)))
    assert [outcome.text for outcome in outcomes] == ["one two"] * callers
    assert script.runs == 1
    assert sorted(outcome.notes["cache"] for outcome in outcomes) == ["coalesced"] * (callers - 1) + ["miss"]
    assert sorted(outcome.trace.source for outcome in outcomes) == ["cache"] * (callers - 1) + ["model"]
    for outcome in outcomes:
        response = outcome.response
        assert (response.input_tokens, response.output_tokens, response.token_details) == (
            3,
            2,
            {"cached": 1},
        )
    stats = cache.stats()
    assert (stats["misses"], stats["coalesced"], stats["hits"]) == (1, callers - 1, 0)
    assert stats["input_tokens_saved"] == 3 * (callers - 1)
    assert cache._flights.stats().open == 0


def test_followers_hear_every_event_when_it_comes(world):
    cache = Cache()
    early, late = Party(when=lambda: script.runs == 1), Party(when=lambda: bool(leader.heard))
    leader = Party()
    script = Script(
        [["one", "two", "three"]],
        {(0, 0): followed(cache, 1), (0, 1): lambda: early.heard == ["one"] and late.heard == ["one"],
         (0, 2): lambda: early.heard == late.heard == ["one", "two"]},
    )  # fmt: skip
    outcomes = meet(world, live(world, script, cache), leader, early, late)
    assert [outcome.text for outcome in outcomes] == ["onetwothree"] * 3
    assert script.runs == 1


def test_every_follower_has_events_of_its_own(world):
    cache = Cache()
    script = Script([[StreamEvent("text", "one"), StreamEvent("text", "two")]], {(0, 0): followed(cache, 2)})
    outcomes = meet(world, live(world, script, cache), *(Party() for _ in range(3)))
    events = [event for outcome in outcomes for event in outcome.events]
    assert len({id(event) for event in events}) == 6
    assert {event.part_index for event in events} == {0}


def test_threads_asyncio_and_trio_follow_each_other():
    cache = Cache()
    script = Script([["one", "two"]], {(0, 1): followed(cache, 3)})
    worlds = [World(kind) for kind in WORLDS]
    parties = [Party() for _ in worlds]
    first = Party()
    jobs = [bounded(lambda: meet(worlds[0], live(worlds[0], script, cache), first))]
    until(lambda: script.runs == 1)
    for world, party in zip(worlds, parties, strict=True):
        job = partial(meet, world, live(world, script, cache), party)
        jobs.append(bounded(job))
    for job in jobs:
        job.result(LIMIT_S + 5)
    assert [party.outcome.text for party in (first, *parties)] == ["onetwo"] * 4
    assert script.runs == 1


@pytest.mark.parametrize("writes", [True, False])
def test_followers_of_an_answer_that_is_not_kept(world, writes):
    cache = Cache(mode="read_write" if writes else "read_only")
    client = object()

    def attach(call):
        reply = yield call
        reply.attributes = {"client": client}

    script = Script([["one"]], {(0, 0): followed(cache, 1)})
    middlewares = (cache, attach) if writes else (cache,)
    outcomes = meet(world, live(world, script, *middlewares), Party(), Party())
    assert [outcome.text for outcome in outcomes] == ["one", "one"]
    assert [outcome.response.token_details for outcome in outcomes] == [{"cached": 1}] * 2
    follower = next(outcome for outcome in outcomes if outcome.notes["cache"] == "coalesced")
    assert getattr(follower.response, "client", None) is (client if writes else None)
    assert (script.runs, cache.stats()["entries"]) == (1, 0)


def test_followers_of_a_fallback_know_that_it_was_one(world):
    cache = Cache()
    script = Script([[ConnectionError("down")]], {(0, 0): followed(cache, 1)})
    wrapped = live(world, script, cache, llmopt.Fallback(lambda call: "heuristic"))
    outcomes = meet(world, wrapped, Party(), Party())
    assert [(outcome.text, outcome.trace.source, outcome.notes["tier"]) for outcome in outcomes] == [
        ("heuristic", "fallback", 1)
    ] * 2
    assert cache.stats()["entries"] == 0


def test_another_key_and_another_call_have_flights_of_their_own(world):
    cache, arrived = Cache(), []

    def all_here(call):
        arrived.append(call)
        while len(arrived) < 3:
            yield llmopt.Sleep(0.0)
        yield call

    wrapped = world.wrap(world.model(["1"] * 3, keyed=True), cache, all_here)
    asks = [{"key": "a"}, {"key": "b"}, {"key": "a", "prompt": "Ho"}]
    if world.is_async:

        async def main():
            async with anyio.create_task_group() as group:
                for ask in asks:
                    group.start_soon(
                        world.consumed, wrapped.prompt(ask.get("prompt", "Hi"), key=ask["key"]), Outcome()
                    )

        world.run(main)
    else:
        jobs = [
            partial(consume, wrapped.prompt(ask.get("prompt", "Hi"), key=ask["key"]), Outcome())
            for ask in asks
        ]
        for thread in [bounded(job) for job in jobs]:
            thread.result(LIMIT_S)
    assert len(arrived) == 3


@pytest.mark.parametrize("given", [{"single_flight": False}, {"mode": "write_only"}])
def test_without_single_flight_everybody_asks(world, given):
    cache = Cache(**given)
    script = Script([["one"]], {(0, 0): lambda: script.runs == 3, (1, 0): lambda: script.runs == 3})
    outcomes = meet(world, live(world, script, cache), *(Party() for _ in range(3)))
    assert [outcome.notes["cache"] for outcome in outcomes] == ["miss"] * 3
    assert script.runs == 3


class ForgetfulStore(MemoryStore):
    """Says "nothing" the first times that it is asked, as if the answer had come just afterwards."""

    left = 1

    def get(self, key):
        if self.left:
            self.left -= 1
            return None
        return super().get(key)


def test_an_answer_that_came_between_the_look_and_the_lead_is_taken(world):
    store = ForgetfulStore()
    store.left = 0
    script = Script([["one"]])
    wrapped = live(world, script, cache := Cache(store=store))
    meet(world, wrapped, Party())
    store.left = 1
    (outcome,) = meet(world, wrapped, Party())
    assert (outcome.text, outcome.notes["cache"], script.runs) == ("one", "hit", 1)
    assert cache.stats()["hits"] == 1


# errors


def test_an_error_is_everybodys(world):
    cache = Cache()
    script = Script([["one", ConnectionError("down")]], {(0, 1): followed(cache, 2)})
    outcomes = meet(world, live(world, script, cache), *(Party() for _ in range(3)))
    assert [(outcome.text, type(outcome.error)) for outcome in outcomes] == [("one", ConnectionError)] * 3
    assert (script.runs, cache._flights.stats().open) == (1, 0)


def test_an_expired_entry_stands_in_for_followers_too(world):
    cache = Cache(ttl=1, stale_if_error=60)
    script = Script([["old"], [ConnectionError("down")]], {(1, 0): followed(cache, 1)})
    wrapped = live(world, script, cache)
    meet(world, wrapped, Party())
    world.clock.advance(2)
    outcomes = meet(world, wrapped, Party(), Party())
    assert [(outcome.text, outcome.notes["cache"]) for outcome in outcomes] == [("old", "stale")] * 2
    assert cache.stats()["stale"] == 2


def test_a_leader_whose_own_time_is_up_hands_over(world):
    cache, patient = Cache(), []

    def hurried(call):
        limit = None if patient else Timeout(first_token_s=0.05)
        patient.append(call)
        yield from (limit(call) if limit else patience(call))

    def patience(call):
        yield call

    script = Script([["one"], ["two"]], {(0, 0): lambda: script.runs == 2})
    outcomes = meet(world, live(world, script, hurried, cache), Party(), Party(when=lambda: script.runs == 1))
    assert sorted(outcome.told for outcome in outcomes) == ["CallTimeout", "two"]
    assert any(isinstance(outcome.error, CallTimeout) for outcome in outcomes)


# leaders that leave


def test_a_cancelled_leader_hands_over_to_one(world):
    cache = Cache()
    leader = Party(take=1, pause=lambda seen: followed(cache, 3))
    followers = [Party(when=lambda: bool(leader.heard)) for _ in range(3)]
    script = Script([["one", "two"]], {(1, 1): lambda: all(follower.heard for follower in followers)})
    outcomes = meet(world, live(world, script, cache), leader, *followers)
    assert [outcome.text for outcome in outcomes] == ["one", "onetwo", "onetwo", "onetwo"]
    assert script.runs == 2
    assert sorted(outcome.notes["cache"] for outcome in outcomes[1:]) == ["coalesced", "coalesced", "miss"]
    assert cache._flights.stats().open == 0


def test_a_leader_that_leaves_before_anything_came(world):
    cache, script = Cache(), Script([["one"]])
    gone = threading.Event()
    script.gates = {(0, 0): gone.is_set}

    def leave(call):
        if not script.runs:
            yield from Timeout(first_token_s=0.05)(call)
        else:
            yield call

    leader, follower = Party(), Party(when=lambda: script.runs == 1)
    outcomes = meet(world, live(world, script, leave, cache), leader, follower)
    gone.set()
    assert [outcome.told for outcome in outcomes] == ["CallTimeout", "one"]
    assert script.runs == 2


def test_what_was_heard_already_is_not_said_twice(world):
    cache = Cache()
    leader = Party(take=2, pause=lambda seen: lambda: all(len(one.heard) == seen for one in followers))
    followers = [Party(when=lambda: script.runs == 1) for _ in range(3)]
    answers = [["Once ", "upon a ", "time"], ["On", "ce upon", " a time", "."]]
    script = Script(answers, {(0, 0): followed(cache, 3)})
    outcomes = meet(world, live(world, script, cache), leader, *followers)
    assert outcomes[0].text == "Once upon a "
    assert [outcome.text for outcome in outcomes[1:]] == ["Once upon a time."] * 3
    assert script.runs == 2
    assert cache.stats()["entries"] == 1
    (again,) = meet(world, live(world, script, cache), Party())
    assert (again.text, script.runs) == ("Once upon a time.", 2)


@pytest.mark.parametrize("second", [["Twice upon"], ["Once"], ["Once upon"]])
def test_another_answer_cannot_go_on_with_the_first(world, second):
    cache = Cache()
    leader = Party(take=1, pause=lambda seen: lambda: bool(first.heard))
    first = Party(when=lambda: script.runs == 1)
    late = Party(when=lambda: script.runs == 2)
    script = Script(
        [["Once upon"], second, ["third"]], {(0, 0): followed(cache, 1), (1, 0): followed(cache, 2)}
    )
    outcomes = meet(world, live(world, script, cache), leader, first, late)
    assert outcomes[1].text == "Once upon"
    if second == ["Once upon"]:
        assert [outcome.error for outcome in outcomes] == [None] * 3
        assert outcomes[2].text == "Once upon"
    else:
        assert isinstance(outcomes[1].error, CallError)
        assert "another answer" in str(outcomes[1].error)
        assert (outcomes[2].text, outcomes[2].error) == ("third" if script.runs == 3 else "Once", None)
        assert script.runs == (2 if second == ["Once"] else 3)
    assert cache._flights.stats().open == 0


def test_a_follower_that_leaves_is_no_heir(world):
    cache = Cache()
    leader = Party(take=1, pause=lambda seen: lambda: bool(second.heard))
    first = Party(when=lambda: script.runs == 1, take=1)
    second = Party(when=lambda: len(first.heard) == 1 and first.outcome.response._done is False)
    script = Script([["one", "two"]], {(0, 0): followed(cache, 1)})
    outcomes = meet(world, live(world, script, cache), leader, first, second)
    assert [outcome.text for outcome in outcomes] == ["one", "one", "onetwo"]
    assert script.runs == 2


def test_a_leader_that_stands_still_is_given_up(world):
    cache = Cache(patience_s=0.05)
    leader = Party(pause=lambda seen: lambda: seen != 1 or all(len(one.heard) == 2 for one in followers))
    followers = [Party(when=lambda: bool(leader.heard)) for _ in range(3)]
    script = Script([["one", "two"]])
    outcomes = meet(world, live(world, script, cache), leader, *followers)
    assert [outcome.text for outcome in outcomes] == ["onetwo"] * 4
    assert 2 <= script.runs <= 4
    assert cache._flights.stats().open == 0


# leaders that cannot be waited for


def test_a_thread_does_not_wait_for_itself():
    script = Script([["one", "two"]])
    model = llmopt.wrap(Live(script), cache := Cache())
    held = iter(model.prompt("Hi"))
    assert next(held) == "one"
    assert bounded(lambda: None).result(1) is None
    assert model.prompt("Hi").text() == "onetwo"
    assert next(held) == "two"
    assert list(held) == []
    assert script.runs == 2
    assert cache._flights.stats().open == 0


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_a_task_does_not_wait_for_itself(kind):
    script = Script([["one", "two"]])
    world = World(kind)
    wrapped = llmopt.wrap(AsyncLive(script), cache := Cache())

    async def main():
        texts = []
        held = wrapped.prompt("Hi").astream_events()
        async for event in held:
            texts.append((event.chunk, await wrapped.prompt("Hi").text()))
        return texts

    assert world.run(main) == [("one", "onetwo"), ("two", "onetwo")]
    assert (script.runs, cache.stats()["hits"]) == (2, 1)


def test_a_thread_does_not_wait_for_its_event_loop():
    script = Script([["one", "two"]])
    cache = Cache()
    later, now = llmopt.wrap(AsyncLive(script), cache), llmopt.wrap(Live(script), cache)

    async def main():
        held = later.prompt("Hi").astream_events()
        first = await anext(held)
        text = now.prompt("Hi").text()  # it blocks the event loop, and with it the leader
        await held.aclose()
        return first.chunk, text

    assert World("asyncio").run(main) == ("one", "onetwo")


def test_one_cache_twice_in_a_chain(world):
    cache, script = Cache(), Script([["one"]])
    outcomes = [meet(world, live(world, script, cache, cache), Party())[0] for _ in range(2)]
    assert [outcome.text for outcome in outcomes] == ["one", "one"]
    assert script.runs == 1


def test_streams_reach_other_threads_and_other_tasks():
    stream = Stream()
    assert stream.reaches((1, 0))  # nobody leads yet
    stream.place = (1, 0)
    assert [stream.reaches(place) for place in ((1, 0), (2, 0), (1, 5), (2, 5))] == [False, True, False, True]
    stream.place = (1, 5)
    assert [stream.reaches(place) for place in ((1, 0), (2, 0), (1, 5), (1, 6))] == [False, True, False, True]


def test_a_crowd_that_comes_and_goes(world):
    """Everybody gets the whole answer, or leaves by its own will; no flight is left open."""
    cache = Cache(ttl=0.0)
    script = Script([["a", "b", "c", "d"]])
    parties = [Party(take=1 + number % 3 if number % 2 else None) for number in range(24)]
    outcomes = meet(world, live(world, script, cache), *parties)
    for party, outcome in zip(parties, outcomes, strict=True):
        assert outcome.error is None
        assert outcome.text == "abcd"[: party.take]
    assert cache._flights.stats().open == 0


def test_a_reply_that_somebody_follows_is_complete_for_those_outside(world):
    seen = []

    def outside(call):
        reply = yield call
        seen.append((reply.usage.output_tokens, reply.text if isinstance(reply, Reply) else None))

    cache = Cache()
    script = Script([["one", "two"]], {(0, 0): followed(cache, 1)})
    meet(world, live(world, script, outside, cache), Party(), Party())
    assert sorted(seen) == [(2, ""), (2, "onetwo")]


def test_the_scripted_models_work_too(world):
    model = world.model([Answer(chunks=["a", "b"], chunk_delay_s=1.0, delay_s=1.0)])
    outcomes = world.ask_all([world.wrap(model, Cache())] * 8)
    assert [outcome.text for outcome in outcomes] == ["ab"] * 8
    assert len(model.calls) == 1


def seats(count):
    flights = Flights(Stream)
    return [Seat(flights, ("ask",), (number, 0)) for number in range(count)]


def test_an_heir_that_looks_before_it_is_woken():
    leader, heir = seats(2)
    heir._flights.abandon(leader)  # but its stream has not ended yet
    with pytest.raises(Promoted):
        list(Following(heir, 1.0))
    assert heir.look()
    assert heir.stream is not leader.stream


def test_patience_ends_only_if_nothing_has_come():
    leader, follower = seats(2)
    following = Following(follower, 1.0)
    leader.stream.publish("one")
    following._stalled()
    assert follower.stream is leader.stream
    assert next(iter(following)) == "one"
    with pytest.raises(Promoted):  # now nothing has: it leads a flight of its own
        following._stalled()
    assert (leader.leads, follower.leads) == (True, True)


def test_a_thread_that_a_timeout_has_left_behind_does_not_lead():
    leader, follower = seats(2)
    following = Following(follower, 1.0)
    follower.leave()
    with pytest.raises(HandedOver):
        following._stalled()
    assert leader._flights.stats().open == 1  # the leader's


def test_a_seat_that_is_left_twice():
    leader, follower = seats(2)
    for _ in range(2):
        leader.leave()
        follower.leave()
    assert leader._flights.stats().open == 0
