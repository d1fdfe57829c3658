"""What all agents see is said once, and nothing is lost by that."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmopt.plan.world import split

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 2.5])
    | st.text("ab", max_size=2)
)
things: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"id": st.integers(0, 5) | st.sampled_from(["x", "y"])},
    optional={
        "hp": st.integers(0, 1),
        "seen": scalars,
        "pos": st.fixed_dictionaries({"x": st.integers(0, 1)}),
    },
)
snapshots: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(["a", "foes", "me", "t"]),
    scalars
    | st.lists(things, max_size=4)
    | st.dictionaries(st.sampled_from(["x", "foes"]), scalars | st.lists(things, max_size=3), max_size=2),
    max_size=4,
)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1, 1.0 and true are not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(st.lists(snapshots, max_size=4))
def test_every_snapshot_can_be_put_together_again(seen: list[dict[str, Any]]) -> None:
    world = split(seen)
    assert len(world.own) == len(seen)
    for index, snapshot in enumerate(seen):
        assert same(world.snapshot(index), snapshot)


def test_one_snapshot_shares_nothing() -> None:
    world = split([{"t": 1}])
    assert (world.shared, world.own) == ({}, ({"t": 1},))


def test_fields_that_agents_see_differently_stay_with_them() -> None:
    foe = {"id": 7, "pos": {"x": 1, "y": 2}, "hp": 60, "cover": "low"}
    world = split([{"foes": [{**foe, "seen": 0.1}]}, {"foes": [{**foe, "seen": 3.0}]}])
    assert world.shared == {"foes": [foe]}
    assert world.own == ({"foes": [{"id": 7, "seen": 0.1}]}, {"foes": [{"id": 7, "seen": 3.0}]})


def test_lists_without_ids_are_shared_only_if_they_are_the_same() -> None:
    world = split([{"walls": [[1, 2]], "near": [{"x": 1}]}, {"walls": [[1, 2]], "near": [{"x": 2}]}])
    assert world.shared == {"walls": [[1, 2]]}
    assert world.own == ({"near": [{"x": 1}]}, {"near": [{"x": 2}]})


def test_two_things_of_one_name_in_a_list_are_not_merged() -> None:
    twice = [{"id": 1, "hp": 1}, {"id": 1, "hp": 2}]
    assert split([{"foes": twice}, {"foes": twice[:1]}]).shared == {}


def test_truth_and_numbers_are_not_the_same() -> None:
    assert split([{"a": 1}, {"a": True}]).shared == {}
    assert not same({"a": 1}, {"b": 1})
    assert not same([1], [1, 2])


def test_only_what_is_the_same_to_the_last_bit_is_shared() -> None:
    for one, other in [(0.0, -0.0), (1, 1.0), (True, 1), (None, math.nan), (2**70, 2.0**70), ("1", 1)]:
        assert split([{"a": one}, {"a": other}]).shared == {}
    assert split([{"a": 2**70, "b": None}, {"a": 2**70, "b": None}]).shared == {"a": 2**70, "b": None}
    assert split([{"a": "\ud800"}, {"a": "\ud800"}]).shared == {"a": "\ud800"}


def test_objects_with_their_keys_in_another_order_share_their_fields() -> None:
    world = split([{"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}])
    assert world.shared == {"a": {"x": 1, "y": 2}}
    assert world.own == ({"a": {}}, {"a": {}})
