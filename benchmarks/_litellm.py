"""litellm's mock call and cache hits; runs in litellm's own environment and prints one line of JSON."""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "OPENAI_API_KEY": "sk-none",
}

import litellm

SYSTEM = "You are a careful planner for a squad of agents. " * 20
USER = "Agent 7 at (12, 9) sees two hostiles; ammo 5; morale 0.8. Return a JSON plan. " * 12
ANSWER = '{"plan_id":"p1","steps":[{"act":"MoveTo","x":3,"y":4},{"act":"Attack","target":2}]}' * 3
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]


def ask(**more: Any) -> Any:
    return litellm.completion(model="gpt-4o-mini", messages=MESSAGES, mock_response=ANSWER, **more)


def median_us(call: Callable[[], Any], number: int = 30, rounds: int = 11) -> float:
    """Return the CPU microseconds of a call, those of litellm's logging thread included."""
    for _ in range(number):
        call()  # the first ones import what they need, and that takes seconds
    taken = []
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        for _ in range(number):
            call()
        taken.append((time.process_time() - start) / number * 1e6)
    return round(statistics.median(taken), 1)


def hit_us(**settings: Any) -> float | str:
    """Return the CPU microseconds of a cache hit, or what goes wrong."""
    try:
        litellm.cache = litellm.Cache(**settings)
        if ask(caching=True).id != ask(caching=True).id:
            return "fails: the second call is no hit"
        return median_us(lambda: ask(caching=True))
    except Exception as error:  # noqa: BLE001 - the failure is the figure
        return f"fails: {type(error).__name__}: {error}"[:200]


def figures(figure: str) -> dict[str, Any]:
    if figure == "overhead":
        return {"mock call": median_us(ask)}
    if figure == "cache":
        with tempfile.TemporaryDirectory() as folder:
            return {
                "memory hit": hit_us(type="local"),
                "disk hit": hit_us(type="disk", disk_cache_dir=folder),
            }
    return {}


if __name__ == "__main__":
    told = {"versions": {"litellm": version("litellm")}, "python": platform.python_version()}
    print(json.dumps(told | figures(sys.argv[1])))
