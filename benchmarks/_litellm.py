"""litellm's mock call and cache hits; runs in litellm's own environment and prints one line of JSON."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
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


def median_us(call: Any, number: int = 30, rounds: int = 7) -> float:
    call()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(number):
            call()
        taken.append((time.process_time() - start) / number * 1e6)
    return round(statistics.median(taken), 1)


def main() -> None:
    found: dict[str, Any] = {"versions": {"litellm": version("litellm")}}
    if sys.argv[1] == "overhead":
        found["mock call"] = median_us(ask)
    else:
        with tempfile.TemporaryDirectory() as folder:
            for kind, settings in {
                "memory": {"type": "local"},
                "disk": {"type": "disk", "disk_cache_dir": folder},
            }.items():
                try:
                    litellm.cache = litellm.Cache(**settings)
                    found[f"{kind} hit"] = median_us(lambda: ask(caching=True))
                except Exception as error:  # noqa: BLE001 - the failure is the figure
                    found[f"{kind} hit"] = f"fails: {type(error).__name__}: {error}"[:200]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
