"""The helper for clusters leaves what its page tells of, and the commands that both name work."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

import llmopt
from llmopt.cli import main
from llmopt.testing.server import Answer

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kubectl_agent.py"
PAGE = ROOT / "docs" / "answers.md"
CALLS = 13


@pytest.fixture(scope="module")
def names():
    """What the example defines; a week of it has one day."""
    names = runpy.run_path(str(EXAMPLE))
    names["main"].__globals__["DAYS"] = 1
    return names


@pytest.fixture(scope="module")
def folder(names, tmp_path_factory, llm_user_path):
    """A folder in which both runs have been."""
    folder = tmp_path_factory.mktemp("kubectl")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names["main"]([])
    return folder


@pytest.fixture
def rows(folder):
    """Ask the log of both runs."""
    with closing(llmopt.usage.open(folder / "kubectl.db")) as database:
        yield lambda sql: [tuple(row.values()) for row in database.query(sql)]


def test_both_runs_make_the_same_calls(rows):
    asked = "SELECT role FROM calls WHERE tags_json ->> 'run' = '{}' ORDER BY started_at"
    before, after = (rows(asked.format(run)) for run in ("before", "after"))
    assert before == after
    assert len(before) == CALLS


def test_the_second_is_cheaper_by_far_and_does_not_fail(rows):
    (before, after) = rows(
        "SELECT sum(cost_usd_nano), sum(status <> 'ok'), sum(cache_outcome = 'hit') FROM calls"
        " GROUP BY tags_json ->> 'run' ORDER BY tags_json ->> 'run' DESC"
    )
    assert after[0] < before[0] / 2
    assert (before[1:], after[1:]) == ((1, None), (0, 4))
    assert rows("SELECT sum(records) FROM drops") == [(None,)]


def test_the_faults_are_in_the_first_run_alone(rows):
    twice = "SELECT call_id FROM call_fragments GROUP BY call_id, digest HAVING count(*) > 1"
    once = "SELECT digest FROM fragment_usage WHERE kind = 'system' AND calls = 1"
    runs = "SELECT DISTINCT tags_json ->> 'run' FROM calls WHERE id IN ({})"
    assert rows(runs.format(twice)) == [("before",)]
    assert rows(runs.format(f"SELECT call_id FROM call_fragments WHERE digest IN ({once})")) == [("before",)]  # noqa: S608
    assert len(rows(once)) == 4


def test_no_text_is_in_any_file_of_the_log(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert not re.search(rb"CrashLoop|checkout|kubectl get|sk-local", path.read_bytes()), path


def test_the_cluster_is_the_same_in_every_run(names):
    first, again, second = (names["Cluster"](day).lists for day in (1, 1, 2))
    assert first == again
    assert first["pods"] != second["pods"]


def test_a_model_of_ones_own_is_asked(names, server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-reader")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.handler = lambda request: Answer(text=f"I am {request.body['model']}.")
    monkeypatch.setattr(sys, "argv", [EXAMPLE.name, "before", "-m", "gpt-4o-mini"])
    names["main"]()
    assert capsys.readouterr().out.count("I am gpt-4o-mini.") == CALLS - 2  # nobody has asked for a tool


def commands(text: str) -> list[str]:
    return re.findall(r"^ *llmopt ((?:report|log) .*?)(?:  .*)?$", text, re.MULTILINE)


@pytest.mark.parametrize("command", commands(EXAMPLE.read_text() + PAGE.read_text()))
def test_every_command_that_is_named_works(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    arguments = shlex.split(command.replace("{LOG}", "kubectl.db"), comments=True)
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) > 2
