from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError, TokenizerError
from llmopt.tokens import Estimate, counter
from llmopt.tokens._table import BLOCK_STARTS, BLOCKS, KINDS
from llmopt.tokens.estimate import Weights, kind_of, pieces_of
from llmopt.tokens.memo import Memo

VALUE = [
    {"name": f"pod-{n}", "image": "registry.local/app:1.2", "ready": True, "restarts": n % 3}
    for n in range(60)
]
TEXTS = {
    "code": inspect.getsource(argparse),
    "prose": "\n\n".join(filter(None, map(inspect.getdoc, (argparse, json, str, dict, list, int, math)))),
    "pretty JSON": json.dumps(VALUE, indent=2),
    "compact JSON": json.dumps(VALUE, separators=(",", ":")),
    "hashes": " ".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(50)),
}

# What decides the kind of a piece, and its neighbours beyond ASCII.
any_texts = st.one_of(
    st.text(),
    st.text(st.characters(codec="ascii")),
    st.text(st.sampled_from("aB1 _-=.\n\r\t/é日😀\ud800")),
)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_estimates_keep_near_their_stated_error(text):
    true = counter("o200k_base").count(text)
    estimate = Estimate()
    assert true > 200
    assert abs(estimate.count(text) / true - 1) <= estimate.error


@given(any_texts)
def test_the_pieces_make_up_the_text(text):
    assert "".join(pieces_of(text)) == text


@given(any_texts)
def test_every_text_has_an_estimate(text):
    tokens = Estimate().count(text)
    assert (tokens > 0) == bool(text)


@given(st.text(st.characters(codec="ascii"), min_size=1))
def test_every_ascii_piece_has_a_kind_with_weights(text):
    assert {kind_of(piece) for piece in pieces_of(text)} <= set(KINDS)


def test_the_table_is_whole():
    assert all(weight >= 1000 for row in KINDS.values() for weight in row[:-1])
    assert all(row[-1] >= 0 for row in KINDS.values())
    assert list(BLOCK_STARTS) == sorted(BLOCK_STARTS)
    assert BLOCK_STARTS[0] == 128
    assert len(BLOCKS) == len(BLOCK_STARTS)


def test_weights_by_kind_length_and_block():
    weights = Weights({"^a": (1000, 1500, 250)}, (0x80, 0x400), (300, 400))
    assert [weights.weigh(piece) for piece in ("a", "ab", "abcd", "é", "éж")] == [1000, 1500, 2000, 300, 800]


@pytest.mark.parametrize(
    ("piece", "kind"),
    [
        ("ab", "^a"),
        (" Ab", "_Aa"),
        ("_AB", ".AA"),
        ("12", "0"),
        ("a1b2c3d4", "0a"),
        ("\n\n", "_"),
        ("  ", "_"),
        ("====", "="),
        ("-", "="),
        ("})", "#"),
        (" {", "_#"),
        (".A1B2C3D4", "0AA"),
        ("a1B2c3D4", "0Aa"),
        ("({\n", "#"),
    ],
)
def test_kinds(piece, kind):
    assert kind_of(piece) == kind


def test_scaling_multiplies_and_says_what_is_known_of_the_error():
    estimate = Estimate(factor=1.5, notes=("no file",))
    scaled = estimate.scaled(2, error=0.05)
    assert (scaled.factor, scaled.error, scaled.error_other, scaled.notes) == (3.0, 0.05, None, ("no file",))
    assert estimate.scaled(2).error is None
    assert scaled.pieces is estimate.pieces
    text = TEXTS["prose"]
    assert scaled.count(text) == pytest.approx(2 * estimate.count(text), abs=2)


@pytest.mark.parametrize("factor", [0, -1, math.inf, math.nan])
def test_factors_are_positive_numbers(factor):
    with pytest.raises(ConfigurationError, match="factor"):
        Estimate(factor=factor)


def test_an_estimate_says_what_it_is():
    estimate = Estimate()
    assert (estimate.exact, estimate.source, estimate.encoding) == (False, "estimate", None)


def test_an_estimate_cannot_encode():
    with pytest.raises(TokenizerError, match="not public"):
        Estimate().encode("x")
    with pytest.raises(TokenizerError, match="no file"):
        Estimate(notes=("no file",)).encode("x")


@given(any_texts, st.integers(0, 10), st.sampled_from([0.9, 1.0, 1.37]))
def test_truncated_texts_are_starts_and_fit(text, max_tokens, factor):
    estimate = Estimate(factor=factor)
    start = estimate.truncate(text, max_tokens)
    assert text.startswith(start)
    assert estimate.count(start) <= max_tokens


def test_truncate_takes_what_fits():
    estimate = Estimate(pieces=Memo(lambda piece: 1000))
    assert estimate.truncate("one two three", 2) == "one two"
    assert estimate.truncate("one two", 2) == "one two"
