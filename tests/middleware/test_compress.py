"""Compress: what is sent in place of data, what stays as it is, and what the caller sees of it."""

from __future__ import annotations

import copy
import json
import pickle
from contextlib import closing

import llm
import pytest
from llm.models import ToolCall
from llm.parts import AttachmentPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

import llmopt
from llmopt.compress import Role, Vault, decode, legend
from llmopt.compress.data import Data
from llmopt.compress.roles.relevance import Drop
from llmopt.errors import ConfigurationError
from llmopt.middleware.compress import Compress
from llmopt.testing import Answer
from llmopt.testing.server import Answer as Served
from llmopt.testing.server import ToolCall as ServedCall
from llmopt.tokens import counter

# The SDK's own streams are left to the garbage collector when they are through, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator '(openai|httpx|httpcore):ResourceWarning")

PROFILES = ("safe", "balanced", "dense")
SQUAD = [
    {"id": n, "kind": "wolf", "hp": n * 7, "at": {"x": n, "y": -n}, "hidden": n % 2 == 0} for n in range(12)
]
OTHERS = [{**one, "kind": "bear"} for one in SQUAD]
SCOUT = Role("scout", "Look.", relevance=(Drop("hp"),))
COMPACT = str(Data(SQUAD))
PRETTY = json.dumps(SQUAD, indent=2)


def texts(prompt):
    """Return all texts of a prompt, as the model gets them, but for the legend."""
    parts = [part for message in prompt.messages for part in message.parts]
    return [unexplained(getattr(part, "text", None) or getattr(part, "output", "")) for part in parts]


def unexplained(text):
    """Return a text without the legend at its head."""
    for profile in PROFILES[1:]:
        text = text.removeprefix(f"{legend(profile)}\n\n")
    return text


def sent(model, at=-1):
    """Return the last text that the model was sent."""
    return texts(model.calls[at].prompt)[-1]


def data_of(text, before="", after=""):
    """Return what an encoding says that stands between two texts."""
    text = unexplained(text)
    assert text.startswith(before)
    assert text.endswith(after)
    return decode(text[len(before) : len(text) - len(after)])


# what is sent


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_data_is_sent_encoded(world, profile, keyed, stream):
    model = world.model(["HOLD"], keyed=keyed)
    wrapped = world.wrap(model, compress := Compress(profile))
    key = {"key": "k"} if keyed else {}
    outcome = world.ask(wrapped, "Plan.", fragments=[Data(SQUAD)], stream=stream, **key)
    assert outcome.text == "HOLD"
    assert data_of(sent(model), after="\nPlan.") == SQUAD
    assert outcome.response.prompt.prompt == f"{COMPACT}\nPlan."
    notes, stats = outcome.notes, compress.stats()
    assert notes["compressor"] == profile
    tokens = counter("scripted")
    assert notes["tokens_before"] == tokens.count(f"{COMPACT}\nPlan.")
    shown = tokens.count(f"{legend(profile)}\n\n") if legend(profile) else 0
    assert notes["tokens_after"] == tokens.count(sent(model)) + shown < notes["tokens_before"]
    assert "loss" not in notes
    assert (stats["calls"], stats["compressed"], stats["dropped"], stats["errors"]) == (1, 1, 0, 0)
    assert (stats["tokens_before"], stats["tokens_after"]) == (notes["tokens_before"], notes["tokens_after"])


WHERE = {
    "in prose": (f"Squad: {COMPACT} and no more.", "Squad: ", " and no more."),
    "with blanks": (f"Squad:\n{json.dumps(SQUAD)}", "Squad:\n", ""),
    "pretty-printed": (f"{PRETTY}\nPlan.", "", "\nPlan."),
    "in a block": (f"So:\n```json\n{PRETTY}\n```\nPlan.", "So:\n```\n", "\n```\nPlan."),
    "in a bare block": (f"```\n{PRETTY}\n```", "```\n", "\n```"),
}


@pytest.mark.parametrize("where", WHERE)
def test_json_in_texts_is_sent_encoded(world, where):
    text, before, after = WHERE[where]
    model = world.model(["HOLD"])
    world.ask(world.wrap(model, Compress()), text)
    assert data_of(sent(model), before, after) == SQUAD


