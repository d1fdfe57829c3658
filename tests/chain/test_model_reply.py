"""What a flow reads of a model's reply: all that the model has left, when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmopt.chain.compat import ModelReply
from llmopt.testing import AsyncScriptedModel, ScriptedModel
from llmopt.types import Usage

if TYPE_CHECKING:
    import llm


def answered(**state: Any) -> llm.Response:
    response = ScriptedModel(["Hi"]).prompt("Ho")
    response.text()
    vars(response).update(state)
    return response


@pytest.mark.parametrize("model", [ScriptedModel(), AsyncScriptedModel()])
def test_a_response_as_llm_makes_it_has_no_attributes_of_a_plugin(model: Any) -> None:
    response = model.prompt("Hi")
    assert ModelReply(response).attributes == {}
    response.client = 1
    response.input_tokens = 2  # set before, and so it stays where it was
    assert ModelReply(response).attributes == {"client": 1}


def test_attributes_of_a_plugin_are_found_wherever_they_are() -> None:
    response = answered(client=1)
    response.resolved_model = "one"
    reply = ModelReply(response)
    assert (reply.attributes, reply.resolved_model) == ({"client": 1}, "one")


def test_what_is_set_stays_and_the_rest_is_read() -> None:
    reply = ModelReply(answered(response_json={"a": 1}, input_tokens=3))
    reply.resolved_model = "mine"
    assert (reply.response_json, reply.resolved_model, reply.usage.input_tokens) == ({"a": 1}, "mine", 3)
    reply = ModelReply(answered())
    reply.usage = Usage(7)
    assert (reply.tool_calls, reply.usage) == ([], Usage(7))
    assert reply.events == ()


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="other"):
        getattr(ModelReply(answered()), "other")  # noqa: B009 - it is the error that counts
