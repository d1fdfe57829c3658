"""Data: text for llm, a value for who asks, and the same text for ever."""

from __future__ import annotations

import copy
import json
import pickle

import llm
import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st
from llm.utils import ensure_fragment

from llmopt.compress.data import Data
from llmopt.compress.roles import ROLES, Role
from llmopt.errors import ConfigurationError, EncodingError
from llmopt.testing import ScriptedModel

SQUAD = [{"id": 7, "hp": 90}, {"id": 8, "hp": 75}]


def test_it_is_compact_json_and_a_fragment():
    data = Data(SQUAD)
    assert data == '[{"id":7,"hp":90},{"id":8,"hp":75}]'
    assert isinstance(data, llm.Fragment)
    assert type(str(data)) is str
    assert data.value is SQUAD
    assert (data.role, data.name, data.static, data.source) == (None, None, False, "")


def test_llm_sends_and_logs_it_as_any_fragment():
    data = Data(SQUAD, name="squad", static=True)
    prompt = ScriptedModel().prompt("Plan.", fragments=["Squad:", data], system_fragments=[data]).prompt
    assert prompt.prompt == f"Squad:\n{data!s}\nPlan."
    assert prompt.system == str(data)
    assert data.id() == llm.Fragment(str(data)).id()
    database = sqlite_utils.Database(memory=True)
    database["fragments"].create(
        {"id": int, "hash": str, "content": str, "datetime_utc": str, "source": str}, pk="id"
    )
    database["fragments"].create_index(["hash"], unique=True)
    assert ensure_fragment(database, data) == 1
    (row,) = database["fragments"].rows
    assert (row["hash"], row["content"], row["source"]) == (data.id(), str(data), "squad")
    database.close()


def test_it_keeps_its_text_when_the_value_changes():
    value = [{"id": 1}]
    data = Data(value)
    value.append({"id": 2})
    assert (data, len(data.value)) == ('[{"id":1}]', 2)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))])  # noqa: S301
def test_copies(again):
    value = [{"id": 1}]
    data = Data(value, role="stealth", name="me", static=True)
    value.append({"id": 2})
    twin = again(data)
    assert type(twin) is Data
    assert (twin, twin.value) == ('[{"id":1}]', value)
    assert (twin.role, twin.name, twin.static, twin.source) == ("stealth", "me", True, "me")


def test_its_repr_is_short():
    assert repr(Data(SQUAD)) == "<Data: list of 2, 35 characters>"
    named = Data({"a": list(range(9999))}, role=ROLES["tactical"], name="world")
    assert repr(named) == "<Data world for tactical: dict of 1, 48,892 characters>"
    assert repr(Data(3.5)) == "<Data: float, 3 characters>"


def test_roles_have_to_be_some():
    mine = Role("mine", "Look.")
    assert Data(1, role=mine).role is mine
    with pytest.raises(ConfigurationError, match="role='tactics'"):
        Data(1, role="tactics")
    with pytest.raises(ConfigurationError, match="name=5"):
        Data(1, name=5)


NO_JSON = [float("nan"), {1: "a"}, {"a": {1, 2}}, object(), [b"bytes"]]


@pytest.mark.parametrize("value", NO_JSON, ids=["nan", "number as key", "set", "object", "bytes"])
def test_what_is_no_json_is_refused_at_once(value):
    with pytest.raises(EncodingError):
        Data(value)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
))  # fmt: skip
def test_its_text_says_the_value(value):
    data = Data(value)
    assert json.loads(data) == value
    assert "\n" not in data  # one line: that is how it is known again in a conversation
    assert data.encode()  # in UTF-8: lone surrogates are escaped
