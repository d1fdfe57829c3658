"""Single flight: who leads, who follows, and what happens when a leader goes away."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmopt.errors import ConfigurationError
from llmopt.resilience import Flights, Ticket


class Channel:
    pass


def test_the_channel_must_be_callable():
    with pytest.raises(ConfigurationError, match="channel=3"):
        Flights(3)


def test_followers_share_the_result_and_the_entry_is_gone():
    table = Flights(Channel)
    leader, follower = table.join("k"), table.join("k")
    assert (leader.leads, follower.leads) == (True, False)
    assert leader.flight is follower.flight
    assert leader.flight.key == "k"
    channel = leader.flight.channel
    assert table.finish(leader, 42) is channel
    assert (follower.flight.done, follower.flight.result, follower.flight.error) == (True, 42, None)
    assert table.stats().open == 0
    assert table.join("k").leads


def test_a_leader_alone_has_nobody_to_signal():
    table = Flights(Channel)
    assert table.finish(table.join("k"), 1) is None
    assert table.fail(table.join("k"), ValueError()) is None
    assert table.abandon(table.join("k")) is None
    assert table.stats().open == 0


def test_an_error_reaches_the_followers():
    table = Flights(Channel)
    leader, follower = table.join("k"), table.join("k")
    error = ValueError("no")
    assert table.fail(leader, error) is leader.flight.channel
    assert follower.flight.error is error
    assert follower.flight.done


def test_a_leader_that_goes_hands_over_to_the_longest_waiting():
    table = Flights(Channel)
    leader, second, third = (table.join("k") for _ in range(3))
    old = leader.flight.channel
    assert table.abandon(leader) is old
    assert (leader.leads, second.leads, third.leads) == (False, True, False)
    assert second.flight.channel is not old
    assert not second.flight.done
    assert table.finish(leader, "stale") is None
    assert table.fail(leader, ValueError()) is None
    assert table.finish(second, "fresh") is second.flight.channel
    assert third.flight.result == "fresh"
    stats = table.stats()
    assert (stats.led, stats.followed, stats.promoted, stats.open) == (1, 2, 1, 0)


def test_a_follower_that_goes_is_not_promoted():
    table = Flights(Channel)
    leader, gone, heir = (table.join("k") for _ in range(3))
    assert table.abandon(gone) is None
    table.abandon(leader)
    assert (gone.leads, heir.leads) == (False, True)
    assert table.abandon(heir) is None
    assert table.abandon(heir) is None
    assert table.stats().open == 0


def test_abandoning_after_the_end_changes_nothing():
    table = Flights(Channel)
    leader, follower = table.join("k"), table.join("k")
    table.finish(leader, 1)
    newcomer = table.join("k")
    assert table.abandon(leader) is None
    assert table.abandon(follower) is None
    assert newcomer.leads
    assert table.stats().open == 1


def test_a_leader_that_goes_in_the_middle_of_a_join_leaves_no_follower_behind():
    """A garbage collection inside join() may close the generator of the leader, in the same thread."""
    table = Flights(Channel)
    leader = table.join("k")

    class Collecting(Ticket):
        def __hash__(self):
            table.abandon(leader)
            return super().__hash__()

    joined = table.join("k", Collecting())
    assert joined.leads
    assert table.finish(joined, 1) is None
    assert table.stats().open == 0
    assert table.stats().followed == 0


class FlightsMachine(RuleBasedStateMachine):
    """Against a model: per key, the callers in the order in which they came; the first one leads."""

    def __init__(self):
        super().__init__()
        self.table = Flights(Channel)
        self.callers = {}  # key -> tickets, leader first
        self.over = []

    @rule(key=st.sampled_from("ab"))
    def join(self, key):
        ticket = self.table.join(key)
        line = self.callers.setdefault(key, [])
        assert ticket.leads == (not line)
        assert not line or ticket.flight is line[0].flight
        line.append(ticket)

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), fail=st.booleans())
    def land(self, data, fail):
        key = data.draw(st.sampled_from(sorted(self.callers)))
        leader, *followers = self.callers.pop(key)
        outcome = ValueError() if fail else object()
        channel = leader.flight.channel
        signal = (self.table.fail if fail else self.table.finish)(leader, outcome)
        assert signal is (channel if followers else None)
        for ticket in [leader, *followers]:
            assert ticket.flight.done
            assert (ticket.flight.error if fail else ticket.flight.result) is outcome
            assert not ticket.leads
            assert not ticket.flight.followers
        self.over += [leader, *followers]

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def abandon(self, data):
        key = data.draw(st.sampled_from(sorted(self.callers)))
        line = self.callers[key]
        place = data.draw(st.integers(0, len(line) - 1))
        ticket = line.pop(place)
        channel = ticket.flight.channel
        signal = self.table.abandon(ticket)
        assert signal is (channel if place == 0 and line else None)
        assert not ticket.flight.done
        if not line:
            del self.callers[key]
        self.over.append(ticket)

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def come_late(self, data):
        ticket = data.draw(st.sampled_from(self.over))
        outcome = ticket.flight.result
        assert self.table.finish(ticket, "late") is None
        assert self.table.abandon(ticket) is None
        assert ticket.flight.result is outcome

    @invariant()
    def one_leader_per_key_and_nobody_forgotten(self):
        for line in self.callers.values():
            assert [ticket.leads for ticket in line] == [True] + [False] * (len(line) - 1)
            assert set(line[0].flight.followers) == set(line[1:])
        assert self.table.stats().open == len(self.callers)

    def teardown(self):
        for line in self.callers.values():
            for ticket in line:
                self.table.abandon(ticket)
        assert self.table.stats().open == 0


FlightsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestFlightsMachine = FlightsMachine.TestCase