def test_json_that_is_best_as_json_stays_json(world):
    value = {"name": "Ann", "notes": ["one", "two", "three", "four"], "more": {"deep": {"er": [1, 2, 3]}}}
    model = world.model(["HOLD"])
    text = f"```json\n{json.dumps(value, indent=4)}\n```"
    world.ask(world.wrap(model, Compress("safe", min_tokens=1)), text)
    if sent(model).startswith("```json"):
        assert json.loads(sent(model)[8:-4]) == value
    else:
        assert data_of(sent(model), "```\n", "\n```") == value


LEFT = {
    "words": "What now?",
    "little JSON": 'Move to {"x": 5, "y": 7}.',
    "JSON of few tokens": 'See {"where": "the northern gate of the old town", "when": "at noon"}.',
    "code": f"```python\nrows = {PRETTY}\n```",
    "what is cut off": PRETTY[:-2],
    "brackets": "see [1], [2] and {3}",
    "a comma too many": PRETTY[:-2] + ",\n]",
    "prices": json.dumps([{"price": n} for n in range(99)]).replace("}", ".50}"),
    "an empty text": "",
}


@pytest.mark.parametrize("case", LEFT)
def test_other_texts_stay_as_they_are(world, case):
    model = world.model(["HOLD"])
    outcome = world.ask(world.wrap(model, compress := Compress("dense")), LEFT[case])
    assert model.calls[0].prompt is outcome.response.prompt
    assert outcome.notes == {}
    assert (compress.stats()["calls"], compress.stats()["compressed"]) == (1, 0)


def test_all_kinds_of_messages(world):
    """Texts and results of tools are encoded; the model's own words, attachments and reasoning are not."""
    image = llm.Attachment(content=b"\x89PNG\r\n\x1a\n", type="image/png")
    own = [ReasoningPart(text=COMPACT), TextPart(text=COMPACT), ToolCallPart("look", {"at": SQUAD}, "t1")]
    executed = ToolResultPart("search", COMPACT, "s1", server_executed=True)
    messages = [
        llm.system(COMPACT, provider_metadata={"a": 1}),
        llm.user("See:", COMPACT, image, provider_metadata={"b": 2}),
        llm.assistant(*own, executed),
        llm.tool_message(ToolResultPart("look", COMPACT, "t1", attachments=[image])),
        llm.user("Plan."),
    ]
    before = copy.deepcopy(messages)
    model = world.model(["HOLD"])
    outcome = world.ask(world.wrap(model, Compress()), None, messages=messages)
    assert messages == before == outcome.response.prompt.messages
    assert outcome.told == "HOLD"
    system, user, assistant, tool, last = model.calls[0].prompt.messages
    assert (assistant, last) == (before[2], before[4])
    assert system.parts[0].text == f"{legend('balanced')}\n\n{COMPACT}"
    assert system.provider_metadata == {"a": 1}
    assert data_of(user.parts[1].text) == SQUAD
    assert (user.parts[0].text, user.provider_metadata) == ("See:", {"b": 2})
    assert isinstance(user.parts[2], AttachmentPart)
    assert user.parts[2].attachment is image
    (result,) = tool.parts
    assert data_of(result.output) == SQUAD
    assert (result.name, result.tool_call_id, result.attachments) == ("look", "t1", [image])


def test_system_prompts_are_encoded_when_asked_for(world):
    model = world.model(["a", "b", "c"])
    world.ask(world.wrap(model, Compress()), system=f"Map: {COMPACT}")
    world.ask(world.wrap(model, Compress(system=True)), system=f"Map: {COMPACT}")
    world.ask(world.wrap(model, Compress()), system="Map:", system_fragments=[Data(SQUAD), COMPACT])
    plain, asked, data = (texts(call.prompt)[0] for call in model.calls)
    assert plain == f"Map: {COMPACT}"
    assert data_of(asked, "Map: ") == SQUAD
    first, second, rest = data.split("\n\n")
    assert (decode(first), rest) == (SQUAD, "Map:")
    assert decode(second) == SQUAD  # the same text as the data's


