"""Compress in conversations: what was sent once is sent again byte for byte, whatever comes after it."""

from __future__ import annotations

import json
from itertools import pairwise

import llm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm.models import ToolCall
from llm.parts import ToolCallPart, ToolResultPart

import llmopt
from llmopt.compress.data import Data
from llmopt.compress.encode import encode, forget_shapes
from llmopt.compress.roles import Role
from llmopt.compress.roles.relevance import Drop
from llmopt.middleware._compress_memo import Marks, Outcome, Outcomes
from llmopt.middleware.compress import Compress
from llmopt.testing import Answer, ScriptedModel

SCOUT = Role("scout", "Look.", relevance=(Drop("hp"),))
IDS = [f"8f14e45f-ceea-467f-a1bb-9dd5{n:08x}" for n in range(40)]


def squad(tick):
    return [
        {"id": IDS[(tick + n) % 40], "kind": "wolf", "hp": n * 7 + tick, "at": [n, tick]} for n in range(8)
    ]


def turn(tick):
    """Return the arguments of a prompt with all that can be compressed."""
    return {
        "prompt": f"Tick {tick}. Seen by {IDS[tick]}: {json.dumps(squad(tick + 9), indent=2)}",
        "fragments": [Data(squad(tick), role=SCOUT if tick % 2 else None), "Plan."],
    }


def said(model):
    """Return what the model was sent in each call, a text for each message."""
    return [[json.dumps(message.to_dict()) for message in call.prompt.messages] for call in model.calls]


def assert_prefixes(sent):
    assert all(
        later[: len(sooner)] == sooner and len(later) > len(sooner) for sooner, later in pairwise(sent)
    )


def talk(world, wrapped, ticks, **given):
    """Have a conversation, and return its last response."""
    conversation = wrapped.conversation()

    async def later():
        for tick in range(ticks):
            response = conversation.prompt(**turn(tick), **given)
            await response.text()
        return response

    def now():
        for tick in range(ticks):
            response = conversation.prompt(**turn(tick), **given)
            response.text()
        return response

    return world.run(later if world.is_async else now)


