"""Questions: right by brute force, in words that leave no doubt, and as many as were asked for."""

from __future__ import annotations

from collections import Counter
from math import sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.evaluation import KINDS, is_right, questions
from llmopt.evaluation.tables import tables

from . import oracle

words = st.text(st.characters(codec="utf-8"), max_size=12)
cells = st.one_of(st.integers(-999, 999), st.floats(-99, 99), st.booleans(), words, st.none())
keys = st.sampled_from(["id", "x", "y", "hp", "kind", "on", "größe", "a.b", "two words", "`", ""])
elements = st.recursive(
    st.dictionaries(keys, cells, max_size=6),
    lambda inner: st.dictionaries(keys, cells | inner | st.lists(inner, max_size=4), max_size=6),
    max_leaves=12,
)


@st.composite
def squads(draw):
    """Lists of objects alike, with some that are not, in a value of any shape."""
    shape = draw(
        st.dictionaries(keys, st.sampled_from([st.integers(-99, 99), words, st.booleans()]), min_size=1)
    )
    row = st.fixed_dictionaries(
        shape,
        optional={
            "more": elements,
            "pos": st.fixed_dictionaries({"x": st.integers(0, 50), "y": st.integers(0, 50)}),
        },
    )
    squad = st.lists(row, min_size=2, max_size=7)
    return draw(
        st.one_of(
            squad,
            st.fixed_dictionaries({"items": squad}),
            elements.map(lambda e: {"in": e}),
            squad.map(lambda s: [{"id": n, "sub": s} for n in range(3)]),
        )
    )


@settings(max_examples=200)
@given(squads(), st.integers(0, 99))
def test_answers_are_those_that_brute_force_finds_from_the_words_of_the_question(value, seed):
    try:
        asked = questions([value], 10, seed)
    except ConfigurationError:
        assert all(set(table.kinds) <= {table.key} for table in tables(value))
        return
    for question in asked:
        assert oracle.answer(value, question.text) == question.answer
        assert 0 < question.chance <= 1


@pytest.mark.parametrize("seed", range(5))
def test_so_they_are_about_battles_and_pods(battles, pods, seed):
    values = [*battles, pods]
    asked = questions(values, 100, seed)
    assert len(asked) == len({(question.document, question.text) for question in asked}) == 100
    for question in asked:
        assert oracle.answer(values[question.document], question.text) == question.answer


def test_kinds_and_values_take_turns(battles):
    asked = questions(battles, 150)
    kinds, documents = (Counter(getattr(q, name) for q in asked) for name in ("kind", "document"))
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 25
    assert min(documents.values()) >= 45
    assert [q.document for q in asked] == sorted(q.document for q in asked)
    assert len(Counter((q.kind, q.document) for q in asked)) == 15


def test_the_same_seed_asks_the_same(battles):
    assert questions(battles, 20, 3) == questions(battles, 20, 3)
    assert questions(battles, 20, 3) != questions(battles, 20, 4)


def test_deep_lists_are_asked_about_too(pods):
    assert any(
        "the list `containers` of the element with `metadata.name`" in q.text for q in questions([pods], 40)
    )


def test_little_data_give_few_questions():
    asked = questions([[{"id": 1, "n": 5}, {"id": 2, "n": 5}]], 100)
    assert 0 < len(asked) < 100
    assert len(asked) == len({question.text for question in asked})


def test_values_without_tables_are_passed_by():
    asked = questions([7, {"a": [1, 2]}, [{"id": 1, "n": 5}, {"id": 2, "n": 6}]], 10)
    assert {question.document for question in asked} == {2}


@pytest.mark.parametrize(
    "value",
    [
        7,
        [],
        [{"id": 1}, {"id": 2}],
        [{}],
        [{}, {}],
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, {"a": "x"}],
        [{"a": None}] * 2,
    ],
)
def test_data_without_tables_are_refused(value):
    with pytest.raises(ConfigurationError, match="nothing to ask about: no list of two or more objects"):
        questions([value], 10)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_counts_that_cannot_be_are_refused(battles, count):
    with pytest.raises(ConfigurationError, match="give a whole number from 1 up"):
        questions(battles, count)


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        ([{"n": 1, "id": 1}, {"n": 2, "id": 2}], "id"),
        ([{"n": 1, "podName": "a"}, {"n": 2, "podName": "b"}], "n"),
        ([{"n": 1, "m": {"name": "a"}}, {"n": 2, "m": {"name": "b"}}], "m.name"),
        ([{"id": "a"}, {"id": "A"}], None),  # a model's answer could mean either
        ([{"id": "7"}, {"id": "7.0"}], None),
        ([{"id": 1.5}, {"id": 2.5}], None),
        ([{"p": {"x": 1}}, {"p": {"x": 2}}], None),
        ([{"on": True}, {"on": False}], None),
    ],
)
def test_the_field_that_tells_elements_apart(rows, key):
    found = tables(rows)
    assert [table.key for table in found] == ([key] if found else [])
    assert found or key is None


def test_what_could_be_misread_is_not_asked_about():
    rows = [
        {"id": n, "long": "x" * 61, "lines": "a\nb", "big": 10**12, "**": 1, "nan": "*", "ok": n}
        for n in (1, 2)
    ]
    (table,) = tables(rows)
    assert set(table.kinds) == {"id", "ok"}


def test_the_nearest_is_so_by_far(battles):
    for question in (q for q in questions(battles, 100) if q.kind == "nearest"):
        first, second = oracle.distances(battles[question.document], question.text)[:2]
        assert second > 1.4 * first


def test_guesses_are_right_as_often_as_chance_has_it(battles):
    """SIMULATION: a model that knows the options and draws one."""
    random = Random(5)
    asked = questions(battles, 200) * 5

    def guess(question):
        if isinstance(question.answer, list):
            return str([option for option in question.options if random.random() < 0.5])
        return str(random.choice(question.options))

    right = sum(is_right(guess(question), question.answer) for question in asked)
    expected = sum(question.chance for question in asked)
    spread = sqrt(sum(question.chance * (1 - question.chance) for question in asked))
    assert abs(right - expected) < 4 * spread
    assert 0.1 < expected / len(asked) < 0.4
