"""The commands, typed as a person would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import llm.plugins
import pytest
from click.testing import CliRunner

import llmopt
from llmopt.cache.sqlite import SQLiteStore
from llmopt.cli import main
from llmopt.demo.model import SimulatedModel
from llmopt.errors import ConfigurationError
from llmopt.testing import ScriptedKeyModel, ScriptedModel

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def user_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    yield tmp_path
    llmopt.usage.flush()


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout if exit_code == 0 else result.stderr


@pytest.fixture
def install():
    """Make llm know models, as a plugin would."""

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


def heal(prompt):
    table = prompt.prompt.rpartition("Agents:\n")[2].partition("\n\n")[0]
    return "".join(f'[{row["agent"]},["heal"]]\n' for row in llmopt.compress.decode(table))


class TestDemo:
    def test_shows_plans_figures_and_the_log(self, user_dir):
        shown = run("demo", "--agents", "2")
        assert "SIMULATION" in shown
        assert shown.count("\n  1 tactical ") == 2
        assert " repaired " in shown
        assert "input tokens that were sent" in shown
        assert str(user_dir / "llmopt" / "usage.db") in shown
        assert shown.endswith("See them with:  llmopt log -n 3\n")
        assert len(json.loads(run("log", "-n", "4", "--json"))) == 3

    def test_json_is_all_that_it_prints(self, user_dir):
        shown = json.loads(run("demo", "--agents", "1", "--json", "--log", str(user_dir / "other.db")))
        assert (shown["simulated"], shown["logged"]) == (True, 3)
        assert shown["log"] == str(user_dir / "other.db")
        assert len(json.loads(run("log", "--json", "--db", str(user_dir / "other.db")))) == 3

    def test_explains_the_first_prompt_and_asks_nothing(self, install, user_dir):
        model = ScriptedModel(heal, model_id="mine")
        install(model)
        shown = run("demo", "-m", "mine", "--explain")
        assert shown.startswith("10 agents in 1 request")
        assert shown.index("world: enemies") < shown.index("\nWorld:\n") < shown.index("\nAgents:\n")
        assert not model.calls
        assert not (user_dir / "llmopt" / "usage.db").exists()

    def test_asks_an_installed_model(self, install):
        model = ScriptedModel(heal, model_id="mine")
        install(model)
        shown = run("demo", "-m", "mine", "--agents", "3")
        assert "SIMULATION" not in shown
        assert "heal()" in shown
        assert len(model.calls) == 2

    def test_a_model_that_is_wrapped_already_is_asked_without_that(self, install):
        def refuse(call):
            raise AssertionError(call)
            yield

        install(llmopt.wrap(ScriptedModel(heal, model_id="mine"), refuse))
        assert "heal()" in run("demo", "-m", "mine", "--agents", "1")

    def test_who_is_left_out_gets_a_plan_by_the_rules_and_the_demo_goes_on(self, install):
        install(ScriptedModel(['[2,["heal"]]', *["No idea."] * 9], model_id="mine"))
        shown = run("demo", "-m", "mine", "--agents", "2")
        assert re.search(r"  2 stealth +ok +\d+ ms  heal\(\)\n", shown)
        assert re.search(r"  1 tactical +fallback +\d+ ms  \w+\(", shown)

    def test_an_unknown_model_costs_one_line(self):
        assert run("demo", "-m", "nope", exit_code=1).splitlines() == [
            "Error: Unknown model: nope; `llm models` lists those that are installed"
        ]

    def test_a_missing_key_costs_one_line(self, install):
        install(ScriptedKeyModel(heal, model_id="mine"))
        (line,) = run("demo", "-m", "mine", exit_code=1).splitlines()
        assert line.startswith("Error: mine does not answer: No key found")
        assert "llm keys set scripted" in line

    def test_a_model_that_fails_at_once_costs_one_line_without_its_key(self, install):
        model = ScriptedKeyModel([PermissionError("bad key\n sk-secret")], model_id="mine")
        model.key = "sk-secret"
        install(model)
        (line,) = run("demo", "-m", "mine", exit_code=1).splitlines()
        assert line == "Error: mine does not answer: PermissionError: bad key ***"

    def test_an_error_of_llmopt_costs_one_line(self, install):
        install(ScriptedModel([ConfigurationError("that is wrong")], model_id="mine"))
        assert run("demo", "-m", "mine", exit_code=1) == "Error: that is wrong\n"

    @pytest.mark.parametrize("agents", ["0", "many"])
    def test_a_number_that_is_none_is_a_usage_error(self, agents):
        assert "--agents" in run("demo", "--agents", agents, exit_code=2)


class TestCache:
    def test_is_shown_and_emptied(self, user_dir):
        path = user_dir / "llmopt" / "cache.db"
        path.parent.mkdir()
        with SQLiteStore(path) as store:
            store.put(b"key", b"value", 0.0)
        assert run("cache", "stats").splitlines()[:2] == [str(path), "entries    1"]
        assert run("cache", "clear") == f"1 entries removed from {path}\n"
        assert json.loads(run("cache", "stats", "--json"))["entries"] == 0

    def test_need_not_be_there(self, user_dir):
        assert run("cache", "stats").startswith(
            f"{user_dir / 'llmopt' / 'cache.db'} (not there yet)\nentries    0"
        )
        assert run("cache", "clear").startswith("0 entries removed")
        assert not (user_dir / "llmopt").exists()

    def test_a_damaged_file_costs_one_line(self, user_dir):
        (user_dir / "llmopt").mkdir()
        (user_dir / "llmopt" / "cache.db").write_text("This is no database, and long enough to be one. " * 50)
        (line,) = run("cache", "stats", exit_code=1).splitlines()
        assert line.startswith("Error: the cache file")


class TestVersion:
    def test_is_that_of_the_installed_package(self, tmp_path, monkeypatch):
        folder = tmp_path / "llmopt-9.8.7.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: llmopt\nVersion: 9.8.7\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        assert run("--version") == "llmopt, version 9.8.7\n"

    def test_without_a_package_costs_one_line(self, monkeypatch):
        monkeypatch.setattr(sys, "path", [str(SRC)])
        assert run("--version", exit_code=1) == "Error: llmopt has no version here: it is not installed\n"

    def test_is_not_looked_up_while_a_shell_completes(self):
        main.make_context("llmopt", ["--version", "demo"], resilient_parsing=True)


def python(*arguments, **env):
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, "-B", *arguments]
    return subprocess.run(
        command, env={**variables, "PYTHONPATH": str(SRC), **env}, capture_output=True, text=True, check=True
    ).stdout


class TestProcess:
    def test_python_m_llmopt_is_the_command(self):
        shown = python("-m", "llmopt", "--help")
        assert shown.startswith("Usage: llmopt [OPTIONS] COMMAND")
        assert [line.split()[0] for line in shown.partition("Commands:")[2].splitlines()[1:]] == [
            "cache",
            "demo",
            "eval",
            "log",
            "report",
        ]

    def test_help_takes_less_than_half_a_second_of_cpu_and_nothing_but_click(self):
        code = """
