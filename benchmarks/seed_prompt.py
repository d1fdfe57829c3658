"""The prompt of 13,115 bytes that agents of this kind are sent, and what llmopt makes of it.

It has the blocks, sizes and contents of a prompt that a game engine sends for every plan: a default system
prompt, rules, 37 tools in prose, the same 37 as JSON shapes, 5 worked examples, a snapshot, and how not to
answer. The words are our own. Beside it stand two forms of llmopt's: `lossless`, which says all of it, and
`digest`, which says what a tactical agent needs.

    python benchmarks/seed_prompt.py
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from _measure import save
from _seed_data import ANSWER, EXAMPLES, RULES, SCENE, TASK, TOOLS

from llmopt import tokens
from llmopt.compress.encode import encode
from llmopt.compress.roles import ROLES, Role
from llmopt.compress.roles.relevance import Drop
from llmopt.compress.roles.tool_spec import ToolSpec, catalogue

# Bytes of each block as it is sent, client first.
SIZES = {
    "client": 397,
    "system": 499,
    "tools": 5442,
    "schema": 2577,
    "examples": 2386,
    "snapshot": 1257,
    "output": 545,
}
# What stands still comes first, so that a provider's cache finds as long a beginning as there can be.
BY_CHANGE = ("obstacles", "pois", "objective", "player", "enemies", "me", "t")
CACHE_FROM_TOKENS, CACHE_STEP_TOKENS, CACHED_PRICE = 1024, 128, 0.1
LINE = "\N{BOX DRAWINGS DOUBLE HORIZONTAL}"


@dataclass(frozen=True, slots=True)
class Part:
    """A block of the prompt."""

    name: str
    text: str

    @property
    def size_bytes(self) -> int:
        return len(self.text.encode())

    @property
    def tokens(self) -> int:
        return tokens.counter("o200k_base").count(self.text)


@dataclass(frozen=True, slots=True)
class SeedPrompt:
    """The prompt, and the blocks that it is made of."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.parts)

    @property
    def size_bytes(self) -> int:
        return len(self.text.encode())

    @property
    def tokens(self) -> int:
        return tokens.counter("o200k_base").count(self.text)


def build() -> SeedPrompt:
    """Write the prompt as it is sent."""
    bodies = {
        "client": ("", "\n".join((ANSWER["long"], *(long for long, _ in RULES["client"])))),
        "system": ("YOUR TASK", f"{TASK}\n{_numbered('CRITICAL RULES', RULES['system'])}"),
        "tools": ("AVAILABLE TOOLS", "\n\n".join(_category(name, tools) for name, tools in TOOLS.items())),
        "schema": ("ANSWER FORMAT", _schema()),
        "examples": ("EXAMPLES", "\n\n".join(_example(*entry) for entry in enumerate(EXAMPLES, 1))),
        "snapshot": ("CURRENT STATE OF THE WORLD", json.dumps(SCENE, indent=2)),
        "output": ("BEFORE YOU ANSWER", _output()),
    }
    return SeedPrompt(tuple(Part(name, _framed(*bodies[name], size)) for name, size in SIZES.items()))


def commander() -> Role:
    """Say what all tools and rules of the long prompt make of an agent."""
    tools = tuple(tool for group in TOOLS.values() for tool in group)
    rules = tuple(short for group in RULES.values() for _, short in group if short)
    return Role("commander", ANSWER["short"], tools=tools, rules=rules)


def lossless(scene: dict[str, Any], *, profile: str = "safe") -> tuple[str, str]:
    """Say all that the long prompt says: what is the same in every call, and the state."""
    role = commander()
    examples = encode(list(EXAMPLES), profile=profile).text
    state = encode({key: scene[key] for key in BY_CHANGE}, profile=profile).text
    return f"{role.prompt}\n{catalogue(role.tools)}\nExamples:{examples}\n", f"State:{state}"


def digest(scene: dict[str, Any]) -> str:
    """Say what a tactical agent needs to know, the objective and its orders in any case."""
    tactical = ROLES["tactical"]
    role = replace(tactical, relevance=(*tactical.relevance, Drop(("t", "me.morale", "me.cooldowns"))))
    state = encode(scene, profile="dense", role=role).text
    return "\n".join((role.prompt, role.signatures(types=False), "Reply [[tool,args],..]", state))


