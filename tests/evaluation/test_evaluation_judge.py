"""What counts as the right answer, and what does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.evaluation import is_right


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("7", 7),
        (" 7.\n", 7),
        ("7.0", 7),
        ("+7", 7),
        ("**7**", 7),
        ("`7`", 7),
        ("```\n7\n```", 7),
        ("Answer: 7", 7),
        ("The final answer is: 7.", 7),
        ("First I look at the list.\nIt is 8, no:\n7", 7),
        ("<think>\n8\n</think>\n\n7", 7),
        ("1,234,567", 1234567),
        ("1.5e3", 1500),
        ("-0.50", -0.5),
        ("0.1", 0.1),
        ("wolf", "wolf"),
        ('"Wolf"', "wolf"),
        ("grey  wolf", "grey wolf"),
        ("007", "007"),
        ("yes", True),
        ("False", False),
        ("[7, 8]", [7, 8]),
        ("[8,7]", [7, 8]),
        ("7, 8", [8, 7]),
        ("- 7\n- 8", [7, 8]),
        ("7 and 8", [7, 8]),
        ('```json\n[\n  "a",\n  "b"\n]\n```', ["a", "b"]),
        ("[a, b]", ["a", "b"]),
        ('"a", "b"', ["a", "b"]),
        ("`[7]`.", [7]),
        ("7", [7]),
        ("So:\n[7]", [7]),
        ("So:\n[\n  7,\n  8\n]", [7, 8]),
        ("First [8], no.\nAnswer: [7, 8]", [8, 7]),
        ("<think>[8]</think>- 7\n- 8", [7, 8]),
        ('"7"', 7),
        ('["7"]', [7]),
        ("[7]", ["7"]),
        ("[1.50]", ["1.50"]),
        ('["007"]', ["007"]),
        ("Running.", "running"),
        ("True", "true"),
        ("[]", []),
    ],
)
def test_right(reply, answer):
    assert is_right(reply, answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("", 7),
        ("8", 7),
        ("7 or 8", 7),
        ("It is 7", 7),
        ("7 m", 7),
        ("7\n8", 7),
        ("12,34", 1234),
        ("0.1000001", 0.1),
        ("true", 1),
        ("1", True),
        ("wolf", "wolves"),
        ("the wolf", "wolf"),
        ("null", "wolf"),
        ("[7]", [7, 8]),
        ("[7, 8, 9]", [7, 8]),
        ("[7, 7, 8]", [7, 8]),
        ("7 8", [7, 8]),
        ("[]", [7]),
        ("{}", [7]),
        ("[[7]]", [7]),
        ("7", "007"),  # an id is no number
        ("7.0", "7"),
        ("[7]", ["007"]),
        ("1200", "1,200"),
        ("WEB-3B", "web-3b"),
        ("yes", "true"),
        ("- 7\n- 8", [8]),  # the last line of a list is not all of it
        ("So:\n- 7\n- 8", [8]),
        ("7\n8", [8]),
        ("[7]\nand more", [7]),
        ("[" * 100_000, [7]),
        ("[" * 100_000, 7),
        ("I do not know.", [7]),
    ],
)
def test_wrong(reply, answer):
    assert not is_right(reply, answer)


scalars = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@given(st.one_of(scalars, st.lists(scalars, min_size=1)))
def test_every_answer_is_right_as_json(answer):
    assert is_right(json.dumps(answer), answer)


@given(scalars, scalars)
def test_other_values_are_wrong(reply, answer):
    same = (reply is answer) if isinstance(reply, bool) or isinstance(answer, bool) else reply == answer
    assert is_right(json.dumps(reply), answer) == same


@given(st.text(), st.one_of(scalars, st.text(), st.lists(st.text() | scalars)))
def test_any_reply_is_judged(reply, answer):
    assert is_right(reply, answer) in {True, False}