def test_attachments_schema_and_options_stay(world):
    image = llm.Attachment(content=b"\x89PNG\r\n\x1a\n", type="image/png")
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    model = world.model(['{"x": 1}'])
    given = {"attachments": [image], "schema": schema, "temperature": 0.5, "fragments": [Data(SQUAD)]}
    assert world.ask(world.wrap(model, Compress()), "Plan.", **given).text == '{"x": 1}'
    prompt = model.calls[0].prompt
    assert (prompt.schema, prompt.options.temperature, prompt.attachments) == (schema, 0.5, [image])
    assert prompt.messages[-1].parts[1].attachment is image
    assert data_of(prompt.messages[-1].parts[0].text, after="\nPlan.") == SQUAD


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "text", [PRETTY, f"x {COMPACT}", "[[1,2],[3,4]] " * 40, f"{COMPACT} {PRETTY}", "[1, 2]"]
)
def test_never_more_tokens(world, profile, text):
    model = world.model(["HOLD"], model_id="gpt-4o")
    world.ask(world.wrap(model, Compress(profile, min_tokens=0)), text)
    assert counter("gpt-4o").count(sent(model)) <= counter("gpt-4o").count(text)


# roles


def test_roles_prune_data_and_say_so(world):
    model = world.model(["a", "b", "c"])
    wrapped = world.wrap(model, compress := Compress(role=SCOUT))
    outcome = world.ask(wrapped, f"Plan. {PRETTY}", fragments=[Data(SQUAD), Data(OTHERS, role="tactical")])
    mine, others, found = sent(model).split("\nPlan. ")[0], sent(model), sent(model).split("\nPlan. ")[1]
    assert all("hp" not in one for one in decode(mine[: mine.index("]\n[each", 5) + 1]))
    assert "bear" in others
    assert decode(found) == SQUAD  # what was not given as data loses nothing
    assert outcome.notes["loss"] == {"pruned": len(SQUAD)}
    assert compress.stats()["dropped"] == len(SQUAD)


def test_roles_prune_found_json_when_asked_to(world):
    model = world.model(["a"])
    outcome = world.ask(world.wrap(model, Compress(role=SCOUT, role_on_found=True)), f"Squad: {PRETTY}")
    assert all("hp" not in one for one in data_of(sent(model), "Squad: "))
    assert outcome.notes["loss"] == {"pruned": len(SQUAD)}


def test_data_of_a_few_tokens_is_pruned_too(world):
    model = world.model(["a", "b"])
    wrapped = world.wrap(model, Compress(role=SCOUT))
    world.ask(wrapped, fragments=[Data([{"id": 1, "hp": 7}])])
    assert data_of(sent(model), after="\nHi") == [{"id": 1}]


def test_data_within_messages_and_results_of_tools_is_known(world):
    messages = [llm.user("See:", Data(SQUAD, role=SCOUT)), llm.user("Plan.")]
    model = world.model(["HOLD"])
    world.ask(world.wrap(model, Compress()), None, messages=messages)
    assert all("hp" not in one for one in decode(texts(model.calls[0].prompt)[1]))

    def look() -> str:
        """Look around."""
        return Data(SQUAD, role=SCOUT)

    model = world.model([Answer(tool_calls=[ToolCall("look", {}, "t1")]), "HOLD"])
    wrapped = world.wrap(model, Compress())
    assert chained(world, wrapped, "Plan.", tools=[look]) == "HOLD"
    assert all("hp" not in one for one in decode(sent(model)))


class Broken(Drop):
    """A rule with a bug."""

    def decide(self, selection):
        raise KeyError("hp")


def test_a_broken_role_costs_tokens_and_no_call(world):
    role = Role("broken", "Look.", relevance=(Broken("hp"),))
    model = world.model(["HOLD"])
    outcome = world.ask(world.wrap(model, compress := Compress()), fragments=[Data(SQUAD, role=role)])
    assert (outcome.told, sent(model)) == ("HOLD", f"{COMPACT}\nHi")
    assert compress.stats()["errors"] == 1


# tools


def chained(world, wrapped, prompt, **given):
    async def later():
        return await wrapped.chain(prompt, **given).text()

    return world.run(later if world.is_async else lambda: wrapped.chain(prompt, **given).text())


def test_results_of_tools_are_encoded_in_a_chain(world):
    def look(where: str) -> str:
        """Look somewhere."""
        return json.dumps(SQUAD)

    model = world.model([Answer(tool_calls=[ToolCall("look", {"where": "there"}, "t1")]), "Done."])
    assert chained(world, world.wrap(model, Compress("dense")), "Look there.", tools=[look]) == "Done."
    (call,) = model.calls[1].prompt.messages[1].parts
    (result,) = model.calls[1].prompt.messages[2].parts
    assert (call.arguments, call.tool_call_id) == ({"where": "there"}, "t1")
    assert (data_of(result.output), result.tool_call_id) == (SQUAD, "t1")
    assert model.calls[1].prompt.tools == model.calls[0].prompt.tools


