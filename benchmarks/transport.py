"""llm's own OpenAI model on loopback, plain and wrapped; the server runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from _measure import QUICK, save

folder = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = folder.name

from llm.default_plugins.openai_models import AsyncChat, Chat  # noqa: E402

import llmopt  # noqa: E402

TASKS = 50
ROUNDS = 2 if QUICK else 7


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "llmopt.testing.server", "--port", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()  # type: ignore[union-attr]


def connections(url: str) -> int:
    with urllib.request.urlopen(url.replace("/v1", "/stats")) as answer:  # noqa: S310 - our own server
        found: int = json.load(answer)["connections"]
        return found


def one_by_one(url: str, *, stream: bool, calls: int = 20, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return CPU and wall milliseconds per call, and connections per call."""
    plain = Chat("local", key="none", api_base=url)
    models = {"llm": plain, "wrapped": llmopt.wrap(plain, default=False)}
    cpu: dict[str, list[float]] = {name: [] for name in models}
    opened = dict.fromkeys(models, 0)
    for model in models.values():
        model.prompt("Hello", stream=stream).text()
    for _ in range(rounds):
        for name, model in models.items():
            before, start = connections(url), time.process_time()
            for number in range(calls):
                model.prompt(f"Hello {number}", stream=stream).text()
            cpu[name].append((time.process_time() - start) / calls * 1e3)
            opened[name] += connections(url) - before - 1  # one was ours, to ask
    found: dict[str, Any] = {
        name: {
            "cpu_ms": round(statistics.median(values), 3),
            "connections_per_call": round(opened[name] / calls / rounds, 3),
        }
        for name, values in cpu.items()
    }
    found["ratio"] = round(found["llm"]["cpu_ms"] / found["wrapped"]["cpu_ms"], 1)
    return found


def concurrent(url: str, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return calls per second of wall and of CPU time with 50 calls at once."""
    plain = AsyncChat("local", key="none", api_base=url)
    models = {"llm": plain, "wrapped": llmopt.wrap(plain, default=False)}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in models}

    async def burst(model: Any) -> tuple[float, float]:
        await model.prompt("Hello", stream=False).text()
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(
            *[_ask(model, f"Hello {number}") for number in range(TASKS)],
        )
        return TASKS / (time.perf_counter() - wall), TASKS / (time.process_time() - cpu)

    for _ in range(rounds):
        for name, model in models.items():
            rates[name].append(asyncio.run(burst(model)))
    found: dict[str, Any] = {
        name: {
            "calls_per_s": round(statistics.median(rate[0] for rate in values), 1),
            "calls_per_cpu_s": round(statistics.median(rate[1] for rate in values), 1),
        }
        for name, values in rates.items()
    }
    for unit in ("calls_per_s", "calls_per_cpu_s"):
        found[f"ratio_{unit}"] = round(found["wrapped"][unit] / found["llm"][unit], 1)
    return found


async def _ask(model: Any, prompt: str) -> str:
    text: str = await model.prompt(prompt, stream=False).text()
    return text


def main() -> None:
    with server() as url:
        content = {
            "call": one_by_one(url, stream=False),
            "streamed_call": one_by_one(url, stream=True),
            "50_concurrent_async_calls": concurrent(url),
        }
    save("transport", content, ("llm", "openai", "httpx2"))


if __name__ == "__main__":
    main()
