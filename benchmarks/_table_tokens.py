"""Tokens and time of the encodings: what was aimed at, and a table for each workload."""

from __future__ import annotations

from typing import Any

from _markdown import Results, Row, at_least, at_most, grid, judged, number, paragraph, provenance, span

SHARED = {  # the least ratio of tokens to compact JSON that is aimed at
    "game10_tick0": ("10 agents of a game", 7.5),
    "k8s20": ("20 Kubernetes pods", 8.0),
    "tools40": ("40 tool schemas", 3.2),
    "chat40": ("a chat of 40 messages", 2.8),
    "events75": ("75 log events", 2.5),
}
MADE = {"squad10": "10 agents of a game, made by `benchmarks/_squads.py`"}
OURS = ("llmopt safe", "llmopt balanced", "llmopt dense", "llmopt dense + vault")
BEST = OURS[-1]
KNOWN, FIRST = 1.0, 30.0  # times json.dumps
NOTES = """\
Tokens are o200k_base's, exact. *CPU* is in units of the standard library's `json.dumps` of the same value,
median of {rounds} interleaved rounds. For llmopt it is that of data whose shape is known and whose text is
new, tokens counted; *first* is the same for a shape that is new, *again* for a value that came before. CSV
has dotted columns, JSON in cells, and is read back by guessing types. *As numbers*: 6.0 comes back as 6."""


def page(results: Results) -> str:
    found, seed = results["compress_tokens"], results["seed_prompt"]
    parts = [
        grid(("", "target", "measured"), [*_targets(found), *_seed(seed)]),
        grid(
            ("CPU of `encode` on these workloads", "known, at most 1x", "first, at most 30x"), _times(found)
        ),
        paragraph(NOTES.format(rounds=found["rounds"])),
        *_absent(found),
        provenance(found),
        *(_workload(name, one) for name, one in found["workloads"].items()),
    ]
    return "\n\n".join(parts)


def _shared(found: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in found["workloads"].items() if name in SHARED}


def _targets(found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for name, one in _shared(found).items():
        what, least = SHARED[name]
        tokens = one["tokens"]
        best = min(tokens[own]["tokens"] for own in OURS)
        ratio = tokens["JSON, compact"]["tokens"] / best
        rows.append((f"`{name}`: {what}, to compact JSON", f"≥ {least}x", at_least(ratio, least)))
        if "TOON" in tokens:
            toon = min(tokens[way]["tokens"] for way in tokens if way.startswith("TOON"))
            worst = max(tokens[own]["tokens"] for own in OURS)
            told = judged(f"{toon / worst:.2f}x to {toon / best:.1f}x", met=worst < toon)
            rows.append((f"`{name}`: every profile to TOON", "> 1x", told))
        if name == "game10_tick0":
            rows.append((f"`{name}`: stretch", "≥ 10x", at_least(ratio, 10)))
    return rows + _losses(found["with_loss"])


def _losses(found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    if "tools40" in found:
        told = at_least(found["tools40"]["ratio_to_compact"], 3.6)
        rows.append(("`tools40`: meaning-exact, to compact JSON", "≥ 3.6x", told))
    for name, role, least in (("game10_tick0", "tactical", 35), ("k8s20", "diagnose", 36)):
        if name in found:
            told = at_least(found[name]["ratio_to_pretty"], least)
            rows.append((f"`{name}`: role {role}, loss declared, to pretty JSON", f"≥ {least}x", told))
    return rows


def _seed(found: dict[str, Any]) -> list[Row]:
    digest, lossless = found["digest"], found["lossless"]
    what = f"a prompt of {found['long']['bytes']:,} bytes, {found['long']['tokens']:,} tokens"
    return [
        (f"{what}: a digest", "≤ 400 characters", at_most(digest["characters"], 400, "")),
        ("its tokens", "≤ 130", at_most(digest["tokens"], 130, "")),
        ("the same without loss of meaning, tokens", "≤ 1,450", at_most(lossless["tokens"], 1450, "")),
        (
            "its effective tokens a call, steady",
            "≤ 340",
            at_most(lossless["effective_tokens_steady"], 340, ""),
        ),
    ]


def _times(found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    workloads = (_shared(found) or found["workloads"]).values()
    for name in OURS:
        cells = []
        for case, limit in (("known", KNOWN), ("first", FIRST)):
            ratios = [one["cpu"][f"{name}, {case}"]["in_json_dumps"] for one in workloads]
            cells.append(judged(span(ratios), met=max(ratios) <= limit))
        rows.append((name, *cells))
    return rows


def _absent(found: dict[str, Any]) -> list[str]:
    packages, workloads = found["absent"], ", ".join(f"`{name}`" for name in found["absent_workloads"])
    lines = [f"Not installed: {', '.join(packages)}."] if packages else []
    if workloads:
        lines.append(f"Not here, and not measured: the shared workloads {workloads}.")
    return lines


def _workload(name: str, one: dict[str, Any]) -> str:
    what = SHARED[name][0] if name in SHARED else MADE.get(name, "")
    head = ("", "tokens", "to compact", "CPU", "first", "again", "comes back")
    rows = [_way(way, found, one["cpu"]) for way, found in one["tokens"].items()]
    return f"### {name}: {what}\n\n{grid(head, rows)}"


def _way(way: str, found: dict[str, Any], cpu: dict[str, Any]) -> Row:
    again, known, first = (
        number(cpu[case]["in_json_dumps"]) if case in cpu else ""
        for case in (way, f"{way}, known", f"{way}, first")
    )
    times = (known, first, again) if known else (again, "", "")
    return way, number(found["tokens"]), f"{found['ratio_to_compact']:.2f}x", *times, found["comes_back"]


def readme(results: Results) -> list[Row]:
    """Return a row for each workload: the best encoding without loss, and others."""
    workloads = results.get("compress_tokens", {}).get("workloads", {})
    shared = _shared({"workloads": workloads}) or workloads
    rows: list[Row] = []
    for name, one in shared.items():
        tokens = one["tokens"]
        what = SHARED[name][0] if name in SHARED else MADE[name]
        others = {"compact JSON": "JSON, compact", "TOON": "TOON", "YAML": "YAML"}
        beside = ", ".join(
            f"{told} {number(tokens[way]['tokens'])}" for told, way in others.items() if way in tokens
        )
        ratio = tokens["JSON, compact"]["tokens"] / tokens[BEST]["tokens"]
        rows.append((f"tokens of {what}", f"{number(tokens[BEST]['tokens'])}: {ratio:.1f}x fewer", beside))
    return rows
