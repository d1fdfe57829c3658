"""Going on with an answer: what was heard is not said twice, whatever pieces it comes in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm.parts import StreamEvent

from llmopt.cache.resume import Resume
from llmopt.errors import CallError


def pieces_of(text, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


CUTS = st.lists(st.integers(0, 12), max_size=4)


@given(st.text("ab", max_size=12), CUTS, CUTS, st.integers(0, 12), st.booleans())
def test_heard_and_rest_are_the_answer(text, first, second, heard, structured):
    kind = (lambda chunk: StreamEvent("text", chunk)) if structured else str
    said = pieces_of(text[:heard], first)
    resume = Resume([kind(piece) for piece in said])
    rest = [event for piece in pieces_of(text, second) for event in resume(kind(piece))]
    resume.end()
    told = [event if isinstance(event, str) else event.chunk for event in rest]
    assert "".join(said) + "".join(told) == text
    assert not resume.failed


@given(st.text("ab", min_size=1, max_size=6), st.text("ab", max_size=6))
def test_another_answer_is_refused_at_the_first_difference(heard, text):
    resume = Resume([heard])
    told = []
    try:
        for character in text:
            told += resume(character)
        resume.end()
    except CallError:
        assert resume.failed
        assert not text.startswith(heard)
        assert told == []
    else:
        assert text.startswith(heard)
        assert "".join(told) == text[len(heard) :]


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("a", StreamEvent("text", "a")),
        (StreamEvent("text", "a"), StreamEvent("reasoning", "a")),
        (
            StreamEvent("reasoning", "", provider_metadata={"s": 1}),
            StreamEvent("reasoning", "", provider_metadata={"s": 2}),
        ),
        (
            StreamEvent("tool_call_name", "look", tool_call_id="1"),
            StreamEvent("tool_call_name", "look", tool_call_id="2"),
        ),
    ],
)
def test_events_of_another_kind_are_another_answer(heard, said):
    with pytest.raises(CallError, match="another answer"):
        Resume([heard])(said)


def test_the_end_of_reasoning_is_heard():
    hidden = StreamEvent("reasoning", "", redacted=True)
    resume = Resume([hidden])
    assert list(resume(hidden)) == []
    with pytest.raises(CallError):
        Resume([hidden])(StreamEvent("text", "a"))


def test_signatures_are_heard_like_words():
    signed = StreamEvent("reasoning", "", provider_metadata={"s": 1})
    resume = Resume([StreamEvent("reasoning", "Hm"), signed])
    rest = StreamEvent("text", "Yes")
    assert [*resume(StreamEvent("reasoning", "Hm")), *resume(signed), *resume(rest)] == [rest]


def test_a_shorter_answer_is_another_answer():
    resume = Resume(["abc"])
    assert list(resume("ab")) == []
    with pytest.raises(CallError):
        resume.end()
