"""The expression made for a template finds in the JSON of rows what `fill` finds in the rows themselves."""

from __future__ import annotations

import copy
import enum
import json
import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.compress import decode, encode
from llmopt.compress.encode import forget_shapes
from llmopt.compress.notation.again import says_all
from llmopt.compress.notation.features import PROFILES
from llmopt.compress.notation.nodes import Table
from llmopt.compress.notation.read import read
from llmopt.compress.notation.shapes import Shapes, shape_of
from llmopt.compress.notation.unpack import pack, unpack
from llmopt.compress.notation.write import Writer
from llmopt.errors import EncodingError
from llmopt.tokens import counter

DENSE, HOISTED, PLAIN = reversed(PROFILES["dense"])
COUNT = counter("o200k_base").count
WORDS = (
    "cart",
    "auth",
    "pay",
    "a b",
    'say "x"',
    "back\\slash",
    "line\nline",
    "",
    "0",
    "true",
    "caf\xe9",
    "-",
)


def member(pick: random.Random, at: int) -> dict[str, object]:
    """Return a row that has every kind of part that a template can have."""
    app = pick.choice(("cart", "auth", "pay"))
    row = {
        "id": at + 100,
        "kind": "Pod",
        "spec": {"cpu": "500m", "ports": [80, 443], "ok": True, "none": None, "share": 0.5},
        "name": f"{app}-{pick.randrange(90) + 10}",
        "host": f"{app}-db.prod.local",
        "app": app,
        "at": f"2026-11-{pick.randrange(10, 30)}T10:{pick.randrange(10, 60)}Z",
        "load": pick.randrange(1, 90) / 10,
        "free": pick.choice((1, 2.5, "x", None, True, pick.choice(WORDS))),
        "note": pick.choice(WORDS),
        "sees": [{"id": n, "far": pick.randrange(900)} for n in range(pick.randrange(4))],
        "tags": [pick.choice(("x", "y")) for _ in range(pick.randrange(3))],
        "either": pick.choice((at, [at, 2])),
        "inner": json.dumps({"n": pick.randrange(99), "unit": "ms"}),
        "args": {
            pick.choice("abcdefgh"): {"type": pick.choice(("int", "str")), "max": 1.5} for _ in range(3)
        },
    }
    if pick.random() < 0.5:
        row["error"] = {"message": pick.choice(("late", "Rate limit exceeded")), "code": pick.randrange(600)}
    return row


def rows(seed: int, size: int = 8) -> list[dict[str, object]]:
    pick = random.Random(seed)
    keys = pick.sample(sorted(member(pick, 0)), k=pick.randrange(3, 15))
    return [
        {key: value for key, value in member(pick, at).items() if key in {*keys, "id"}} for at in range(size)
    ]


BREAKS = (
    lambda row, key: row.pop(key),
    lambda row, key: row.update(extra=1),
    lambda row, key: row.update({key: row.pop(key)}),
    lambda row, key: row.update({key: None}),
    lambda row, key: row.update({key: 1}),
    lambda row, key: row.update({key: 1.0}),
    lambda row, key: row.update({key: True}),
    lambda row, key: row.update({key: -0.0}),
    lambda row, key: row.update({key: 10**30}),
    lambda row, key: row.update({key: 1e-7}),
    lambda row, key: row.update({key: 0.00001}),
    lambda row, key: row.update({key: 12345}),
    lambda row, key: row.update({key: 'a"b\\c\nd'}),
    lambda row, key: row.update({key: "\ud800"}),
    lambda row, key: row.update({key: "\x7f"}),
    lambda row, key: row.update({key: ""}),
    lambda row, key: row.update({key: []}),
    lambda row, key: row.update({key: {}}),
    lambda row, key: row.update({key: [[[[[[[[["deep"]]]]]]]]]}),
    lambda row, key: row.update({key: {"cpu": 1, "]": "}"}}),
    lambda row, key: row.update({key: '{"n": 5, "unit": "ms"}'}),
)


def broken(values: list[dict[str, object]], seed: int, *, everywhere: bool) -> list[dict[str, object]]:
    pick = random.Random(seed)
    found = copy.deepcopy(values)
    change = pick.choice(BREAKS)
    key = pick.choice(list(found[0]))
    for row in found if everywhere else [pick.choice(found)]:
        if key in row:
            change(row, key)
    return found


def is_known(shapes: Shapes[Table], values: list[dict[str, object]], features=DENSE) -> bool:
    _, table = shapes.get(shape_of(values, features))
    return table is not None and table.compiled is not None


@pytest.mark.parametrize("features", [DENSE, HOISTED, PLAIN], ids=lambda features: features.name)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_compiled_or_not_the_text_is_the_same(features, seed):
    fast, slow = Shapes[Table](), Shapes[Table]()
    first = rows(seed)
    series = [first, first, first, rows(seed + 1)]
    series += [broken(first, seed + at, everywhere=at % 2 == 0) for at in range(6)]
    for values in [*series, first]:
        given_values = unpack(values) if features.unpack else values
        text = Writer(features, COUNT, fast, exact=True).text(given_values)
        assert text == Writer(features, COUNT, slow).text(given_values)
        assert json.dumps(pack(read(text))) == json.dumps(values)


def test_most_templates_are_compiled():
    compiled = 0
    for seed in range(20):
        shapes = Shapes[Table]()
        for _ in range(2):
            Writer(DENSE, COUNT, shapes, exact=True).text(unpack(rows(seed)))
        compiled += is_known(shapes, unpack(rows(seed)))
    assert compiled >= 15


def test_constants_that_change_are_learnt():
    forget_shapes()
    for tick in range(8):
        values = [{"id": n, "t": tick, "world": {"tick": tick, "map": "hills"}} for n in range(5)]
        encoded = encode(values, "dense")
        assert f"t:{tick} world:{{tick:{tick} map:hills}}" in encoded.text
        assert decode(encoded.text) == values


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize("bad", [uuid.UUID(int=1), Colour.RED, float("nan"), float("inf"), float("-inf")])
def test_what_orjson_lets_through_is_seen(bad):
    forget_shapes()
    good = [{"a": n, "b": None, "c": "x" * n, "d": {"e": [None, "y"]}} for n in range(6)]
    for _ in range(3):
        encode(good, "dense")
    for key in ("a", "b", "c"):
        with pytest.raises(EncodingError, match=f"/{key}"):
            encode([row | {key: bad} for row in good], "dense")
    with pytest.raises(EncodingError, match="/5/d/e/0"):
        encode([*good[:-1], good[-1] | {"d": {"e": [bad, "y"]}}], "dense")


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=3)
                    | st.floats(allow_nan=False, allow_infinity=False), lambda inner: st.lists(inner)
                    | st.dictionaries(st.text(max_size=3), inner), max_leaves=20))  # fmt: skip
def test_json_says_all_of_json(value):
    assert says_all(value, "no word of it") is True
    assert says_all([value, float("nan")], "null") is False
    assert says_all([value, uuid.UUID(int=3)], "") is False
