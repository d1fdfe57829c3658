"""Single flight across processes that share a file."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PROCESSES = 8

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

SCRIPT = """
    import os, sys, time
    import anyio, llm, llmopt
    from llmopt.cache.sqlite import SQLiteStore
    from llmopt.middleware.cache import Cache

    folder, world, fate, processes = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

    def note(name, word=b"."):
        file = os.open(f"{folder}/{name}", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        os.write(file, word)
        os.close(file)

    def count(name):
        path = f"{folder}/{name}"
        return os.path.getsize(path) if os.path.exists(path) else 0

    def ready():
        return count("asking") == processes

    class Model(llm.Model):
        model_id = "m"

        def execute(self, prompt, stream, response, conversation):
            note("runs")
            run = count("runs")
            give_up_at = time.monotonic() + 20
            while not ready() and time.monotonic() < give_up_at:
                time.sleep(0.005)
            if run == 1 and fate == "dies":
                os._exit(0)
            if run == 1 and fate == "fails":
                raise ConnectionError("down")
            yield f"run {run}"
            response.set_usage(input=1, output=2)

    class AsyncModel(llm.AsyncModel):
        model_id = "m"

        async def execute(self, prompt, stream, response, conversation):
            note("runs")
            with anyio.fail_after(20):
                while not ready():
                    await anyio.sleep(0.005)
            yield f"run {count('runs')}"
            response.set_usage(input=1, output=2)

    store = SQLiteStore(f"{folder}/cache.db", lease_s=0.3 if fate == "dies" else 60.0)
    cache = Cache(store=store)
    if world == "sync":
        ask = llmopt.wrap(Model(), cache).prompt("Hi").text
    else:
        async def main():
            return await llmopt.wrap(AsyncModel(), cache).prompt("Hi").text()
        ask = lambda: anyio.run(main, backend=world)
    for number in range(processes):
        if not os.fork():
            note("asking")
            try:
                text = ask()
            except ConnectionError as error:
                text = "failed"
            stats = cache.stats()
            note("told", f"{text} errors={stats['errors']}\\n".encode())
            os._exit(0)
    for number in range(processes):
        os.wait()
"""


def told(folder, world, fate):
    """What the callers of all processes were told, and how often the model was asked."""
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), world, fate, str(PROCESSES)]
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
    lines = (folder / "told").read_text(encoding="utf-8").splitlines()
    return sorted(lines), (folder / "runs").stat().st_size


@pytest.mark.parametrize("world", ["sync", "asyncio", "trio"])
def test_processes_ask_the_model_once(tmp_path, world):
    assert told(tmp_path, world, "answers") == (["run 1 errors=0"] * PROCESSES, 1)


def test_a_process_that_dies_is_replaced_when_its_lease_ends(tmp_path):
    assert told(tmp_path, "sync", "dies") == (["run 2 errors=0"] * (PROCESSES - 1), 2)


def test_a_process_that_fails_hands_over(tmp_path):
    lines, runs = told(tmp_path, "sync", "fails")
    assert lines == ["failed errors=0", *["run 2 errors=0"] * (PROCESSES - 1)]
    assert runs == 2
