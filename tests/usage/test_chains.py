"""Tokens of several responses together."""

from __future__ import annotations

import llm
import pytest

import llmopt
from llmopt.errors import ConfigurationError
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel
from llmopt.types import Usage
from llmopt.usage.chains import total
from llmopt.usage.tokens import NormalisedUsage

NOTHING = NormalisedUsage()
CALL = llm.ToolCall(name="look", arguments={}, tool_call_id="t1")


def look() -> str:
    return "two tanks"


def told(given, output, **details):
    return Usage(given, output, details or None)


def anthropic(read):
    return {"cache_read_input_tokens": read, "cache_creation_input_tokens": 10}


def loop(first, second):
    return [Answer("Let me see. ", tool_calls=[CALL], usage=first), Answer("HOLD", usage=second)]


SUM = NormalisedUsage(180, 60, 100, 20, 12, None)
LOOP = loop(told(20, 5, **anthropic(0)), told(40, 7, **anthropic(100)))


def test_a_tool_loop():
    chain = ScriptedModel(LOOP).chain("What now?", tools=[look])
    assert chain.text() == "Let me see. HOLD"
    assert total(chain) == SUM
    assert total(chain._responses) == SUM
    assert total([chain, *chain._responses]) == NormalisedUsage(360, 120, 200, 40, 24, None)


def test_a_tool_loop_of_a_wrapped_model(tmp_path):
    model = llmopt.wrap(ScriptedModel(LOOP), llmopt.Retry())
    chain = model.chain("What now?", tools=[look])
    chain.text()
    assert total(chain) == SUM


@pytest.mark.anyio
async def test_an_asynchronous_tool_loop():
    chain = AsyncScriptedModel(LOOP).chain("What now?", tools=[look])
    assert total(chain) == NOTHING
    assert await chain.text() == "Let me see. HOLD"
    assert total(chain) == SUM


def test_what_has_not_ended_is_left_alone():
    model = ScriptedModel(LOOP)
    chain = model.chain("What now?", tools=[look])
    assert total(chain) == NOTHING
    steps = chain.responses()
    first = next(steps)
    assert total([chain, first]) == NOTHING
    assert model.calls == []
    first.text()
    assert total([chain, first]) == NormalisedUsage(30, 20, 0, 10, 5, None)
    next(steps)
    assert total(chain) == NormalisedUsage(30, 20, 0, 10, 5, None), "the second step has not run"


def test_what_has_failed_does_not_count():
    model = ScriptedModel([Answer(error=ValueError("no")), Answer("HOLD", usage=told(3, 1))])
    failed, well = model.prompt("a"), model.prompt("b")
    with pytest.raises(ValueError, match="no"):
        failed.text()
    well.text()
    assert total((failed, well)) == total(well) == NormalisedUsage(input_total=3, output=1)


def test_what_is_unknown_of_one_is_unknown_of_all():
    model = ScriptedModel([Answer("a", usage=told(20, 5, **anthropic(0))), Answer("b", usage=told(3, 1))])
    responses = [model.prompt("a"), model.prompt("b")]
    for response in responses:
        response.text()
    assert total(responses) == NormalisedUsage(input_total=33, output=6)


def test_nothing_took_nothing_that_is_known():
    assert total([]) == NOTHING


@pytest.mark.parametrize("wrong", ["abc", 7, [None], [["abc"]]])
def test_anything_else_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="neither a response"):
        total(wrong)
