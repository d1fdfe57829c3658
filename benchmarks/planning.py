"""What it takes to plan for a squad: prompts assembled and counted, answers read, tokens by strategy.

python benchmarks/planning.py
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import orjson
from _measure import in_units, measure, save, summary
from _squads import INSTRUCTIONS, TOOLS, Squad, plan, ticks

import llmopt
from llmopt import tokens
from llmopt.compress import decode
from llmopt.compress.encode import forget_shapes
from llmopt.plan.assembly import Memory, Seen, assemble
from llmopt.plan.explain import requests_of
from llmopt.plan.handles import Handles
from llmopt.plan.quality import QualityBook
from llmopt.plan.reading import PlanReader
from llmopt.plan.rows import parse_row
from llmopt.plan.settings import Settings
from llmopt.plan.tool import Tools
from llmopt.testing import ScriptedModel

MODEL = "gpt-4o"  # whose tokens are o200k_base's
PROFILES = ("balanced", "dense")
PRETTY = "json.dumps, indent=2"
TARGETS = {10: 85, 30: 55, 1000: 38}
ROUNDS = {10: (41, 5), 30: (21, 3), 1000: (7, 1)}
ONE_REQUEST: dict[str, Any] = {
    "strategy": "one_call",
    "max_agents": 1000,
    "output_tokens": 100_000,
    "context_tokens": 400_000,
}
CACHE_FROM_TOKENS, CACHE_STEP_TOKENS, CACHED_PRICE = 1024, 128, 0.1
counter = tokens.counter("o200k_base")


def assembly(agents: int) -> dict[str, Any]:
    """Return CPU time and tokens of one request for all agents, every time in a tick of its own."""
    rounds, number = ROUNDS[agents]
    fresh = ticks(agents, 3 + rounds * number)  # `measure` tries each case three times
    cases: dict[str, Any] = {profile: (_assembling(profile, iter(fresh)), number) for profile in PROFILES}
    given = iter(fresh)
    cases[PRETTY] = (lambda: json.dumps(next(given), indent=2), number)
    taken = measure(cases, rounds=rounds)
    forget_shapes()  # what a template was found from decides its last few tokens
    sizes = {profile: _tokens(_assembling(profile, iter(fresh))()) for profile in PROFILES}
    sizes[PRETTY] = counter.count(json.dumps(fresh[0], indent=2))
    return {"rounds": rounds, "target_tokens_per_agent": TARGETS[agents]} | {
        name: {
            **summary(values),
            "ratio": round(statistics.median(in_units(values, taken[PRETTY])), 3),
            "tokens_per_agent": round(sizes[name] / agents, 1),
        }
        for name, values in taken.items()
    }


def _assembling(profile: Any, fresh: Iterator[list[dict[str, Any]]]) -> Callable[[], list[Any]]:
    """Return what makes the next tick's requests and counts their tokens."""
    settings = Settings(ScriptedModel(model_id=MODEL), tools=TOOLS, profile=profile, **ONE_REQUEST)
    memory = Memory(QualityBook(), None)

    def next_tick() -> list[Any]:
        seen = [Seen(number, number, snapshot) for number, snapshot in enumerate(next(fresh), 1)]
        requests = requests_of(assemble(settings, memory, seen, counter).jobs)
        assert sum(request.tokens for request in requests)
        return list(requests)

    return next_tick


def _tokens(requests: list[Any]) -> int:
    """Count what is said of the agents and their world, exactly as it is sent."""
    (request,) = requests
    return counter.count("\n\n".join(part.text for part in request.user))


def reading(agents: int = 100) -> dict[str, Any]:
    """Return CPU time per row of reading an answer, in chunks of a token or so; beside it JSON alone."""
    random = Random(3)
    rows = [plan(agent, random) for agent in range(1, agents + 1)]
    lines = [json.dumps(row, separators=(",", ":")) for row in rows]
    text = "".join(f"{line}\n" for line in lines)
    chunks = [text[at : at + 4] for at in range(0, len(text), 4)]
    tools, handles = Tools.of(TOOLS), Handles.of(range(1, agents + 1), counter)

    def read(pieces: list[str]) -> int:
        reader = PlanReader(tools, handles)
        found = [row for piece in pieces for row in reader.feed(piece)] + list(reader.close())
        assert sum(row.steps is not None for row in found) == agents
        return len(found)

    cases = {
        "chunks of 4 characters": (lambda: read(chunks), 3),
        "in one piece": (lambda: read([text]), 5),
        "a row checked, its JSON read before": (lambda: [parse_row(row, tools, handles) for row in rows], 10),
        "json.loads of each line": (lambda: [json.loads(line) for line in lines], 20),
        "orjson.loads of each line": (lambda: [orjson.loads(line) for line in lines], 40),
    }
    taken = {name: [us / agents for us in values] for name, values in measure(cases, rounds=21).items()}
    tokens_per_plan = round(counter.count(text) / agents, 1)
    return {"per_row": {name: summary(values) for name, values in taken.items()}, "tokens": tokens_per_plan}


def strategies() -> dict[str, Any]:
    """Return calls, tokens and what a provider's cache makes of them: 10 agents, 3 ticks, each strategy."""
    names = ("one_call", "leader_then_fanout", "fanout", "sequential")
    return {profile: {name: _strategy(name, profile) for name in names} for profile in PROFILES}


def _strategy(strategy: str, profile: str) -> dict[str, Any]:
    model, random = ScriptedModel(_answer, model_id=MODEL), Random(3)
    squad = Squad(10, random.randrange(100))
    chosen: dict[str, Any] = {"strategy": strategy, "profile": profile, "max_agents": 10}
    plan_for = llmopt.planner(
        model, tools=TOOLS, instructions=INSTRUCTIONS, id_of=lambda agent: agent[0], **chosen
    )(lambda agent: agent[1])
    for _ in range(3):
        result = plan_for.batch(enumerate(squad.snapshots(), 1)).result()
        assert all(found.status == "ok" for found in result.values())
        squad.step()
    prompts = [f"{call.prompt.system}\n{call.prompt.prompt}" for call in model.calls]
    return {"static_tokens": counter.count(str(model.calls[0].prompt.system)), **_cached(prompts)}


def _answer(prompt: Any) -> str:
    table = prompt.prompt.rpartition("Agents:\n")[2]
    return "".join(
        f'[{json.dumps(row["agent"])},["scan",10],["reload"],["block"]]\n' for row in decode(table)
    )


def _cached(prompts: list[str]) -> dict[str, Any]:
    """Return what a provider charges that caches from 1,024 tokens on, in steps of 128, at a tenth."""
    encoded = [counter.encode(prompt) for prompt in prompts]
    total, cached = sum(map(len, encoded)), 0
    for at, own in enumerate(encoded):
        same = max((_same(own, other) for other in encoded[:at]), default=0)
        cached += same - same % CACHE_STEP_TOKENS if same >= CACHE_FROM_TOKENS else 0
    effective = total - (1 - CACHED_PRICE) * cached
    return {
        "calls": len(prompts),
        "tokens_per_call": round(total / len(prompts), 1),
        "cacheable_share": round(cached / total, 4),
        "effective_tokens_per_call": round(effective / len(prompts), 1),
        "effective_tokens_per_plan": round(effective / 30, 1),
    }


def _same(one: list[int], other: list[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


def main() -> None:
    content = {
        "assembly": {str(agents): assembly(agents) for agents in ROUNDS},
        "reading": reading(),
        "strategies": strategies(),
    }
    save("planning", content, ("tiktoken", "orjson"))


if __name__ == "__main__":
    main()