# with others


def test_the_cache_outside_knows_the_original(world):
    model = world.model(["HOLD", "GO"])
    wrapped = world.wrap(model, llmopt.Cache(), Compress("dense"))
    outcomes = [world.ask(wrapped, fragments=[Data(SQUAD)]) for _ in range(2)]
    again = world.ask(world.wrap(model, llmopt.Cache(), Compress("dense")), f"{COMPACT}\nHi")
    assert [outcome.text for outcome in (*outcomes, again)] == ["HOLD", "HOLD", "GO"]
    assert outcomes[1].notes == {"cache": "hit"}


def test_a_retry_sends_the_same(world):
    model = world.model([ConnectionError("reset"), "HOLD"])
    outcome = world.ask(world.wrap(model, llmopt.Retry(), Compress()), fragments=[Data(SQUAD)])
    assert outcome.told == "HOLD"
    assert sent(model, 0) == sent(model, 1) != outcome.response.prompt.prompt


def test_the_usage_log_has_the_tokens(world, tmp_path):
    log = llmopt.UsageLog(tmp_path / "usage.db")
    outcome = world.ask(world.wrap(world.model(["HOLD"]), log, Compress("dense")), fragments=[Data(SQUAD)])
    llmopt.usage.flush()
    with closing(llmopt.usage.open(tmp_path / "usage.db")) as database:
        (row,) = database["calls"].rows
    names = ("tokens_before", "tokens_after", "compressor")
    assert {name: row[name] for name in names} == {name: outcome.notes[name] for name in names}


# settings


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"profile": "tiny"}, "Compress: profile='tiny'"),
        ({"profile": ["safe"]}, "Compress: profile"),
        ({"role": "tactics"}, "role='tactics'"),
        ({"vault": "yes"}, "Compress: vault='yes'"),
        ({"min_tokens": -1}, "Compress: min_tokens=-1"),
        ({"legend": "no"}, "Compress: legend='no'"),
        ({"guard": 3}, "Compress: guard=3"),
    ],
)
def test_arguments(wrong, match):
    with pytest.raises(ConfigurationError, match=match):
        Compress(**wrong)


def test_copies_have_the_configuration_and_no_counters(make_world):
    world = make_world("sync")
    compress = Compress("dense", role="tactical", min_tokens=9, vault=True)
    world.ask(world.wrap(world.model(["HOLD"]), compress), fragments=[Data(SQUAD)])
    for twin in (copy.copy(compress), copy.deepcopy(compress), pickle.loads(pickle.dumps(compress))):  # noqa: S301
        assert (twin, repr(twin)) == (compress, repr(compress))
        assert (twin.stats()["calls"], compress.stats()["calls"]) == (0, 1)
    assert repr(compress) == (
        "Compress(profile='dense', role='tactical', role_on_found=False, vault=True, min_tokens=9, "
        "system=False, legend=True, guard=True)"
    )
    with pytest.raises(TypeError, match="never stored"):
        pickle.dumps(Compress(vault=Vault()))


# over HTTP


def test_the_server_gets_the_encoding_and_the_reader_gets_the_ids(world, server):
    pods = [{"pod": f"8f14e45f-ceea-467f-a1bb-9dd5{n:08x}", "ready": n != 2, "restarts": n} for n in range(6)]
    chunks = ["Restart @", "3", " and ", "@1", "."]
    server.script(
        Served(chunks=chunks, tool_calls=[ServedCall("restart", '{"pod": "@3"}')]),
    )
    wrapped = world.wrap(world.chat(server.url), Compress("dense", vault=True))
    outcome = world.ask(wrapped, "What now?", fragments=[Data(pods)])
    (request,) = server.requests
    assert "8f14e45f" not in json.dumps(request.body)
    hidden = data_of(request.user_text, after="\nWhat now?")
    assert [pod["pod"] for pod in hidden] == [f"@{n}" for n in range(1, 7)]
    assert outcome.text == f"Restart {pods[2]['pod']} and {pods[0]['pod']}."
    assert [call.arguments for call in made(world, outcome.response)] == [{"pod": pods[2]["pod"]}]
    assert outcome.response.prompt.prompt == f"{Data(pods)}\nWhat now?"


def made(world, response):
    async def later():
        return await response.tool_calls()

    return world.run(later if world.is_async else response.tool_calls)
