"""Kills processes that write a usage log, at any moment, and counts what is in the log in the end.

    python tests/usage/crash.py --kills 10000

Each worker appends numbered records as fast as it likes, and drains them; it acknowledges each in memory that
survives it. Every record that was acknowledged must be in the log once, and of those that were not, at most
the one that was being appended.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from llmopt.usage.drain import Drain
from llmopt.usage.drainer import Drainer
from llmopt.usage.segments import spool_folder
from llmopt.usage.settings import Settings
from llmopt.usage.spool import Spool

WORKERS = 3
KILLS_A_ROUND = 50
RECORDS = 1_200  # that a worker has acknowledged at most when it is chosen to be killed
PAUSE_S, PATIENCE_S = 0.02, 5.0
SEGMENT_BYTES = 2**15  # so that many files begin and end


def write(connection, payloads):
    """Put the records into a table that notices none of their doubles."""
    connection.execute("CREATE TABLE IF NOT EXISTS records (life INTEGER, number INTEGER)")
    rows = [values[1:3] for values in map(orjson.loads, payloads) if values[0] == "record"]
    connection.executemany("INSERT INTO records VALUES (?, ?)", rows)


class Worker:
    """One process that writes until it is killed."""

    def __init__(self, path, life, board, place, seed):
        self.life, self._board, self._place = life, board, place
        board[place] = 0
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._live(path, random.Random(seed))
            finally:
                os._exit(1)  # it is to be killed, and has failed

    def _live(self, path, chance):
        spool = Spool(spool_folder(path), lambda: b'["hello",%d]' % os.getpid(), segment_bytes=SEGMENT_BYTES)
        drainer = Drainer(spool, Drain(path, spool, write), Settings())
        number = 0
        while True:
            for _ in range(chance.randrange(1, 64)):
                number += 1
                text = "x" * chance.randrange(20, 600)
                if drainer.put(orjson.dumps(["record", self.life, number, text])):
                    self._board[self._place] = number
            what = chance.random()
            if what < 0.02:
                drainer.close()
            elif what < 0.1:
                drainer.flush(1.0)
            else:
                time.sleep(chance.random() * 0.004)

    def acknowledged(self):
        """Return how many records it has acknowledged."""
        return self._board[self._place]

    def kill(self):
        """End it, and return how many records it has acknowledged."""
        os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        assert os.WIFSIGNALED(status), f"a worker has failed: {os.waitstatus_to_exitcode(status)}"
        return self.acknowledged()


def torment(path, kills, chance):
    """Kill workers, and return how many records each life has acknowledged."""
    board = memoryview(mmap.mmap(-1, 8 * WORKERS)).cast("Q")  # struct would put a zero there first
    acknowledged = {}
    workers = [Worker(path, life, board, life, chance.random()) for life in range(WORKERS)]
    for life in range(WORKERS, WORKERS + kills):
        place, records = chance.randrange(WORKERS), chance.randrange(RECORDS)
        victim, give_up_at = workers[place], time.monotonic() + PATIENCE_S
        while victim.acknowledged() < records and time.monotonic() < give_up_at:
            time.sleep(0.001)
        time.sleep(chance.random() * PAUSE_S)
        acknowledged[victim.life] = victim.kill()
        workers[place] = Worker(path, life, board, place, chance.random())
    for worker in workers:
        acknowledged[worker.life] = worker.kill()
    return acknowledged


def judge(path, acknowledged):
    """Drain what is left, and return what is wrong."""
    drain = Drain(path, None, write)
    drain.once(60.0)
    drain.close(1.0)
    faults = [f"left in the spool: {name}" for name in Path(spool_folder(path)).iterdir()]
    connection = sqlite3.connect(path)
    faults += [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
    faults += [f"left in spools: {row}" for row in connection.execute("SELECT * FROM spools")]
    query = "SELECT life, count(*), count(DISTINCT number), max(number) FROM records GROUP BY life"
    found = {life: counts for life, *counts in connection.execute(query)}
    connection.close()
    lost = doubled = 0
    for life, told in acknowledged.items():
        rows, different, last = found.get(life, (0, 0, 0))
        lost += max(0, told - different) + (last - different)
        doubled += rows - different
        if not told <= last <= told + 1:
            faults.append(f"life {life}: {told} acknowledged, {last} the last one found")
    return lost, doubled, faults


def main():
    """Run as many rounds as were asked for, and tell what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    told = {"seed": asked.seed, "kills": 0, "acknowledged": 0, "lost": 0, "doubled": 0, "faults": []}
    while told["kills"] < asked.kills and not told["faults"]:
        kills = min(KILLS_A_ROUND, asked.kills - told["kills"])
        folder = tempfile.mkdtemp(prefix="llmopt-crash-")
        path = f"{folder}/usage.db"
        acknowledged = torment(path, kills, chance)
        lost, doubled, faults = judge(path, acknowledged)
        told["kills"] += kills
        told["acknowledged"] += sum(acknowledged.values())
        told["lost"] += lost
        told["doubled"] += doubled
        told["faults"] += faults
        if not faults and not lost and not doubled:
            shutil.rmtree(folder)
        else:
            told["faults"].append(f"see {folder}")
        print(json.dumps(told), flush=True)  # noqa: T201
    return 1 if told["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
