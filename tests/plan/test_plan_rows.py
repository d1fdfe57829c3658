"""Rows of an answer: every shape that models use, every fault, and what a row costs."""

from __future__ import annotations

import json
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.plan.handles import Handles
from llmopt.plan.rows import Row, RowFault, parse_row
from llmopt.plan.tool import Tool, Tools
from llmopt.plan.types import Step
from llmopt.tokens import counter


def move_to(x: int, y: int): ...


def attack(target: int, rounds: int = 3): ...


def throw(item: Literal["smoke", "grenade"], x: int, y: int): ...


def say(text: str): ...


def follow(path: list[list[int]]): ...


def reload(): ...


TOOLS = Tools.of([move_to, attack, throw, say, follow, reload])
HANDLES = Handles.of([17, 18, 19])
MOVE = Step("move_to", {"x": 10, "y": 5})
ATTACK = Step("attack", {"target": 3})
ONLY = 'there are only "move_to", "attack", "throw", "say", "follow", "reload"'
OPENAI = {"type": "function", "function": {"name": "move_to", "arguments": '{"x": 10, "y": 5}'}}


def parsed(row, **options):
    return parse_row(row, TOOLS, HANDLES, **options)


@pytest.mark.parametrize(
    "row",
    [
        [17, ["move_to", 10, 5], ["attack", 3]],
        [17, ["move_to", 10, 5], ["attack", 3, None]],
        [17, ["move_to", 10, 5], {"tool": "attack", "args": {"target": 3}}],
        {"agent": 17, "steps": [["move_to", 10, 5], ["attack", 3]]},
        {"agent": 17, "steps": [{"tool": "move_to", "args": [10, 5]}, {"tool": "attack", "args": [3]}]},
        {"agent_id": 17, "plan": [{"act": "move_to", "x": 10, "y": 5}, {"act": "attack", "target": 3}]},
        {"agentId": 17, "plan_id": "p1", "steps": [["move_to", 10, 5], {"action": "attack", "target": 3}]},
        {
            "id": 17,
            "actions": [{"name": "move_to", "arguments": {"x": 10, "y": 5}}, {"name": "attack", "target": 3}],
        },
        {"id": 17, "plan": {"plan_id": "p", "steps": [["move_to", 10, 5], ["attack", 3]]}},
        {"agent": 17, "plan": "sneak", "steps": [["move_to", 10, 5], ["attack", 3]]},
    ],
)
def test_the_usual_shapes_need_no_repair(row):
    assert parsed(row) == Row(17, (MOVE, ATTACK))


@pytest.mark.parametrize(
    "row",
    [
        ["17", ["move_to", 10, 5], ["attack", 3]],
        [["17", ["move_to", 10, 5], ["attack", 3]]],
        [17, [["move_to", 10, 5], ["attack", 3]]],
        [17, ["MoveTo", 10, 5], ["attack", "3"]],
        [17, ["move_to", {"x": 10, "y": 5}], ["attack", [3]]],
        [17, {"move_to": {"x": 10, "y": 5}}, {"attack": 3}],
        [17, OPENAI, ["attack", 3]],
        [17, {"tool": {"name": "move_to", "input": {"x": 10, "y": 5}}}, ["attack", 3]],
        [17, {"tool": "move_to", "args": {"x": 10, "y": 5}, "reason": "near"}, ["attack", 3]],
        [17, {"act": "move_to", "x": 10, "y": 5, "why": "near"}, ["attack", 3]],
        {"agent": 17, "steps": '[["move_to", 10, 5], ["attack", 3]]'},
        {"17": [["move_to", 10, 5], ["attack", 3]]},
        {"agent 17": {"steps": [["move_to", 10, 5], ["attack", 3]]}},
        {"plan": {"agent_id": 17, "steps": [["move_to", 10, 5], ["attack", 3]]}},
        {"row": [17, ["move_to", 10, 5], ["attack", 3]]},
        {"message": {"content": '{"agent": 17, "steps": [["move_to", 10, 5], ["attack", 3]]}'}},
        '[17, ["move_to", 10, 5], ["attack", 3]]',
    ],
)
def test_other_shapes_are_understood_and_noted(row):
    found = parsed(row)
    assert (found.handle, found.steps) == (17, (MOVE, ATTACK))
    assert found.repairs


