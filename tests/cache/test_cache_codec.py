"""Entries: what is kept comes back as it was, and everything else is refused, on the way in or out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm.models import ToolCall
from llm.parts import StreamEvent

from llmopt.cache.codec import JSON, TEXT, Unfaithful, Unreadable, decode, encode, snapshot
from llmopt.types import Reply, Usage

TEXTS = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(["\x1f", "", "null"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
EVENTS = TEXTS | st.builds(
    StreamEvent,
    type=st.sampled_from(["text", "reasoning", "tool_call_name", "tool_call_args", "tool_result"]),
    chunk=TEXTS,
    part_index=st.none() | st.integers(0, 3),
    tool_call_id=st.none() | TEXTS,
    server_executed=st.booleans(),
    tool_name=st.none() | TEXTS,
    redacted=st.booleans(),
    provider_metadata=st.none() | OBJECTS,
    message_index=st.integers(0, 2),
)
COUNTS = st.none() | st.integers(0, 10**6)
REPLIES = st.builds(
    Reply,
    usage=st.builds(Usage, COUNTS, COUNTS, st.none() | OBJECTS),
    response_json=st.none() | OBJECTS,
    resolved_model=st.none() | TEXTS,
    tool_calls=st.lists(st.builds(ToolCall, TEXTS, OBJECTS, st.none() | TEXTS), max_size=2),
    prompt_json=st.none() | OBJECTS,
    attributes=st.none() | st.dictionaries(st.sampled_from(["a", "b"]), VALUES, min_size=1, max_size=2),
)
PLAIN = st.builds(Reply, usage=st.builds(Usage, COUNTS, COUNTS, st.none()), resolved_model=st.none() | TEXTS)


@given(REPLIES | PLAIN, st.lists(EVENTS, max_size=4) | st.lists(TEXTS, max_size=4), st.booleans())
def test_a_reply_comes_back_as_it_was(reply, events, stored):
    entry = encode(reply, events)
    replay = decode(bytes(entry) if stored else entry)
    assert list(replay.events) == events
    assert [type(event) for event in replay.events] == [type(event) for event in events]
    reply.events, reply.source, reply.tool_calls = (
        replay.events,
        "cache",
        replay.tool_calls if not reply.tool_calls else reply.tool_calls,
    )
    assert replay == reply


def test_every_replay_is_made_of_new_objects():
    reply = Reply(response_json={"a": []}, tool_calls=[ToolCall("look", {}, "t")])
    entry = encode(reply, [StreamEvent("text", "a", provider_metadata={"b": []})])
    one, other = decode(entry), decode(entry)
    one.events[0].part_index = 7
    one.response_json["a"].append(1)
    assert (other.events[0].part_index, other.response_json) == (None, {"a": []})
    assert one.tool_calls[0] is not other.tool_calls[0]


def test_plain_entries_are_text():
    usage = Usage(3, None)
    assert encode(Reply(usage=usage, resolved_model="m"), ["HO", "LD"])[:1] == TEXT
    assert encode(Reply(usage=usage), []) == b"\x023\x1f\x1f"
    for reply, events in (
        (Reply(usage=Usage(3, 1, {})), ["a"]),
        (Reply(response_json={}), ["a"]),
        (Reply(resolved_model=""), ["a"]),
        (Reply(usage=Usage(1.5)), ["a"]),
        (Reply(), ["a\x1fb"]),
        (Reply(), [StreamEvent("text", "a")]),
    ):
        assert encode(reply, events)[:1] == JSON


PLAIN_EVENTS = st.lists(
    TEXTS | st.builds(StreamEvent, st.sampled_from(["text", "reasoning"]), TEXTS), max_size=4
)


@given(PLAIN, PLAIN_EVENTS)
def test_a_snapshot_is_the_reply_as_it_was(reply, events):
    kept = snapshot(reply, events)
    if reply.resolved_model == "":
        assert kept is None
        return
    assert type(kept) is tuple
    one, other = decode(kept), decode(kept)
    assert list(one.events) == list(other.events) == events
    assert [type(event) for event in one.events] == [type(event) for event in events]
    reply.events, reply.source, reply.tool_calls = one.events, "cache", one.tool_calls
    assert one == reply


def test_every_replay_of_a_snapshot_is_made_of_new_events():
    kept = snapshot(Reply(), [StreamEvent("text", "a"), "b"])
    decode(kept).events[0].part_index = 7
    assert decode(kept).events[0].part_index is None


def test_a_snapshot_counts_with_all_that_it_holds():
    for event in ("a" * 1000, StreamEvent("text", "a" * 1000)):
        assert snapshot(Reply(), [event])[0] > 1000 + 100


def test_there_is_no_snapshot_of_other_replies():
    for reply in (
        Reply(usage=Usage(3, 1, {})),
        Reply(usage=Usage(1.5)),
        Reply(response_json={}),
        Reply(prompt_json=[]),
        Reply(resolved_model=""),
        Reply(resolved_model="\ud800"),
        Reply(resolved_model=3),
        Reply(tool_calls=[ToolCall("look", {})]),
        Reply(attributes={"a": 1}),
    ):
        assert snapshot(reply, ["a"]) is None
    for event in (
        "\ud800",
        OddText("a"),
        OddEvent("text", "a"),
        StreamEvent("text", OddText("a")),
        StreamEvent(OddText("text"), "a"),
        StreamEvent("text", "a", provider_metadata={}),
        StreamEvent("text", "a", part_index=0),
        with_attribute(extra=1),
    ):
        assert snapshot(Reply(), ["a", event]) is None


@dataclass
class Verdict:
    yes: bool


class OddEvent(StreamEvent):
    pass


class OddText(str):
    __slots__ = ()


def with_attribute(**values):
    event = StreamEvent("text", "a")
    vars(event).update(values)
    return event


@pytest.mark.parametrize(
    ("reply", "events"),
    [
        (Reply(response_json={"a": (1, 2)}), ["a"]),
        (Reply(response_json={1: "a"}), ["a"]),
        (Reply(response_json={"a": float("nan")}), ["a"]),
        (Reply(response_json={"a": 2**70}), ["a"]),
        (Reply(attributes={"verdict": Verdict(yes=True)}), ["a"]),
        (Reply(attributes={"at": datetime(2026, 1, 1, tzinfo=UTC)}), ["a"]),
        (Reply(attributes={"client": object()}), ["a"]),
        (Reply(prompt_json={"a"}), ["a"]),
        (Reply(tool_calls=[ToolCall("look", {"a": b"b"})]), ["a"]),
        (Reply(), [StreamEvent("text", "a", provider_metadata={"a": (1,)})]),
        (Reply(), [OddEvent("text", "a")]),
        (Reply(), [with_attribute(extra=1)]),
        (Reply(), ["\ud800"]),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(reply, events):
    with pytest.raises(Unfaithful, match="cannot be kept"):
        encode(reply, events)


def test_a_kind_of_text_is_text():
    assert decode(encode(Reply(), [OddText("a")])).text == "a"


GOOD = encode(Reply(usage=Usage(3, 1, {"cached": 2})), ["a", StreamEvent("text", "b")])


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"\x01", b"\x02", b"\x02a", b"\x02a\x1fb\x1f\x1f", b"\x021\x1f1\x1f\x1f\xff", b"\x03[]"),
        *(b"\x00" + GOOD[1:], GOOD[:-1], GOOD + b"]"),
        *(b"\x01[]", b"\x01{}", b"\x01null", b"\x01[1,2,3,4,5,6,7,8,9]"),
        b'\x01[[{"type":"text"}],1,1,null,null,null,[],null,null]',
        b'\x01[[{"type":"text","chunk":"","odd":1}],1,1,null,null,null,[],null,null]',
        b"\x01[[1],1,1,null,null,null,[],null,null]",
        b'\x01[["a"],1,1,null,null,null,[["a"]],null,null]',
    ],
)
def test_what_is_no_entry_is_not_taken_for_one(value):
    with pytest.raises(Unreadable):
        decode(value)


@given(
    st.binary(max_size=40)
    | st.builds(lambda kind, value: kind + orjson.dumps(value), st.sampled_from([JSON, TEXT]), VALUES)
)
def test_arbitrary_bytes_raise_nothing_else(value):
    try:
        replay = decode(value)
    except Unreadable:
        return
    assert replay.source == "cache"
