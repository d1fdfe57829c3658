"""How figures are taken: CPU time of the whole process, contenders in turns, medians, one JSON file each.

The machine is shared and noisy, so nobody's absolute time means much: every figure is also a ratio to a
contender of the same run, and small differences are taken between turns of the same round and come with their
margin. CPU time includes that of background threads, such as the usage log's writer.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
QUICK = "--quick" in sys.argv  # a look at whether all runs: a few rounds, and nothing goes into the record
RECORD = ROOT / "benchmarks/results"
RESULTS = Path(os.environ.get("BENCH_RESULTS") or (ROOT / "build/benchmarks" if QUICK else RECORD))
SYSTEM = "You are a careful planner for a squad of agents. " * 20
USER = "Agent 7 at (12, 9) sees two hostiles; ammo 5; morale 0.8. Return a JSON plan. " * 12
ANSWER = '{"plan_id":"p1","steps":[{"act":"MoveTo","x":3,"y":4},{"act":"Attack","target":2}]}' * 3
LOAD_BEFORE = os.getloadavg()[0]  # the load after a run is mostly that of the run


def measure(
    cases: dict[str, tuple[Callable[[], Any], int]],
    *,
    rounds: int = 9,
    prepare: Callable[[str], Any] | None = None,
    finish: Callable[[], Any] | None = None,
) -> dict[str, list[float]]:
    """Return the CPU microseconds per call of each case, one figure a round.

    Args:
        cases: by name, what is called and how often in a turn.
        rounds: how many turns everybody gets; every second round goes backwards, so that none is always last.
        prepare: called with the name of the case before each turn, and not counted.
        finish: called at the end of each turn, and counted: what a case has left to background threads.
    """
    if QUICK:
        rounds = min(rounds, 3)
        cases = {name: (call, max(1, number // 50)) for name, (call, number) in cases.items()}
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for name, (call, _) in cases.items():
        _turn(name, call, 3, prepare, finish)
    order = list(cases.items())
    for _ in range(rounds):
        for name, (call, number) in order:
            taken[name].append(_turn(name, call, number, prepare, finish))
        order.reverse()
    return taken


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles of one case's rounds."""
    q1, median, q3 = statistics.quantiles(values, method="inclusive")
    return {"median_us": round(median, 3), "q1_us": round(q1, 3), "q3_us": round(q3, 3)}


def in_units(values: Sequence[float], units: Sequence[float]) -> list[float]:
    """Return each round's figure in units of that round: a processor that slows down slows both."""
    return [value / unit for value, unit in zip(values, units, strict=True)]


def added(values: Sequence[float], base: Sequence[float]) -> tuple[float, float]:
    """Return what a case adds to another, and how far from that the truth may be: both in the given unit.

    The figure is the median of the differences within a round, which a load that comes and goes hardly moves.
    The margin is that of the notches of a box plot, 1.57 IQR / sqrt(n), about a 95 % interval of a median
    (McGill, Tukey, Larsen: Variations of Box Plots, The American Statistician 32, 1978).
    """
    differences = [value - own for value, own in zip(values, base, strict=True)]
    q1, median, q3 = statistics.quantiles(differences, method="inclusive")
    return round(median, 4), round(1.57 * (q3 - q1) / math.sqrt(len(differences)), 4)


def _turn(
    name: str,
    call: Callable[[], Any],
    number: int,
    prepare: Callable[[str], Any] | None,
    finish: Callable[[], Any] | None,
) -> float:
    if prepare is not None:
        prepare(name)
    gc.collect()
    start = time.process_time()
    try:
        for _ in range(number):
            call()
        if finish is not None:
            finish()
    except Exception as error:
        error.add_note(f"in the case {name!r}")
        raise
    return (time.process_time() - start) / number * 1e6


def save(figure: str, content: dict[str, Any], packages: tuple[str, ...]) -> None:
    """Write `results/FIGURE.json` with the versions and the machine, and print it."""
    content = {
        "figure": figure,
        **content,
        "versions": {name: found for name in ("llmopt", *packages) if (found := _version(name))},
        "python": platform.python_version(),
        "machine": f"{_cpu()}, {os.cpu_count()} cores",
        "load": f"{LOAD_BEFORE:.1f} before, {os.getloadavg()[0]:.1f} after",
        "taken": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{figure}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=2))


def _cpu() -> str:
    told = Path("/proc/cpuinfo")  # Linux alone has it
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
