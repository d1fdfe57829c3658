"""Payloads hold whatever others have put into a record, as far as JSON can; and who a call is made for."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import NamedTuple

import llm
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt import usage
from llmopt.types import Usage
from llmopt.usage.begun import kin_of
from llmopt.usage.record import BATCH, WHOM, Record, Whom, agent, encode, finish_reason, role, trace
from llmopt.usage.recorder import tags_json, usage_of
from llmopt.usage.redact import Redactor
from llmopt.usage.remembered import Objects, Words
from llmopt.usage.values import number, options_json, options_set, plain


def is_itself(value):
    """What is not a number is not equal to itself."""
    return value == value  # noqa: PLR0124


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(SCALARS.filter(is_itself), inner),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.lists(VALUES, max_size=3))
def test_anything_can_be_encoded(values):
    kind, *told = orjson.loads(encode(values, "odd"))
    assert kind == "odd"
    assert len(told) == len(values)


@given(
    st.recursive(st.none() | st.booleans() | st.text() | st.integers(-(2**52), 2**52), st.lists, max_leaves=9)
)
def test_what_json_can_hold_stays_as_it_is(value):
    assert orjson.loads(encode([value])) == ["call", value]


def test_a_record_comes_back_as_lists(record):
    given_record = record(usage=(1, 2, {"a": 1}), texts=[("prompt", 0, "d", 1, None, None, None, 0)])
    told = orjson.loads(encode(given_record))
    assert dict(zip(Record._fields, told[1:], strict=True)) == json.loads(json.dumps(given_record._asdict()))


class Pair(NamedTuple):
    a: int
    b: object


@dataclass
class Held:
    key: str = "secret"


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Pair(1, Pair(2, Decimal(1))), [1, [2, None]]),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": [1]}), {"a": [1]}),
        (Held(), None),
        (datetime(2026, 11, 21, tzinfo=UTC), None),
        (Colour.RED, None),
        (Level.HIGH, 3),
        ({1, 2}, None),
        (b"bytes", None),
        (Usage(1, 2, None), [1, 2, None]),
        (llm.Fragment("text", "source"), "text"),
        ("\ud800", "?"),
        ("é", "é"),
        ({"a\udfff": 2**64}, {"a?": None}),
        ({2: 1, 2.5: 2, True: 3, None: 4, (1,): 5}, {"2": 1, "2.5": 2}),
        (float("inf"), None),
        (2**53, None),
        (2**53 - 1, 2**53 - 1),
    ],
)
def test_what_json_cannot_hold_is_null(value, kept):
    assert plain(value) == kept
    assert orjson.loads(encode([[value], float("nan"), 2**60]))[1:] == [[kept], None, None]


def test_what_contains_itself_ends():
    value: dict = {}
    value["list"] = [value] * 50
    assert len(json.dumps(plain(value))) < 20_000
    deep: list = []
    for _ in range(100):
        deep = [deep]
    assert plain(deep) == plain(deep)


def test_of_very_many_values_some_are_kept():
    assert len(plain(list(range(10_000)))) == 999
    assert len(plain({str(n): n for n in range(10_000)})) < 1000


class Hostile(dict):
    def items(self):
        raise RuntimeError("no")


def test_containers_that_cannot_be_read_are_null():
    assert plain({"a": Hostile(b=1)}) == {"a": None}


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none()))
def test_numbers(value):
    kept = number(value)
    assert kept is None or (kept == value and type(kept) in (int, float))
    assert (kept is None) == (
        isinstance(value, (bool, str, type(None)))
        or not is_itself(value)
        or (isinstance(value, int) and abs(value) >= 2**53)
        or value in (float("inf"), float("-inf"))
    )


# options


class Options(llm.Options):
    temperature: float | None = None
    prefill: str | None = None
    colour: Colour | None = None
    level: Level | None = None
    stop: list[str] | None = None
    strict: bool | None = None


def test_options_are_told_of_without_their_texts():
    options = Options(temperature=0.5, prefill="Dear Ann", colour="red", level=3, stop=["a"], strict=True)
    told = {"colour": "red", "level": 3, "prefill": None, "stop": None, "strict": True, "temperature": 0.5}
    assert json.loads(options_json(options)) == told
    assert options_json(Options()) is None
    assert options_json(Options(prefill=None)) is None
    assert options_json(object()) is None
    assert options_set({"a": 1, "b": None}) == [("a", 1)]


def test_names_of_options_are_cleaned():
    assert options_json({"sk-abcDEF0123456789abcd": 1}, Redactor().clean) == '{"[redacted:openai-key]":1}'


# usage, tags


@pytest.mark.parametrize(
    ("given_usage", "kept"),
    [
        (Usage(1, 2, None), (1, 2, None)),
        (Usage(0, None, {}), (0, None, None)),
        (Usage(None, None, {"a": 1}), (None, None, {"a": 1})),
        (Usage(None, None, {}), None),
        (Usage("1", True, "x"), None),
        (Usage(2.0, float("nan"), [1]), (2.0, None, None)),
        (Usage(1, 2, {"key": "sk-abcDEF0123456789abcd"}), (1, 2, {"key": "[redacted:openai-key]"})),
        (None, None),
        ((1, 2), None),
        (7, None),
    ],
)
def test_usages(given_usage, kept):
    assert usage_of(given_usage, Redactor().clean) == kept


def test_tags_are_json_without_secrets():
    tags = {"run": 7, "é": "ü", "password": "x", "note": "sk-abcDEF0123456789abcd", "tokens": 5}
    assert json.loads(tags_json(tags, Redactor().clean)) == {
        "run": 7,
        "é": "ü",
        "password": "[redacted:secret]",
        "note": "[redacted:openai-key]",
        "tokens": 5,
    }
    assert tags_json({}, str) is None


# what is remembered


def test_words_are_cleaned_once_and_bounded(monkeypatch):
    monkeypatch.setattr("llmopt.usage.remembered._WORDS", 3)
    words = Words(Redactor())
    assert words["sk-abcDEF0123456789abcd"] == "[redacted:openai-key]"
    assert [words[odd] for odd in (None, 7, b"a")] == [None] * 3
    assert len(words["x" * 600]) == 500
    assert words[llm.Fragment("f", "s")] == "f"
    for n in range(9):
        assert words[f"word {n}"] == f"word {n}"
        assert len(words) <= 3


class Thing:
    pass


class Slotted:
    __slots__ = ()


def test_things_are_remembered_as_long_as_they_live(monkeypatch):
    monkeypatch.setattr("llmopt.usage.remembered._OBJECTS", 2)
    made = []
    known = Objects(lambda thing: made.append(thing.__class__) or len(made))
    things = [Thing() for _ in range(3)]
    assert [known.of(thing) for thing in things] == [1, 2, 3]
    assert known.of(things[2]) == 3
    assert known.of(Slotted()) != known.of(Slotted())
    entry = known[id(things[2])]
    other = Thing()
    known[id(other)] = entry  # as if it had the address of one that is gone
    assert known.of(other) == len(made)


# why a model stopped


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"stop_reason": "end_turn"}, "end_turn"),
        ({"choices": [{"finish_reason": "length"}]}, "length"),
        ({"candidates": [{"finishReason": "STOP"}]}, "STOP"),
        ({"choices": []}, None),
        ({"status": "completed"}, "completed"),
        ({"finish_reason": "x" * 65}, None),
        ({"finish_reason": 7}, None),
        ([], None),
    ],
)
def test_finish_reasons(answer, reason):
    assert finish_reason(answer) == reason


# who a call is made for


def test_roles_agents_and_traces_nest():
    with role("r"), trace("t") as given_id, agent("a"):
        assert given_id == "t"
        assert WHOM.get() == Whom("r", "a", "t")
        with role("s"), trace() as own_id:
            assert WHOM.get() == Whom("s", "a", own_id)
        assert WHOM.get() == Whom("r", "a", "t")
    assert WHOM.get() is None
    assert BATCH.get() is None


def test_a_new_trace_has_a_ulid_of_its_own():
    with trace() as first, trace() as second:
        assert len({first, second}) == 2
        assert {len(first), len(second)} == {26}


def test_another_thread_is_told_nothing():
    seen = []
    with usage.role("r"):
        thread = threading.Thread(target=lambda: seen.append(WHOM.get()))
        thread.start()
        thread.join()
    assert seen == [None]


def answered(number, results=()):
    prompt = type("Prompt", (), {"tool_results": results})()
    return type("Response", (), {"id": str(number), "prompt": prompt})()


def test_a_call_for_tools_has_a_parent_and_a_first_ancestor():
    talk = type(
        "Conversation", (), {"responses": [answered(0), answered(1), answered(2, [7]), answered(3, [7])]}
    )()
    assert kin_of(answered(4, [7]).prompt, talk) == ("3", "1")
    assert kin_of(answered(4).prompt, talk) == (None, None)
    talk.responses = []
    assert kin_of(answered(4, [7]).prompt, talk) == (None, None)
    talk.responses = [answered(3, [7])]
    assert kin_of(answered(4, [7]).prompt, talk) == ("3", "3")
