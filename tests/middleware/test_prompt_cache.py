"""PromptCache: the order of fragments, breakpoints in real requests, and what they have saved."""

from __future__ import annotations

import copy

import llm
import pytest
from llm_anthropic import AsyncClaudeMessages, ClaudeMessages

from llmopt.compress.data import Data
from llmopt.compress.prefix.cache_rules import RULES, CacheRules
from llmopt.errors import ConfigurationError
from llmopt.middleware._prompt_cache_account import Account
from llmopt.middleware._prompt_cache_anthropic import mark
from llmopt.middleware._prompt_cache_order import Arrangements, arranged
from llmopt.middleware.fallback import Fallback
from llmopt.middleware.prompt_cache import PromptCache
from llmopt.testing import Answer
from llmopt.testing.server import PrefixCache
from llmopt.types import Reply, Usage

# The SDK's own streams are left to the garbage collector when they are through, of which trio warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Async generator '(openai|anthropic|httpx|httpcore):ResourceWarning"),
    pytest.mark.usefixtures("small_certificate_store"),
]

RULES_TEXT = "Never leave an agent without an order. " * 40
WORLD = Data({"map": ["docks"] * 700}, static=True, name="world")
STATE = Data({"tick": 7}, name="state")
MARK = {"type": "ephemeral"}


@pytest.fixture
def claude(world, server):
    """A Claude of this world's kind, at the local server."""
    server.prefix_cache = PrefixCache()
    model = (ClaudeMessages, AsyncClaudeMessages)[world.is_async]("claude-echo")
    model.base_url, model.key = server.url.removesuffix("/v1"), "sk-test"
    return model


def marks_in(body):
    """The texts (or the names of tools) behind which there is a breakpoint, in order."""
    system = body.get("system") or []
    blocks = [*body.get("tools", []), *([] if isinstance(system, str) else system)]
    blocks += [block for message in body["messages"] for block in message["content"]]
    return [block.get("text", block.get("name")) for block in blocks if "cache_control" in block]


def without_marks(body):
    """What the model sees of a request."""
    body = copy.deepcopy(body)
    system = body.get("system", "")
    body["system"] = system if isinstance(system, str) else "".join(block["text"] for block in system)
    for message in body["messages"]:
        texts = [block["text"] for block in message["content"] if block["type"] == "text"]
        others = [block for block in message["content"] if block["type"] != "text"]
        message["content"] = ["".join(texts), *others]
    for block in [
        *body.get("tools", []),
        *(b for m in body["messages"] for b in m["content"] if b != str(b)),
    ]:
        block.pop("cache_control", None)
    return body


