"""What llmopt adds to a call: the table, and its rows for the README."""

from __future__ import annotations

from typing import Any

from _markdown import Results, Row, grid, kept, provenance, shown


def page(results: Results) -> str:
    overhead, cache = results["overhead"], results["cache"]
    bare = overhead["per_call"]["llm"]
    return "\n".join(
        (
            grid(("", "llmopt", "beside it"), kept(ROWS, results), left=1).replace("--:|--:|", "--:|---|"),
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
IN_README = (default_stack, event, memory_hit, loopback, imported)


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
