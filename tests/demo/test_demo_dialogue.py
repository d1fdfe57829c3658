"""What is made of a model's answer, whatever it answers."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.demo.dialogue import object_in, readable, understood
from llmopt.demo.text import aligned, cut, encodable, printable

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON object in ''"),
        ("I would rather not.", "no JSON object in 'I would rather not.'"),
        ('{"agent": 1, "steps": [{"act"', "no JSON object in"),
        ("{" * 100_000, "no JSON object in"),
        ('[{"agent": 1}]', '"steps" is no list of steps: null'),
        ('{"agent": 2, "steps": [{"act": "heal"}]}', '"agent" is 2, not 1'),
        ('{"steps": [{"act": "heal"}]}', '"agent" is None, not 1'),
        ('{"agent": 1, "steps": []}', '"steps" is no list of steps: []'),
        ('{"agent": 1, "steps": "heal"}', '"steps" is no list of steps: "heal"'),
    ],
)
def test_what_is_no_plan_is_said_to_be_none(text, problem):
    result = understood(text, agent=1)
    assert result.steps == ()
    assert result.problem.startswith(problem)
    assert len(result.problem) < 100


@pytest.mark.parametrize(
    "text",
    [
        '{"agent": 1, "steps": ["heal"]}',
        '```json\n{"agent": "1", "steps": ["heal"]}\n```',
        'Here you are: {"agent": 1, "steps": ["heal"]} Good luck {you}!',
    ],
)
def test_a_plan_may_be_wrapped_in_words(text):
    assert understood(text, agent=1).steps == ("heal",)


@given(st.text())
def test_no_answer_is_too_strange(text):
    result = understood(text, agent=1)
    assert (result.problem is None) is bool(result.steps)


@given(st.dictionaries(st.text(), values))
def test_an_object_is_found_where_it_is(value):
    assert object_in(f"so: {json.dumps(value)}") == json.loads(json.dumps(value)) or "NaN" in json.dumps(
        value
    )


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("hold fire", "hold fire"),
        ({"act": "heal"}, "heal"),
        ({"action": "attack", "target": 3}, "attack target 3"),
        ({"tool": "throw", "kind": "smoke", "pos": {"x": 1, "y": 2}}, "throw kind smoke (1, 2)"),
        ({"pos": {"lat": 1}}, '? pos {"lat": 1}'),
        ({}, "?"),
        (None, "None"),
    ],
    ids=str,
)
def test_a_step_reads_like_words(step, words):
    assert readable(step) == words


@given(values)
def test_every_step_can_be_read(step):
    assert isinstance(readable(step), str)


@given(st.text())
def test_nothing_printed_moves_the_cursor(text):
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


@given(st.text(), st.integers(3, 20))
def test_a_cut_text_fits(text, width):
    assert len(cut(text, width)) <= width
    assert cut(text, len(text)) == text


def test_what_an_encoding_lacks_becomes_a_question_mark():
    assert encodable("Grüße", io.TextIOWrapper(io.BytesIO(), encoding="ascii")) == "Gr??e"
    assert encodable("Grüße", io.StringIO()) == "Grüße"


def test_columns_are_aligned():
    assert aligned([["a", "bb", "1"], ["aaa", "b", "22"]], left=2) == "a    bb   1\naaa  b   22"