KINDS = {
    "plain": {},
    "dense": {"profile": "dense"},
    "with a role": {"profile": "dense", "role": SCOUT},
    "with a role on all": {"role": SCOUT, "role_on_found": True},
    "with a vault": {"profile": "dense", "vault": True},
    "with system prompts": {"profile": "safe", "system": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_growing_conversation_keeps_its_prefix(world, kind):
    model = world.model(lambda prompt: f"@1 before {IDS[3]}; {json.dumps(squad(1))}")
    last = talk(world, world.wrap(model, Compress(**KINDS[kind])), 5, system=f"Map: {json.dumps(squad(7))}")
    sent = said(model)
    assert_prefixes(sent)
    assert [len(messages) for messages in sent] == [2, 4, 6, 8, 10]
    original = [json.dumps(message.to_dict()) for message in last.prompt.messages]
    assert all(len(one) < 0.7 * len(other) for one, other in zip(sent[-1][1::2], original[1::2], strict=True))
    told = json.loads(sent[-1][2])["parts"][0]["text"]
    kept = f"{IDS[7]} before {IDS[3]}; {json.dumps(squad(1))}" if "vault" in KINDS[kind] else None
    assert json.loads(original[2])["parts"][0]["text"] == (kept or told)
    assert ("8f14e45f" in "".join(sent[-1])) == (kept is None)


@pytest.mark.parametrize("kind", ["plain", "dense", "with a vault", "with system prompts"])
def test_another_process_would_send_the_same(make_world, kind):
    """Nothing but the conversation decides: neither what else was encoded, nor what is remembered."""
    world = make_world("sync")
    model = world.model(lambda prompt: "HOLD")
    conversation = world.wrap(model, Compress(**KINDS[kind])).conversation()
    for tick in range(4):
        for other in (squad(tick), [{**one, "kind": "bear"} for one in squad(tick + 1)], squad(tick) * 9):
            encode(other, "dense")
        conversation.prompt(**{**turn(tick), "fragments": [Data(squad(tick))]}).text()
        forget_shapes()
        conversation.model = world.wrap(model, Compress(**KINDS[kind]))
    assert_prefixes(said(model))


def test_a_memory_that_is_too_small_changes_nothing(make_world):
    world = make_world("sync")
    model = world.model(lambda prompt: "HOLD")
    compress = Compress("dense")
    object.__setattr__(compress, "_outcomes", Outcomes(max_chars=2000))
    talk(world, world.wrap(model, compress), 5)
    assert_prefixes(said(model))
    assert compress._outcomes._chars <= 2000


def test_a_data_that_changes_later_was_sent_as_it_was(make_world):
    world = make_world("sync")
    model = world.model(lambda prompt: "HOLD")
    conversation = world.wrap(model, Compress(role=SCOUT)).conversation()
    rows = squad(0)
    for tick in range(3):
        conversation.prompt("Plan.", fragments=[Data(rows)]).text()
        rows[tick]["kind"] = "bear"
    assert_prefixes(said(model))


def test_replies_keep_the_prefix(world):
    model = world.model(lambda prompt: "HOLD")
    wrapped = world.wrap(model, Compress("dense", role=SCOUT))

    async def later():
        response = wrapped.prompt(**turn(0))
        await response.text()
        for tick in range(1, 4):
            response = await response.reply(json.dumps(squad(tick)))
            await response.text()

    def now():
        response = wrapped.prompt(**turn(0))
        response.text()
        for tick in range(1, 4):
            response = response.reply(json.dumps(squad(tick)))
            response.text()

    world.run(later if world.is_async else now)
    assert_prefixes(said(model))


def test_a_conversation_that_was_stored_keeps_its_prefix(make_world):
    world = make_world("sync")
    model = world.model(lambda prompt: "HOLD")
    response = world.wrap(model, Compress("dense", vault=True)).prompt(f"So: {json.dumps(squad(1))}")
    response.text()
    stored = json.loads(json.dumps(response.to_dict()))
    again = llm.Response.from_dict(stored, model=world.wrap(model, Compress("dense", vault=True)))
    again.reply(f"And now: {json.dumps(squad(2))}").text()
    assert_prefixes(said(model))


def test_a_chain_of_tools_keeps_its_prefix(world):
    def look(at: str) -> str:
        """Look at one."""
        return json.dumps([{**one, "at": at} for one in squad(5)], indent=1)

    asked = [Answer(tool_calls=[ToolCall("look", {"at": f"@{n}"}, f"t{n}")]) for n in (1, 2, 3)]
    model = world.model([*asked, "Seen: @3."])
    wrapped = world.wrap(model, Compress("dense", vault=True))

    async def later():
        return await wrapped.chain(**turn(0), tools=[look]).text()

    answer = world.run(later if world.is_async else lambda: wrapped.chain(**turn(0), tools=[look]).text())
    sent = said(model)
    assert_prefixes(sent)
    assert "8f14e45f" not in "".join(sent[-1])
    assert answer.startswith("Seen: 8f14e45f")
    assert [json.loads(sent[-1][at])["parts"][0]["arguments"] for at in (1, 3, 5)] == [
        {"at": "@1"},
        {"at": "@2"},
        {"at": "@3"},
    ]


rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from(IDS), "hp": st.integers(0, 99), "at": st.sampled_from("ab@")}
    ),
    min_size=1,
    max_size=6,
)
texts = st.one_of(
    rows.map(json.dumps),
    rows.map(lambda value: f"See:\n```json\n{json.dumps(value, indent=2)}\n```\n"),
    st.sampled_from(["HOLD", "@1 or @02?", f"ask {IDS[0]}", "[1, 2", "{}", ""]),
)
turns = st.one_of(
    texts.map(llm.user),
    texts.map(llm.assistant),
    texts.map(llm.system),
    texts.map(lambda text: llm.assistant(ToolCallPart("look", {"at": text, "n": 1}, "t1"))),
    texts.map(lambda text: llm.tool_message(ToolResultPart("look", text, "t1"))),
)


@settings(max_examples=100)
@given(st.lists(turns, min_size=1, max_size=6), st.sampled_from(sorted(KINDS)), st.data())
def test_what_comes_after_a_message_does_not_matter(messages, kind, data):
    configured = {**KINDS[kind], "min_tokens": 4}
    shared = Compress(**configured)
    cut = data.draw(st.integers(1, len(messages)))
    whole, start = ScriptedModel(), ScriptedModel()
    llmopt.wrap(whole, shared).prompt(messages=messages).text()
    llmopt.wrap(start, data.draw(st.sampled_from([shared, Compress(**configured)]))).prompt(
        messages=messages[:cut]
    ).text()
    assert said(whole)[0][:cut] == said(start)[0]


def test_outcomes_are_bounded_and_the_ones_in_use_stay():
    outcomes = Outcomes(max_chars=1000)
    for text in ("a", "b", "a"):
        outcomes.put(text, text, Outcome(text * 99))
    assert outcomes.get("a") == Outcome("a" * 99)
    for text in "cd":
        outcomes.put(text, text, Outcome(text * 99))
    assert [outcomes.get(text) is None for text in "abcd"] == [False, True, False, False]
    assert outcomes._chars == 900


def test_marks_are_bounded_and_the_ones_in_use_stay():
    marks = Marks(max_marks=3)
    marks.learn([Data(n) for n in range(3)], SCOUT)
    assert marks.get("0") == (True, SCOUT)
    marks.learn(["3", Data(3, role="tactical")], None)
    assert [marks.get(str(n))[0] for n in range(4)] == [True, False, True, True]
    assert len(marks) == 3