class TestBreakpoints:
    def test_a_system_prompt_gets_one_and_the_same_bytes_each_time(self, world, server, claude):
        cache = PromptCache()
        model = world.wrap(claude, cache)
        for text in ("Go.", "Stop."):
            outcome = world.ask(model, text, system=RULES_TEXT)
            assert outcome.told == f"Echo: {text}"
            assert outcome.notes["cache_breakpoints"] == 1
        first, second = [request.body for request in server.requests]
        assert (
            first["system"]
            == second["system"]
            == [{"type": "text", "text": RULES_TEXT.strip(), "cache_control": MARK}]
        )
        assert marks_in(first) == [RULES_TEXT.strip()]
        stats = cache.stats()
        assert (stats["calls"], stats["counted"], stats["hits"], stats["breakpoints"]) == (2, 2, 1, 2)
        assert stats["cached_tokens"] == stats["written_tokens"] == len(RULES_TEXT.split())
        assert stats["input_tokens"] == 2 * len(RULES_TEXT.split()) + 2
        assert stats["hit_rate"] == pytest.approx(stats["cached_tokens"] / stats["input_tokens"])

    def test_the_model_sees_what_it_would_have_seen(self, world, server, claude):
        asked = {
            "system": RULES_TEXT, "system_fragments": [WORLD, STATE], "fragments": [WORLD, STATE],
            "tools": [llm.Tool(name="look", description="Look", input_schema={"type": "object"})],
        }  # fmt: skip
        for model in (world.wrap(claude), world.wrap(claude, PromptCache())):
            world.ask(model, "Go.", **asked)
        plain, marked = [request.body for request in server.requests]
        assert without_marks(plain) == without_marks(marked)
        assert marks_in(plain) == []
        rest = f"\n\n{STATE}\n\n{RULES_TEXT.strip()}"
        assert marks_in(marked) == [str(WORLD), rest, str(WORLD), f"\n{STATE}\nGo."]

    def test_the_response_keeps_its_own_prompt_and_model(self, world, claude):
        model = world.wrap(claude, PromptCache())
        response = world.ask(model, "Go.", system_fragments=[STATE, WORLD], system="Now.").response
        assert response.prompt.system_fragments == [STATE, WORLD]
        assert response.prompt.options.cache is None
        assert response.model is model
        assert "build_kwargs" not in vars(model)
        assert response.token_details["cache_creation_input_tokens"] > 0

    def test_four_at_most_the_most_useful_first(self, world, server, claude):
        asked = {"system_fragments": [WORLD, "now"], "fragments": [WORLD], "tools": [_look]}
        for most in range(5):
            world.ask(world.wrap(claude, PromptCache(breakpoints=most)), "Go.", **asked)
        by_most = [marks_in(request.body) for request in server.requests]
        assert [len(marks) for marks in by_most] == [0, 1, 2, 3, 4]
        assert by_most[1] == [str(WORLD)]
        assert by_most[2] == [str(WORLD), "\nGo."]
        assert by_most[3] == ["_look", str(WORLD), "\nGo."]
        assert by_most[4] == ["_look", str(WORLD), str(WORLD), "\nGo."]

    def test_short_prompts_get_none(self, world, server, claude):
        outcome = world.ask(world.wrap(claude, PromptCache()), "Go.", system="Short.")
        assert server.requests[0].body["system"] == "Short."
        assert (marks_in(server.requests[0].body), outcome.notes["cache_breakpoints"]) == ([], 0)
        eager = PromptCache(rules=CacheRules("mine", minimum_tokens=1, step_tokens=1))
        assert world.ask(world.wrap(claude, eager), "Go.", system="Short.").notes["cache_breakpoints"] == 1

    def test_a_single_question_is_not_written_but_a_conversation_is(self, world, server, claude):
        model = world.wrap(claude, PromptCache())
        world.ask(model, RULES_TEXT)
        messages = [llm.user(RULES_TEXT), llm.assistant("Yes."), llm.user("And now?")]
        world.ask(model, None, messages=messages)
        world.ask(world.wrap(claude, PromptCache(history=False)), None, messages=messages)
        world.ask(world.wrap(claude, PromptCache(history=False)), RULES_TEXT, cache=True)
        marks = [marks_in(request.body) for request in server.requests]
        assert marks == [[], ["And now?"], [], [RULES_TEXT]]

    def test_a_growing_conversation_reads_what_it_has_written(self, world, server, claude):
        cache = PromptCache()
        conversation = world.wrap(claude, cache).conversation()

        def turn(text, **given):
            if not world.is_async:
                return conversation.prompt(text, **given).text()

            async def ask():
                return await conversation.prompt(text, **given).text()

            return world.run(ask)

        turn("One.", system_fragments=[STATE, WORLD], fragments=[WORLD])
        turn("Two.")
        turn("Three.")
        first, second, third = [request.body for request in server.requests]
        assert first["system"] == second["system"] == third["system"]
        assert [block["text"] for block in first["system"]] == [str(WORLD), f"\n\n{STATE}"]
        texts = [
            [block["text"] for block in body["messages"][0]["content"]] for body in (first, second, third)
        ]
        assert texts == [[str(WORLD), "\nOne."]] * 3
        assert [marks_in(body)[-1] for body in (first, second, third)] == ["\nOne.", "Two.", "Three."]
        assert max(len(marks_in(body)) for body in (first, second, third)) <= 4
        assert cache.stats()["hits"] == 2

    def test_a_fallback_tier_outside_keeps_its_own_chain(self, world, server, claude):
        seen = []

        def tier_chain(call):
            seen.append(call.model_id)
            yield call

        tier = world.wrap(claude, tier_chain)
        model = world.wrap([ConnectionError("no")], Fallback(tier), PromptCache())
        assert world.ask(model, "Go.", system=RULES_TEXT).told == "Echo: Go."
        assert seen == ["anthropic/claude-echo"]
        assert marks_in(server.requests[0].body) == [RULES_TEXT.strip()]

    def test_twice_in_a_chain_is_once(self, world, server, claude):
        outcome = world.ask(world.wrap(claude, PromptCache(), PromptCache()), "Go.", system=RULES_TEXT)
        assert outcome.told == "Echo: Go."
        assert marks_in(server.requests[0].body) == [RULES_TEXT.strip()]

    def test_what_is_never_read_again_is_marked_no_more(self, world, server, claude):
        model = world.wrap(claude, PromptCache())
        for number in range(10):
            world.ask(model, "Go.", system=f"{number} {RULES_TEXT}")
        assert [len(marks_in(request.body)) for request in server.requests] == [1] * 8 + [0] * 2
        world.ask(model, "Go.", system_fragments=[WORLD], system="now")  # but what is declared is
        assert marks_in(server.requests[-1].body) == [str(WORLD)]


def _look():
    """Look."""


_look.__doc__ = RULES_TEXT


