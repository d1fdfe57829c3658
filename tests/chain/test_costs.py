"""What passes by a middleware costs nothing: an event causes the same calls, however many flows there are."""

from __future__ import annotations

import gc
import sys

import pytest

import llmopt
from llmopt.testing import Answer, ScriptedModel


def passes(call):
    yield call


def taps(call):
    yield call.tap(lambda event: None)


def calls_of(events, *middlewares):
    """How many functions are called for an answer of so many events."""
    model = llmopt.wrap(ScriptedModel([Answer(chunks=["x"] * events)] * 2), *middlewares, default=False)
    counted = []

    def count(frame, what, _argument):
        if what in {"call", "c_call"}:
            counted.append(frame.f_code.co_name)

    model.prompt("warm").text()
    response = model.prompt("x")
    gc.disable()  # what it runs is not the chain's
    sys.setprofile(count)
    try:
        for _ in response:
            pass
    finally:
        sys.setprofile(None)
        gc.enable()
    return len(counted)


def calls_per_event(*middlewares):
    return (calls_of(300, *middlewares) - calls_of(100, *middlewares)) / 200


@pytest.mark.parametrize("count", [2, 6])
def test_an_event_costs_nothing_for_flows_that_do_not_ask_for_it(count):
    assert calls_per_event(*[passes] * count) == calls_per_event(passes)


def test_a_tap_is_paid_for():
    assert calls_per_event(taps) > calls_per_event(passes)
