"""Plans from a stream: time by chunk size, beside peers, growth, memory, and what is made of a cut-off reply.

    python benchmarks/plan_stream.py [--quick]

CPU time of this thread, contenders in turns, medians; ratios are taken within a round. Peers that are not
installed are named as absent.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from _measure import QUICK, save
from _parsers import DISTRIBUTIONS, Parser, contenders, ijson_bare, ours

SIZES = (1, 4, 16, 64, 256, 1024, 4096, 65536)
TOKEN = 4  # characters
OURS = "PlanStream lenient"  # the mode one gets without asking
ROUNDS = 2 if QUICK else 9
TURN_S = 0.01  # what takes less is done several times a turn
LEVELS = 100_000
LIMIT_BYTES, LIMIT_S = 4 << 30, 120


def plan(number: int) -> dict[str, Any]:
    return {
        "agent_id": number,
        "goal": "hold the bridge \U0001f600" if number % 10 == 0 else "hold the bridge",
        "steps": [
            {"tool": "MoveTo", "args": {"x": number % 50, "y": 7}},
            {"tool": "Attack", "args": {"target": number, "burst": True}},
            {"tool": "Wait", "args": {"seconds": 1.5, "why": "cover the others"}},
        ],
        "priority": 0.5,
        "notes": 'none so far, watch the "left" flank',
    }


def reply(plans: int) -> str:
    return json.dumps([plan(number) for number in range(plans)], ensure_ascii=False)


def chunks_of(text: Any, size: int) -> list[Any]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def rounds_of(cases: dict[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Return the seconds of each case, one figure a round; every second round goes backwards."""
    numbers = {name: max(1, int(TURN_S / max(case(), 1e-6))) for name, case in cases.items()}
    taken: dict[str, list[float]] = {name: [] for name in cases}
    order = list(cases.items())
    for _ in range(rounds):
        for name, case in order:
            taken[name].append(statistics.median(case() for _ in range(1 if QUICK else numbers[name])))
        order.reverse()
    return taken


def ratio(values: list[float], units: list[float]) -> float:
    return statistics.median(value / unit for value, unit in zip(values, units, strict=True))


def by_chunk_size(absent: list[str]) -> list[dict[str, Any]]:
    """1000 plans: what a chunk costs above an empty loop, and all of them against `orjson.loads`."""
    parsers = {f"PlanStream {mode}": ours(mode=mode) for mode in ("strict", "lenient")}
    rows = []
    for form in ("bytes", "str"):
        text: Any = reply(1000).encode() if form == "bytes" else reply(1000)
        if form == "bytes" and "ijson, yajl2_c" not in absent:
            parsers["ijson, yajl2_c"] = ijson_bare()
        fitting = {name: parser for name, parser in parsers.items() if form == "bytes" or "ijson" not in name}
        rows += [_row(form, text, size, fitting) for size in SIZES]
    return rows


def _row(form: str, text: Any, size: int, parsers: dict[str, Parser]) -> dict[str, Any]:
    chunks = chunks_of(text, size)
    cases: dict[str, Callable[[], float]] = {"loop": partial(loop, chunks), "whole": partial(whole, text)}
    cases |= {name: partial(parser.seconds, chunks) for name, parser in parsers.items()}
    taken = rounds_of(cases, rounds=ROUNDS * 2)
    row: dict[str, Any] = {"form": form, "chunk": size}
    for name in parsers:
        over_loop = [own - empty for own, empty in zip(taken[name], taken["loop"], strict=True)]
        row[name] = {
            "ns_per_chunk_over_loop": round(statistics.median(over_loop) / len(chunks) * 1e9),
            "x_whole": round(ratio(taken[name], taken["whole"]), 2),
        }
        if "ijson, yajl2_c" in taken:
            row[name]["x_ijson"] = round(ratio(taken[name], taken["ijson, yajl2_c"]), 2)
    return row


def loop(chunks: list[Any]) -> float:
    start = time.thread_time()
    for _ in chunks:
        pass
    return time.thread_time() - start


def whole(text: Any) -> float:
    """Return the time that decoding all plans takes, and letting them go, as is timed for streams."""
    start = time.thread_time()
    found = orjson.loads(text)
    del found
    return time.thread_time() - start


def beside(parsers: dict[str, Parser], text: str) -> dict[str, Any]:
    """100 plans as str: what a chunk costs everybody, by size, and in units of PlanStream."""
    found: dict[str, Any] = {name: {} for name in parsers}
    for size in SIZES[1:]:
        chunks = chunks_of(text, size)
        taken = rounds_of({name: partial(parser.seconds, chunks) for name, parser in parsers.items()})
        for name, values in taken.items():
            found[name][str(size)] = {
                "us_per_chunk": round(statistics.median(values) / len(chunks) * 1e6, 3),
                "x_llmopt": round(ratio(values, taken[OURS]), 2),
            }
    return found


