"""The legend in what Compress sends: once, where it stays, and never for more tokens than before."""

from __future__ import annotations

import json

import llm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm.models import ToolCall
from llm.parts import ToolResultPart

import llmopt
from llmopt.compress import decode, legend
from llmopt.compress.data import Data
from llmopt.middleware.compress import Compress
from llmopt.testing import Answer, ScriptedModel
from llmopt.tokens import counter

ROWS = [{"id": n, "kind": "wolf", "hp": n * 7 % 50, "at": {"x": n, "y": -n}} for n in range(20)]
FEW = ROWS[:4]
LEGEND = f"{legend('balanced')}\n\n"
count = counter("gpt-4o").count


def texts(prompt):
    parts = [part for message in prompt.messages for part in message.parts]
    return [getattr(part, "text", None) or getattr(part, "output", None) or "" for part in parts]


def talk(world, model, turns, *middlewares, **given):
    """Have a conversation, and return the texts that each call was sent."""
    wrapped = world.wrap(model, *middlewares)
    conversation = wrapped.conversation()

    async def later():
        for turn in turns:
            await conversation.prompt(turn, **given).text()

    def now():
        for turn in turns:
            conversation.prompt(turn, **given).text()

    world.run(later if world.is_async else now)
    return [texts(call.prompt) for call in model.calls]


def test_it_stands_in_the_system_prompt(world):
    model = world.model(["HOLD"])
    outcome = world.ask(world.wrap(model, Compress()), "Plan.", system="Be brief.", fragments=[Data(ROWS)])
    system, user = texts(model.calls[0].prompt)
    assert system == f"{LEGEND}Be brief."
    assert decode(user.removesuffix("\nPlan.")) == ROWS
    assert model.calls[0].prompt.system == system
    assert outcome.response.prompt.system == "Be brief."


def test_without_a_system_prompt_it_stands_before_the_data(world):
    model = world.model(["HOLD"])
    world.ask(world.wrap(model, Compress()), f"See: {json.dumps(ROWS)}")
    (text,) = texts(model.calls[0].prompt)
    assert text.startswith(f"{LEGEND}See: [each {{")
    assert model.calls[0].prompt.system == ""


def test_data_in_the_system_prompt_itself(world):
    model = world.model(["HOLD"])
    world.ask(world.wrap(model, Compress()), "Plan.", system="Now.", system_fragments=[Data(ROWS)])
    system, user = texts(model.calls[0].prompt)
    assert decode(system.removeprefix(LEGEND).removesuffix("\n\nNow.")) == ROWS
    assert user == "Plan."


def test_it_comes_with_the_first_message_that_needs_it_and_stays_there(world):
    turns = ["Hello.", f"See: {json.dumps(ROWS)}", f"And: {json.dumps(ROWS[5:])}", "Thanks."]
    sent = talk(world, world.model(lambda prompt: "HOLD"), turns, Compress(), system="Be brief.")
    last = sent[-1]
    assert [len(messages) for messages in sent] == [2, 4, 6, 8]
    assert all(messages == last[: len(messages)] for messages in sent)
    assert [text.count(LEGEND) for text in last] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert last[3].startswith(LEGEND)


def test_the_result_of_a_tool_may_be_the_first(world):
    def look() -> str:
        """Look around."""
        return json.dumps(ROWS)

    asks = [Answer(tool_calls=[ToolCall("look", {}, f"t{n}")]) for n in range(2)]
    model = world.model([*asks, "Seen."])
    wrapped = world.wrap(model, Compress("dense"))
    given = {"tools": [look], "system": "Be brief."}

    async def later():
        return await wrapped.chain("Look.", **given).text()

    world.run(later if world.is_async else lambda: wrapped.chain("Look.", **given).text())
    first, second, third = [texts(call.prompt) for call in model.calls]
    assert third[: len(second)] == second
    assert second[: len(first)] == first
    shown = f"{legend('dense')}\n\n"
    assert [text.count(shown) for text in third] == [0, 0, 0, 1, 0, 0]
    assert decode(third[3].removeprefix(shown)) == decode(third[5]) == ROWS
    assert model.calls[1].prompt.tool_results[0].output == third[3]


