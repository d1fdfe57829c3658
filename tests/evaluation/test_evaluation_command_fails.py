"""`llmopt eval compress`, when something is wrong: nothing that was paid for is lost, nothing is saved."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import llmopt
import llmopt.plugin
from llmopt.compress.choice import choices
from llmopt.middleware.compress import Compress
from llmopt.testing import ScriptedKeyModel, ScriptedModel
from llmopt.testing.server import Answer

from .conftest import knowing, perfect, type_in

pytestmark = pytest.mark.usefixtures("small_certificate_store", "one_request_a_connection", "user_dir")
SRC = Path(__file__).parents[2] / "src"


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("-m", "nope"), "Unknown model: nope; `llm models` lists those that are installed"),
            (("--profiles", "safe,tight"), "profiles=('safe', 'tight'): give some of safe, balanced, dense"),
            (("--profiles", ","), "profiles=(): give some of safe, balanced, dense"),
            (("--questions", "0"), "questions=0: give a whole number from 1 up"),
            (("--questions", "-3"), "questions=-3: give a whole number from 1 up"),
            (("--concurrency", "0"), "concurrency=0: give a number from 1 to 32"),
            (
                ("--data", "/nowhere/x.json"),
                "--data /nowhere/x.json cannot be read: No such file or directory",
            ),
        ],
    )
    def test_arguments_that_are_wrong_cost_one_line(self, server, arguments, said):
        shown = type_in("-m", "local", "-y", *arguments, exit_code=1)
        assert shown.stderr == f"Error: {said}\n"
        assert shown.stdout == ""
        assert not server.requests

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is no JSON: "),
            (b"{", "is no JSON: "),
            (b"\xff", "is no JSON: "),
            (b"[" * 100_000, "is no JSON: "),
            (b"[]", "there is nothing to ask about"),
            (b"7", "there is nothing to ask about"),
            (b'[{"id": 1, "n": NaN}, {"id": 2, "n": 1}]', "/0/n: nan is no number"),
        ],
    )
    def test_data_without_anything_to_ask_about_cost_one_line(self, server, tmp_path, content, said):
        path = tmp_path / "data.json"
        path.write_bytes(content)
        (line,) = type_in("-m", "local", "-y", "--data", str(path), exit_code=1).stderr.splitlines()
        assert line.startswith("Error: ")
        assert said in line
        assert not server.requests

    def test_a_number_that_is_none_is_a_usage_error(self):
        assert "--questions" in type_in("-m", "local", "--questions", "many", exit_code=2).stderr

    def test_a_model_has_to_be_named(self):
        assert "--model" in type_in(exit_code=2).stderr

    def test_a_file_of_choices_that_is_damaged_is_known_before_anything_is_asked(
        self, server, user_dir, squad
    ):
        (user_dir / "llmopt").mkdir()
        (user_dir / "llmopt" / "eval_compress.json").write_text("[")
        shown = type_in("-m", "local", "-y", "--data", squad, exit_code=1)
        assert "is no result of `llmopt eval compress`" in shown.stderr
        assert not server.requests

    def test_a_model_that_compresses_by_itself_would_not_be_asked_about_json(self, install, squad):
        model = ScriptedModel(perfect, model_id="mine")
        install(llmopt.wrap(model, Compress()))
        shown = type_in("-m", "mine", "-y", "--data", squad, exit_code=1)
        assert shown.stderr == (
            "Error: mine is wrapped with Compress, which would rewrite what it is asked: leave that out\n"
        )
        assert not model.calls


TYPED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, wherever the tests run
from llmopt.cli import main
main()
"""


