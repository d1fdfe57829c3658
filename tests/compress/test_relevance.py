"""Rules of relevance: what each keeps, what it cannot judge, and that reports tell the whole truth."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.compress.roles.field_path import after, find, parse
from llmopt.compress.roles.relevance import Drop, Keep, Nearest, Round, Top, Where, Within
from llmopt.compress.roles.selection import Selection
from llmopt.errors import ConfigurationError

SQUAD = {
    "me": {"pos": {"x": 0, "y": 0}},
    "player": {"pos": {"x": 9, "y": 9}},
    "enemies": [
        {"id": 1, "pos": {"x": 8, "y": 8}, "hp": 10},
        {"id": 2, "pos": {"x": 1, "y": 1}, "hp": 30},
        {"id": 3, "pos": None, "hp": "full"},
        {"id": 4, "pos": {"x": 3, "y": 4}, "hp": 20},
    ],
}


def ids(value):
    return [enemy["id"] for enemy in value["enemies"]]


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (Nearest("enemies", 1), [2, 3]),  # 3 has no position: not for a rule to judge
        (Nearest("enemies", 2), [2, 3, 4]),
        (Nearest("enemies", 0), [3]),
        (Nearest("enemies", 9), [1, 2, 3, 4]),
        (Nearest("enemies", 1, to="player.pos"), [1, 3]),
        (Nearest("enemies", 1, to="nobody.pos"), [1, 2, 3, 4]),
        (Nearest("enemies", 1, to="me"), [1, 2, 3, 4]),  # no position: it has no numbers
        (Nearest("enemies", 1, at="hp"), [1, 2, 3, 4]),
        (Nearest("nowhere", 1), [1, 2, 3, 4]),
        (Nearest("me", 1), [1, 2, 3, 4]),  # no list
        (Within("enemies", 5), [2, 3, 4]),
        (Within("enemies", 4.9), [2, 3]),
        (Top("enemies", 1, by="hp"), [2, 3]),
        (Top("enemies", 1, by="hp", smallest=True), [1, 3]),
        (Top("enemies", 2), [1, 2]),
        (Top("enemies", 1, by="absent"), [1, 2, 3, 4]),
        (Where("enemies", "hp", ">=", 20), [2, 3, 4]),  # "full" >= 20 is no question
        (Where("enemies", "hp", "==", 20), [4]),
        (Where("enemies", "hp", "!=", 20), [1, 2, 3]),
        (Where("enemies", "hp", "<", 20), [1, 3]),
        (Where("enemies", "hp", "<=", 20), [1, 3, 4]),
        (Where("enemies", "hp", ">", 20), [2, 3]),
        (Where("enemies", "hp", "in", (10, "full")), [1, 3]),
        (Where("enemies", "id", "not in", (1, 2)), [3, 4]),
        (Where("enemies", "absent", "==", 1), [1, 2, 3, 4]),
        (Where("enemies.hp", "", "==", 1), [1, 2, 3, 4]),
    ],
)
def test_what_stays_of_a_list(rule, left):
    value, report = rule.apply(SQUAD)
    assert ids(value) == left
    assert report.paths == () or {*report.paths} == {f"/enemies/{n - 1}" for n in {1, 2, 3, 4} - {*left}}
    several, reports = rule.apply([SQUAD, SQUAD])
    assert [ids(one) for one in several] == [left, left]
    assert len(reports) == 2 * len(report)


@pytest.mark.parametrize(
    ("to", "at", "left"),
    [
        ([0, 0], [[3, 4], [1, 1]], [[1, 1]]),
        (0, [5, -2], [-2]),
        ([0, 0], [[1], [2]], [[1], [2]]),
        ([0, "0"], [[1, 1], [2, 2]], [[1, 1], [2, 2]]),
        (True, [5, 2], [5, 2]),
        (10**400, [5, 2], [5, 2]),
    ],
)
def test_positions_are_numbers_lists_or_objects(to, at, left):
    assert Nearest("list", 1, to="here", at="").apply({"here": to, "list": at})[0]["list"] == left


def test_the_innermost_object_that_knows_the_position_counts():
    value = {"me": {"pos": 0}, "world": {"enemies": [{"pos": 1}, {"pos": 9}]}}
    assert Nearest("world.enemies", 1).apply(value)[0]["world"] == {"enemies": [{"pos": 1}]}
    value["world"]["me"] = {"pos": 10}
    assert Nearest("world.enemies", 1).apply(value)[0]["world"]["enemies"] == [{"pos": 9}]
    squads = {"squads": {"a": {"me": {"pos": 9}, "enemies": value["world"]["enemies"]}}}
    assert Nearest("squads.*.enemies", 1).apply(squads)[0]["squads"]["a"]["enemies"] == [{"pos": 9}]


def test_strings_are_ranked_where_there_are_no_numbers():
    assert Top("names", 2, by="", smallest=True).apply({"names": ["c", "a", "b"]})[0] == {"names": ["a", "b"]}
    assert Top("names", 1, by="").apply({"names": ["c", 1, 2]})[0] == {"names": ["c", 2]}
    _, report = Top("names", 1, by="", smallest=True).apply({"names": ["c", "a"]})
    assert [entry.rule for entry in report] == ["not among the first 1 by value, smallest"]
    assert {entry.reason for entry in report} == {"capped"}


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ("a", {"b": {"c": 1, "d": [{"c": 2, "e": 3}]}}),
        ("b.c", {"a": {"c": 0}, "b": {"d": [{"c": 2, "e": 3}]}}),
        ("*.c", {"a": {}, "b": {"d": [{"c": 2, "e": 3}]}}),
        ("**.c", {"a": {}, "b": {"d": [{"e": 3}]}}),
        (("b.d.*.e", "a.c.x"), {"a": {"c": 0}, "b": {"c": 1, "d": [{"c": 2}]}}),
        ("b.d.e", {"a": {"c": 0}, "b": {"c": 1, "d": [{"c": 2}]}}),
        ("b.d.*", {"a": {"c": 0}, "b": {"c": 1, "d": []}}),
        (("b", "b.c"), {"a": {"c": 0}}),
        ("b.**.c", {"a": {"c": 0}, "b": {"d": [{"e": 3}]}}),
    ],
)
def test_drop(paths, left):
    assert Drop(paths).apply({"a": {"c": 0}, "b": {"c": 1, "d": [{"c": 2, "e": 3}]}})[0] == left


@pytest.mark.parametrize(
    ("paths", "left", "dropped"),
    [
        ("a", {"a": {"c": 0}}, ("/b", "/n", "/none")),
        ("b.d.e", {"b": {"d": [{"e": 3}]}}, ("/a", "/b/c", "/b/d/0/c", "/n", "/none")),
        ("**.c", {"a": {"c": 0}, "b": {"c": 1, "d": [{"c": 2}]}, "none": []}, ("/b/d/0/e", "/n")),
        ("none.x", {"none": []}, ("/a", "/b", "/n")),  # that there is none is worth knowing
        ("n.x", {}, ("/a", "/b", "/n", "/none")),
        (("a", "n"), {"a": {"c": 0}, "n": 5}, ("/b", "/none")),
    ],
)
def test_keep(paths, left, dropped):
    value, report = Keep(paths).apply(
        {"a": {"c": 0}, "b": {"c": 1, "d": [{"c": 2, "e": 3}]}, "n": 5, "none": []}
    )
    assert value == left
    assert report.paths == dropped


def test_nothing_comes_after_the_end_of_a_path():
    assert after(frozenset({("a",)}), "a") == {()}
    assert after(frozenset({()}), "a") == frozenset()


def test_a_dot_in_a_name():
    labels = {"labels": {"app.io/name": "cart", "app": {"io/name": 1}}}
    assert Drop("labels.app\\.io/name").apply(labels)[0] == {"labels": {"app": {"io/name": 1}}}


@pytest.mark.parametrize(
    ("value", "digits", "rounded"),
    [
        (0.232, 1, 0.2),
        (5.0, 0, 5),
        (17.5, 0, 18),
        (1234, -2, 1200),
        (-0.04, 1, 0.0),
        (0.5, 1, 0.5),
        (7, 0, 7),
        (True, 0, True),
        ("1.25", 0, "1.25"),
        (math.inf, 0, math.inf),
        ({"a": 1.26, "b": [2.71, None]}, 1, {"a": 1.3, "b": [2.7, None]}),
    ],
)
def test_round(value, digits, rounded):
    left, report = Round("v", digits).apply({"v": value})
    assert repr(left["v"]) == repr(rounded)
    assert bool(report) == (repr(value) != repr(rounded))
    assert {entry.reason for entry in report} <= {"rounded"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Nearest("", 1), "path=''"),
        (lambda: Nearest("a..b", 1), "path='a..b'"),
        (lambda: Nearest(("a",), 1), "path="),
        (lambda: Nearest("a", -1), "k=-1"),
        (lambda: Nearest("a", True), "k=True"),
        (lambda: Nearest("a", 1, to="*.pos"), "to='"),
        (lambda: Nearest("a", 1, to=""), "to=''"),
        (lambda: Nearest("a", 1, at="**.pos"), "at='"),
        (lambda: Within("a", -1), "radius=-1"),
        (lambda: Within("a", math.nan), "radius=nan"),
        (lambda: Within("a", "9"), "radius='9'"),
        (lambda: Drop(()), "paths="),
        (lambda: Drop("a.**"), "paths='a.\\*\\*'"),
        (lambda: Drop(("a", 1)), "paths=1"),
        (lambda: Keep(["a"]), "paths="),
        (lambda: Top("a", 1.5), "k=1.5"),
        (lambda: Top("a", 1, by="*"), "by='"),
        (lambda: Where("a", "b", "=", 1), "is_='='"),
        (lambda: Where("a", "b", "in", [1]), "value="),
        (lambda: Round("a", 1.0), "digits=1.0"),
    ],
)
def test_bad_rules_are_refused_when_they_are_made(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_rules_are_values():
    assert Nearest("enemies", 3) == Nearest("enemies", 3)
    assert len({Drop("a"), Drop("a"), Keep("a")}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Nearest("enemies", 3).k = 4


names = st.sampled_from(["a", "b", "pos", "orders", "x/~"])
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.sampled_from(["", "s", "t"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=25,
)
parts = st.sampled_from(["a", "b", "pos", "orders", "*", "**"])
paths = st.lists(parts, min_size=1, max_size=3).filter(lambda path: path[-1] != "**").map(".".join)
rules = st.one_of(
    st.builds(Nearest, paths, st.integers(0, 2), st.just("pos"), st.sampled_from(["", "pos"])),
    st.builds(Within, paths, st.integers(0, 5), st.just("a"), st.just("")),
    st.builds(Top, paths, st.integers(0, 2), st.sampled_from([None, "", "a"]), st.booleans()),
    st.builds(
        Where, paths, st.sampled_from(["", "a"]), st.sampled_from(["==", "!=", "<"]), st.integers(-3, 3)
    ),
    st.builds(Round, paths, st.integers(-1, 2)),
    st.builds(Drop, paths),
    st.builds(Keep, st.lists(paths, min_size=1, max_size=2).map(tuple)),
)


def at(value, path):
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def without(value, dropped, path=""):
    """The value without some places: what a reader of the report would make of it."""
    if isinstance(value, dict):
        keys = ((key, f"{path}/{key.replace('~', '~0').replace('/', '~1')}") for key in value)
        return {key: without(value[key], dropped, place) for key, place in keys if place not in dropped}
    if isinstance(value, list):
        places = ((child, f"{path}/{index}") for index, child in enumerate(value))
        return [without(child, dropped, place) for child, place in places if place not in dropped]
    return value


def unrounded(value):
    """A value in which all numbers are alike."""
    if isinstance(value, dict):
        return {key: unrounded(child) for key, child in value.items()}
    if isinstance(value, list):
        return [unrounded(child) for child in value]
    return 0 if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def select(value, pinned, chosen):
    selection = Selection(value, [parse(path, "pinned") for path in pinned])
    for rule in chosen:
        rule.decide(selection)
    return selection.result()


@settings(max_examples=300)
@given(values, st.lists(rules, max_size=3), st.lists(paths, max_size=2))
def test_the_report_says_exactly_what_is_missing(value, chosen, pinned):
    before = copy.deepcopy(value)
    left, report = select(value, pinned, chosen)
    assert repr(value) == repr(before)  # untouched
    gone = {entry.path for entry in report if entry.reason != "rounded"}
    assert unrounded(left) == unrounded(without(value, gone))
    rounded = {entry.path for entry in report if entry.reason == "rounded"} - gone
    for path in report.paths:
        at(value, path)  # every path is one of the value as it was given
    if not any(any(path.startswith(f"{other}/") for other in gone) for path in rounded) and not gone:
        assert all(repr(at(left, path)) != repr(at(value, path)) for path in rounded)
    if not report:
        assert left is value


@settings(max_examples=300)
@given(values, st.lists(rules, max_size=3), st.lists(paths, min_size=1, max_size=2))
def test_pinned_places_stay_as_they_are(value, chosen, pinned):
    left, report = select(value, pinned, chosen)
    for path in pinned:
        there = list(find(value, parse(path, "pinned")))
        assert len(list(find(left, parse(path, "pinned")))) == len(there)
        assert [repr(spot.value) for spot in find(left, parse(path, "pinned"))] == [
            repr(spot.value) for spot in there
        ]
    for path in report.kept:
        at(value, path)


def test_a_place_that_goes_leaves_what_is_pinned_in_it():
    value = {"player": {"hp": 3, "orders": ["hold"], "log": [{"orders": 1, "t": 2}, {"t": 3}]}, "t": 1}
    left, report = select(value, ["**.orders"], [Keep("t")])
    assert left == {"player": {"orders": ["hold"], "log": [{"orders": 1}]}, "t": 1}
    assert report.paths == ("/player/hp", "/player/log/0/t", "/player/log/1")
    assert report.kept == ("/player/orders", "/player/log/0/orders")


def test_pins_may_end_in_any_name():
    value = {"orders": {"a": 1}, "b": {"c": 2}}
    assert select(value, ["orders.*"], [Drop(("orders", "b"))])[0] == {"orders": {"a": 1}}


def test_a_dropped_place_is_neither_dropped_again_nor_rounded():
    left, report = select(
        {"a": {"b": 1.5}, "c": [1.5, 2.5]}, [], [Drop("a"), Drop("a.b"), Round("a", 0), Keep("c")]
    )
    assert left == {"c": [1.5, 2.5]}
    assert report.paths == ("/a",)
    left, report = select({"c": [1.5, 2.6]}, [], [Top("c", 1), Round("c", 0)])
    assert left == {"c": [2]}
    assert report.paths == ("/c/1", "/c/0")


def test_tuples_are_lists():
    assert Top("a", 1).apply({"a": (1, 2)})[0] == {"a": [1]}
    assert Drop("a.b").apply({"a": ({"b": 1},)})[0] == {"a": [{}]}