import sys, time
from click.testing import CliRunner
from llmopt.cli import main
result = CliRunner().invoke(main, ["--help"])
print(result.exit_code, "llm" in sys.modules, "sqlite3" in sys.modules, time.process_time())
"""
        exit_code, with_llm, with_sqlite, cpu_s = python("-c", code).split()
        assert (exit_code, with_llm, with_sqlite) == ("0", "False", "False")
        assert float(cpu_s) < 2.0

    @pytest.mark.skipif(sys.platform == "win32", reason="a pty is a thing of Unix")
    def test_a_terminal_sees_plans_before_the_end(self, user_dir):
        import pty

        master, slave = pty.openpty()
        command = [sys.executable, "-B", "-m", "llmopt", "demo", "--agents", "1"]
        env = {**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "80"}
        process = subprocess.Popen(command, stdout=slave, stderr=slave, env=env, close_fds=True)
        os.close(slave)
        shown: list[bytes] = []
        try:
            while chunk := os.read(master, 65536):
                shown.append(chunk)
        except OSError:  # the other side has ended
            pass
        finally:
            os.close(master)
        assert process.wait() == 0
        first = next(
            chunk for chunk in shown if b"\n  1 tactical" in chunk or chunk.startswith(b"  1 tactical")
        )
        assert b"together" not in first
        assert b"together" in b"".join(shown)


def test_the_simulated_model_is_the_default(monkeypatch):
    from llmopt import cli

    assert isinstance(cli._model(None), SimulatedModel)


def test_a_command_that_fails_otherwise_is_not_silenced():
    @main.command("broken")
    def broken():
        raise RuntimeError("a defect")

    try:
        result = CliRunner().invoke(main, ["broken"])
    finally:
        del main.commands["broken"]
    assert isinstance(result.exception, RuntimeError)
    assert not isinstance(result.exception, click.ClickException)
