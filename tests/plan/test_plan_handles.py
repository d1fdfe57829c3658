"""What agents are called, and which agent is meant."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.plan.handles import Handles
from llmopt.tokens import counter

LONG = ["npc-0b8e4d21-90fe", "npc-5f3c9a1e-77aa", "npc-c2"]


def of(agents):
    return dict(Handles.of(agents).agents)


def test_short_ids_are_their_own_handles():
    assert of([3, 1, 2]) == {1: 1, 2: 2, 3: 3}
    assert of(["bob", "eve"]) == {"bob": "bob", "eve": "eve"}
    assert of([-5, 5, "x"]) == {-5: -5, 5: 5, "x": "x"}
    assert of([]) == {}


@pytest.mark.parametrize(
    "agents",
    [
        LONG,
        [1, "1"],  # alike as text
        [123456789012],  # too many tokens
        ["two words"],
        ["é" * 9],
        [""],
    ],
)
def test_others_are_numbered_in_the_order_of_their_ids(agents):
    ranked = sorted(agents, key=lambda agent: (isinstance(agent, str), agent))
    expected = {f"a{n}": agent for n, agent in enumerate(ranked, 1)}
    assert of(agents) == of(reversed(agents)) == expected


def test_a_handle_is_never_the_id_of_another():
    assert of(["a1", "a2", LONG[0]]) == {"b1": "a1", "b2": "a2", "b3": LONG[0]}
    taken = [f"{letter}1" for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert of([*taken, LONG[0]])["aa1"] == "a1"


def test_what_models_write_is_understood():
    numbers = Handles.of([17, 18])
    for said in (17, "17", 17.0, " 17 ", "Agent 17", "agent-17", "agent17", "#17", "ID: 17"):
        assert numbers.agent_of(said) == 17
    for said in (1, 16, "1.7", 17.5, True, None, [17], "", "agent", "17a", "-17", 10**5000, float("inf")):
        assert numbers.agent_of(said) is None
    names = Handles.of(LONG)
    assert (names.agent_of("A1"), names.agent_of("a1"), names.agent_of("a 1")) == (LONG[0],) * 3
    assert names.handle(LONG[1].upper()) == names.handle_of(LONG[1]) == "a2"
    assert names.agent_of(1) is None  # positions are never asked for, and never taken


def test_what_could_mean_two_agents_means_none():
    handles = Handles.of(["bob", "Bob", "eve"])
    assert (handles.agent_of("bob"), handles.agent_of("Bob"), handles.agent_of("BOB")) == ("bob", "Bob", None)
    handles = Handles.of([1, "1"])
    assert handles.agent_of("1") is None
    assert handles.agent_of("a2") == "1"
    assert Handles.of([True + 1]).agent_of(True) is None


def test_ids_are_checked():
    for wrong in (1.5, None, True, (1,)):
        with pytest.raises(ConfigurationError, match="an id must be"):
            Handles.of([wrong])
    with pytest.raises(ConfigurationError, match="agent=2 is there more than once"):
        Handles.of([1, 2, 2])
    with pytest.raises(KeyError):
        Handles.of([1]).handle_of(2)


def test_another_tokenizer_may_decide():
    class Never:
        def count(self, text):
            return 99

    assert dict(Handles.of([1, 2], Never()).agents) == {"a1": 1, "a2": 2}


IDS = st.lists(st.integers() | st.text(max_size=6) | st.uuids().map(str), unique_by=repr, max_size=12)


@settings(max_examples=100)
@given(IDS, st.randoms())
def test_every_agent_has_one_handle_that_leads_back_to_it(agents, random):
    handles = Handles.of(agents)
    assert len(handles) == len(agents)
    for agent in agents:
        handle = handles.handle_of(agent)
        assert agent in handles
        assert handles.agent_of(handle) == agent
        assert handles.agent_of(str(handle)) == agent
        assert handles.agent_of(f" Agent {handle}") in {agent, None}
        assert counter("o200k_base").count(str(handle)) <= 2
    shuffled = [*agents]
    random.shuffle(shuffled)
    assert Handles.of(shuffled).agents == handles.agents


@settings(max_examples=100)
@given(IDS, st.text(max_size=8) | st.integers() | st.floats() | st.none())
def test_nothing_but_an_agent_is_ever_meant(agents, said):
    found = Handles.of(agents).agent_of(said)
    assert found is None or found in agents
