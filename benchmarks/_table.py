"""Writes the measured table into README.md and docs/benchmarks.md, from results/*.json."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
OURS = {"llm", "llmopt"}
BEGIN, END = "<!-- results -->", "<!-- /results -->"


def result(figure: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "results" / f"{figure}.json").read_text(encoding="utf-8"))
    return found


def rows() -> list[tuple[str, str, str]]:
    """Return (figure, llmopt, beside it) for each line of the table."""
    overhead, cache = result("overhead"), result("cache")
    transport, imports, memory = result("transport"), result("imports"), result("memory")
    calls, hits = overhead["per_call"], cache["hits"]
    bare = calls["llm"]["median_us"]
    events = overhead["per_event"]
    mock = overhead["litellm"].get("mock call")
    per_call = {name: shown(found["added_b"], found["margin_b"], "b") for name, found in calls.items()}
    wrappers = per_call.get("langchain-core with_retry + with_fallbacks", "?")
    per_event = {name: shown(found["added_us"], found["margin_us"], "us") for name, found in events.items()}
    call, stream = transport["call"], transport["streamed_call"]
    burst = transport["50_concurrent_async_calls"]
    ratios, event_us = imports["ratio_to_llm"], events["llm"]["median_us"]
    return [
        ("a call: `wrap` alone adds", per_call["wrap alone"], ""),
        ("a call: six middlewares that pass it by add", per_call["six pass-through flows"], ""),
        (
            "a call: the default stack adds, on a cache miss, log included",
            per_call["default stack, cache miss, log included"],
            f"langchain-core retry + fallbacks {wrappers}; a litellm mock call costs {_b(mock, bare)}",
        ),
        (
            "an event of a stream: six middlewares that pass it by add",
            per_event["six pass-through flows"],
            f"one `yield from` {per_event['llm, one `yield from` more']}; all of llm {event_us:.1f} us",
        ),
        (
            "a cache hit in memory, the whole call",
            f"{hits['memory hit']['b']:.2f} b",
            f"{_hit('DSPy hit')}{_hit('langchain-core memory hit')}{_litellm('memory hit')}",
        ),
        (
            "a cache hit in SQLite",
            f"{hits['SQLite hit']['b']:.2f} b",
            f"{_hit('langchain SQLite hit')}{_litellm('disk hit')}",
        ),
        (
            "llm's OpenAI call on loopback, CPU",
            f"{call['wrapped']['cpu_ms']:.2f} ms",
            f"llm {call['llm']['cpu_ms']:.1f} ms: {call['ratio']}x",
        ),
        (
            "the same, streamed",
            f"{stream['wrapped']['cpu_ms']:.2f} ms",
            f"llm {stream['llm']['cpu_ms']:.1f} ms: {stream['ratio']}x",
        ),
        (
            "connections for 100 such calls",
            f"{call['wrapped']['connections_per_call'] * 100:.0f}",
            f"llm {call['llm']['connections_per_call'] * 100:.0f}",
        ),
        (
            "50 async calls at once, wall time",
            f"{burst['wrapped']['calls_per_s']:.0f} calls/s",
            f"llm {burst['llm']['calls_per_s']:.0f} calls/s: {burst['ratio_calls_per_s']}x",
        ),
        (
            "`import llmopt`",
            f"{ratios['llmopt']:.3f} of `import llm`",
            "; ".join(
                f"{name.split('.')[0]} {ratios[name]:.1f}"
                for name in sorted(ratios)
                if name not in ("llmopt", "llm")
            ),
        ),
        (
            f"memory left by {memory['calls']:,} calls through the default stack",
            f"{memory['growth_mib']:+.2f} MiB",
            "",
        ),
    ]


def shown(figure: float, margin: float, unit: str) -> str:
    """Return the figure with its margin; below what the run can tell, only how much it could be.

    Example:
        >>> shown(0.57, 0.061, "b"), shown(0.03, 0.04, "b"), shown(-0.05, 0.02, "b"), shown(5.14, 0.55, "b")
        ('0.57 ± 0.07 b', '< 0.07 b', '< 0.02 b', '5.1 ± 0.6 b')
    """
    digits = 2 if abs(figure) < 1 else 1
    step = 10**digits
    margin = max(math.ceil(round(margin * step, 6)), 1) / step
    if figure > margin:
        return f"{figure:.{digits}f} ± {margin:.{digits}f} {unit}"
    most = max(math.ceil(round((figure + margin) * step, 6)) / step, margin)
    return f"< {most:.{digits}f} {unit}"


def _b(us: Any, bare: float) -> str:
    return f"{us / bare:.0f} b" if isinstance(us, (int, float)) else "?"


def _hit(name: str) -> str:
    found = result("cache")["hits"].get(name)
    return f"{name.removesuffix(' hit')} {found['b']:.1f} b, " if found else ""


def _litellm(name: str) -> str:
    cache = result("cache")
    found = cache["litellm"].get(name)
    if isinstance(found, str):
        return f"litellm {found.split(':')[0]}"
    return f"litellm {_b(found, cache['hits']['llm, no cache']['median_us'])}"


def table() -> str:
    lines = ["| | llmopt | beside it |", "|---|--:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows()]
    overhead = result("overhead")
    versions = {
        **overhead["versions"],
        **result("cache")["versions"],
        **overhead["litellm"].get("versions", {}),
    }
    listed = ", ".join(f"{name} {found}" for name, found in versions.items())
    bare = overhead["per_call"]["llm"]
    return "\n".join(
        [
            *lines,
            "",
            "`b` is the CPU time of a bare `llm` call to an in-process model in the same run",
            f"(median {bare['median_us']:.0f} us, quartiles {bare['q1_us']:.0f} and {bare['q3_us']:.0f} us).",
            "Cache hits are given as whole calls. What is added is the median of the differences within each",
            f"of {overhead['rounds']} interleaved rounds, ± 1.57 IQR/√n; `<` stands where that reaches zero.",
            "Ratios travel, absolute times do not. litellm cannot live beside llm: it had its own process.",
            f"{overhead['machine']}, shared, load {overhead['load']}; Python {overhead['python']},",
            f"{overhead['taken']}; {listed}.",
            "`make bench` measures anew.",
        ]
    )


def main() -> None:
    text = table()
    for path in (ROOT / "README.md", ROOT / "docs" / "benchmarks.md"):
        page = path.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
