"""with_messages: what a plugin reads of a prompt is the same, whichever of its attributes it reads."""

from __future__ import annotations

import copy

import llm
import pytest
from llm import ToolResult
from llm.parts import Message, TextPart, ToolResultPart

from llmopt.chain.compat import with_fragments, with_messages
from llmopt.testing import ScriptedModel


def shouted(messages):
    """Return messages in capitals, as a middleware might rewrite them."""
    changed = copy.deepcopy(list(messages))
    for message in changed:
        for part in message.parts:
            for name in ("text", "output"):
                if getattr(part, name, None):
                    setattr(part, name, getattr(part, name).upper())
    return changed


def views(prompt):
    """Return system prompt and question, by each of the ways in which plugins get at them."""
    messages = prompt.messages
    system = "".join(part.text for part in messages[0].parts) if messages[0].role == "system" else ""
    question = "".join(getattr(part, "text", "") for part in messages[-1].parts)
    last = question if messages[-1].role == "user" else ""
    return (prompt.system, system), (prompt.prompt, last)


PROMPTS = {
    "texts": {"prompt": "go", "system": "be brief"},
    "no system prompt": {"prompt": "go"},
    "fragments": {"prompt": "go", "fragments": ["a", "b"], "system_fragments": ["x ", "y"], "system": "z"},
    "fragments alone": {"fragments": ["a"], "system_fragments": ["x"]},
    "an attachment": {"prompt": "go", "attachments": [llm.Attachment(content=b"x", type="image/png")]},
}


@pytest.mark.parametrize("name", PROMPTS)
def test_all_views_agree(name):
    prompt = ScriptedModel().prompt(**PROMPTS[name]).prompt
    before = (prompt.system, prompt.prompt, list(prompt.fragments), list(prompt.system_fragments))
    changed = with_messages(prompt, shouted(prompt.messages))
    assert views(changed) == (
        (prompt.system.upper(), prompt.system.upper()),
        (prompt.prompt.upper(), prompt.prompt.upper()),
    )
    assert changed.fragments == changed.system_fragments == []
    assert changed.attachments == prompt.attachments
    assert (prompt.system, prompt.prompt, prompt.fragments, prompt.system_fragments) == before


def test_what_has_not_changed_keeps_its_fragments():
    asked = {"fragments": ["a"], "system_fragments": ["x"]}
    prompt = ScriptedModel().prompt("go", **asked).prompt
    system, user = prompt.messages
    changed = with_messages(prompt, [*shouted([system]), user])
    assert (changed.system, changed.system_fragments) == ("X", [])
    assert (changed.prompt, changed.fragments) == ("a\ngo", ["a"])
    changed = with_messages(prompt, [system, *shouted([user])])
    assert (changed.system, changed.system_fragments) == ("x", ["x"])
    assert (changed.prompt, changed.fragments) == ("A\nGO", [])


def test_a_system_prompt_may_come_and_go():
    prompt = ScriptedModel().prompt("go").prompt
    added = with_messages(prompt, [llm.system("Short."), *prompt.messages])
    assert added.system == "Short."
    assert with_messages(added, added.messages[1:]).system == ""
    assert with_messages(added, []).prompt == ""


def conversation_of(*answers, **given):
    model = ScriptedModel(answers)
    conversation = model.conversation()
    conversation.prompt("one", system="be brief", **given).text()
    return model, conversation


def test_a_later_turn_has_its_system_prompt_in_its_messages_only():
    _, conversation = conversation_of("a", "b")
    prompt = conversation.prompt("two", fragments=["f"]).prompt
    assert prompt.system == ""
    changed = with_messages(prompt, shouted(prompt.messages))
    assert (changed.system, changed.messages[0].parts[0].text) == ("", "BE BRIEF")
    assert changed.prompt == changed.messages[-1].parts[0].text == "F\nTWO"


def test_what_disagreed_is_left_alone():
    """A system prompt in the second turn is not among the messages: it is not theirs to change."""
    _, conversation = conversation_of("a", "b")
    prompt = conversation.prompt("two", system="be loud").prompt
    changed = with_messages(prompt, shouted(prompt.messages))
    assert (changed.system, changed.messages[0].parts[0].text) == ("be loud", "BE BRIEF")
    explicit = ScriptedModel().prompt(messages=[llm.system("S"), llm.user("see")]).prompt
    changed = with_messages(explicit, shouted(explicit.messages))
    assert (changed.system, changed.prompt) == ("", "")


def test_results_of_tools_are_those_of_the_messages():
    _, conversation = conversation_of("a", "b")
    results = [ToolResult(name="look", output=f"seen {n}", tool_call_id=f"t{n}") for n in (1, 2)]
    for text in ("", "and now?"):
        prompt = conversation.prompt(text, tool_results=results).prompt
        changed = with_messages(prompt, shouted(prompt.messages))
        assert [result.output for result in changed.tool_results] == ["SEEN 1", "SEEN 2"]
        assert [result.tool_call_id for result in changed.tool_results] == ["t1", "t2"]
        assert [result.output for result in prompt.tool_results] == ["seen 1", "seen 2"]
        assert changed.prompt == text.upper()
        same = with_messages(prompt, prompt.messages)
        assert all(one is other for one, other in zip(same.tool_results, results, strict=True))


def test_results_that_stand_elsewhere_are_left_alone():
    results = [ToolResult(name="look", output="seen", tool_call_id="t1")]
    prompt = ScriptedModel().prompt(tool_results=results, messages=[llm.user("x")]).prompt
    prompt._explicit_messages = [llm.user("see")]
    assert with_messages(prompt, [llm.user("SEE")]).tool_results == results
    other = [Message(role="tool", parts=[ToolResultPart("look", "other", "t1")])]
    prompt._explicit_messages = other
    assert with_messages(prompt, shouted(other)).tool_results[0].output == "seen"


def test_texts_in_other_parts_of_a_message():
    parts = [TextPart(text="a"), TextPart(text="b")]
    prompt = ScriptedModel().prompt("go", system="be brief").prompt
    changed = with_messages(prompt, [Message(role="system", parts=parts), *prompt.messages[1:]])
    assert changed.system == "a\n\nb"


def test_fragments_may_be_given_anew():
    prompt = ScriptedModel().prompt("go", fragments=["a"], system_fragments=["x"], system="y").prompt
    changed = with_messages(prompt, shouted(prompt.messages))
    given = with_fragments(changed, system=["X", "Y"], user=["A", "GO"])
    assert given is changed
    assert (given.system_fragments, given.system) == (["X"], "X\n\nY")
    assert (given.fragments, given.prompt) == (["A"], "A\nGO")
    assert with_fragments(given).fragments == ["A"]
