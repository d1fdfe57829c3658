"""A model that plays a script, how consumers use it in each world, and what the log then holds."""

from __future__ import annotations

import asyncio
from enum import Enum

import anyio
import llm
import pytest
import trio

from llmopt import usage
from llmopt.types import Reply

SECRET = "the-submarine-is-at-dawn"


class Overloaded(Exception):
    status_code = 529


class Effort(Enum):
    HIGH = "high"


class Options(llm.Options):
    temperature: float | None = None
    prefill: str | None = None
    effort: Effort | None = None


class Played:
    """Plays one item per run: chunks of text, an error, or "hang" for a stream that never goes on."""

    model_id = "played"
    needs_key = None
    can_stream = True
    api_base = f"https://user:{SECRET}@models.example:8443/v1"
    Options = Options

    def __init__(self, *script):
        self.script = list(script) or [["HOLD"]]

    def play(self, response):
        item = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(item, BaseException):
            raise item
        yield from item
        response.set_usage(input=10, output=5, details={"prompt_tokens_details": {"cached_tokens": 4}})
        response.set_resolved_model("played-2026-11-01")
        response.response_json = {"content": SECRET, "finish_reason": "stop"}


class SyncModel(Played, llm.Model):
    def execute(self, prompt, stream, response, conversation):
        for event in self.play(response):
            if event == "hang":
                raise KeyboardInterrupt
            yield event


class AsyncModel(Played, llm.AsyncModel):
    async def execute(self, prompt, stream, response, conversation):
        for event in self.play(response):
            if event == "hang":
                await anyio.sleep_forever()
            yield event


class InThreads:
    """How a consumer uses a model in a world."""

    model = SyncModel

    def text(self, model, *args, **kwargs):
        return model.prompt(*args, **kwargs).text()

    def interrupt(self, model):
        """Begin to read an answer that does not go on, and be interrupted meanwhile."""
        with pytest.raises(KeyboardInterrupt):
            model.prompt(SECRET).text()

    def leave(self, model):
        """Read one event and close the stream."""
        events = model.execute(*begun(model))
        assert next(events)
        events.close()


class InEventLoop:
    model = AsyncModel

    def __init__(self, run):
        self.run = run

    def text(self, model, *args, **kwargs):
        async def main():
            return await model.prompt(*args, **kwargs).text()

        return self.run(main)

    def interrupt(self, model):
        async def main():
            with anyio.move_on_after(0.05):
                await model.prompt(SECRET).text()

        self.run(main)

    def leave(self, model):
        async def main():
            events = model.execute(*begun(model))
            assert await anext(events)
            await events.aclose()

        self.run(main)


def begun(model):
    response = model.prompt(SECRET)
    return response.prompt, True, response, None


WORLDS = {
    "threads": InThreads(),
    "asyncio": InEventLoop(lambda main: asyncio.run(main())),
    "trio": InEventLoop(trio.run),
}


def rows(path, sql="SELECT * FROM calls ORDER BY started_at, id"):
    database = usage.open(path)
    try:
        return list(database.query(sql))
    finally:
        database.close()


def attempts(path):
    return rows(path, "SELECT * FROM attempts ORDER BY call_id, n")


def check(row, **expected):
    assert {name: row[name] for name in expected} == expected


def columns(row, names):
    return {name: row[name] for name in names.split()}


def contents(path):
    sql = "SELECT kind, content, redacted FROM call_fragments JOIN fragments USING (digest)"
    sql += " ORDER BY call_id, kind"
    return [tuple(row.values()) for row in rows(path, sql)]


def heuristic(call):
    try:
        yield call
    except Overloaded:
        call.trace.notes["tier"] = 1
        yield Reply.of_text("WAIT", source="fallback")
