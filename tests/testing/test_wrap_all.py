"""The pytest plugin that wraps every model of a test suite."""

from __future__ import annotations

import copy
from abc import ABCMeta

import pytest

import llmopt
from llmopt.chain.clock import SystemClock
from llmopt.testing import ScriptedModel
from llmopt.testing.wrap_all import WrapAll, instrument, make_call, passthrough
from llmopt.wrapping.adapt import Wrapping

pytest_plugins = ["pytester"]

CONFTEST = """
import llm

class Mock(llm.Model):
    model_id = "mock"

    def __init__(self):
        self.history = []

    def execute(self, prompt, stream, response, conversation):
        self.history.append(prompt.prompt)
        yield "mocked"

early = Mock()
"""
SUITE = """
import dataclasses, llm, pytest
from conftest import Mock, early

def ask(model):
    cls = type(model)
    same = [base for base in cls.__mro__ if base.__qualname__ == cls.__qualname__]
    assert len(same) == 2, "the class, and the one that wraps it"
    return model.prompt("x").text()

def test_models_made_by_a_conftest():
    assert ask(early) == "mocked"
    assert early.history == ["x"]

def test_models_of_the_class_of_a_model():
    assert ask(type(early)()) == "mocked"

def test_models_of_classes_that_tests_define():
    @dataclasses.dataclass(frozen=True)
    class Frozen(Mock):
        history: list = dataclasses.field(default_factory=list)

    model = Frozen()
    assert ask(model) == "mocked"
    assert model.history == ["x"]

def test_classes_that_hand_out_one_instance():
    class Single(Mock):
        one = None
        def __new__(cls):
            Single.one = Single.one or super().__new__(cls)
            return Single.one
    assert Single() is Single()
    assert ask(Single()) == "mocked"

def test_models_that_cannot_change_their_class_are_left_alone():
    class Rigid(Mock):
        __class__ = property(lambda self: Rigid)
    assert Rigid().prompt("x").text() == "mocked"
    assert Rigid().__class__ is Rigid
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SUITE)

    def run(stack):
        monkeypatch.setenv("LLMOPT_WRAP_ALL", stack)
        return pytester.runpytest_inprocess("-p", "llmopt.testing.wrap_all", "-p", "no:randomly")

    return run


@pytest.mark.parametrize(("stack", "calls"), [("bare", 0), ("passthrough", 4), ("default", 4)])
def test_every_model_is_wrapped(suite, stack, calls):
    result = suite(stack)
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [f"llmopt wrapped 4 models and ran {calls} calls through their chains; left alone: *Rigid"]
    )
    assert "__call__" not in vars(ABCMeta)


def test_an_unknown_stack_is_refused(suite):
    result = suite("whole")
    result.stderr.fnmatch_lines(["*LLMOPT_WRAP_ALL is bare, passthrough or default, not 'whole'"])
    assert "__call__" not in vars(ABCMeta)


def test_a_model_is_instrumented_in_place():
    model = ScriptedModel(["HOLD"])
    original = copy.copy(model)
    instrument(model, Wrapping(original, (passthrough,), SystemClock()))
    assert model.prompt("x").text() == "HOLD"
    assert (len(model.calls), model.calls[0].response.llmopt.source) == (1, "model")
    assert isinstance(model, ScriptedModel)
    assert llmopt.unwrap(model) is original
    assert copy.deepcopy(model).prompt("echo").text() == "echo"


def test_what_is_no_model_is_left_alone():
    class Plain(metaclass=ABCMeta):  # noqa: B024 - any other class that has this metaclass
        pass

    wrap_all = WrapAll(tuple)
    assert type(make_call(wrap_all)(Plain)) is Plain
    assert wrap_all.models == 0
