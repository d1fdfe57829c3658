"""Encoding by itself: nothing but the value decides, and the value comes back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.compress import decode, encode
from llmopt.compress.alone import encode_alone
from llmopt.compress.encode import forget_shapes
from llmopt.tokens import counter

O200K = counter("o200k_base")
PROFILES = ("safe", "balanced", "dense")


def squad(size, first=0):
    return [
        {"id": n, "kind": "wolf", "hp": n * 7 % 100, "at": {"x": n, "y": -n}}
        for n in range(first, first + size)
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_it_is_what_encode_says_when_it_knows_nothing(profile):
    for value in (squad(12), {"a": squad(3), "b": [1.5, 2.5]}, [1], {"x": json.dumps(squad(5))}, {}):
        forget_shapes()
        encoded = encode(value, profile)
        text, tokens = encode_alone(value, profile, O200K)
        assert (text, tokens) == (encoded.text, encoded.tokens)
        assert decode(text) == value


@pytest.mark.parametrize("profile", PROFILES)
def test_what_was_encoded_before_does_not_matter(profile):
    value = squad(9, first=100)
    alone = encode_alone(value, profile, O200K)
    for other in (squad(9), [{**row, "kind": "bear"} for row in squad(9)], squad(500)):
        encode(other, profile)
        encode_alone(other, profile, O200K)
        assert encode_alone(value, profile, O200K) == alone


rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 999), "kind": st.sampled_from(["wolf", "bear"]), "note": st.text(max_size=5)},
        optional={
            "hp": st.integers(),
            "ok": st.booleans(),
            "x": st.floats(allow_nan=False, allow_infinity=False),
        },
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(rows, st.sampled_from(PROFILES))
def test_nothing_is_lost_and_tokens_are_never_more(value, profile):
    text, tokens = encode_alone(value, profile, O200K)
    assert json.dumps(decode(text)) == json.dumps(value)
    assert (
        tokens
        == O200K.count(text)
        <= O200K.count(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    )
