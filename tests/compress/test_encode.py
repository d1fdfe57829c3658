"""`encode` and `decode`: what they accept, refuse, remember and promise."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from llmopt.compress import Encoded, Role, Vault, decode, encode
from llmopt.compress.encode import forget_shapes
from llmopt.compress.notation.bounds import at_least
from llmopt.compress.notation.features import Features
from llmopt.compress.notation.nodes import Constant, Table
from llmopt.compress.notation.shapes import Shapes, shape_of
from llmopt.errors import ConfigurationError, DecodingError, EncodingError
from llmopt.tokens import counter

ROWS = [{"id": n, "kind": "wolf", "hp": n * 7} for n in range(5)]


def test_an_encoded_value_says_what_it_costs():
    encoded = encode(ROWS, "dense")
    assert isinstance(encoded, Encoded)
    assert str(encoded) == encoded.text
    assert (encoded.profile, encoded.encoding, encoded.exact) == ("dense", "dense", True)
    assert encoded.tokens == counter("o200k_base").count(encoded.text) == 25
    assert encoded.tokens_before == counter("o200k_base").count(json.dumps(ROWS, separators=(",", ":"))) == 62
    assert encoded.ratio == pytest.approx(62 / 25)
    assert encoded.dropped == ()
    assert not encoded.loss
    assert decode(encoded) == ROWS


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, float("nan")]}, "/a/1"),
        ([{"x": 1}, {"x": float("inf")}], "/1/x"),
        ([{"x": 1.5}, {"x": float("-inf")}], "/1/x"),
        ({"a": {"b/c": object()}}, "/a/b~1c"),
        ({"a": uuid.UUID(int=5)}, "/a"),
        ([datetime(2026, 1, 1, tzinfo=UTC)] * 3, "/"),
        ({1: "x"}, "the value itself"),
        ([{"a": 1}, {"a": {None: 1}}], "/1/a"),
        ({"a": b"x"}, "/a"),
        ({1, 2}, "the value itself"),
        ([{"a": 1}, {"a": 1j}], "/1/a"),
    ],
)
@pytest.mark.parametrize("profile", ["safe", "balanced", "dense"])
def test_what_is_no_json_is_refused_with_its_place(value, place, profile):
    with pytest.raises(EncodingError, match=place):
        encode(value, profile)


def test_a_known_shape_does_not_let_through_what_is_no_json():
    rows = [{"a": n, "b": None, "c": "x", "d": {"e": None}} for n in range(6)]
    encode(rows, "dense")
    for bad in (float("nan"), uuid.UUID(int=1), b"x"):
        for key in ("a", "b", "c"):
            with pytest.raises(EncodingError):
                encode([row | {key: bad} for row in rows], "dense")
        with pytest.raises(EncodingError):
            encode([*rows[:-1], rows[-1] | {"d": {"e": bad}}], "dense")


def test_tuples_are_lists():
    assert decode(encode({"a": (1, (2, 3))}, "dense").text) == {"a": [1, [2, 3]]}
    assert decode(encode([{"p": (n, n)} for n in range(4)], "dense").text) == [
        {"p": [n, n]} for n in range(4)
    ]


def test_there_are_three_profiles():
    with pytest.raises(ConfigurationError, match="safe, balanced, dense"):
        encode([], "tight")
    with pytest.raises(ConfigurationError):
        encode([], role="nobody")


def test_a_role_drops_and_says_so():
    role = Role("scout", "Look.", precision={"*.x": 0})
    encoded = encode([{"x": 1.26}, {"x": 2.0}], role=role)
    assert decode(encoded.text) == [{"x": 1}, {"x": 2}]
    assert encoded.dropped == ("/0/x",) or "/0/x" in encoded.dropped
    assert encoded.tokens_before == counter("o200k_base").count('[{"x":1.26},{"x":2.0}]')


def test_a_vault_takes_ids_out():
    vault = Vault()
    rows = [{"id": f"call_{n:024x}"[:24] + "a1", "n": n} for n in range(6)]
    encoded = encode(rows, "dense", vault=vault)
    assert "call_" not in encoded.text
    assert decode(encoded) == rows == decode(encoded.text, vault=vault)
    assert encoded.vault is vault
    assert "vault" not in repr(encoded)


def test_ids_in_json_in_strings_come_back():
    vault = Vault()
    value = [
        {"content": json.dumps({"trace": f"{n:032x}"[::-1] + "a", "at": "@5", "n": n})} for n in range(1, 5)
    ]
    encoded = encode(value, "dense", vault=vault)
    assert decode(encoded.text, vault=vault) == value


def test_another_counter():
    estimate = counter("claude-sonnet-4")
    encoded = encode(ROWS, "dense", counter=estimate)
    assert not encoded.exact
    assert encoded.tokens == estimate.count(encoded.text) <= encoded.tokens_before


def test_changes_are_written_if_they_are_cheaper():
    after = [*ROWS[:-1], ROWS[-1] | {"hp": 1}]
    encoded = encode(after, "dense", previous=ROWS)
    assert encoded.encoding == "delta"
    assert decode(encoded.text, previous=ROWS) == after
    assert ROWS[-1]["hp"] == 28
    with pytest.raises(DecodingError, match="previous"):
        decode(encoded.text)
    with pytest.raises(DecodingError, match="no changes"):
        decode(encoded.text, previous=5)
    assert encode([1], "dense", previous=ROWS).encoding == "json"


def test_what_is_decoded_shares_nothing_that_can_change():
    rows = [{"n": n, "c": {"deep": [1]}} for n in range(4)]
    one, other, *_ = decode(encode(rows, "dense").text)
    one["c"]["deep"].append(2)
    assert other["c"]["deep"] == [1]
    encoded = encode([*rows[:-1], rows[-1] | {"n": 9}], "dense", previous=rows)
    decode(encoded.text, previous=rows)[0]["c"]["deep"].append(3)
    assert rows[0]["c"]["deep"] == [1]


def test_a_shape_that_changes_under_its_template():
    shape = [{"a": f"x{n}", "b": f"x{n}-y", "c": n % 2, "d": "k" if n % 2 else "l"} for n in range(8)]
    encode(shape, "dense")
    for change in (
        {"b": "z"},
        {"c": 5.0},
        {"d": "k"},
        {"a": "01"},
        {"c": True},
        {"c": 10**20},
        {"a": None},
        {"b": ["q"]},
    ):
        value = [row | change if n == 3 else row for n, row in enumerate(shape)]
        assert json.dumps(decode(encode(value, "dense").text)) == json.dumps(value)


def test_shapes_that_are_known_are_not_analysed_again(monkeypatch):
    forget_shapes()
    first = encode(ROWS, "dense").text
    monkeypatch.setattr("llmopt.compress.notation.write.analyse", lambda *_: pytest.fail("analysed again"))
    assert encode(ROWS, "dense").text == first
    later = [row | {"hp": row["hp"] + 1} for row in ROWS]
    assert decode(encode(later, "dense").text) == later


def test_shapes_are_bounded():
    shapes = Shapes(max_shapes=2)
    table = Table(Constant())
    for name in "abc":
        shapes.put(name, table)
    shapes.get("b")
    shapes.put("d", None)
    assert (shapes.get("b"), shapes.get("c"), shapes.get("d"), len(shapes)) == (
        (True, table),
        (False, None),
        (True, None),
        2,
    )
    shapes.clear()
    assert len(shapes) == 0
    assert shape_of([{"a": 1}, 2], Features("x")) == shape_of([{"a": 5}, 3], Features("x"))


def test_threads_share_shapes():
    values = [
        [{"id": n, "name": f"wolf-{n * k}", "at": {"x": n, "y": k}} for n in range(6)] for k in range(24)
    ]
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda value: encode(value, "dense").text, values * 4))
    assert [decode(text) for text in texts] == values * 4


@pytest.mark.parametrize(
    "value",
    [
        [[[]]] * 500,
        {f"key {n}": n for n in range(100_000)},
        [{f"k{n}": n} for n in range(3_000)],
        [{f"k{m}": f"{n}-{m}" for m in range(60)} for n in range(40)],
        ["a" * 5_000 + str(n) for n in range(40)],
        [{"t": "a-" * 500 + str(n)} for n in range(30)],
        [{"t": "{" * 3_000}] * 3,
        list(range(20_000)),
    ],
    ids=[
        "empty lists",
        "100,000 keys",
        "a key each",
        "wide",
        "long strings",
        "many marks",
        "no JSON",
        "numbers",
    ],
)
def test_hostile_values_take_bounded_time(value):
    start = time.thread_time()
    encoded = encode(value, "dense")
    assert time.thread_time() - start < 10
    assert decode(encoded.text) == value


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value, 1]
    return value


@pytest.mark.parametrize("levels", [60, 70, 240, 300, 390])
def test_deep_values_come_back(levels):
    assert decode(encode(nested(levels), "dense").text) == nested(levels)


def test_deeper_values_are_refused():
    with pytest.raises(EncodingError, match="deeper than 400"):
        encode(nested(100_000))


def test_bounds_of_tokens():
    o200k = counter("o200k_base")
    for text in ('{"a":"it\'s","b":[1,2.5]}', "naïve café ", "", "日本 x y", "a-b_c d1e2"):
        assert at_least(text, o200k) <= o200k.count(text)
        assert at_least(text, o200k, 1) <= o200k.count(text)
    assert at_least("some words", counter("claude-sonnet-4")) == 0


TEXTS = [
    "", "x", "nul", "[1", "[1 2", '{"a"', "{a:1 a:2}", "{:1}", "[each 5\n1\n]", "[each $\n1",
    "[each ###\n01\n]", "[each ###\n0x1\n]", "[each {a:$ b?:$}\n1 *\n]",
    "[each {a:$a b:$b}\n$a>$b\n1 2\n\n3\n]", "[each {a:($:1|2)}\n7\n]", "[each {a:[999 each $]}\n1\n]",
    "[each {a:[each $]}\n1\n]", "[### each $\n1\n]", "[each $\n1e400\n]", "[each {a:$a}\n$a=x\n\n1\n]",
    '[each {a:$a}\n$a="x"\n\n1\n]', "[each {a:$a}\n$a>$a\n\n1\n]", '["\\x"]', "json([1)", "[each $\n-\n]",
    "[each {a:[$b each $]}\nx\n]", "[" * 5000, "[1" + "0" * 5000 + "]",
    '[each {a:{### each "$":$}}\n002 x x\n1\n2\n]', "[NaN", "NaN", "[each {### each 1:$}\n001\n1\n]",
    "[each (###:1|2)\n009\n]", '[each "$$"\nx\n]', "[each {a:[### each ###] b}\n002\n]", "[1]]",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_encoding_is_refused_with_its_line(text):
    with pytest.raises(DecodingError, match=r"line \d") as caught:
        decode(text)
    assert 1 <= caught.value.line <= text.count("\n") + 1


def test_json_of_any_layout_is_read():
    assert decode(json.dumps(ROWS, indent=2)) == ROWS
    assert decode("[1, 2.5,true ,null]") == [1, 2.5, True, None]
    assert decode("5") == 5
