"""Plans from a stream: time by chunk size, beside peers, growth, and memory.

    python benchmarks/plan_stream.py [--quick]

Contenders take turns in one process; a turn is the CPU time of this thread, and the fastest turn counts, as
all noise adds. Peers that are not installed are named as absent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import tracemalloc
from typing import Any

import orjson
from _measure import save

from llmopt.stream import PlanStream

SIZES = (1, 4, 16, 64, 256, 1024, 4096, 65536)
TOKEN = 4  # characters
PEERS = ("ijson", "jiter", "json-stream", "jsonriver", "partial-json-parser", "langchain-core", "json_repair")
LIMIT_S = 1.0  # a turn that takes longer is stopped, and its rest is extrapolated


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


# A contender makes a function that takes a chunk.


def ours(**options: Any) -> Any:
    return lambda: PlanStream(**options).feed


def reparsing(parse: Any) -> Any:
    """What most libraries do: parse all that has arrived, with every chunk."""

    def make() -> Any:
        seen: list[str] = []

        def feed(chunk: str) -> Any:
            seen.append(chunk)
            try:
                return parse("".join(seen))
            except Exception:  # noqa: BLE001 - the beginning of a reply is no JSON yet
                return None

        return feed

    return make


def ijson_c() -> Any:
    import ijson

    backend = ijson.get_backend("yajl2_c")

    def make() -> Any:
        found = ijson.sendable_list()
        send = backend.items_coro(found, "item", use_float=True).send
        return lambda chunk: send(chunk.encode()) if isinstance(chunk, str) else send(chunk)

    return make


def ijson_send() -> Any:
    """Fed with bytes, without a function around it."""
    import ijson

    backend = ijson.get_backend("yajl2_c")
    return lambda: backend.items_coro(ijson.sendable_list(), "item", use_float=True).send


def jiter() -> Any:
    import jiter

    return reparsing(lambda text: jiter.from_json(text.encode(), partial_mode=True))


def partial_json_parser() -> Any:
    import partial_json_parser

    return reparsing(partial_json_parser.loads)


def langchain() -> Any:
    from langchain_core.utils.json import parse_partial_json

    return reparsing(parse_partial_json)


def json_repair() -> Any:
    import json_repair

    return reparsing(lambda text: json_repair.loads(text, stream_stable=True))


def json_stream() -> Any:
    import json_stream
    from json_stream import to_standard_types

    def whole(chunks: list[str]) -> Any:
        return [to_standard_types(element) for element in json_stream.load(iter(c.encode() for c in chunks))]

    return whole


def jsonriver() -> Any:
    import jsonriver

    async def read(chunks: list[str]) -> None:
        async def source() -> Any:
            for chunk in chunks:
                yield chunk

        async for _ in jsonriver.parse(source()):
            pass

    return lambda chunks: asyncio.run(read(chunks))


PUSHED = {
    "ijson": ijson_c,
    "jiter": jiter,
    "partial-json-parser": partial_json_parser,
    "langchain-core": langchain,
    "json_repair": json_repair,
}
PULLED = {"json-stream": json_stream, "jsonriver": jsonriver}


def turn(make: Any, chunks: list[Any]) -> float:
    """Seconds for all chunks, extrapolated quadratically where it would take too long."""
    feed = make()
    start = time.thread_time()
    for count, chunk in enumerate(chunks, 1):
        feed(chunk)
        if not count % 64 and (taken := time.thread_time() - start) > LIMIT_S:
            return taken * (len(chunks) / count) ** 2
    return time.thread_time() - start


def tight(make: Any, chunks: list[Any]) -> float:
    feed = make()
    start = time.thread_time()
    for chunk in chunks:
        feed(chunk)
    return time.thread_time() - start


def loop(chunks: list[Any]) -> float:
    start = time.thread_time()
    for _ in chunks:
        pass
    return time.thread_time() - start


def whole(text: Any) -> float:
    start = time.thread_time()
    found = orjson.loads(text)
    taken = time.thread_time() - start
    del found
    return taken


def by_chunk_size(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for form in ("bytes", "str"):
        text: Any = reply(1000).encode() if form == "bytes" else reply(1000)
        contenders = {mode: ours(mode=mode) for mode in ("strict", "lenient")}
        contenders["strict, max_depth=1024"] = ours(mode="strict", max_depth=1024)
        if form == "bytes" and "ijson" not in ABSENT:
            contenders["ijson"] = ijson_send()
        for size in SIZES:
            chunks = chunks_of(text, size)
            taken: dict[str, list[float]] = {name: [] for name in ("loop", "whole", *contenders)}
            for _ in range(rounds if size < 1024 else rounds * 3):
                taken["loop"].append(loop(chunks))
                taken["whole"].append(whole(text))
                for name, make in contenders.items():
                    taken[name].append(tight(make, chunks))
            best = {name: min(values) for name, values in taken.items()}
            row: dict[str, Any] = {"form": form, "chunk": size}
            for name in contenders:
                row[name] = {
                    "ns_per_chunk_over_loop": round((best[name] - best["loop"]) / len(chunks) * 1e9),
                    "x_whole": round(best[name] / best["whole"], 2),
                }
            rows.append(row)
    return rows


def by_contender() -> dict[str, Any]:
    """100 plans in chunks of a token, everybody once a round."""
    chunks = chunks_of(reply(100), TOKEN)
    taken: dict[str, float] = {}
    contenders: dict[str, Any] = {"llmopt strict": ours(mode="strict"), "llmopt lenient": ours()}
    contenders |= {name: make() for name, make in PUSHED.items() if name not in ABSENT}
    for name, make in contenders.items():
        slow = name not in ("llmopt strict", "llmopt lenient", "ijson")
        taken[name] = min(turn(make, chunks) for _ in range(1 if slow else 9))
    for name, make_whole in PULLED.items():
        if name not in ABSENT:
            read = make_whole()
            start = time.thread_time()
            read(chunks)
            taken[name] = time.thread_time() - start
    ours_s = taken["llmopt lenient"]
    return {name: {"ms": round(s * 1e3, 2), "x_llmopt": round(s / ours_s, 1)} for name, s in taken.items()}


def growth() -> dict[str, float]:
    found = {}
    for size in (TOKEN, 64, 1024, 65536):
        small, large = chunks_of(reply(100), size), chunks_of(reply(1000), size)
        best = [min(tight(ours(), chunks) for _ in range(7)) for chunks in (small, large)]
        found[str(size)] = round(best[1] / best[0], 2)
    return found


def memory() -> dict[str, int]:
    """Bytes at the peak, with plans thrown away."""
    found = {}
    for plans in (10, 1000):
        for size in (TOKEN, 64, 4096):
            chunks = chunks_of(reply(plans), size)
            feed = PlanStream().feed
            tracemalloc.start()
            for chunk in chunks:
                feed(chunk)
            found[f"{plans} plans, chunks of {size}"] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    chunks = chunks_of('[{"a":' + "[" * 100_000, TOKEN)
    tracemalloc.start()
    stream = PlanStream()
    for chunk in chunks:
        stream.feed(chunk)
    stream.finalize()
    found["100000 open brackets"] = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def absent() -> set[str]:
    missing = set()
    for name, make in (PUSHED | PULLED).items():
        try:
            make()
        except ImportError:
            missing.add(name)
    return missing


ABSENT = absent()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a look")
    rounds = 3 if parser.parse_args().quick else 9
    content = {
        "unit": "CPU time of the fastest turn; x_whole: times orjson.loads of the whole reply of 1000 plans",
        "bytes_per_plan": len(reply(100).encode()) // 100,
        "by_chunk_size": by_chunk_size(rounds),
        "100_plans_in_chunks_of_4": by_contender(),
        "growth_from_100_to_1000_plans": growth(),
        "peak_bytes": memory(),
        "absent": sorted(ABSENT),
    }
    save("plan_stream", content, ("orjson", *PEERS))


if __name__ == "__main__":
    main()
