"""The seed prompt, rebuilt to its size, and llmopt's two forms of it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from llmopt import tokens
from llmopt.compress.decode import decode

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
count = tokens.counter("o200k_base").count


@pytest.fixture(scope="module")
def seed():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("seed_prompt")


def test_the_long_prompt_has_the_size_of_the_original(seed):
    prompt = seed.build()
    assert prompt.size_bytes == len(prompt.text.encode()) == 13_115
    assert prompt.tokens == count(prompt.text) == pytest.approx(3_840, rel=0.01)
    assert prompt == seed.build()


def test_each_block_has_the_size_of_the_original(seed):
    parts = {part.name: part for part in seed.build().parts}
    assert {name: part.size_bytes for name, part in parts.items()} == seed.SIZES
    original = [114, 113, 1466, 746, 857, 427, 116]
    assert [part.tokens for part in parts.values()] == pytest.approx(original, rel=0.1)


def test_the_long_prompt_is_about_37_tools_with_44_parameters(seed):
    text = seed.build().text
    groups = seed.TOOLS.values()
    assert [len(group) for group in groups] == [6, 8, 6, 5, 7, 5]
    assert sum(len(tool.params) for group in groups for tool in group) == 44
    for tool in (tool for group in groups for tool in group):
        assert f"* {tool.name}\n  Description: {tool.description.capitalize()}" in text
        assert f'{{"act": "{tool.name}"' in text
    assert json.dumps(seed.SCENE, indent=2) in text
    assert all(long in text for group in seed.RULES.values() for long, _ in group)


def test_the_form_without_loss_says_all_of_it(seed):
    static, state = seed.lossless(seed.SCENE)
    assert decode(state.removeprefix("State:")) == seed.SCENE
    said, examples = static.split("Examples:")
    assert decode(examples.strip()) == list(seed.EXAMPLES)
    role = seed.commander()
    for tool in role.tools:
        wait = f" {tool.cooldown_s:g}s" if tool.cooldown_s else ""
        heading = f"({','.join(map(str, tool.params))}):\n"
        assert f"\n{tool.name}{wait}: {tool.description}\n" in said.split(heading)[1].split("\n(")[0].join(
            "\n\n"
        )
    assert {tool.name for tool in role.tools} == {
        tool.name for group in seed.TOOLS.values() for tool in group
    }
    assert all(short in said for group in seed.RULES.values() for _, short in group)


def test_the_form_without_loss_is_small(seed):
    now, later = ("".join(seed.lossless(scene)) for scene in (seed.SCENE, seed.next_tick(seed.SCENE)))
    assert count(now) <= 1_450
    assert seed.effective_tokens(later, now) <= 340
    assert seed.effective_tokens(now, "") == count(now)
    assert seed.effective_tokens(now, now) <= seed.effective_tokens(later, now)


def test_the_digest_is_tiny_and_keeps_the_objective_and_the_orders(seed):
    text = seed.digest(seed.SCENE)
    assert len(text) <= 400
    assert count(text) <= 130
    state = decode(text.rpartition("\n")[2])
    assert state["objective"] == seed.SCENE["objective"]
    assert state["player"] == {"orders": ["hold_east"]}
    assert state["me"] == {"ammo": 30, "pos": {"x": 2, "y": 3}}
    assert state["enemies"] == [{"id": 3, "pos": {"x": 12, "y": 2}, "hp": 60, "cover": "low"}]


def test_the_figures_are_those_of_the_forms(seed):
    figures = seed.figures()
    assert figures["long"] == {"bytes": 13_115, "tokens": seed.build().tokens}
    assert figures["digest"]["tokens"] == count(seed.digest(seed.SCENE))
    assert figures["lossless"]["tokens"] == count("".join(seed.lossless(seed.SCENE)))
    assert sum(block["bytes"] for block in figures["blocks"].values()) == 13_115 - 2 * 6


def test_every_tool_of_the_shipped_roles_is_known(seed):
    from llmopt.compress.roles import ROLES

    known = {tool.signature: tool.cooldown_s for group in seed.TOOLS.values() for tool in group}
    for tool in (tool for role in ROLES.values() for tool in role.tools):
        assert known[tool.signature] == tool.cooldown_s