@pytest.mark.parametrize(
    ("row", "steps"),
    [
        ([17, "reload"], [Step("reload")]),
        ([17, "reload", "reload"], [Step("reload"), Step("reload")]),
        ([17, "move_to", 10, 5], [MOVE]),
        ([17, {"reload": None}], [Step("reload")]),
        ({"agent": 17, "tool": "move_to", "args": [10, 5]}, [MOVE]),
        ({"agent": 17, "action": "move_to", "x": 10, "y": 5}, [MOVE]),
        ({"agent": 17, "steps": {"act": "move_to", "x": 10, "y": 5}}, [MOVE]),
        ({"agent": 17, "plan": {"note": "one", "act": "reload"}}, [Step("reload")]),
        ([17, ["say", "[1]"]], [Step("say", {"text": "[1]"})]),
        ({"agent": 17, "act": "say", "text": "[1]"}, [Step("say", {"text": "[1]"})]),
        ([17, ["follow", [[1, 2], [3, 4]]]], [Step("follow", {"path": [[1, 2], [3, 4]]})]),
        ({"agent": 17, "steps": [{"tool": "reload", "args": None}]}, [Step("reload")]),
    ],
)
def test_single_steps_stand_for_themselves(row, steps):
    assert parsed(row).steps == tuple(steps)


def test_a_parameter_may_be_called_like_a_part_of_a_plan():
    tools = Tools.of(
        [
            {
                "name": "run",
                "parameters": {"properties": {"args": {"type": "string"}, "reason": {"type": "string"}}},
            },
            {"name": "plan", "parameters": {"properties": {"steps": {"type": "integer"}}}},
        ]
    )
    row = parse_row([17, {"act": "run", "args": "-v", "reason": "x"}], tools, HANDLES)
    assert row == Row(17, (Step("run", {"args": "-v", "reason": "x"}),))
    row = parse_row({"agent": 17, "act": "plan", "steps": 3}, tools, HANDLES)
    assert row.steps == (Step("plan", {"steps": 3}),)
    row = parse_row({"agent": 17, "plan": {"act": "plan", "steps": [3]}}, tools, HANDLES)
    assert row.reason == "step 1: plan.steps is [3], but it must be an int"


@pytest.mark.parametrize(
    ("row", "handle", "reason"),
    [
        (None, None, "the row is null, but must be [agent, [tool, argument, ...], ...]"),
        ([], None, "the row is [], but must be [agent, [tool, argument, ...], ...]"),
        ("[17", None, 'the row is "[17", but must be [agent, [tool, argument, ...], ...]'),
        ([99, ["reload"]], None, "there is no agent 99, only 17, 18, 19"),
        ([True, ["reload"]], None, "there is no agent true, only 17, 18, 19"),
        ({"steps": [["reload"]]}, None, 'the row names no agent, only "steps"'),
        ({"agent": 17, "mood": "good"}, 17, 'the row has no steps, only "agent", "mood"'),
        ({"17": 3}, 17, "the steps are 3, but must be a list"),
        ([17], 17, "the plan has no steps, but needs at least one"),
        ({"agent": 17, "steps": []}, 17, "the plan has no steps, but needs at least one"),
        ([17, ["fly", 1]], 17, f'step 1: there is no tool "fly", {ONLY}'),
        ([17, ["reload"], ["atack", 3]], 17, 'step 2: there is no tool "atack", did you mean "attack"?'),
        ([17, ["move_to", 10]], 17, "step 1: move_to lacks y, an int"),
        ([17, ["throw", "rock", 1, 2]], 17,
         'step 1: throw.item is "rock", but it must be one of smoke|grenade'),
        ([17, 3, 4], 17, "step 1: it is 3, but must be [tool, argument, ...]"),
        ([17, []], 17, "the plan has no steps, but needs at least one"),
        ([17, ["reload"], []], 17, "step 2: it is [], but must be [tool, argument, ...]"),
        ([17, {"x": 1}], 17, 'step 1: it is {"x":1} and names no tool, but must be [tool, argument, ...]'),
        ({"agent": 17, "action": "fly"}, 17, f'step 1: there is no tool "fly", {ONLY}'),
        ([17, {"tool": "move_to", "args": "10, 5"}], 17,
         'step 1: the arguments of move_to are "10, 5", but must be a list'),
    ],
)  # fmt: skip
def test_every_fault_has_a_sentence(row, handle, reason):
    found = parsed(row)
    assert isinstance(found, RowFault)
    assert (found.handle, found.reason) == (handle, reason)


def test_the_number_of_steps_is_bounded():
    row = [17, ["reload"], ["reload"], ["reload"]]
    assert len(parsed(row, max_steps=3).steps) == 3
    assert parsed(row, max_steps=2).reason == "the plan has 3 steps, but at most 2 are allowed"
    assert parsed([17], allow_empty=True) == Row(17, ())
    with pytest.raises(ConfigurationError, match="max_steps=0"):
        parsed(row, max_steps=0)


def test_the_raw_row_is_kept_short():
    fault = parsed([99, "x" * 1000])
    assert fault.raw.startswith('[99,"xxx')
    assert len(fault.raw) == 400


def test_many_agents_are_not_all_named():
    handles = Handles.of(range(100))
    assert parse_row([100, ["reload"]], TOOLS, handles).reason.endswith("10, 11, ...")


