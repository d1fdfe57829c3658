"""Wrapped OpenAI models share clients: who shares with whom, and who never does."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import llm
import openai
import pytest
from llm.default_plugins.openai_models import AsyncChat, Chat, Completion, Responses

from llmopt.testing.server import Answer
from llmopt.wrapping import pool as pool_module
from llmopt.wrapping import wrap
from llmopt.wrapping._clients import Pool

pytestmark = pytest.mark.usefixtures("pool")
MANY = 4


@pytest.fixture
def model(server):
    """Return a function that makes a wrapped model for the server."""

    def make(cls=Chat, *middlewares, key=None, **settings):
        plain = cls("echo", **{"api_base": server.url, **settings})
        plain.needs_key, plain.key = ("openai", key) if key else (None, None)
        return wrap(plain, *middlewares, default=False)

    return make


def ask(model, **options):
    return model.prompt("Enemy ahead.", **options).text()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cls", [Chat, Responses, Completion])
def test_many_calls_take_one_connection(server, model, cls, stream):
    asked = model(cls)
    for _ in range(MANY):
        assert ask(asked, stream=stream) == "Echo: Enemy ahead."
    assert (len(server.requests), server.connections) == (MANY, 1)


def test_classes_and_models_with_the_same_settings_share(server, model):
    for cls in (Chat, Responses, Completion):
        ask(model(cls))
    assert server.connections == 1


def test_a_model_that_is_not_wrapped_takes_a_connection_for_each_call(server, model):
    wrapped = model()
    ask(wrapped)
    plain = Chat("echo", api_base=server.url)
    plain.needs_key = None
    assert plain.get_client(None) is not plain.get_client(None)
    assert wrapped.get_client(None) is wrapped.get_client(None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"key": "one"}, {"key": "two"}),
        ({"headers": {"x-team": "red"}}, {"headers": {"x-team": "blue"}}),
        ({}, {"api_base": "http://127.0.0.1:9/v1"}),
    ],
)
def test_other_settings_have_another_client(model, one, other):
    assert model(**one).get_client(None) is model(**one).get_client(None)
    assert model(**one).get_client(None) is not model(**other).get_client(None)


def test_keys_never_share_a_connection(server, model):
    for key in ("one", "two", "one", "two"):
        ask(model(key=key))
    ids = [request.connection_id for request in server.requests]
    assert ids == [ids[0], ids[1]] * 2
    assert ids[0] != ids[1]


def test_a_key_given_with_the_prompt_counts(server, model):
    asked = model(key="unused")
    asked.key = None
    assert ask(asked, key="one") == ask(asked, key="two")
    assert server.connections == 2


def test_a_client_that_is_asked_for_works_outside_of_any_call(server, model):
    client = contextvars.Context().run(model().get_client, None)
    for _ in range(MANY):
        answer = contextvars.Context().run(
            client.chat.completions.create, model="m", messages=[{"role": "user", "content": "x"}]
        )
        assert answer.choices[0].message.content == "Echo: x"
    assert server.connections == 1


def test_the_environment_is_a_setting(model, monkeypatch):
    first = model().get_client(None)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-2")
    second = model().get_client(None)
    assert (first.organization, second.organization) == (None, "org-2")


def test_all_clients_share_one_tls_context(pool, model):
    for key in ("one", "two", "three"):
        model(key=key).get_client(None)
    assert len(pool._tls) == 1


def test_fifty_threads_that_ask_first_get_one_client(model, monkeypatch):
    asked, built, barrier = model(), [], threading.Barrier(50)
    build = Pool._build

    def count(*args):
        built.append(args)
        return build(*args)

    def first(_):
        barrier.wait()
        return asked.get_client(None)

    monkeypatch.setattr(Pool, "_build", count)
    with ThreadPoolExecutor(50) as threads:
        clients = set(threads.map(first, range(50)))
    assert (len(built), len(clients)) == (1, 1)


def test_threads_use_the_client_side_by_side(server, model):
    asked = model()
    server.default = Answer(text="HOLD", delay_s=0.02)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: ask(asked), range(24))) == {"HOLD"}
    assert server.connections <= 8


def test_a_responses_model_that_falls_back_to_chat_is_pooled_too(server, model):
    asked = model(Responses, key="one")
    for _ in range(MANY):
        assert ask(asked, chat_completions=True) == "Echo: Enemy ahead."
    assert {request.path for request in server.requests} == {"/v1/chat/completions"}
    assert server.connections == 1


def takes_over_retries(call):
    yield call


takes_over_retries.replaces_sdk_retries = True


@pytest.mark.parametrize(("middlewares", "requests"), [((), 3), ((takes_over_retries,), 1)])
@pytest.mark.parametrize("cls", [Chat, Responses])
def test_who_repeats_failed_requests(server, model, cls, middlewares, requests):
    server.default = Answer(status=500, headers={"retry-after-ms": "1"})
    with pytest.raises(openai.InternalServerError):
        ask(model(cls, *middlewares))
    assert (len(server.requests), server.connections) == (requests, 1)


def test_the_fallback_to_chat_has_the_retries_of_the_model(server, model):
    server.default = Answer(status=500)
    with pytest.raises(openai.InternalServerError):
        ask(model(Responses, takes_over_retries, key="one"), chat_completions=True)
    assert len(server.requests) == 1


def test_llms_own_request_log_is_not_pooled(server, model, monkeypatch, capsys):
    monkeypatch.setenv("LLM_OPENAI_SHOW_RESPONSES", "1")
    server.keep_alive = False  # nobody closes that client
    asked = model()
    assert asked.get_client(None) is not asked.get_client(None)
    assert ask(asked, stream=False) == "Echo: Enemy ahead."
    assert "chat/completions" in capsys.readouterr().err


def test_a_patched_client_class_wins(model, monkeypatch):
    asked = model()
    asked.get_client(None)

    class Patched:
        def __init__(self, **settings):
            self.settings = settings

    monkeypatch.setattr(openai, "OpenAI", Patched)
    assert set(asked.get_client(None).settings) == {"base_url", "api_key"}


def test_a_patched_sdk_or_chat_class_wins(model, monkeypatch):
    class Patched:
        def OpenAI(self, **_):  # noqa: N802
            return "patched"

    asked, fallback = model(), model(Responses, key="one")
    monkeypatch.setattr("llm.default_plugins.openai_models.openai", Patched())
    assert asked.get_client(None) == "patched"
    monkeypatch.setattr("llm.default_plugins.openai_models.Chat", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(fallback, chat_completions=True)


def test_settings_without_a_value_to_go_by_are_not_pooled(model):
    asked = model(headers={"x-team": object()})
    assert asked.get_client(None) is not asked.get_client(None)


def test_an_async_client_outside_an_event_loop_is_not_pooled(model):
    asked = model(AsyncChat)
    assert asked.get_client(None, async_=True) is not asked.get_client(None, async_=True)


def test_a_client_that_cannot_be_built_leaves_nothing(pool, model):
    with pytest.raises(TypeError, match="api_type"):
        model(api_type="azure").get_client(None)
    assert not pool._threads._clients


class OwnClient(Chat):
    def get_client(self, key, *, async_=False):
        return super().get_client(key, async_=async_)


class Subclass(Chat):
    """A plugin's model."""


class Foreign(llm.Model):
    model_id = "foreign"

    def execute(self, prompt, stream, response, conversation):
        yield "HOLD"


@pytest.mark.parametrize("cls", [OwnClient, Foreign])
def test_other_classes_are_left_alone(cls):
    assert pool_module.overrides(cls) == {}


def test_a_plugin_that_builds_on_llms_models_is_pooled(server, model):
    ask(model(Subclass))
    ask(model())
    assert server.connections == 1


def test_a_method_that_is_no_function_or_uses_no_client_stays_as_it_is():
    assert pool_module.in_pool(len, {"openai": id}) is len
    assert pool_module.in_pool(Foreign.execute, {"openai": id}) is Foreign.execute


def test_no_key_is_shown_or_kept_in_the_clear(pool, model):
    model(key="sk-planted").get_client(None)
    assert "sk-planted" not in repr(pool) + repr(vars(pool)) + repr(vars(pool._threads))
    assert b"sk-planted" not in b"".join(pool._threads._clients)
