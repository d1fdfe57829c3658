"""Compress and PromptCache before llm-anthropic: what is sent, and where breakpoints stand in it."""

from __future__ import annotations

import json

import pytest
from llm_anthropic import AsyncClaudeMessages, ClaudeMessages

from llmopt.compress import decode, legend
from llmopt.compress.data import Data
from llmopt.middleware.compress import Compress
from llmopt.middleware.prompt_cache import PromptCache
from llmopt.testing.server import Answer, ToolCall

# The SDK's own streams are left to the garbage collector when they are through, of which trio warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Async generator '(anthropic|httpx|httpcore):ResourceWarning"),
    pytest.mark.usefixtures("small_certificate_store"),
]

WORLD = [{"id": n, "kind": "wall", "at": {"x": n * 7 % 90, "y": n * 3 % 80}} for n in range(160)]
STATE = [{"id": n, "kind": "wolf", "hp": n, "at": {"x": n, "y": -n}} for n in range(30)]
MARK = {"type": "ephemeral"}
LEGEND = f"{legend('dense')}\n\n"


@pytest.fixture
def claude(world, server):
    """A Claude of this world's kind, at the local server."""
    model = (ClaudeMessages, AsyncClaudeMessages)[world.is_async]("claude-echo")
    model.base_url, model.key = server.url.removesuffix("/v1"), "sk-test"
    return model


def system_of(body):
    system = body.get("system", "")
    return system if isinstance(system, str) else "".join(block["text"] for block in system)


def user_of(body, at=0):
    return "".join(block["text"] for block in body["messages"][at]["content"])


def marked(blocks):
    return [block["text"] for block in blocks if "cache_control" in block]


def talk(world, model, *turns):
    """Have a conversation: each turn is the arguments of a prompt."""
    conversation = model.conversation()

    async def later():
        for turn in turns:
            await conversation.prompt(**turn).text()

    def now():
        for turn in turns:
            conversation.prompt(**turn).text()

    world.run(later if world.is_async else now)


def test_the_system_prompt_is_sent_compressed(world, server, claude):
    model = world.wrap(claude, Compress("dense"))
    outcome = world.ask(model, "Go.", system="Be brief.", system_fragments=[Data(STATE)])
    (request,) = server.requests
    sent = system_of(request.body)
    assert decode(sent.removeprefix(LEGEND).removesuffix("\n\nBe brief.")) == STATE
    assert sent.startswith(LEGEND)
    assert outcome.notes["tokens_after"] < outcome.notes["tokens_before"]
    assert json.loads(outcome.response.prompt.system_fragments[0]) == STATE


def test_it_is_compressed_in_later_turns_and_after_tools(world, server, claude):
    def look() -> str:
        """Look around."""
        return json.dumps(STATE)

    def answer(request):
        asked = isinstance(request["messages"][-1]["content"], list)
        results = (
            [b for b in request["messages"][-1]["content"] if b["type"] == "tool_result"] if asked else []
        )
        return Answer("Seen.") if results else Answer(tool_calls=[ToolCall("look", {})])

    server.answer = answer
    model = world.wrap(claude, Compress("dense"))
    asked = {"system": "Be brief.", "system_fragments": [Data(WORLD)], "tools": [look]}

    async def later():
        await model.chain("Look.", **asked).text()

    world.run(later if world.is_async else lambda: model.chain("Look.", **asked).text())
    first, second = [request.body for request in server.requests]
    assert system_of(first) == system_of(second)
    assert decode(system_of(first).removeprefix(LEGEND).removesuffix("\n\nBe brief.")) == WORLD
    (result,) = second["messages"][-1]["content"]
    assert decode(result["content"]) == STATE
    server.requests.clear()
    server.answer = Answer("HOLD")
    talk(world, model, {"prompt": "One.", **asked}, {"prompt": "Two.", "tools": [look]})
    assert {system_of(request.body) for request in server.requests} == {system_of(first)}


