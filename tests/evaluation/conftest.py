"""Data that questions are asked about, and models that answer."""

from __future__ import annotations

import json

import llm.plugins
import pytest
from click.testing import CliRunner

import llmopt.plugin
from llmopt import compress
from llmopt.cli import main
from llmopt.demo.world import battle, snapshot
from llmopt.testing.server import Answer, Tokens

from . import oracle

NAMES = ("local", "gpt-4o-mini-2024-07-18")
SQUAD = [{"id": f"unit-{n}", "hp": n * n % 50, "pos": {"x": n, "y": 9 - n}} for n in range(9)]


@pytest.fixture(scope="session")
def battles():
    """What the command asks about unless it is given data."""
    worlds = [battle(6, seed) for seed in range(3)]
    return [[snapshot(world, agent) for agent in world.agents] for world in worlds]


@pytest.fixture(scope="session")
def pods():
    phases = ("Running", "Pending", "Failed")
    pod = [
        {
            "metadata": {"name": f"web-{n}", "labels": {"app.kubernetes.io/name": "web"}},
            "status": {"phase": phases[n % 3], "ready": n % 2 == 0, "load": n * 1.25 - 3},
            "containers": [{"id": f"c{n}-{m}", "restarts": n * m} for m in range(3)],
        }
        for n in range(12)
    ]
    return {"kind": "PodList", "items": pod}


def perfect(prompt):
    """Decodes the data, reads the question, answers."""
    data, _, question = prompt.prompt.rpartition("\n")
    found = oracle.answer(compress.decode(data), question)
    return found if isinstance(found, str) else json.dumps(found)


@pytest.fixture
def user_dir(tmp_path, monkeypatch, server):
    """llm's folder, with a model that is on the server: it knows all answers."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-tester")
    models = [{"model_id": name, "model_name": "echo-1", "api_base": server.url} for name in NAMES]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(models))  # JSON is YAML
    server.handler = knowing
    yield tmp_path
    llmopt.usage.flush()
    llmopt.plugin.cli_stack.cache_clear()


class Prompt:
    def __init__(self, text):
        self.prompt = text


def knowing(request):
    text = perfect(Prompt(request.user_text))
    return Answer(text=text, tokens=Tokens(len(request.user_text) // 3, len(text)))


@pytest.fixture
def squad(tmp_path):
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(SQUAD))
    return str(path)


def type_in(*arguments, exit_code=0, stdin=None, cli=main):
    group = ("eval", "compress") if cli is main else ("opt", "eval", "compress")
    result = CliRunner().invoke(cli, [*group, *arguments], input=stdin)
    assert result.exit_code == exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def install():
    """Make llm know a model, as a plugin would."""

    class Plugin:
        models = ()

        @llm.hookimpl
        def register_models(self, register):
            for model in self.models:
                register(model)

    plugin = Plugin()
    llm.plugins.load_plugins()
    llm.plugins.pm.register(plugin)
    yield lambda *models: setattr(plugin, "models", models)
    llm.plugins.pm.unregister(plugin)
