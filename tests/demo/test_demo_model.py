"""The simulated model: an llm model that reads the planner's prompt and keeps the pace that it states."""

from __future__ import annotations

import json
from itertools import pairwise

import llm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt import tokens
from llmopt.chain.clock import SystemClock
from llmopt.demo.model import MISTAKE, SimulatedModel
from llmopt.demo.run import Squad
from llmopt.demo.tactics import decide
from llmopt.demo.world import battle, snapshot
from llmopt.testing import VirtualClock


@pytest.fixture
def clock():
    return VirtualClock()


def asked(world):
    """What the planner asks for the agents of a world, in one request."""
    (request,) = Squad(world, SimulatedModel(), clock=SystemClock()).explain().requests
    texts = ("\n\n".join(part.text for part in parts) for parts in (request.system, request.user))
    return dict(zip(("system", "prompt"), texts, strict=True))


PROMPT = asked(battle(10, seed=7))


def rows(model, prompt):
    return [json.loads(line) for line in model.prompt(**prompt).text().splitlines()]


@given(st.integers(1, 15), st.integers())
def test_the_answer_follows_from_what_the_agents_in_the_prompt_see(agents, seed):
    world = battle(agents, seed)
    expected = [[agent.id, *decide(snapshot(world, agent))] for agent in world.agents]
    assert sorted(rows(SimulatedModel(clock=VirtualClock()), asked(world))) == expected


def test_a_mistake_is_made_once_in_one_row(clock):
    model = SimulatedModel(mistakes=1, clock=clock)
    first, second = rows(model, PROMPT), rows(model, PROMPT)
    assert [row[0] for row in first] == [row[0] for row in second]
    assert [row for row in first if row not in second] == [[first[5][0], [MISTAKE]]]


@pytest.mark.parametrize(
    "counter", [tokens.counter("o200k_base"), tokens.Estimate()], ids=["exact", "estimate"]
)
def test_each_token_comes_when_its_time_has_come(clock, counter):
    model = SimulatedModel(tokens_per_s=250, first_token_s=0.06, counter=counter, clock=clock)
    response = model.prompt(**PROMPT)
    arrived = [(clock.monotonic(), chunk) for chunk in response]
    text = "".join(chunk for _, chunk in arrived)
    assert len(arrived) == counter.count(text) > 100
    assert arrived[0][0] == pytest.approx(0.06)
    assert [later - earlier for (earlier, _), (later, _) in pairwise(arrived)] == pytest.approx(
        [1 / 250] * (len(arrived) - 1)
    )
    assert response.usage().output == len(arrived)
    assert response.usage().input == sum(map(counter.count, PROMPT.values()))


def test_a_late_reader_does_not_slow_it_down(clock):
    chunks = iter(SimulatedModel(first_token_s=0.2, clock=clock).prompt(**PROMPT))
    next(chunks)
    clock.advance(10)
    list(chunks)
    assert clock.monotonic() == pytest.approx(10.2)


def test_without_agents_it_says_so(clock):
    assert "no agents" in SimulatedModel(clock=clock).prompt("Write a poem").text()


def test_it_is_a_model_of_llm_and_streams_or_not(clock):
    model = SimulatedModel(clock=clock)
    assert isinstance(model, llm.Model)
    assert model.prompt(**PROMPT, stream=False).text() == model.prompt(**PROMPT).text()
