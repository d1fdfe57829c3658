"""The legend: short, the same each time, and true."""

from __future__ import annotations

import pytest

from llmopt.compress import decode, encode, legend
from llmopt.compress.notation.features import PROFILES
from llmopt.errors import ConfigurationError
from llmopt.tokens import counter

count = counter("o200k_base").count


def test_how_long_it_is():
    """The figures of the docstring."""
    assert {profile: count(legend(profile)) for profile in PROFILES} == {
        "safe": 1 if legend("safe") else 0,
        "balanced": 44,
        "dense": 80,
    }
    assert [len(legend(profile)) > 0 for profile in PROFILES] == [False, True, True]


@pytest.mark.parametrize(
    ("profile", "means"),
    [
        ("balanced", [{"id": "a", "n": 9, "at": {"x": 3}}]),
        ("dense", [{"id": "a", "x": 9, "t": 12.5, "n": 40}]),
    ],
)
def test_its_example_is_true(profile, means):
    text = legend(profile)
    example, said = text[text.index("[each") :].split(" is ")
    assert decode(example) == decode(said) == means


def test_the_signs_that_it_names_are_those_that_are_written():
    rows = [
        {"id": f"n{n % 3}", "hp": 100 + n, "kind": "elf", "home": f"house of n{n % 3}", "at": {"x": n}}
        | ({"tag": "old friend" if n % 4 else "new friend"} if n % 2 else {})
        for n in range(24)
    ]
    for profile, signs in (("balanced", "?"), ("dense", "?#$>")):
        text = encode(rows, profile).text
        assert decode(text) == rows
        assert text.startswith("[each {")
        assert all(sign in text and sign in legend(profile) for sign in signs), text


def test_a_profile_that_is_none():
    with pytest.raises(ConfigurationError, match="profile='tiny': give one of safe, balanced, dense"):
        legend("tiny")