def test_wrappers_are_opened_so_deep_and_no_deeper():
    row = [17, ["reload"]]
    for _ in range(4):
        row = {"data": row}
    assert parsed(row).steps == (Step("reload"),)
    assert parsed({"data": row}).handle is None
    steps = [["reload"]]
    for _ in range(6):
        steps = {"steps": steps}
    assert isinstance(parsed({"agent": 17, **steps}), RowFault)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 20) | st.floats() | st.sampled_from(
        ["move_to", "attack", "17", "reload", "x", "", "[1]", '{"a":1}']
    ),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["agent", "steps", "plan", "tool", "act", "args", "x", "17", "function", "data"]),
        inner,
        max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=150)
@given(JSON | st.lists(JSON, min_size=1, max_size=3).map(lambda steps: [17, *steps]))
def test_whatever_comes_is_a_row_or_a_fault(row):
    found = parsed(row, allow_empty=True)
    if isinstance(found, RowFault):
        assert found.reason
        assert "\n" not in found.reason
        assert found.handle in {None, 17, 18, 19}
    else:
        assert found.handle in {17, 18, 19}
        # A plan that was accepted is in order: written as it should be, it needs no repair.
        again = [found.handle, *([step.tool, dict(step.args)] for step in found.steps)]
        steps = {"agent": found.handle, "steps": [{"tool": name, "args": args} for name, args in again[1:]]}
        assert parsed(steps, allow_empty=True) == Row(found.handle, found.steps)


@st.composite
def plans(draw):
    steps = draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("move_to"), st.integers(), st.integers()),
                st.tuples(st.just("attack"), st.integers()),
                st.tuples(st.just("attack"), st.integers(), st.integers()),
                st.tuples(
                    st.just("throw"), st.sampled_from(["smoke", "grenade"]), st.integers(), st.integers()
                ),
                st.tuples(st.just("say"), st.text()),
                st.tuples(st.just("reload")),
            ),
            min_size=1,
            max_size=5,
        )
    )
    return draw(st.sampled_from([17, 18, 19])), [[*step] for step in steps]


@settings(max_examples=150)
@given(plans())
def test_all_forms_of_a_plan_are_the_same_plan(plan):
    agent, steps = plan
    row = parsed(json.loads(json.dumps([agent, *steps])))
    assert (row.handle, row.repairs) == (agent, ())
    named = [{"tool": step.tool, "args": dict(step.args)} for step in row.steps]
    flat = [{"act": step.tool, **step.args} for step in row.steps]
    openai = [
        {"function": {"name": step.tool, "arguments": json.dumps(dict(step.args))}} for step in row.steps
    ]
    for steps_of in (named, flat, openai):
        assert parsed({"agent_id": agent, "plan": steps_of}).steps == row.steps
        assert parsed([str(agent), steps_of]).steps == row.steps


def game_plan(random, agents):
    """A plan of three steps, drawn as a squad would act."""
    cell = lambda: random.randrange(64)  # noqa: E731
    makers = (
        lambda: ["move_to", cell(), cell()],
        lambda: ["attack", 100 + random.randrange(24)],
        lambda: ["attack", 100 + random.randrange(24), random.randint(1, 6)],
        lambda: ["throw", random.choice(["smoke", "grenade"]), cell(), cell()],
        lambda: ["reload"],
    )
    return [random.choice(agents), *(random.choice(makers)() for _ in range(3))]


@pytest.mark.parametrize(
    ("agents", "limit"),
    [(list(range(1, 31)), 24.5), ([f"agent-7f{n:02d}-{n:08x}" for n in range(30)], 25.5)],
)
def test_a_plan_of_three_steps_costs_26_tokens_at_most(agents, limit):
    random = Random(5)
    handles = Handles.of(agents)
    rows = [game_plan(random, [*handles.agents]) for _ in range(1000)]
    assert not any(parse_row(row, TOOLS, handles).repairs for row in rows)
    count = counter("o200k_base", exact=True).count
    tokens = sum(count(json.dumps(row, separators=(",", ":")) + "\n") for row in rows) / len(rows)
    assert tokens <= limit <= 26


def test_signatures_cost_few_tokens():
    count = counter("o200k_base", exact=True).count
    costs = {tool.name: count(tool.signature("types")) for tool in TOOLS}
    assert costs == {"move_to": 7, "attack": 10, "throw": 13, "say": 4, "follow": 5, "reload": 2}
    openai = [{"name": t.name, "parameters": {p.name: p.type.kind for p in t.parameters}} for t in TOOLS]
    assert 3 * count(TOOLS.text()) < count(json.dumps(openai, indent=1))


def test_a_tool_may_have_no_description():
    assert Tool.of(reload).description == ""
