"""Planning for many agents: what was aimed at, and what each strategy costs."""

from __future__ import annotations

from typing import Any

from _markdown import Results, Row, at_most, grid, judged, number, paragraph, provenance

PROFILES = ("balanced", "dense")
PRETTY = "json.dumps, indent=2"
LOOP = "sequential"
NOTES = """\
Tokens are o200k_base's, exact; the agents' snapshots are made by `benchmarks/_squads.py`. To assemble is
to encode all snapshots and to count the tokens of the request, every time of a tick that is new: CPU time,
medians of {rounds} interleaved rounds for {agents} agents. *Cacheable* is what a provider finds that
caches prefixes from 1,024 tokens on in steps of 128, *effective* what it charges if what is cached costs a
tenth: 10 agents, 3 ticks. A strategy of many calls has a prefix to be found in each, one call has fewer
tokens a plan."""


def page(results: Results) -> str:
    found = results["planning"]
    rounds = [str(one["rounds"]) for one in found["assembly"].values()]
    agents = [f"{int(agents):,}" for agents in found["assembly"]]
    head = (
        "strategy",
        "profile",
        "calls",
        "tokens a call",
        "cacheable",
        "effective a call",
        "effective a plan",
    )
    return "\n\n".join(
        (
            grid(("", "target", *PROFILES, "pretty JSON"), _targets(found)),
            grid(head, _strategies(found["strategies"]), left=2),
            grid(("CPU of an answer, a row of three steps", "us"), _reading(found["reading"])),
            paragraph(NOTES.format(rounds=", ".join(rounds), agents=", ".join(agents))),
            provenance(found),
        )
    )


def _targets(found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for agents, one in found["assembly"].items():
        limit, pretty = one["target_tokens_per_agent"], one[PRETTY]
        tokens = (at_most(one[profile]["tokens_per_agent"], limit, "") for profile in PROFILES)
        name = f"{int(agents):,} agents in one request"
        rows.append(
            (
                f"{name}: input tokens an agent",
                f"≤ {limit}",
                *tokens,
                number(round(pretty["tokens_per_agent"])),
            )
        )
        ratios = (judged(f"{one[p]['ratio']:.2f}x", met=one[p]["ratio"] <= 1) for p in PROFILES)
        ms = f"{pretty['median_us'] / 1e3:.1f} ms"
        rows.append((f"{name}: assembled, to `json.dumps(indent=2)`", "≤ 1x", *ratios, ms))
    output = at_most(found["reading"]["tokens"], 26, "")
    rows.append(("an answer of three steps, tokens", "≤ 26", output, output, ""))
    loops = [found["strategies"][profile][LOOP] for profile in PROFILES]
    shares = (judged(f"{one['cacheable_share']:.1%}", met=one["cacheable_share"] >= 0.85) for one in loops)
    rows.append(("30 calls of 10 agents: cacheable", "≥ 85 %", *shares, ""))
    costs = (at_most(one["effective_tokens_per_call"], 402, "") for one in loops)
    rows.append(("30 calls of 10 agents: effective tokens a call", "≤ 402", *costs, ""))
    return rows


def _strategies(found: dict[str, Any]) -> list[Row]:
    return [
        (
            f"`{strategy}`",
            profile,
            str(one["calls"]),
            number(one["tokens_per_call"]),
            f"{one['cacheable_share']:.1%}",
            number(one["effective_tokens_per_call"]),
            number(one["effective_tokens_per_plan"]),
        )
        for profile, strategies in found.items()
        for strategy, one in strategies.items()
    ]


def _reading(found: dict[str, Any]) -> list[Row]:
    return [(name, number(one["median_us"])) for name, one in found["per_row"].items()]


def readme_tokens(results: Results) -> Row:
    one = results["planning"]["assembly"]["30"]
    own = f"{one['balanced']['tokens_per_agent']} (dense {one['dense']['tokens_per_agent']})"
    pretty = f"pretty JSON {one[PRETTY]['tokens_per_agent']:,.0f}"
    return "30 agents in one request, input tokens an agent", own, pretty


def readme_loop(results: Results) -> Row:
    one = results["planning"]["strategies"]["balanced"][LOOP]
    own = f"{one['effective_tokens_per_call']:.0f}: {one['cacheable_share']:.0%} cacheable"
    return "30 calls of 10 agents, effective tokens a call", own, f"{number(one['tokens_per_call'])} are sent"


IN_README = (readme_tokens, readme_loop)
