"""What is printed fits where it is printed, and touches nothing else."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.demo.screen import readable
from llmopt.plan import Step
from llmopt.text import aligned, cut, encodable, printable


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step("heal"), "heal()"),
        (Step("attack", {"enemy": 3, "rounds": 4}), "attack(3, 4)"),
        (Step("say", {"words": "hold on"}), "say(hold on)"),
    ],
    ids=str,
)
def test_a_step_reads_like_a_call(step, words):
    assert readable(step) == words


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
