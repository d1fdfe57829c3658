"""How figures are taken: CPU time of the whole process, contenders in turns, medians, one JSON file each.

The machine is shared and noisy, so nobody's absolute time means much: every figure is also a ratio to a
contender of the same run. CPU time includes that of background threads, such as the usage log's writer.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SYSTEM = "You are a careful planner for a squad of agents. " * 20
USER = "Agent 7 at (12, 9) sees two hostiles; ammo 5; morale 0.8. Return a JSON plan. " * 12
ANSWER = '{"plan_id":"p1","steps":[{"act":"MoveTo","x":3,"y":4},{"act":"Attack","target":2}]}' * 3


def measure(
    cases: dict[str, tuple[Callable[[], Any], int]],
    *,
    rounds: int = 9,
    finish: Callable[[], Any] | None = None,
) -> dict[str, dict[str, float]]:
    """Return the CPU microseconds per call of each case.

    Args:
        cases: by name, what is called and how often in a round.
        rounds: how many turns everybody gets.
        finish: called at the end of each turn, and counted: what a case has left to background threads.

    Returns:
        By name, `median_us`, `min_us` and `max_us` over the rounds.
    """
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for name, (call, _) in cases.items():
        _turn(name, call, 3, finish)
    for _ in range(rounds):
        for name, (call, number) in cases.items():
            taken[name].append(_turn(name, call, number, finish))
    return {
        name: {
            "median_us": round(statistics.median(values), 3),
            "min_us": round(min(values), 3),
            "max_us": round(max(values), 3),
        }
        for name, values in taken.items()
    }


def _turn(name: str, call: Callable[[], Any], number: int, finish: Callable[[], Any] | None) -> float:
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
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "taken": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{figure}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=2))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
