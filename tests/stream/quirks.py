"""What language models do to JSON: the quirk matrix, as data.

A kind of quirk is a function from ten plans and a place to a reply. It touches the plan at that place, if it
touches one at all; that one is *damaged*, all others must come through as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Plan = dict[str, Any]


def plans() -> list[Plan]:
    """Ten plans as an agent would get them, with the characters that break careless parsers."""
    return [
        {
            "agent_id": number,
            "goal": f"hold point {number}, then [wait] for {{orders}}",
            "steps": [
                {"tool": "MoveTo", "args": {"x": number * 3, "y": 7.5}},
                {"tool": "Say", "args": {"text": 'it\'s "clear" }] ahead', "loud": number % 2 == 0}},
                {"tool": "Wait", "args": {"seconds": 2, "until": None}},
            ],
            "priority": number / 4,
        }
        for number in range(1, 11)
    ]


@dataclass(frozen=True, slots=True)
class Quirk:
    """One kind.

    Attributes:
        make: from the plans and a place to a reply.
        damages: whether the plan at the place is damaged.
        meant: what the damaged plan says, from what the plan was.
        truncates: whether the reply ends at the place: that plan and all after it must not come.
    """

    name: str
    make: Callable[[list[Plan], int], str]
    damages: bool = False
    meant: Callable[[Plan], Plan] = lambda plan: plan
    truncates: bool = False


def rows(found: list[Plan], **options: Any) -> list[str]:
    return [json.dumps(plan, **options) for plan in found]


def array(found: list[str]) -> str:
    return "[" + ", ".join(found) + "]"


def around(form: str) -> Callable[[list[Plan], int], str]:
    """The whole list in a text, in which `@` stands for it."""
    return lambda found, place: form.replace("@", array(rows(found)))


def instead(*changes: tuple[str, str]) -> Callable[[list[Plan], int], str]:
    """One plan with the first occurrence of each text replaced by another."""

    def make(found: list[Plan], place: int) -> str:
        texts = rows(found)
        for old, new in changes:
            assert old in texts[place], old
            texts[place] = texts[place].replace(old, new, 1)
        return array(texts)

    return make


def everywhere(old: str, new: str) -> Callable[[list[Plan], int], str]:
    def make(found: list[Plan], place: int) -> str:
        texts = rows(found)
        assert old in texts[place]
        texts[place] = texts[place].replace(old, new)
        return array(texts)

    return make


def glued(glue: str, before: str = "", after: str = "") -> Callable[[list[Plan], int], str]:
    return lambda found, place: before + glue.join(rows(found)) + after


def at_place(between: str) -> Callable[[list[Plan], int], str]:
    """Something that belongs nowhere, before the plan at the place."""

    def make(found: list[Plan], place: int) -> str:
        texts = rows(found)
        texts[place] = between + texts[place]
        return array(texts)

    return make


def single_quotes(found: list[Plan], place: int) -> str:
    """Python's repr, of a plan whose strings can be written so."""
    texts = rows(found)
    texts[place] = repr(found[place])
    return array(texts)


def python_words(found: list[Plan], place: int) -> str:
    texts = rows(found)
    for old, new in (("null", "None"), ("true", "True"), ("false", "False")):
        texts[place] = texts[place].replace(old, new)
    return array(texts)


def goal(old: str, new: str) -> Callable[[Plan], Plan]:
    return lambda plan: plan | {"goal": plan["goal"].replace(old, new)}


def cut(share: float) -> Callable[[list[Plan], int], str]:
    """The reply ends within the plan at the place."""

    def make(found: list[Plan], place: int) -> str:
        texts = rows(found)
        return "[" + ", ".join([*texts[:place], texts[place][: int(len(texts[place]) * share)]])

    return make


def cut_after_steps(found: list[Plan], place: int) -> str:
    texts = rows(found)
    return "[" + ", ".join([*texts[:place], texts[place].split(', "priority"')[0]])


def nested_lists(found: list[Plan], place: int) -> str:
    texts = rows(found)
    return "[" + ", ".join(array([text]) for text in texts) + "]"


def fences(found: list[Plan], place: int) -> str:
    return "\n\n".join(f"Agent {plan['agent_id']}:\n```json\n{json.dumps(plan)}\n```" for plan in found)


def unclosed_fence(found: list[Plan], place: int) -> str:
    return "Here is the JSON:\n```json\n" + array(rows(found))


def one(change: Callable[[str], str]) -> Callable[[list[Plan], int], str]:
    """One plan with its text changed."""
    return lambda found, place: array(
        [change(row) if at == place else row for at, row in enumerate(rows(found))]
    )


def no_comma(found: list[Plan], place: int) -> str:
    texts = rows(found)
    return "[" + ", ".join(texts[:place]) + " " + " ".join(texts[place:]) + "]"


def in_wrapper(make: Callable[[list[Plan], int], str]) -> Callable[[list[Plan], int], str]:
    return lambda found, place: '{"plans": ' + make(found, place)


def cut_in_lines(found: list[Plan], place: int) -> str:
    texts = rows(found)
    return "\n".join([*texts[:place], texts[place][:-2]])


