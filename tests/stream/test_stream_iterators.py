"""iter_plans and aiter_plans: every kind of source, closed as soon as nothing more is needed from it."""

from __future__ import annotations

import io
import json
from contextlib import aclosing
from functools import partial

import anyio
import llm
import pytest

import llmopt
from llmopt.errors import ConfigurationError, PlanSyntaxError
from llmopt.stream import PlanStream, aiter_plans, iter_plans
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel

PLANS = [{"agent_id": number, "steps": [{"tool": "Wait"}]} for number in range(1, 5)]
TEXT = json.dumps(PLANS)
CHUNKS = [TEXT[at : at + 4] for at in range(0, len(TEXT), 4)]
BACKENDS = ("asyncio", "trio")


class Closing:
    """An iterator, sync and async, that knows how far it was read and whether it was closed."""

    def __init__(self, chunks):
        self.left = list(chunks)
        self.closed = False

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def close(self):
        self.closed = True

    def __aiter__(self):
        return Async(self)


class Async:
    def __init__(self, source):
        self.source = source

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.source.left:
            raise StopAsyncIteration
        return self.source.left.pop(0)

    async def aclose(self):
        self.source.closed = True


async def collect(source, *args, **options):
    async with aclosing(aiter_plans(source, *args, **options)) as plans:
        return [plan async for plan in plans]


def both(make, *args, **options):
    """The plans of one source, read sync, on asyncio and on trio."""
    found = [list(iter_plans(make(), *args, **options))]
    found += [anyio.run(partial(collect, make(), *args, **options), backend=backend) for backend in BACKENDS]
    assert found[0] == found[1] == found[2]
    return found[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: TEXT, TEXT.encode, lambda: bytearray(TEXT.encode()), lambda: CHUNKS,
        lambda: (chunk.encode() for chunk in CHUNKS), partial(io.StringIO, TEXT),
        partial(io.BytesIO, TEXT.encode()),
        partial(Closing, CHUNKS),
    ],
    ids=["str", "bytes", "bytearray", "list", "generator", "text file", "binary file", "iterator"],
)  # fmt: skip
def test_sources(make):
    assert both(make) == PLANS


def test_what_is_no_source_is_refused():
    with pytest.raises(ConfigurationError, match="a source of plans is"):
        iter_plans(3)
    with pytest.raises(ConfigurationError, match="either stream="):
        iter_plans(TEXT, stream=PlanStream(), mode="strict")


def test_the_source_is_closed_before_the_last_plan_is_handed_out():
    source = Closing([*CHUNKS, "never read"])
    plans = iter_plans(source, expected=[1, 2, 3, 4])
    for _ in PLANS:
        assert not source.closed
        last = next(plans)
    assert last == PLANS[-1]
    assert source.closed
    assert source.left[-1] == "never read"
    assert list(plans) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_async_sources_are_closed_before_the_last_plan_is_handed_out(backend):
    async def main():
        source = Closing([*CHUNKS, "never read"])
        async with aclosing(aiter_plans(source, expected=4)) as plans:
            async for plan in plans:
                assert source.closed == (plan == PLANS[-1])
        assert source.left[-1] == "never read"

    anyio.run(main, backend=backend)


def test_without_stop_early_the_source_is_read_to_its_end():
    source = Closing([*CHUNKS, "read"])
    assert list(iter_plans(source, expected=2, stop_early=False)) == PLANS
    assert (source.left, source.closed) == ([], True)


def test_leaving_the_loop_closes_the_source():
    source = Closing(CHUNKS)
    plans = iter_plans(source)
    assert next(plans) == PLANS[0]
    plans.close()
    assert source.closed


def test_the_stream_tells_afterwards():
    stream = PlanStream(expected=[1, 2, 3, 4, 5])
    assert list(iter_plans(CHUNKS, stream=stream)) == PLANS
    assert stream.missing == (5,)


def test_errors_come_after_the_plans_that_were_complete():
    for text in ('[{"a": 1}, {"a": 2}, x, ', '[{"a": 1}, {"a": 2}, {"b": x}, ', '{"a": 1} {"a": 2} 3x'):
        path = "ndjson" if text.startswith("{") else "auto"
        plans, seen = iter_plans([text], mode="strict", path=path), []
        with pytest.raises(PlanSyntaxError):
            seen.extend(plans)
        assert seen == [{"a": 1}, {"a": 2}]

        async def main(text=text, path=path):
            seen = []
            with pytest.raises(PlanSyntaxError):  # noqa: PT012 - the plans before it are the point
                async for plan in aiter_plans([text], mode="strict", path=path):
                    seen.append(plan)
            assert seen == [{"a": 1}, {"a": 2}]

        anyio.run(main)


def test_plans_of_an_llm_response():
    model = ScriptedModel([Answer(chunks=["Here: ", *CHUNKS])])
    assert list(iter_plans(model.prompt("Plan"), expected=[1, 2, 3, 4], stop_early=False)) == PLANS
    wrapped = llmopt.wrap(ScriptedModel([Answer(chunks=CHUNKS)]), default=False)
    assert list(iter_plans(wrapped.prompt("Plan"))) == PLANS
    schema = llm.schema_dsl("agent_id int", multi=True)
    model = ScriptedModel([json.dumps({"items": PLANS})])
    assert list(iter_plans(model.prompt("Plan", schema=schema), mode="strict")) == PLANS


def test_a_response_is_closed_when_all_is_there():
    model = ScriptedModel([Answer(chunks=[*CHUNKS, " never said"])])
    response = model.prompt("Plan")
    assert list(iter_plans(response, expected=4)) == PLANS
    assert not response._done
    assert " never said" not in "".join(response._chunks)


@pytest.mark.parametrize("backend", BACKENDS)
def test_plans_of_an_async_llm_response(backend):
    async def main():
        model = AsyncScriptedModel(
            [Answer(chunks=["Here: ", *CHUNKS]), Answer(chunks=[*CHUNKS, " never said"])]
        )
        assert await collect(model.prompt("Plan")) == PLANS
        response = model.prompt("Plan")
        assert await collect(response, expected=4) == PLANS
        assert " never said" not in "".join(response._chunks)

    anyio.run(main, backend=backend)
