"""The test server's smaller endpoints: completions, embeddings and the list of models."""

from __future__ import annotations

import pytest
from anthropic import Anthropic
from llm.default_plugins.openai_models import Completion, OpenAIEmbeddingModel
from openai import OpenAI

from llmopt.testing.server import Answer


@pytest.mark.parametrize("stream", [True, False])
def test_completions(server, stream):
    model = Completion("echo", api_base=server.url, default_max_tokens=256)
    model.needs_key = None
    assert model.prompt("Hold fire", stream=stream).text() == "Echo: Hold fire"
    server.script(Answer(empty=True))
    assert model.prompt("x", stream=stream).text() == ""


def test_completions_of_several_prompts_and_with_usage(server):
    with OpenAI(base_url=server.url, api_key="x") as client:
        chunks = list(
            client.completions.create(
                model="echo", prompt=["a", "b"], stream=True, stream_options={"include_usage": True}
            )
        )
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.prompt_tokens == 2


def test_embeddings(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    model = OpenAIEmbeddingModel("small", "text-embedding-3-small", 8)
    model.key = "sk-secret"
    one, again, other = (model.embed(text) for text in ("hold", "hold", "fire"))
    assert one == again != other
    assert len(one) == 8
    assert sum(x * x for x in one) == pytest.approx(1)


def test_embeddings_of_token_ids_and_in_floats(server):
    with OpenAI(base_url=server.url, api_key="x") as client:
        one = client.embeddings.create(model="e", input=[1, 2, 3], encoding_format="float")
        two = client.embeddings.create(model="e", input=[[1, 2, 3], [4]])
        three = client.embeddings.create(model="e", input="1 2 3", dimensions=16)
    assert len(one.data) == 1
    assert one.data[0].embedding == pytest.approx(two.data[0].embedding, abs=1e-6)
    assert (len(one.data[0].embedding), two.usage.prompt_tokens) == (16, 4)
    assert three.data[0].embedding == two.data[0].embedding


def test_models_are_listed_for_both(server):
    server.models = ["echo", "echo-large"]
    with OpenAI(base_url=server.url, api_key="x") as client:
        assert [model.id for model in client.models.list()] == ["echo", "echo-large"]
    with Anthropic(base_url=server.url, api_key="x") as client:
        assert [model.id for model in client.models.list()] == ["echo", "echo-large"]
    server.models = ()
    with OpenAI(base_url=server.url, api_key="x") as client:
        assert list(client.models.list()) == []
