"""llm's own command line, with the plugin registered and one model on a server of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import certifi
import llm.plugins
import pytest
import sqlite_utils
from click.testing import CliRunner
from llm.cli import cli
from llm.migrations import migrate

import llmopt.plugin
from llmopt.testing.server import openai_server


@pytest.fixture(autouse=True, scope="session")
def _small_certificate_store(tmp_path_factory):
    """Every new client reads all of certifi's certificates, which takes longer than the test."""
    first = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    store = tmp_path_factory.mktemp("tls") / "one.pem"
    store.write_text("".join(first[:2]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(store))
        yield


@pytest.fixture
def server():
    with openai_server() as running:
        running.keep_alive = False
        yield running


@pytest.fixture(scope="session")
def empty_log(tmp_path_factory):
    """llm's own log without a turn: its many migrations take longer than the test."""
    path = tmp_path_factory.mktemp("log") / "logs.db"
    database = sqlite_utils.Database(path)
    migrate(database)
    database.close()
    return path


@pytest.fixture
def user_dir(tmp_path, monkeypatch, empty_log):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    shutil.copy(empty_log, tmp_path / "logs.db")
    yield tmp_path
    llmopt.usage.flush()
    llmopt.plugin.cli_stack.cache_clear()  # a process has one user folder, and this one is gone


@pytest.fixture
def plugin():
    """Register the plugin for one test, unless its entry point is installed."""
    llm.plugins.load_plugins()
    manager = llm.plugins.pm
    if manager.is_registered(llmopt.plugin):
        yield
        return
    manager.register(llmopt.plugin, "llmopt")
    llmopt.plugin.register_commands(cli)
    yield
    manager.unregister(llmopt.plugin)
    del cli.commands["opt"]


@pytest.fixture
def model(user_dir, server):
    """One OpenAI-compatible model, known to llm as `local` and as `lo`."""
    known = {"model_id": "local", "model_name": "echo-1", "aliases": ["lo"], "api_base": server.url}
    known |= {"supports_tools": True, "supports_schema": True, "vision": True}
    (user_dir / "extra-openai-models.yaml").write_text(json.dumps([known]))  # JSON is YAML
    return "local"


@pytest.fixture
def run(plugin, model):
    """Type a command of llm, and get what it prints."""

    def run(*arguments, exit_code=0, **env):
        result = CliRunner().invoke(cli, arguments, env=env, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result.output

    return run