ORDERS = {
    "Compress outside": lambda: (Compress("dense"), PromptCache()),
    "PromptCache outside": lambda: (PromptCache(), Compress("dense")),
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_end_of_a_static_part_is_marked_where_it_is_now(world, server, claude, order):
    model = world.wrap(claude, *ORDERS[order]())
    static, state = Data(WORLD, static=True), Data(STATE)
    first = {
        "prompt": "One.", "system": "Be brief.", "system_fragments": [state, static],
        "fragments": [static, state],
    }  # fmt: skip
    talk(world, model, first, {"prompt": "Two.", "fragments": [Data(STATE[5:])]}, {"prompt": "Three."})
    bodies = [request.body for request in server.requests]
    assert len(bodies) == 3
    for body in bodies:
        part, *_ = marked(body["system"])
        assert part == body["system"][0]["text"]
        assert decode(part.removeprefix(LEGEND)) == WORLD
        rest = body["system"][1]["text"].removeprefix("\n\n").removeprefix(LEGEND)
        assert decode(rest.removesuffix("\n\nBe brief.")) == STATE
        assert system_of(body).count(LEGEND) == 1
        static_part, *_ = marked(body["messages"][0]["content"])
        assert decode(static_part) == WORLD
        assert body["messages"][0]["content"][0]["cache_control"] == MARK
        assert user_of(body).endswith("\nOne.")
    assert len({system_of(body) for body in bodies}) == 1
    assert len({user_of(body) for body in bodies}) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_the_legend_is_part_of_the_static_part_behind_it(world, server, claude, order):
    model = world.wrap(claude, *ORDERS[order]())
    world.ask(model, "Go.", system="Be brief.", system_fragments=[Data(WORLD, static=True)])
    body = server.requests[0].body
    part, *_ = marked(body["system"])
    assert part.startswith(LEGEND)
    assert decode(part.removeprefix(LEGEND)) == WORLD
    assert [block["text"] for block in body["system"][1:]] == ["\n\nBe brief."]


@pytest.mark.parametrize("order", ORDERS)
def test_with_ids_that_are_hidden(world, server, claude, order):
    ids = [f"8f14e45f-ceea-467f-a1bb-9dd5{n:08x}" for n in range(160)]
    rows = [{**row, "ref": ref} for row, ref in zip(WORLD, ids, strict=True)]
    compress = [
        Compress("dense", vault=True) if isinstance(one, Compress) else one for one in ORDERS[order]()
    ]
    model = world.wrap(claude, *compress)
    fragments = [Data(rows, static=True), f"now {ids[7]}", Data(STATE)]
    world.ask(model, "Go.", system_fragments=fragments, fragments=fragments)
    body = server.requests[0].body
    assert "8f14e45f" not in json.dumps(body)
    assert [part.count("[each") for part in marked(body["system"])] == [2, 1]  # the legend's is one
    assert marked(body["messages"][0]["content"])[0].count("[each") == 1


def test_fragments_that_cannot_be_told_apart_are_sent_as_one_text(world, server, claude):
    """JSON over two fragments is one value: where it is rewritten, there is no end of the first."""
    whole = f"{json.dumps(STATE)} and"
    start, end = whole[: (cut := whole.index('"hp": 14'))], whole[cut:]
    seen = []

    def look(call):
        seen.append(call.prompt)
        yield call

    model = world.wrap(claude, Compress("dense"), look, PromptCache())
    for first in (start, "See:"):
        world.ask(model, "Go.", fragments=[Data(WORLD, static=True), first, end])
    torn, apart = [prompt.prompt for prompt in seen]
    assert torn.endswith("] and\nGo.")
    assert '"hp"' not in torn
    assert torn == user_of(server.requests[0].body)
    assert seen[0].fragments == []
    assert len(seen[1].fragments) == 3
    assert apart.endswith(f"See:\n{end}\nGo.")