class TestPartial:
    """A run that ends before its end shows what it has, says so, and saves nothing."""

    @staticmethod
    def check(shown, answered=None):
        assert shown.stdout.startswith("PARTIAL. ")
        assert "Choice: none, for not all questions were answered." in shown.stdout
        assert shown.stderr.splitlines()[-1].endswith("Nothing is saved.")
        assert choices() == {}

    def test_a_server_that_fails_loses_nothing_that_was_answered(self, server, tmp_path):
        def failing(request):
            if len(server.requests) > 103:
                return Answer(status=401, headers={"x-should-retry": "false"})
            return knowing(request)

        server.handler = failing
        path = tmp_path / "figures.json"
        shown = type_in("-m", "local", "-y", "--json", str(path), "--concurrency", "1", exit_code=1)
        self.check(shown)
        assert "PARTIAL. local: 20 of 100 questions" in shown.stdout
        assert "Error: local does not answer after 103 of 500 calls: " in shown.stderr
        assert "401" in shown.stderr
        figures = json.loads(path.read_text(encoding="utf-8"))
        assert (figures["complete"], figures["choice"], figures["questions_planned"]) == (False, None, 100)
        assert (figures["questions"], len(figures["answers"])) == (20, 103)

    def test_a_model_that_never_answers_costs_one_line_without_its_key(self, install, squad, tmp_path):
        model = ScriptedKeyModel([PermissionError("bad key\n sk-secret")] * 9, model_id="mine")
        model.key = "sk-secret"
        install(model)
        path = tmp_path / "figures.json"
        path.write_text("of another run")
        arguments = ("-m", "mine", "-y", "--data", squad, "--questions", "5", "--json", str(path))
        shown = type_in(*arguments, exit_code=1)
        assert (shown.stdout, path.read_text()) == ("", "of another run")
        assert shown.stderr.splitlines()[-1] == (
            "Error: mine does not answer after 0 of 20 calls: PermissionError: bad key ***. Nothing is saved."
        )

    def test_an_interrupt_from_within_is_no_failure(self, install, squad):
        def tired(prompt):
            if len(model.calls) > 12:
                raise KeyboardInterrupt
            return perfect(prompt)

        model = ScriptedModel(tired, model_id="mine")
        install(model)
        shown = type_in("-m", "mine", "-y", "--data", squad, "--concurrency", "1", exit_code=130)
        self.check(shown)
        assert "Interrupted after 12 of " in shown.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is a thing of Unix")
    def test_ctrl_c_waits_for_the_calls_under_way_and_shows_what_there_is(self, server, user_dir):
        def interrupting(request):
            if len(server.requests) == 41:
                process.send_signal(signal.SIGINT)
            answer = knowing(request)
            late = 0.5 if len(server.requests) >= 41 else 0.0
            return Answer(text=answer.text, delay_s=late)

        server.handler = interrupting
        process = started()
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        figures = json.loads(out)
        assert "Ctrl-C again leaves them" in err
        assert figures["complete"] is False
        assert len(figures["answers"]) == len(server.requests)  # all that was asked
        assert 41 <= len(server.requests) < 500
        assert f"Interrupted after {len(server.requests)} of 500 calls. Nothing is saved." in err
        assert not (user_dir / "llmopt" / "eval_compress.json").exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is a thing of Unix")
    def test_another_ctrl_c_leaves_the_calls_under_way(self, server):
        def interrupting(request):
            if len(server.requests) < 41:
                return knowing(request)
            if len(server.requests) == 41:
                process.send_signal(signal.SIGINT)
            return Answer(hang=True)

        server.handler = interrupting
        process = started()
        assert any("Ctrl-C again leaves them" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        figures = json.loads(out)
        assert 36 <= len(figures["answers"]) <= 40
        assert "Nothing is saved." in err

    def test_in_a_thread_there_is_no_ctrl_c(self, squad):
        """Only the main thread of a process may say what it means."""
        with ThreadPoolExecutor(1) as threads:
            run = threads.submit(type_in, "-m", "local", "-y", "--data", squad, "--questions", "5")
            assert run.result().stdout.startswith("local: 5 questions")


def started():
    """The command in a process of its own, as if typed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
    return subprocess.Popen(
        [sys.executable, "-B", "-c", TYPED, "eval", "compress", "-m", "local", "-y", "--json"],
        env={**env, "PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
