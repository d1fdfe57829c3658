"""How long each view of the usage log takes over a million calls, beside one pass over them."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from _measure import QUICK, save

from llmopt.testing.usage import fill_log
from llmopt.usage.views import QUERIES

CALLS = next((int(given) for given in sys.argv[1:] if given.isdigit()), 2_000 if QUICK else 1_000_000)
ROUNDS = 1 if QUICK else 3
SCAN = "one pass over the calls"


def seconds(log: sqlite3.Connection, sql: str) -> float:
    start_s = time.process_time()
    for _ in log.execute(sql):
        pass
    return time.process_time() - start_s


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.db"
        start_s = time.process_time()
        fill_log(path, CALLS, now=datetime(2026, 11, 21, 12, tzinfo=UTC))
        filled_s = time.process_time() - start_s
        log = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        asked = {SCAN: "SELECT sum(duration_ms) FROM calls"}
        asked |= {name: f"SELECT * FROM {name}" for name in QUERIES}  # noqa: S608
        seconds(log, asked[SCAN])  # the file into the system's memory
        taken = {name: [seconds(log, sql) for _ in range(ROUNDS)] for name, sql in asked.items()}
        log.close()
        content = {
            "calls": CALLS,
            "bytes": path.stat().st_size,
            "fill_s": round(filled_s, 1),
            "cpu_s": {name: round(statistics.median(values), 3) for name, values in taken.items()},
            "sqlite": sqlite3.sqlite_version,
        }
    save("usage_views", content, ("sqlite-utils",))


if __name__ == "__main__":
    main()
