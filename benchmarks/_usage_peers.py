"""Who else writes down what a call was like, as functions; and a finished call for our own log.

A case is called once before its turn, uncounted, so that it can make ready what it needs.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import llm
from _measure import ANSWER
from overhead import InProcess

from llmopt.chain.clock import SystemClock
from llmopt.testing.usage import fill_log
from llmopt.types import Attempt, Call, Reply, Trace, Usage

SLOW = {"llm's log_to_db"}
ATTRIBUTES = 20
_READY = 2_000


class Answered:
    """Calls that were just answered, for a log to write down.

    Args:
        text: what was asked.
    """

    def __init__(self, text: str) -> None:
        self._model = InProcess((ANSWER,))
        self._text = text
        self._ids = itertools.count()

    def through(self, log: Any) -> Callable[[], None]:
        """Return a function that takes one call through the flow of a log, and does nothing else."""
        ready = self._ready()

        def case() -> None:
            call, reply, event, attempt = next(ready)
            flow = log(call)
            asked = next(flow)
            call.trace.attempts.append(attempt)
            for stage in asked.path:
                stage.feed([event])
            try:
                step = flow.send(reply)
                while True:  # it waits for the disk
                    step = flow.send(step.fn())
            except StopIteration:
                return

        return case

    def _ready(self) -> Iterator[tuple[Any, Reply, str, Attempt]]:
        """Yield calls, many of them made at a time: a call in thousands is slow for that, and no median."""
        while True:
            yield from [self._one() for _ in range(_READY)]

    def _one(self) -> tuple[Any, Reply, str, Attempt]:
        prompt = llm.Prompt(f"{next(self._ids):06} {self._text}", self._model)
        response = llm.Response(prompt, self._model, stream=True)
        clock, usage = SystemClock(), Usage(500, 80)
        now_s = clock.monotonic()
        attempt = Attempt("in-process", now_s, 0.0, now_s, now_s, None, usage)
        call = Call(self._model, prompt, True, response, None, None, clock, Trace())
        return call, Reply(usage=usage, response=response), ANSWER, attempt


def one_row(path: str) -> Callable[[], None]:
    """Insert a row of our table of calls, with its indexes: WAL, synchronous NORMAL."""
    fill_log(path, 100)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    row = _a_row(connection)
    columns = list(row)
    sql = f"INSERT INTO calls ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    values, ids = [row[name] for name in columns[1:]], itertools.count()

    def case() -> None:
        connection.execute(sql, [f"01{next(ids):024d}", *values])

    return case


def sqlite_utils_insert(path: str) -> Callable[[], None]:
    """Insert the same row by sqlite-utils."""
    import sqlite_utils

    fill_log(path, 100)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    table: Any = sqlite_utils.Database(connection)["calls"]
    row, ids = _a_row(connection), itertools.count()
    return lambda: table.insert({**row, "id": f"01{next(ids):024d}"})


def _a_row(connection: sqlite3.Connection) -> dict[str, Any]:
    cursor = connection.execute(
        "SELECT * FROM calls WHERE status = 'ok' AND attempts = 1 ORDER BY id LIMIT 1"
    )
    names = [column[0] for column in cursor.description]
    row = dict(zip(names, cursor.fetchone(), strict=True))
    return {"id": row.pop("id"), **{name: value for name, value in row.items() if value is not None}}


def llms_log(path: str) -> Callable[[], None]:
    """Write a response into llm's own log, as its command does."""
    import sqlite_utils
    from llm.migrations import migrate

    db = sqlite_utils.Database(path)
    migrate(db)
    model, ids = InProcess((ANSWER,)), itertools.count()

    def case() -> None:
        response = model.prompt(f"{next(ids):06} What now?")
        response.text()
        response.log_to_db(db)

    return case


def otel() -> dict[str, Callable[[], None]]:
    """A span with 20 attributes, given to the batch processor; its exporter throws everything away."""
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return {}
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_nothing()))
    tracer = provider.get_tracer("benchmark")
    attributes = {f"gen_ai.attribute.{number}": number for number in range(ATTRIBUTES)}

    def case() -> None:
        tracer.start_span("chat in-process", attributes=attributes).end()

    return {"OpenTelemetry, batch processor": case}


def langfuse() -> dict[str, Callable[[], None]]:
    """A generation with its usage; the exporter throws everything away."""
    try:
        from langfuse import Langfuse
    except ImportError:
        return {}
    keys = {"public_key": "pk-lf-none", "secret_key": "sk-lf-none", "base_url": "http://127.0.0.1:9"}
    client = Langfuse(**keys, span_exporter=_nothing())
    usage = {"input": 500, "output": 80}

    def case() -> None:
        made = client.start_observation(
            name="call", as_type="generation", model="in-process", input="What now?"
        )
        made.update(output=ANSWER, usage_details=usage)
        made.end()

    return {"Langfuse": case}


def _nothing() -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Nothing(SpanExporter):
        def export(self, spans: Any) -> Any:
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

    return Nothing()