def test_what_saves_less_than_the_legend_has_is_sent_as_a_plain_table(world):
    model = world.model(["a", "b"], model_id="gpt-4o")
    for compress in (Compress(), Compress(legend=False)):
        world.ask(world.wrap(model, compress), fragments=[Data(FEW)])
    (explained,), (unexplained,) = [texts(call.prompt) for call in model.calls]
    assert decode(explained.removesuffix("\nHi")) == decode(unexplained.removesuffix("\nHi")) == FEW
    assert "kind:wolf" in unexplained
    assert "kind:wolf hp" not in explained
    assert 0 < count(explained) - count(unexplained) <= count(LEGEND)


def test_what_is_written_the_same_in_plain_tables_needs_none(world):
    table = [{"a": n * 31 % 17, "b": n * 57 % 23} for n in range(40)]
    model = world.model(["HOLD"])
    world.ask(world.wrap(model, Compress()), fragments=[Data(table)])
    (text,) = texts(model.calls[0].prompt)
    assert text.startswith("[each {a b}")


@pytest.mark.parametrize("profile", ["safe", "balanced", "dense"])
def test_the_account_has_the_legend_in_it(world, profile):
    model = world.model(["HOLD"], model_id="gpt-4o")
    wrapped = world.wrap(model, compress := Compress(profile))
    outcome = world.ask(wrapped, "Plan.", system="Be brief.", fragments=[Data(ROWS)])
    before = ["Be brief.", f"{Data(ROWS)}\nPlan."]
    saved = sum(map(count, before)) - sum(map(count, texts(model.calls[0].prompt)))
    assert saved > 0
    assert outcome.notes["tokens_before"] - outcome.notes["tokens_after"] == saved
    assert compress.stats()["tokens_after"] == outcome.notes["tokens_after"]


def test_ids_are_hidden_with_it_and_without(world):
    ids = [f"8f14e45f-ceea-467f-a1bb-9dd5{n:08x}" for n in range(20)]
    rows = [{**row, "ref": ref} for row, ref in zip(ROWS, ids, strict=True)]
    turns = [f"{ids[3]}: {json.dumps(rows[:2])}", f"{ids[4]}: {json.dumps(rows)}"]
    model = world.model(lambda prompt: "@1")
    sent = talk(world, model, turns, Compress(vault=True), system="Be brief.")
    assert sent[1][: len(sent[0])] == sent[0]
    assert "8f14e45f" not in "".join(sent[1])
    assert [text.count(LEGEND) for text in sent[1]] == [0, 0, 0, 1]


values = st.one_of(
    st.integers(0, 20).map(lambda size: json.dumps([{**row, "kind": "elf"} for row in ROWS[:size]])),
    st.sampled_from(["HOLD", "", f"See {json.dumps(ROWS)} and {json.dumps(FEW)}."]),
)
turns = st.one_of(
    values.map(llm.user),
    values.map(llm.assistant),
    values.map(lambda text: llm.tool_message(ToolResultPart("look", text, "t1"))),
)


@settings(max_examples=100)
@given(
    st.one_of(st.none(), values), st.lists(turns, min_size=1, max_size=6),
    st.sampled_from(["balanced", "dense"]), st.booleans(), st.data(),
)  # fmt: skip
def test_it_is_decided_once_and_costs_no_token(system, messages, profile, in_system, data):
    """What a question was sent with, it is sent with for good; and there is one legend, or none."""
    whole = [*([] if system is None else [llm.system(system)]), *messages]
    cut = data.draw(st.integers(1 + (system is not None), len(whole)))
    compress = Compress(profile, system=in_system)
    sent = []
    for part in (whole, whole[:cut]):
        model = ScriptedModel(["HOLD"], model_id="gpt-4o")
        llmopt.wrap(model, compress, default=False).prompt(messages=part).text()
        sent.append(texts(model.calls[0].prompt))
    assert sent[0][: len(sent[1])] == sent[1]
    shown = f"{legend(profile)}\n\n"
    assert "".join(sent[0]).count(shown) <= 1
    before = [part.text if hasattr(part, "text") else part.output for one in whole for part in one.parts]
    assert sum(map(count, sent[0])) <= sum(map(count, before))
