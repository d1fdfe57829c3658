"""The models of llm-anthropic, whose clients are made in the middle of their methods."""

from __future__ import annotations

import anthropic
import llm_anthropic
import pytest
from llm_anthropic import AsyncClaudeMessages, ClaudeMessages

from llmopt.testing.server import Answer
from llmopt.wrapping import pool as pool_module
from llmopt.wrapping import wrap

pytestmark = pytest.mark.usefixtures("pool")
MANY = 4


@pytest.fixture
def model(server):
    def make(cls=ClaudeMessages, *middlewares, key="one"):
        plain = cls("claude-echo")
        plain.base_url, plain.key = server.url.removesuffix("/v1"), key
        return wrap(plain, *middlewares, default=False)

    return make


def takes_over_retries(call):
    yield call


takes_over_retries.replaces_sdk_retries = True


def test_many_calls_take_one_connection(server, model):
    asked = model()
    for stream in (True, False) * 2:
        assert asked.prompt("Enemy ahead.", stream=stream).text() == "Echo: Enemy ahead."
    assert (len(server.requests), server.connections) == (MANY, 1)


def test_counting_tokens_takes_the_same_connection(server, model):
    asked = model()
    asked.prompt("x").text()
    assert asked.count_tokens("Enemy ahead.") > 0
    assert server.connections == 1


def test_many_async_calls_take_one_connection(server, model, run):
    asked = model(AsyncClaudeMessages)

    async def main():
        for _ in range(MANY):
            assert await asked.prompt("Enemy ahead.").text() == "Echo: Enemy ahead."
        assert await asked.count_tokens("Enemy ahead.") > 0

    run(main)
    assert (len(server.requests), server.connections) == (MANY + 1, 1)


def test_keys_never_share_a_connection(server, model):
    for key in ("one", "two", "one"):
        model(key=key).prompt("x").text()
    ids = [request.connection_id for request in server.requests]
    assert ids[0] == ids[2] != ids[1]


def test_a_stream_that_is_left_drops_its_connection(server, model):
    asked = model()
    server.script(Answer(chunks=("a", "b", "c"), chunk_delay_s=0.2))
    for _ in asked.prompt("x"):
        break
    assert server.wait_for(lambda: server.disconnects == 1, timeout_s=2)
    assert asked.prompt("next").text() == "Echo: next"
    assert server.connections == 2


@pytest.mark.parametrize(("middlewares", "requests"), [((), 3), ((takes_over_retries,), 1)])
def test_who_repeats_failed_requests(server, model, middlewares, requests):
    server.default = Answer(status=500, headers={"retry-after-ms": "1"})
    with pytest.raises(anthropic.InternalServerError):
        model(ClaudeMessages, *middlewares).prompt("x").text()
    assert len(server.requests) == requests


def test_a_patched_client_class_wins_from_the_next_call_on(server, model, monkeypatch):
    asked = model()
    asked.prompt("x").text()

    def patched(**settings):
        raise RuntimeError(sorted(settings))

    monkeypatch.setattr(llm_anthropic, "Anthropic", patched)
    with pytest.raises(RuntimeError, match=r"api_key.*base_url"):
        asked.prompt("x").text()
    monkeypatch.undo()


def test_another_global_of_the_plugin_is_seen_when_it_changes(model, monkeypatch):
    asked = model()
    assert asked.prompt("x").text() == "Echo: x"
    monkeypatch.setattr(llm_anthropic, "StreamEvent", lambda **_: "patched ")
    assert set(asked.prompt("x").text().split()) == {"patched"}


def test_plugins_without_token_counting_and_without_one_of_the_classes(monkeypatch):
    assert set(pool_module.overrides(AsyncClaudeMessages)) == {"execute", "count_tokens"}
    monkeypatch.delattr(llm_anthropic, "AsyncClaudeMessages")
    monkeypatch.delattr(ClaudeMessages, "count_tokens")
    assert pool_module.overrides(AsyncClaudeMessages) == {}
    assert set(pool_module.overrides(ClaudeMessages)) == {"execute"}


def test_the_plugin_is_not_looked_for(monkeypatch):
    monkeypatch.delitem(pool_module.sys.modules, "llm_anthropic")
    assert pool_module.overrides(ClaudeMessages) == {}
    assert "llm_anthropic" not in pool_module.sys.modules