class TestOtherProviders:
    def test_nothing_is_changed_and_the_saving_is_counted(self, world, server):
        server.prefix_cache = PrefixCache(block_tokens=4)
        cache = PromptCache()
        model = world.wrap(world.chat(server.url), cache)
        for text in ("Go.", "Stop."):
            assert "cache_breakpoints" not in world.ask(model, text, system="A B C D E F G H").notes
        first = server.requests[0].body
        assert first["messages"][0] == {"role": "system", "content": "A B C D E F G H"}
        stats = cache.stats()
        assert (stats["calls"], stats["hits"], stats["cached_tokens"]) == (2, 1, 8)
        assert (stats["breakpoints"], stats["written_tokens"]) == (0, 0)

    def test_the_order_is_sent_to_them_too(self, world, server):
        world.ask(world.wrap(world.chat(server.url), PromptCache()), "Go.", system_fragments=[STATE, WORLD])
        assert server.requests[0].body["messages"][0]["content"] == f"{WORLD}\n\n{STATE}"

    def test_what_nobody_was_asked_for_is_not_counted(self, world):
        def answers(call):
            yield Reply.of_text("HOLD", source="mine")

        cache = PromptCache()
        assert world.ask(world.wrap([], cache, answers)).told == "HOLD"
        assert cache.stats()["calls"] == 0

    def test_a_provider_that_says_nothing_of_its_cache(self, world):
        cache = PromptCache()
        world.ask(world.wrap([Answer(text="Hi", usage=Usage(10, 5))], cache))
        assert (cache.stats()["calls"], cache.stats()["counted"], cache.stats()["hit_rate"]) == (1, 0, 0.0)


ORDERS = {
    "static data moves past data": ("declared", [STATE, WORLD], [WORLD, STATE]),
    "nothing moves past a text": ("declared", ["The map:", STATE, "Then:", WORLD], None),
    "each run by itself": (
        "declared",
        [STATE, WORLD, "text", STATE, WORLD],
        [WORLD, STATE, "text", WORLD, STATE],
    ),
    "freely": ("free", ["a", STATE, "b", WORLD], [WORLD, "a", STATE, "b"]),
    "not at all": ("keep", [STATE, WORLD], None),
}


@pytest.mark.parametrize("case", ORDERS)
def test_orders(case):
    order, fragments, wanted = ORDERS[case]
    found = arranged(fragments, order)
    assert [id(fragment) for fragment in found] == [id(fragment) for fragment in wanted or fragments]


def test_arrangements_are_forgotten_in_the_end(monkeypatch):
    import llmopt.middleware._prompt_cache_order as module
    from llmopt.testing import ScriptedModel

    monkeypatch.setattr(module, "_MOST", 3)
    arrangements = Arrangements("declared")
    for number in range(5):
        fragments = [Data(number, static=True), f"text {number}"]
        arrangements.prompt(ScriptedModel().prompt("Hi", system_fragments=fragments).prompt)
    known = [arrangements.static_chars(f"{number}\n\ntext {number}") for number in range(5)]
    assert known == [0, 0, 1, 1, 1]


def test_prompts_without_declarations_are_left_alone():
    from llmopt.testing import ScriptedModel

    prompt = ScriptedModel().prompt("Hi", system_fragments=["a", STATE], fragments=["b"]).prompt
    assert Arrangements("free").prompt(prompt) is prompt


def test_system_prompts_that_are_no_single_text_are_left_alone():
    from llmopt.testing import ScriptedModel

    arrangements = Arrangements("declared")
    arrangements.prompt(ScriptedModel().prompt("Hi", system_fragments=[STATE, WORLD]).prompt)
    parts = [llm.parts.TextPart(text="a"), llm.parts.TextPart(text="b")]
    for messages in ([], [llm.user("Hi")], [llm.parts.Message(role="system", parts=parts)]):
        prompt = ScriptedModel().prompt("", messages=messages).prompt
        assert arrangements.prompt(prompt) is prompt


def test_marks_of_others_are_moved_and_server_tools_are_left_alone():
    image = {"type": "image", "source": {"data": "x" * 2000}}
    request = {
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "messages": [
            {"role": "user", "content": [image, {"type": "text", "text": "what?", "cache_control": MARK}]},
            {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
        ],
    }
    assert mark(request, lambda text: 0, minimum_bytes=1024) == 0
    del request["messages"][1]
    assert mark(request, lambda text: 0, minimum_bytes=1024) == 1
    assert [set(block) for block in request["messages"][0]["content"]] == [
        {"type", "source"}, {"type", "text", "cache_control"}
    ]  # fmt: skip
    assert "system" not in request
    assert "cache_control" not in request["tools"][0]


def test_breakpoints_are_tried_again_after_a_pause():
    account, rules = Account(), RULES["anthropic"]
    written = Usage(10, 1, {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 2000})
    for _ in range(8):
        assert account.pays("claude")
        account.add("claude", written, rules, 1)
    assert [account.pays("claude") for _ in range(66)] == [False] * 65 + [True]
    read = Usage(10, 1, {"cache_read_input_tokens": 2000, "cache_creation_input_tokens": 0})
    for _ in range(8):
        account.add("claude", written, rules, 1)
        account.add("claude", read, rules, 1)
    assert account.pays("claude")


@pytest.mark.parametrize(
    "wrong", [{"order": "best"}, {"breakpoints": 5}, {"breakpoints": -1}, {"history": 1}, {"rules": "openai"}]
)
def test_wrong_arguments(wrong):
    with pytest.raises(ConfigurationError, match=f"PromptCache: {next(iter(wrong))}"):
        PromptCache(**wrong)