def growth(parsers: dict[str, Parser]) -> dict[str, dict[str, float]]:
    """How much longer 1000 plans take than 100, by chunk size; for peers, at the size of a token."""
    found: dict[str, dict[str, float]] = {}
    for name, parser in parsers.items():
        sizes = (TOKEN, 64, 1024, 65536) if name.startswith("PlanStream") else (TOKEN,)
        found[name] = {}
        for size in sizes:
            cases = {
                str(plans): partial(parser.seconds, chunks_of(reply(plans), size)) for plans in (100, 1000)
            }
            taken = rounds_of(
                cases, rounds=ROUNDS * 2 if name.startswith("PlanStream") else (ROUNDS + 1) // 2
            )
            found[name][str(size)] = round(ratio(taken["1000"], taken["100"]), 2)
    return found


def memory(parsers: dict[str, Parser]) -> dict[str, dict[str, int]]:
    """Bytes at the peak beside the reply itself, with plans thrown away."""
    found: dict[str, dict[str, int]] = {}
    for name, parser in parsers.items():
        sizes = (TOKEN, 64, 4096) if name.startswith("PlanStream") else (64,)
        found[name] = {}
        for plans in (10, 1000):
            for size in sizes:
                chunks = chunks_of(reply(plans), size)
                found[name][f"{plans} plans, chunks of {size}"] = peak_bytes(partial(parser.peak, chunks))
    return found


def peak_bytes(call: Callable[[], Any]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def brackets(names: list[str]) -> dict[str, Any]:
    """What becomes of 100,000 open brackets, everybody in a process of its own with 4 GiB."""
    return {name: _brackets(name) for name in names}


def _brackets(name: str) -> str | int:
    command = [sys.executable, __file__, "--brackets", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"over {LIMIT_S} s"
    if done.returncode < 0:
        return "crash"
    answer: str | int = json.loads(done.stdout.splitlines()[-1]) if done.stdout else "crash"
    return answer


def open_brackets(name: str) -> None:
    """Print the peak, or what went wrong: called in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    parser = contenders()[0][name]
    chunks = chunks_of('[{"a":' + "[" * LEVELS, 4096)
    errors: list[str] = []

    def read() -> None:
        try:
            parser.peak(chunks)
        except Exception as error:  # noqa: BLE001 - to refuse so much is right
            errors.append(type(error).__name__)

    peak = peak_bytes(read)
    print(json.dumps("over 4 GiB" if "MemoryError" in errors else peak))


def truncation(parsers: dict[str, Parser], step: int = 97 if QUICK else 7) -> dict[str, dict[str, float]]:
    """Cut a reply of five plans at many places: what is given of plans that were whole, and what is wrong."""
    text, plans = reply(5), [plan(number) for number in range(5)]
    ends = [len(json.dumps(plans[: n + 1], ensure_ascii=False)) - 1 for n in range(5)]
    cuts = range(1, ends[-1], step)
    found: dict[str, dict[str, float]] = {}
    for name, parser in parsers.items():
        given = [parser.plans(chunks_of(text[:cut], 16)) for cut in cuts]
        complete = [sum(end <= cut for end in ends) for cut in cuts]
        right = sum(sum(one in own for one in plans[:n]) for own, n in zip(given, complete, strict=True))
        wrong = sum(sum(one not in plans for one in own) for own in given)
        found[name] = {
            "cuts": len(cuts),
            "whole_plans_given": round(right / sum(complete), 4),
            "wrong_plans_per_reply": round(wrong / len(cuts), 3),
        }
    return found


def main() -> None:
    parsers, absent = contenders()
    gc.collect()
    gc.freeze()  # what the peers have imported is not to be looked through again and again
    content = {
        "unit": "CPU time, medians of interleaved turns; x_whole: times orjson.loads of the whole reply",
        "rounds": ROUNDS,
        "bytes_per_plan": len(reply(100).encode()) // 100,
        "1000_plans_by_chunk_size": by_chunk_size(absent),
        "100_plans_beside_peers": beside(parsers, reply(100)),
        "growth_from_100_to_1000_plans": growth(parsers),
        "peak_bytes": memory(parsers),
        "peak_bytes_of_100000_open_brackets": brackets(list(parsers)),
        "truncation": truncation(parsers),
        "absent": absent,
    }
    save("plan_stream", content, ("orjson", *DISTRIBUTIONS))


if __name__ == "__main__":
    if "--brackets" in sys.argv:
        open_brackets(sys.argv[-1])
    else:
        main()
