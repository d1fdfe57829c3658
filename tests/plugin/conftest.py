"""llm's own command line, with the plugin registered and one model on a server of this machine."""

from __future__ import annotations

import json
import shutil

import llm.plugins
import pytest
import sqlite_utils
from click.testing import CliRunner
from llm.cli import cli
from llm.migrations import migrate

import llmopt.plugin


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
