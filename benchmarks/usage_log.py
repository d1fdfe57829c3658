"""What the usage log costs: for the thread that makes a call, for the disk, in memory, and when it is read.

    python benchmarks/usage_log.py [--quick]

Beside it: one INSERT of the same row, by sqlite3 and by sqlite-utils; llm's own `log_to_db`; and the batch
processors of OpenTelemetry and Langfuse, which keep what they have in memory until they lose it or send it.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measure import QUICK, ROOT, save

folder = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = folder.name

from _usage_peers import SLOW, Answered, langfuse, llms_log, one_row, otel, sqlite_utils_insert  # noqa: E402

import llmopt  # noqa: E402
from llmopt.testing.usage import fill_log  # noqa: E402

TURN, ROUNDS = (100, 3) if QUICK else (1000, 15)
ROWS = 2_000 if QUICK else 40_000
CALLS = 20_000 if QUICK else 1_000_000
BACKLOG = 5_000 if QUICK else 150_000
PROCESSES = 4
EIGHT_KIB = ("The pod web-7f is in CrashLoopBackOff; its last state was OOMKilled. " * 120)[:8000]
TARGETS = {"p50": 0.25, "p99": 1.0, "content_p50": 2.0, "rows": 0.8, "report_s": 3.0, "report_mb": 200}


def latencies(cases: dict[str, Callable[[], Any]]) -> dict[str, dict[str, float]]:
    """Return the wall time of each case, one call at a time, in turns: microseconds."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    order = list(cases.items())
    clock = time.perf_counter_ns
    for _ in range(ROUNDS):
        for name, call in order:
            call()
            values = taken[name]
            for _ in range(max(10, TURN // 10) if name in SLOW else TURN):
                began = clock()
                call()
                values.append((clock() - began) / 1e3)
            time.sleep(0.2)  # background threads end what this case has left to them
        order.reverse()
    return {name: _quantiles(values) for name, values in taken.items()}


def _quantiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return {"p50_us": round(cuts[499], 2), "p99_us": round(cuts[989], 2), "p999_us": round(cuts[998], 1)}


def our_cases() -> dict[str, Callable[[], Any]]:
    """What UsageLog does on the caller's thread: its flow from the first step to the last."""
    path = f"{folder.name}/ours.db"
    short, long = Answered("What now?"), Answered(EIGHT_KIB)
    variants = {
        "llmopt, metrics only": (llmopt.UsageLog(path), short),
        "llmopt, 8 kB redacted": (llmopt.UsageLog(f"{folder.name}/content.db", content="redacted"), long),
        'llmopt, durability="power"': (llmopt.UsageLog(f"{folder.name}/power.db", durability="power"), short),
        'llmopt, durability="none"': (llmopt.UsageLog(f"{folder.name}/none.db", durability="none"), short),
    }
    return {name: asked.through(log) for name, (log, asked) in variants.items()}


def caller() -> dict[str, Any]:
    """Take the caller's side beside the peers."""
    cases = {
        **our_cases(),
        "sqlite3, one INSERT, WAL": one_row(f"{folder.name}/raw.db"),
        "sqlite-utils insert, WAL": sqlite_utils_insert(f"{folder.name}/utils.db"),
        "llm's log_to_db": llms_log(f"{folder.name}/llm.db"),
        **otel(),
        **langfuse(),
    }
    found = latencies(cases)
    raw = found["sqlite3, one INSERT, WAL"]
    for one in found.values():
        one["inserts_p50"] = round(one["p50_us"] / raw["p50_us"], 3)
    return found


def throughput() -> dict[str, Any]:
    """Rows a second into SQLite: ours out of the spool, and `executemany` in batches of 100."""
    rounds = 1 if QUICK else 5
    found: dict[str, Any] = {}
    for processes in (1, PROCESSES):
        ours, raw = [], []
        for number in range(rounds):
            for kind, taken in (("drain", ours), ("raw", raw)):
                path = f"{folder.name}/{kind}-{processes}-{number}.db"
                taken.append(_rows_a_second(kind, path, processes))
        ratio = statistics.median(own / peer for own, peer in zip(ours, raw, strict=True))
        found[f"{processes}"] = {
            "llmopt_rows_s": round(statistics.median(ours)),
            "executemany_rows_s": round(statistics.median(raw)),
            "ratio": round(ratio, 2),
        }
    return found


def _rows_a_second(kind: str, path: str, processes: int) -> float:
    """Have processes write at the same time; a row is one of any table."""
    worker = str(Path(__file__).with_name("_usage_worker.py"))
    calls = ROWS // processes
    command = [sys.executable, worker, kind, path, str(calls)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began_s = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        assert process.wait() == 0
    took_s = time.perf_counter() - began_s
    return 2 * calls * processes / took_s


def memory() -> dict[str, Any]:
    """Records that nobody drains: what they leave in memory."""
    worker = str(Path(__file__).with_name("_usage_worker.py"))
    command = [sys.executable, worker, "backlog", f"{folder.name}/backlog.db", str(BACKLOG)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"records": BACKLOG, "growth_bytes": int(done.stdout)}


def report() -> dict[str, Any]:
    """A report over many calls: CPU time of the whole command, and the most memory that it had."""
    path = f"{folder.name}/million.db"
    fill_log(path, CALLS)
    command = [sys.executable, "-m", "llmopt", "report", "--db", path, "--since", "90d", "--json"]
    taken: list[float] = []
    for _ in range(1 if QUICK else 3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began_s = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        wall_s = time.perf_counter() - began_s
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(min(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    assert json.loads(done.stdout)
    size = Path(path).stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {
        "calls": CALLS,
        "file_bytes": size,
        "cpu_s": round(statistics.median(taken), 2),
        "peak_bytes": peak,
    }


def main() -> None:
    random.seed(7)
    os.chdir(ROOT)
    content = {
        "unit": "microseconds of wall time on the caller's thread; inserts_p50: in medians of one INSERT",
        "targets": TARGETS,
        "report": report(),
        "memory": memory(),
        "throughput": throughput(),
        "caller": caller(),
    }
    save("usage_log", content, ("llm", "sqlite-utils", "opentelemetry-sdk", "langfuse"))
    os._exit(0)  # Langfuse's threads would wait for a server


if __name__ == "__main__":
    main()