def next_tick(scene: dict[str, Any]) -> dict[str, Any]:
    """Let half a second pass: the enemy walks, the agent walks and shoots."""
    enemies = [enemy | {"pos": {"x": 11, "y": 2}, "hp": 45, "last_seen": 0.5} for enemy in scene["enemies"]]
    me = scene["me"] | {"ammo": 27, "pos": {"x": 3, "y": 3}}
    return scene | {"t": 0.5, "enemies": enemies, "me": me}


def effective_tokens(prompt: str, before: str) -> float:
    """Count the tokens of a call, those that a provider has cached since the last one at their price."""
    encoded, earlier = (tokens.counter("o200k_base").encode(text) for text in (prompt, before))
    same = next((i for i, (a, b) in enumerate(zip(encoded, earlier, strict=False)) if a != b), len(earlier))
    cached = same - same % CACHE_STEP_TOKENS if same >= CACHE_FROM_TOKENS else 0
    return len(encoded) - (1 - CACHED_PRICE) * cached


def _framed(title: str, body: str, size_bytes: int) -> str:
    """Put a title between two lines that are as long as it takes for the block to have its size."""
    if not title:
        return body
    left = size_bytes - len(f"\n{title}\n\n{body}".encode())
    upper, spare = divmod(left, 3)
    return f"{LINE * (upper - upper // 2)}\n{title}{' ' * spare}\n{LINE * (upper // 2)}\n{body}"


def _numbered(title: str, rules: tuple[tuple[str, str], ...]) -> str:
    return "\n".join((f"{title}:", *(f"{number}. {long}" for number, (long, _) in enumerate(rules, 1))))


def _category(name: str, tools: tuple[ToolSpec, ...]) -> str:
    return "\n".join((f"{LINE * 3} {name} {LINE * 3}", *map(_tool, tools)))


def _tool(tool: ToolSpec) -> str:
    params = [f"    - {p.name} ({p.type}) [{'REQUIRED' if p.required else 'optional'}]" for p in tool.params]
    lines = [
        f"* {tool.name}",
        f"  Description: {tool.description[0].upper()}{tool.description[1:]}.",
        *(["  Parameters:", *params] if params else ["  Parameters: none"]),
        f"  Cooldown: {f'{tool.cooldown_s:g} s' if tool.cooldown_s else 'none'}",
    ]
    return "\n".join(lines)


def _schema() -> str:
    tools = [tool for group in TOOLS.values() for tool in group]
    shapes = [json.dumps(_shape(tool)).replace('"<', "<").replace('>"', ">") for tool in tools]
    intro = (
        "A step of your plan is a JSON object of exactly one of these shapes, "
        "with values of your own in place of <...>:"
    )
    return "\n".join((intro, *(f"- {shape}" for shape in shapes), _numbered("FORMAT RULES", RULES["schema"])))


def _shape(tool: ToolSpec) -> dict[str, Any]:
    return {"act": tool.name} | {
        p.name: f"<{p.type}{'' if p.required else ' or absent'}>" for p in tool.params
    }


def _example(number: int, example: dict[str, Any]) -> str:
    named = {tool.name: tool for group in TOOLS.values() for tool in group}
    steps = [
        {"act": name} | dict(zip([p.name for p in named[name].params], arguments, strict=False))
        for name, *arguments in example["plan"]
    ]
    return "\n".join(
        (
            f"--- Example {number} of {len(EXAMPLES)} ---",
            f"Scenario: {example['scenario']}.",
            f"World state (as JSON): {json.dumps(example['state'])}",
            f"A good plan (as JSON): {json.dumps({'plan_id': f'example_{number}', 'steps': steps})}",
            f"Why it is good: {example['reasoning']}",
        )
    )


def _output() -> str:
    return "\n".join(long for long, _ in RULES["output"])


def figures() -> dict[str, Any]:
    """Count the long prompt and the two short forms."""
    count = tokens.counter("o200k_base").count
    prompt, short = build(), digest(SCENE)
    now, later = ("".join(lossless(scene)) for scene in (SCENE, next_tick(SCENE)))
    return {
        "long": {"bytes": prompt.size_bytes, "tokens": prompt.tokens},
        "blocks": {part.name: {"bytes": part.size_bytes, "tokens": part.tokens} for part in prompt.parts},
        "lossless": {"tokens": count(now), "effective_tokens_steady": round(effective_tokens(later, now), 1)},
        "digest": {"characters": len(short), "tokens": count(short)},
    }


if __name__ == "__main__":
    save("seed_prompt", figures(), ("tiktoken",))