NEWLINE = ("hold point", "hold\npoint")
TAB = (", then", ",\tthen")
ESCAPES = ("hold", r"C:\ops\hold")
QUIRKS = (
    # around
    Quirk("clean", around("@")),
    Quirk("pretty", lambda found, place: json.dumps(found, indent=2)),
    Quirk("compact", lambda found, place: json.dumps(found, separators=(",", ":"))),
    Quirk("fence", around("```json\n@\n```")),
    Quirk("fence on one line", around("```json @ ```")),
    Quirk("fence without a language", around("```\n@\n```\n")),
    Quirk("fence unclosed", unclosed_fence),
    Quirk("fence per agent", fences),
    Quirk("prose before", around("Sure! Here are the plans for all ten agents:\n\n@")),
    Quirk("prose with brackets before", around('I read [10] agents {see above} and [sic] "it". Plans: @')),
    Quirk("prose after", around("@\n\nLet me know if [any] of {these} need changes!")),
    Quirk("thinking before", around('<think>Perhaps [{"agent_id": 1, "goal": "draft"}]?</think>\n@')),
    Quirk("thinking, other tag", around('<reasoning effort="high">{"agent_id": 2}</reasoning>@')),
    Quirk("byte order mark", around("\ufeff@")),
    Quirk("zero-width space", around("\u200b@\u200b")),
    Quirk("wrapper", around('{"plans": @}')),
    Quirk("wrapper with more", around('{"why": "a [b] {c}", "n": 10, "items": @, "meta": {"ok": true}}')),
    Quirk("wrapper, nested", around('{"response": {"data": @}, "status": "done"}')),
    Quirk("wrapper with another key", around('{"squad_orders": @}')),
    Quirk("wrapper in a fence", around('Here:\n```json\n{"results": @}\n```')),
    Quirk("lines", glued("\n", after="\n")),
    Quirk("lines with commas", glued(",\n")),
    Quirk("abutting", glued("")),
    Quirk("blank lines", glued("\n\n")),
    Quirk("an array per line", lambda found, place: "\n".join(array([row]) for row in rows(found))),
    Quirk("lists in the list", nested_lists),
    Quirk("list not opened", glued(", ", after="]")),
    Quirk("list not closed", glued(", ", before="[")),
    # between
    Quirk("trailing comma in the list", lambda found, place: "[" + ", ".join(rows(found)) + ",]"),
    Quirk("ellipsis", lambda found, place: "[" + ", ".join(rows(found)) + ", ...]"),
    Quirk("no comma between", no_comma),
    Quirk("two commas between", at_place(", ")),
    Quirk("comment between", at_place("// the next one\n")),
    Quirk("label between", at_place("Agent: ")),
    Quirk("null between", at_place("null, ")),
    Quirk("number between", at_place('"next", 1, ')),
    Quirk("brace too many before", at_place("}, ")),
    # within
    Quirk("trailing comma in an object", instead(("7.5}", "7.5,}")), damages=True),
    Quirk("trailing comma in an array", instead(("}}], ", "}},], ")), damages=True),
    Quirk("comma missing between members", instead((', "steps"', ' "steps"')), damages=True),
    Quirk("comma missing between steps", instead(('}, {"tool": "Say"', '} {"tool": "Say"')), damages=True),
    Quirk("colon missing", instead(('"priority": ', '"priority" ')), damages=True),
    Quirk("raw newline in a string", instead(NEWLINE), damages=True, meant=goal(*NEWLINE)),
    Quirk("raw tab in a string", instead(TAB), damages=True, meant=goal(*TAB)),
    Quirk("invalid escape", instead(ESCAPES), damages=True, meant=goal(*ESCAPES)),
    Quirk("inner quotes not escaped", everywhere('\\"', '"'), damages=True),
    Quirk("quote not closed", instead(('"MoveTo"', '"MoveTo')), damages=True),
    Quirk("quote not opened", instead(('"MoveTo"', 'MoveTo"')), damages=True),
    Quirk("Python words", python_words, damages=True),
    Quirk("Python repr", single_quotes, damages=True),
    Quirk("keys without quotes", instead(('"goal":', "goal:"), ('"priority":', "priority:")), damages=True),
    Quirk("first key without quotes", instead(('"agent_id":', "agent_id:")), damages=True),
    Quirk("curved quotes", instead(('"MoveTo"', "“MoveTo”")), damages=True),
    Quirk("comment within", instead(('"steps": [', '"steps": [ // three\n')), damages=True),
    Quirk("NaN", instead(("7.5", "NaN")), damages=True),
    Quirk("brace missing at the end", one(lambda row: row[:-1]), damages=True),
    Quirk("brace missing within", instead(("7.5}}", "7.5}")), damages=True),
    Quirk("bracket missing within", instead(("}}], ", "}}, ")), damages=True),
    Quirk("brace too many", one(lambda row: row + "}")),
    Quirk("brace missing at the beginning", one(lambda row: row[1:]), damages=True),
    Quirk("doubled braces", one(lambda row: "{" + row + "}"), damages=True),
    # the end
    Quirk("cut early in a plan", cut(0.1), truncates=True),
    Quirk("cut in the middle of a plan", cut(0.5), truncates=True),
    Quirk("cut late in a plan", cut(0.98), truncates=True),
    Quirk("cut after the steps", cut_after_steps, truncates=True),
    Quirk("cut between plans", lambda f, p: "[" + ", ".join(rows(f)[:p]) + ", ", truncates=True),
    Quirk("cut in a fence", lambda f, p: "```json\n" + cut(0.6)(f, p), truncates=True),
    Quirk("cut in a wrapper", in_wrapper(cut(0.7)), truncates=True),
    Quirk("cut in lines", cut_in_lines, truncates=True),
    Quirk("cut in thought", lambda f, p: "<think>" + array(rows(f)[: p + 1]), truncates=True),
)  # fmt: skip
PLACES = (0, 4, 9)
CHUNKS = (1, 4, 64, 1 << 20)
