"""What llmopt adds to a call: the table, and its rows for the README."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from _markdown import Results, Row, grid, judged, kept, provenance, shown


def page(results: Results) -> str:
    overhead, cache = results["overhead"], results["cache"]
    bare = overhead["per_call"]["llm"]
    return "\n".join(
        (
            grid(("", "target", "llmopt", "beside it"), _beside_targets(results)).replace(
                "--:|--:|--:|", "--:|--:|---|"
            ),
            "",
            "`b` is the CPU time of a bare `llm` call to an in-process model in the same run",
            f"(median {bare['median_us']:.0f} us, quartiles {bare['q1_us']:.0f} and {bare['q3_us']:.0f} us).",
            "Cache hits are given as whole calls. What is added is the median of the differences within each",
            f"of {overhead['rounds']} interleaved rounds, ± 1.57 IQR/√n; `<` stands where that reaches zero.",
            "litellm cannot live beside llm: it had its own process.",
            provenance(overhead, cache, overhead["litellm"]),
        )
    )


def wrap_alone(results: Results) -> Row:
    return "a call: `wrap` alone adds", _added(results, "wrap alone"), ""


def six_flows(results: Results) -> Row:
    added = _added(results, "six pass-through flows")
    return "a call: six middlewares that pass it by add", added, ""


def default_stack(results: Results) -> Row:
    overhead = results["overhead"]
    mock = _b(overhead["litellm"].get("mock call"), overhead["per_call"]["llm"]["median_us"])
    named = "langchain-core with_retry + with_fallbacks"
    wrappers = _added(results, named) if named in overhead["per_call"] else "?"
    return (
        "a call: the default stack adds, on a cache miss, log included",
        _added(results, "default stack, cache miss, log included"),
        f"langchain-core retry + fallbacks {wrappers}; a litellm mock call costs {mock}",
    )


def event(results: Results) -> Row:
    events = results["overhead"]["per_event"]
    llm_us = events["llm"]["median_us"]
    told = {name: shown(found["added_us"], found["margin_us"], "us") for name, found in events.items()}
    return (
        "an event of a stream: six middlewares that pass it by add",
        told["six pass-through flows"],
        f"one `yield from` {told['llm, one `yield from` more']}; all of llm {llm_us:.1f} us",
    )


def memory_hit(results: Results) -> Row:
    own = f"{results['cache']['hits']['memory hit']['b']:.2f} b"
    others = (_hit(results, "DSPy hit"), _hit(results, "langchain-core memory hit"))
    litellm = _litellm(results, "memory hit")
    return "a cache hit in memory, the whole call", own, ", ".join(filter(None, (*others, litellm)))


def disk_hit(results: Results) -> Row:
    own = f"{results['cache']['hits']['SQLite hit']['b']:.2f} b"
    others = (_hit(results, "langchain SQLite hit"), _litellm(results, "disk hit"))
    return "a cache hit in SQLite", own, ", ".join(filter(None, others))


def loopback(results: Results) -> Row:
    return "llm's OpenAI call on loopback, CPU", *_call(results["transport"]["call"])


def streamed(results: Results) -> Row:
    return "the same, streamed", *_call(results["transport"]["streamed_call"])


def connections(results: Results) -> Row:
    call = results["transport"]["call"]
    own, theirs = (call[name]["connections_per_call"] * 100 for name in ("wrapped", "llm"))
    return "connections for 100 such calls", f"{own:.0f}", f"llm {theirs:.0f}"


def burst(results: Results) -> Row:
    found = results["transport"]["50_concurrent_async_calls"]
    own, theirs = (found[name]["calls_per_s"] for name in ("wrapped", "llm"))
    return (
        "50 async calls at once, wall time",
        f"{own:.0f} calls/s",
        f"llm {theirs:.0f} calls/s: {found['ratio_calls_per_s']}x",
    )


def imported(results: Results) -> Row:
    ratios = results["imports"]["ratio_to_llm"]
    others = sorted(name for name in ratios if name not in ("llmopt", "llm"))
    told = "; ".join(f"{name.split('.')[0]} {ratios[name]:.1f}" for name in others)
    return "`import llmopt`", f"{ratios['llmopt']:.3f} of `import llm`", told


def left_behind(results: Results) -> Row:
    memory = results["memory"]
    calls = f"memory left by {memory['calls']:,} calls through the default stack"
    return calls, f"{memory['growth_mib']:+.2f} MiB", ""


ROWS = (
    wrap_alone,
    six_flows,
    default_stack,
    event,
    memory_hit,
    disk_hit,
    loopback,
    streamed,
    connections,
    burst,
    imported,
    left_behind,
)
IN_README = tuple(row for row in ROWS if row not in (streamed, connections))
TARGETS: dict[Any, tuple[str, Callable[[Results], bool]]] = {
    wrap_alone: ("≤ 0.3 b", lambda found: _added_b(found, "wrap alone") <= 0.3),
    six_flows: ("≤ 0.6 b", lambda found: _added_b(found, "six pass-through flows") <= 0.6),
    default_stack: (
        "≤ 2 b",
        lambda found: _added_b(found, "default stack, cache miss, log included") <= 2,
    ),
    memory_hit: ("≤ 1.8 b", lambda found: found["cache"]["hits"]["memory hit"]["b"] <= 1.8),
    disk_hit: ("≤ 3.5 b", lambda found: found["cache"]["hits"]["SQLite hit"]["b"] <= 3.5),
    loopback: ("≥ 10x less", lambda found: found["transport"]["call"]["ratio"] >= 10),
    burst: (
        "≥ 8x",
        lambda found: found["transport"]["50_concurrent_async_calls"]["ratio_calls_per_s"] >= 8,
    ),
    imported: ("≤ 0.1", lambda found: found["imports"]["ratio_to_llm"]["llmopt"] <= 0.1),
    left_behind: ("≤ 1 MiB", lambda found: found["memory"]["growth_mib"] <= 1),
}


def _beside_targets(results: Results) -> list[Row]:
    """Return all rows with their targets; what misses one says so."""
    rows: list[Row] = []
    for make in ROWS:
        target, met = TARGETS.get(make, ("", lambda _: True))
        for what, own, beside in kept((make,), results):
            rows.append((what, target, judged(own, met=met(results)), beside))
    return rows


def _added_b(results: Results, name: str) -> float:
    added: float = results["overhead"]["per_call"][name]["added_b"]
    return added


def _added(results: Results, name: str) -> str:
    found = results["overhead"]["per_call"][name]
    return shown(found["added_b"], found["margin_b"], "b")


def _call(found: dict[str, Any]) -> tuple[str, str]:
    own, theirs = (found[name]["cpu_ms"] for name in ("wrapped", "llm"))
    return f"{own:.2f} ms", f"llm {theirs:.1f} ms: {found['ratio']}x"


def _b(us: Any, bare: float) -> str:
    return f"{us / bare:.0f} b" if isinstance(us, (int, float)) else "?"


def _hit(results: Results, name: str) -> str:
    found = results["cache"]["hits"].get(name)
    return f"{name.removesuffix(' hit')} {found['b']:.1f} b" if found else ""


def _litellm(results: Results, name: str) -> str:
    cache = results["cache"]
    found = cache["litellm"].get(name)
    if isinstance(found, str):
        return f"litellm {found.split(':')[0]}"
    return f"litellm {_b(found, cache['hits']['llm, no cache']['median_us'])}"
