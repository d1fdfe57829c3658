"""Exams, and models that sit them: perfect ones, guessing ones, ones that fail, and what is sent to them."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from random import Random

import pytest

import llmopt
from llmopt import evaluation
from llmopt.compress.data import Data
from llmopt.errors import ConfigurationError, EncodingError
from llmopt.evaluation import ask, exam_of
from llmopt.evaluation.exam import INSTRUCTION
from llmopt.middleware.compress import Compress
from llmopt.testing import AsyncScriptedModel, ScriptedKeyModel, ScriptedModel

from .conftest import perfect

PROFILES = ("safe", "balanced", "dense")
ENCODINGS = ("pretty", "compact", *PROFILES)


def test_a_perfect_model_has_all_answers_under_every_encoding(battles, pods):
    report = evaluation.compress(ScriptedModel(perfect), [*battles, pods], questions=60)
    assert [(r.encoding, r.right) for r in report.results] == [(encoding, 60) for encoding in ENCODINGS]
    assert report.choice == "dense"


def test_so_it_has_about_what_a_role_leaves(battles):
    role = llmopt.compress.Role("scout", "See.", precision={"*.pos.x": -1}, pinned=())
    report = evaluation.compress(ScriptedModel(perfect), battles, questions=60, role=role)
    assert {r.right for r in report.results} == {60}
    assert report.exam.role == "scout"
    assert "as the role scout sees them" in str(report)


def test_a_guessing_model_is_near_chance(battles):
    """SIMULATION: it draws from the options of the question."""
    exam = exam_of(battles, count=150)
    options = {(q.text, q.document): q for q in exam.questions}
    random = Random(1)

    def guess(prompt):
        data, _, text = prompt.prompt.rpartition("\n")
        document = next(d for d in range(3) if any(texts[d] == data for texts in exam.texts.values()))
        question = options[text, document]
        some = [option for option in question.options if random.random() < 0.5]
        return json.dumps(some if isinstance(question.answer, list) else random.choice(question.options))

    report = evaluation.report_of(exam, tuple(ask(ScriptedModel(guess), exam, concurrency=1)), "guess")
    chance = report.to_dict()["chance"]
    for result in report.results:
        assert abs(result.accuracy - chance) < 0.13  # four standard errors


def test_a_model_that_cannot_read_dense_gets_the_next(battles):
    def halting(prompt):
        dense = prompt.prompt.startswith("[each {agent:###")
        return "I cannot tell." if dense and len(prompt.prompt) % 2 else perfect(prompt)

    report = evaluation.compress(ScriptedModel(halting), battles)
    dense = report.result("dense")
    assert 0.3 < dense.accuracy < 0.7
    assert (dense.verdict, dense.gained, dense.lost) == ("worse", 0, 100 - dense.right)
    assert dense.p < 1e-6
    assert report.result("safe").verdict == report.result("balanced").verdict == "not worse"
    assert report.choice == "balanced"


# what is sent


def test_data_come_first_and_then_the_question(battles):
    model = ScriptedModel(perfect)
    exam = exam_of(battles[:1], profiles=["dense"], count=1)
    list(ask(model, exam, concurrency=1))
    sent = [call.prompt.prompt for call in model.calls]
    assert sent == [f"{texts[0]}\n{exam.questions[0].text}" for texts in exam.texts.values()]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("role", [None, "tactical"])
def test_it_is_what_compress_sends(battles, pods, profile, role):
    values = [*battles, pods]
    exam = exam_of(values, "scripted", profiles=[profile], count=12, role=role)
    asked, sent = ScriptedModel(), ScriptedModel()
    list(ask(asked, exam, concurrency=1))
    wrapped = llmopt.wrap(sent, Compress(profile))
    for question in exam.questions:
        data = Data(values[question.document], role=role)
        wrapped.prompt(question.text, fragments=[data], system=INSTRUCTION).text()
    assert {prompt_of(call) for call in sent.calls} <= {prompt_of(call) for call in asked.calls}
    assert any("each" in prompt_of(call)[0] for call in sent.calls) == (profile != "safe")


def prompt_of(call):
    return call.prompt.system, call.prompt.prompt


def test_what_has_to_be_explained_is_explained_in_the_system_prompt(battles):
    model = ScriptedModel(perfect)
    exam = exam_of(battles[:1], "gpt-4o", count=1)
    list(ask(model, exam, concurrency=1))
    plain = [INSTRUCTION] * 3
    told = [f"{llmopt.compress.legend(profile)}\n\n{INSTRUCTION}" for profile in ("balanced", "dense")]
    assert [call.prompt.system for call in model.calls] == [*plain, *told]
    untold = exam_of(battles[:1], "gpt-4o", count=1, legend=False)
    assert {job.system for job in untold.jobs} == {INSTRUCTION}
    legend_tokens = exam.counter.count(told[1].removesuffix(INSTRUCTION))
    assert exam.tokens["dense"][0] == untold.tokens["dense"][0] + legend_tokens


def test_data_that_save_less_than_a_legend_takes_need_none():
    few = [{"id": n, "hp": n * n} for n in range(3)]
    exam = exam_of([few], "gpt-4o", count=2)
    assert exam.legends["dense"] == ("",)
    assert exam.texts["dense"] == exam.texts["safe"]
    assert exam_of([few], "gpt-4o", count=2, legend=False).texts["dense"] != exam.texts["safe"]


def test_texts_that_are_the_same_are_asked_about_once():
    model = ScriptedModel(perfect)
    report = evaluation.compress(model, [[{"id": "a", "n": 5}, {"id": "b", "n": 6}]], questions=3)
    texts = {text for (text,) in report.exam.texts.values()}
    assert len(texts) < len(ENCODINGS)
    assert len(model.calls) == 3 * len(texts) == len(report.answers)
    assert [result.asked for result in report.results] == [3] * 5


def test_options_are_handed_on(battles):
    model = ScriptedModel(perfect)
    evaluation.compress(model, battles, questions=1, options={"temperature": 0})
    assert {call.prompt.options.temperature for call in model.calls} == {0}


def test_tokens_are_counted_by_the_model_that_is_asked(battles):
    assert exam_of(battles, "gpt-4o").exact
    exam = exam_of(battles, "claude-sonnet-4-5")
    assert not exam.exact
    assert exam.data_tokens("dense") < exam.data_tokens("compact") < exam.data_tokens("pretty")


# what goes wrong


def test_the_first_error_ends_it_and_answers_are_kept(battles):
    model = ScriptedModel(["7", "8", PermissionError("no"), *["9"] * 99])
    answers = []
    with pytest.raises(PermissionError, match="no"):
        answers.extend(ask(model, exam_of(battles), concurrency=1))
    assert len(model.calls) == 3
    asked = ask(ScriptedModel(["7", "8", PermissionError("no")]), exam_of(battles), concurrency=1)
    with pytest.raises(PermissionError):
        answers.extend(asked)
    assert [answer.reply for answer in answers[-2:]] == ["7", "8"]


def test_calls_under_way_are_waited_for_when_one_fails(battles):
    numbers, begun, failed = itertools.count(), threading.Semaphore(0), threading.Event()

    def answer(prompt):
        if next(numbers) == 0:
            assert begun.acquire(timeout=10)
            assert begun.acquire(timeout=10)
            failed.set()
            return TimeoutError("late")
        begun.release()
        assert failed.wait(10)
        return "7"

    answers, model = [], ScriptedModel(answer)
    with pytest.raises(TimeoutError, match="late"):
        answers.extend(ask(model, exam_of(battles), concurrency=3))
    assert len(answers) >= 2
    assert len(answers) == len(model.calls) - 1 < 499


def test_no_more_calls_are_under_way_than_asked_for(battles):
    lock, running, most = threading.Lock(), Counter(), []
    both = threading.Barrier(2)

    def answer(prompt):
        with lock:
            running["now"] += 1
            most.append(running["now"])
        both.wait(10)
        with lock:
            running["now"] -= 1
        return "7"

    assert len(list(ask(ScriptedModel(answer), exam_of(battles, count=8), concurrency=2))) == 40
    assert max(most) <= 2


def test_who_leaves_begins_no_more_calls(battles):
    model = ScriptedModel(perfect)
    answers = ask(model, exam_of(battles), concurrency=1)
    next(answers)
    answers.stop()
    (thread,) = [t for t in threading.enumerate() if t.name == "llmopt-eval"] or [threading.current_thread()]
    if thread is not threading.current_thread():
        thread.join(10)
    seen = len(model.calls)
    assert seen < 500
    assert not any(t.name == "llmopt-eval" for t in threading.enumerate())


def test_after_a_stop_the_answers_of_the_calls_under_way_come(battles):
    numbers, begun, release = itertools.count(), threading.Semaphore(0), threading.Event()

    def answer(prompt):
        number = next(numbers)
        begun.release()
        assert number < 2 or release.wait(10)
        return "7"

    model = ScriptedModel(answer)
    answers = ask(model, exam_of(battles, count=20), concurrency=2)
    assert [next(answers).reply, next(answers).reply] == ["7", "7"]
    assert all(begun.acquire(timeout=10) for _ in range(4))
    answers.stop()
    release.set()
    assert [said.reply for said in answers] == ["7", "7"]
    assert (len(model.calls), list(answers)) == (4, [])


def test_who_drops_it_begins_no_more_calls(battles):
    model = ScriptedModel(perfect)
    assert next(ask(model, exam_of(battles), concurrency=1)) is not None
    for thread in threading.enumerate():
        if thread.name == "llmopt-eval":
            thread.join(10)
    assert len(model.calls) < 500


def test_nothing_is_asked_before_the_first_answer_is_wanted(battles):
    model = ScriptedModel(perfect)
    answers = ask(model, exam_of(battles, count=1))
    assert not model.calls
    assert len(list(answers)) == len(model.calls) == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_ends_it_too(battles, error):
    def answer(prompt):
        raise error

    with pytest.raises(error):
        list(ask(ScriptedModel(answer), exam_of(battles)))


def test_a_model_that_compresses_by_itself_is_refused(battles):
    """It would be asked about compressed data where JSON is to be compared with."""
    wrapped = llmopt.wrap(ScriptedModel(perfect), llmopt.Retry(), Compress())
    with pytest.raises(ConfigurationError, match="scripted is wrapped with Compress, which would rewrite"):
        evaluation.compress(wrapped, battles)


def test_a_cache_answers_a_second_run(battles):
    store = llmopt.cache_control  # read in the context of the caller, by the threads too
    model = ScriptedModel(perfect)
    cached = llmopt.wrap(model, llmopt.Cache())
    first = evaluation.compress(cached, battles, questions=6)
    second = evaluation.compress(cached, battles, questions=6)
    assert len(model.calls) == 30
    assert all(result.seconds is not None for result in first.results)
    assert all(result.seconds is None for result in second.results)
    with store(mode="off"):
        evaluation.compress(cached, battles, questions=6)
    assert len(model.calls) == 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"profiles": ["tight"]}, "give some of safe, balanced, dense"),
        ({"profiles": []}, "give some of safe"),
        ({"questions": 0}, "from 1 up"),
        ({"role": "cook"}, "give a Role, or one of"),
        ({"margin": 0}, "0.05 for 5 points"),
        ({"margin": "5"}, "0.05 for 5 points"),
        ({"concurrency": 0}, "from 1 to 32"),
        ({"concurrency": 33}, "from 1 to 32"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_asked(battles, arguments, said):
    model = ScriptedModel(perfect)
    with pytest.raises(ConfigurationError, match=said):
        evaluation.compress(model, battles, **arguments)
    assert not model.calls


@pytest.mark.parametrize("model", [AsyncScriptedModel(), "gpt-4o", None])
def test_models_that_cannot_be_asked_are_refused(battles, model):
    with pytest.raises(ConfigurationError, match="no sync llm model"):
        evaluation.compress(model, battles)
    with pytest.raises(ConfigurationError, match="no sync llm model"):
        ask(model, exam_of(battles))


def test_models_with_keys_are_asked(battles):
    model = ScriptedKeyModel(perfect)
    model.key = "k"
    assert evaluation.compress(model, battles, questions=2).asked == 2


@pytest.mark.parametrize("value", [{"a": {1, 2}}, [float("nan")], "[" * 1])
def test_values_that_are_no_json_are_refused(value):
    with pytest.raises((EncodingError, ConfigurationError)):
        exam_of([value])


def test_values_that_compress_would_not_touch_are_refused():
    value = [{"id": 1, "n": 1}, {"id": 2, "n": 2}]
    for _ in range(70):
        value = [value]
    with pytest.raises(EncodingError, match="deeper than 64 levels"):
        exam_of([value])
