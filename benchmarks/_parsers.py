"""Parsers of a reply that arrives in chunks: llmopt's, and those of others.

Three kinds. Some are fed, and remember where they are. Some are asked again with all the text there is, at
every chunk. Some take an iterable of chunks and run to its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from llmopt.errors import PlanStreamError
from llmopt.stream import PlanStream

Chunks = list[Any]
SAMPLES = 24
DISTRIBUTIONS = (
    "ijson",
    "jiter",
    "json-stream",
    "jsonriver",
    "partial-json-parser",
    "langchain-core",
    "json_repair",
)


@dataclass(frozen=True, slots=True)
class Parser:
    """A contender.

    Attributes:
        seconds: CPU time for all chunks; what is parsed is thrown away.
        plans: the plans that a caller has when the reply has ended, whether it is whole or not.
        peak: reads all chunks, or what of them needs the most memory.
    """

    seconds: Callable[[Chunks], float]
    plans: Callable[[Chunks], list[Any]]
    peak: Callable[[Chunks], Any]


def fed(make: Callable[[], Callable[[Any], Any]], plans: Callable[[Chunks], list[Any]]) -> Parser:
    def seconds(chunks: Chunks) -> float:
        feed = make()
        start = time.thread_time()
        for chunk in chunks:
            feed(chunk)
        return time.thread_time() - start

    return Parser(seconds, plans, seconds)


def asked_again(parse: Callable[[str], Any]) -> Parser:
    """Parse the text so far at every chunk; of many chunks the middle ones of 24 equal runs stand for all.

    Nothing is remembered from chunk to chunk, so that what one of them costs depends on the length alone.
    """

    def shown(text: str) -> Any:
        try:
            return parse(text)
        except Exception:  # noqa: BLE001 - the beginning of a reply is no JSON yet
            return None

    def seconds(chunks: Chunks) -> float:
        samples = min(SAMPLES, len(chunks))
        total = 0.0
        for sample in range(samples):
            text = "".join(chunks[: int((sample + 0.5) * len(chunks) / samples) + 1])
            start = time.thread_time()
            shown(text)
            total += time.thread_time() - start
        return total * len(chunks) / samples

    def plans(chunks: Chunks) -> list[Any]:
        found = shown("".join(chunks))
        return found if isinstance(found, list) else []

    return Parser(seconds, plans, lambda chunks: shown("".join(chunks)))


def run_through(read: Callable[[Chunks, Callable[[Any], None]], None], *, whole: bool) -> Parser:
    """Take a function that reads all chunks and shows each plan, or each time the whole list so far."""

    def seconds(chunks: Chunks) -> float:
        start = time.thread_time()
        read(chunks, lambda _: None)
        return time.thread_time() - start

    def plans(chunks: Chunks) -> list[Any]:
        shown: list[Any] = []
        with suppress(Exception):  # the reply is cut off, and each says so in its own way
            read(chunks, shown.append)
        return (shown[-1] if shown else []) if whole else shown

    return Parser(seconds, plans, seconds)


def ours(**options: Any) -> Parser:
    def plans(chunks: Chunks) -> list[Any]:
        stream = PlanStream(**options)
        found: list[Any] = []
        try:
            for chunk in chunks:
                found += stream.feed(chunk)
            found += stream.finalize().plans
        except PlanStreamError:  # strict mode says so where a reply is cut off
            return found
        return found

    return fed(lambda: PlanStream(**options).feed, plans)


def ijson() -> Parser:
    import ijson

    backend = ijson.get_backend("yajl2_c")

    def make() -> Callable[[Any], Any]:
        found = ijson.sendable_list()
        send = backend.items_coro(found, "item", use_float=True).send

        def feed(chunk: Any) -> None:
            send(chunk.encode() if isinstance(chunk, str) else chunk)
            if found:
                del found[:]

        return feed

    def plans(chunks: Chunks) -> list[Any]:
        found = ijson.sendable_list()
        reader = backend.items_coro(found, "item", use_float=True)
        for chunk in chunks:
            reader.send(chunk.encode())
        return list(found)

    return fed(make, plans)


def ijson_bare() -> Parser:
    """Fed with bytes and nothing around it, its plans kept: as fast as it can be."""
    import ijson

    backend = ijson.get_backend("yajl2_c")
    return fed(lambda: backend.items_coro(ijson.sendable_list(), "item", use_float=True).send, list)


def jiter() -> Parser:
    import jiter

    return asked_again(lambda text: jiter.from_json(text.encode(), partial_mode=True))


def partial_json_parser() -> Parser:
    import partial_json_parser

    return asked_again(partial_json_parser.loads)


def langchain() -> Parser:
    from langchain_core.utils.json import parse_partial_json

    return asked_again(parse_partial_json)


def json_repair() -> Parser:
    import json_repair

    return asked_again(lambda text: json_repair.loads(text, stream_stable=True))


def json_stream() -> Parser:
    import json_stream
    from json_stream import to_standard_types

    def read(chunks: Chunks, show: Callable[[Any], None]) -> None:
        for element in json_stream.load(chunk.encode() for chunk in chunks):
            show(to_standard_types(element))

    return run_through(read, whole=False)


def jsonriver() -> Parser:
    import jsonriver

    async def reading(chunks: Chunks, show: Callable[[Any], None]) -> None:
        async def source() -> Any:
            for chunk in chunks:
                yield chunk

        async for value in jsonriver.parse(source()):
            show(value)

    return run_through(lambda chunks, show: asyncio.run(reading(chunks, show)), whole=True)


PEERS: dict[str, Callable[[], Parser]] = {
    "ijson, yajl2_c": ijson,
    "json-stream": json_stream,
    "jsonriver": jsonriver,
    "jiter, partial mode": jiter,
    "partial-json-parser": partial_json_parser,
    "LangChain": langchain,
    "json_repair": json_repair,
}


def contenders() -> tuple[dict[str, Parser], list[str]]:
    """Return all parsers by name, and the names of those that are not installed."""
    found = {f"PlanStream {mode}": ours(mode=mode) for mode in ("strict", "lenient", "repair")}
    absent = []
    for name, make in PEERS.items():
        try:
            found[name] = make()
        except ImportError:
            absent.append(name)
    return found, absent
