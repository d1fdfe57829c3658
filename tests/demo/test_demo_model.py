"""The simulated model: an llm model that reads its prompt and keeps the pace that it states."""

from __future__ import annotations

import json
from itertools import pairwise

import llm
import pytest

from llmopt import tokens
from llmopt.demo.dialogue import SYSTEM, prompt_for
from llmopt.demo.model import SimulatedModel
from llmopt.demo.tactics import decide
from llmopt.demo.world import battle, snapshot
from llmopt.testing import VirtualClock

WORLD = battle(10, seed=7)
SEEN = snapshot(WORLD, WORLD.agents[0])


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.mark.parametrize(
    "counter", [tokens.counter("o200k_base"), tokens.Estimate()], ids=["exact", "estimate"]
)
def test_each_token_comes_when_its_time_has_come(clock, counter):
    model = SimulatedModel(tokens_per_s=250, first_token_s=0.06, counter=counter, clock=clock)
    response = model.prompt(prompt_for(SEEN), system=SYSTEM)
    arrived = [(clock.monotonic(), chunk) for chunk in response]
    text = "".join(chunk for _, chunk in arrived)
    assert len(arrived) == counter.count(text) > 10
    assert arrived[0][0] == pytest.approx(0.06)
    assert [later - earlier for (earlier, _), (later, _) in pairwise(arrived)] == pytest.approx(
        [1 / 250] * (len(arrived) - 1)
    )
    assert response.usage().output == len(arrived)
    assert response.usage().input == counter.count(SYSTEM) + counter.count(prompt_for(SEEN))


def test_a_late_reader_does_not_slow_it_down(clock):
    chunks = iter(SimulatedModel(clock=clock).prompt(prompt_for(SEEN)))
    next(chunks)
    clock.advance(10)
    list(chunks)
    assert clock.monotonic() == pytest.approx(10.06)


@pytest.mark.parametrize("changed", [{}, {"hp": 10}, {"ammo": 0}, {"enemies": []}, {"agent": 77}], ids=str)
def test_the_answer_follows_from_the_snapshot_in_the_prompt(clock, changed):
    seen = {**SEEN, "hp": 90, "ammo": 20} | changed
    text = SimulatedModel(clock=clock).prompt(f"Look:\n{json.dumps(seen)}\nAnd now?").text()
    assert json.loads(text) == decide(seen)


def test_without_a_snapshot_it_says_so(clock):
    assert "no snapshot" in SimulatedModel(clock=clock).prompt("Write a poem").text()


def test_it_is_a_model_of_llm_and_streams_or_not(clock):
    model = SimulatedModel(clock=clock)
    assert isinstance(model, llm.Model)
    whole = model.prompt(prompt_for(SEEN), stream=False).text()
    assert whole == model.prompt(prompt_for(SEEN)).text()
