"""Canonical bytes: equal for equal values, different for different ones, for whatever a prompt may hold."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmopt.cache.canonical import Unkeyable, canonical


class Colour(Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: float | None = None


class Spot(BaseModel):
    x: int
    y: float | None = None


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**70, max_value=2**80),
    st.floats(),
    st.text(st.characters(), max_size=4),
    st.sampled_from(["\ud800", "null", "1", "j", ""]),
    st.binary(max_size=3),
    st.decimals(allow_nan=False, places=1, min_value=-9, max_value=9),
    st.dates(),
)
KEYS = st.one_of(st.text(max_size=3), st.integers(0, 3), st.booleans(), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3),
        st.frozensets(SCALARS, max_size=2),
    ),
    max_leaves=8,
)


def told(value):
    """What a value is, with its types, in something that Python can compare."""
    if isinstance(value, (list, tuple)):
        return ("list", *map(told, value))
    if isinstance(value, dict):
        return ("dict", frozenset((told(key), told(item)) for key, item in value.items()))
    if isinstance(value, (set, frozenset)):
        return ("set", frozenset(map(told, value)))
    return (type(value).__name__, repr(value))


@given(VALUES, VALUES)
def test_bytes_are_equal_if_and_only_if_the_values_are(one, other):
    assert (canonical(one) == canonical(other)) == (told(one) == told(other))


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_one_after_the_other_is_not_taken_for_another_row(one, other):
    rows = [b"".join(map(canonical, row)) for row in (one, other)]
    assert (rows[0] == rows[1]) == (told(one) == told(other))


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.randoms())
def test_the_order_of_keys_counts_only_where_it_is_said_to(value, random):
    pairs = list(value.items())
    random.shuffle(pairs)
    assert canonical(dict(pairs)) == canonical(value)
    assert (canonical(dict(pairs), ordered=True) == canonical(value, ordered=True)) == (
        pairs == list(value.items())
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 2), [1, 2]),
        (Colour.RED, "red"),
        ([Colour.RED, None], ["red", None]),
        (UUID(int=1), str(UUID(int=1))),
        ([UUID(int=1), None], [str(UUID(int=1)), None]),
        (OrderedDict(a=1), {"a": 1}),
        (bytearray(b"a"), b"a"),
    ],
)
def test_what_counts_as_the_same(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (1, "1"),
        (0.0, -0.0),
        (float("nan"), None),
        (float("inf"), float("-inf")),
        ({1: "a"}, {"1": "a"}),
        ("a", b"a"),
        (Decimal("1.0"), Decimal("1.00")),
        (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (PurePosixPath("a"), "a"),
        (Point(x=1), Spot(x=1)),
        (Point(x=1), {"x": 1, "y": None}),
        (Point(x=1), Point(x=1, y=1)),
        ({1, 2}, [1, 2]),
        (MappingProxyType({"a": 1}), [["a", 1]]),
        ({"a": {"b": 1}}, {"a": {}, "b": 1}),
    ],
)
def test_what_does_not(one, other):
    assert canonical(one) != canonical(other)


def circle() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [object(), lambda: 1, int, [None, object()], circle(), {"a": {object()}}])
def test_other_objects_have_no_canonical_bytes(value):
    with pytest.raises(Unkeyable):
        canonical(value)
