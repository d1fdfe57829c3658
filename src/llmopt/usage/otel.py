"""Sends the calls of a usage log to OpenTelemetry (extra `llmopt[otel]`).

Spans and metrics are made from the table, with the times that the rows have, whenever somebody asks for
that: never while a call is made. How far a target has got stands in the log, and is moved on only after the
exporter has said that it took what it was given. So what an exporter refuses, or a process that dies leaves
behind, is sent again: all arrives at least once, and a span that arrives twice has the same ids both times.

The names are those of the semantic conventions for generative AI, which are still in development.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..errors import ConfigurationError, StoreError
from .registry import resolve
from .upkeep import writing
from .values import timestamp

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["ATTRIBUTES", "LEFT_OUT", "Logged", "attribute", "export"]

ATTRIBUTES: Mapping[str, str] = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "model_requested": "gen_ai.request.model",
    "model_resolved": "gen_ai.response.model",
    "conversation_id": "gen_ai.conversation.id",
    "agent": "gen_ai.agent.name",
    "stream": "gen_ai.request.stream",
    "ttft_ms": "gen_ai.response.time_to_first_chunk",
    "finish_reason": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "endpoint_host": "server.address",
    "error_type": "error.type",
    "http_status": "http.response.status_code",
}
"""The attribute that each column of `calls` becomes; one that is not here becomes `llmopt.` and its name."""

LEFT_OUT = frozenset(
    ("trace_id", "parent_id", "started_at", "duration_ms", "prompt_digest", "schema_version")
)
"""Columns that become no attribute: the span itself says so; or, as digests of short prompts, too much."""


def attribute(column: str) -> str:
    """Return the name of the attribute that a column of `calls` becomes.

    Example:
        >>> attribute("cache_read_tokens"), attribute("role")
        ('gen_ai.usage.cache_read.input_tokens', 'llmopt.role')
    """
    return ATTRIBUTES.get(column, f"llmopt.{column}")


class Logged(NamedTuple):
    """A call as the log has it.

    Attributes:
        call: its row in `calls`, and its `rowid`.
        runs: its rows in `attempts`.
    """

    call: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]]


Send: TypeAlias = Callable[[Sequence[Logged]], bool]


def export(
    path: str | os.PathLike[str] | None,
    exporter: SpanExporter | MetricExporter,
    *,
    target: str,
    batch: int = 512,
    resource: Resource | None = None,
) -> int:
    """Send the calls that a target does not have yet, in the order in which they were written.

    Args:
        path: the log; None stands for `llmopt/usage.db` in llm's user folder.
        exporter: what sends them: spans, or metrics of them, by its kind. It is not shut down.
        target: by which the log remembers what has been sent; spans and metrics each have their own.
        batch: calls in one request, at least 1.
        resource: what sends; None stands for what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say.
            A service without a name is called llmopt.

    Returns:
        How many calls were sent.

    Raises:
        StoreError: the exporter failed, or the log cannot be read or written. What was sent before is noted.
        ConfigurationError: an argument is wrong, or the extra is not installed.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        >>> llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog("usage.db")).prompt("What now?").text()
        'HOLD'
        >>> exporter = InMemorySpanExporter()
        >>> export("usage.db", exporter, target="memory"), export("usage.db", exporter, target="memory")
        (1, 0)
        >>> [span.name for span in exporter.get_finished_spans()]
        ['attempt 1', 'chat scripted']
    """
    from . import open as open_log

    if not target or batch < 1:
        raise ConfigurationError(f"target is a name and batch at least 1, not {target!r} and {batch!r}")
    sent = 0
    with closing(open_log(path)) as log:
        position = _position(log.conn, target)
        send = _sender(exporter, resource, _last_start(log.conn, position))
        while found := _after(log.conn, position, batch):
            _send(send, found, target, sent)
            position = found[-1].call["rowid"]
            _note(resolve(path), target, position)
            sent += len(found)
    return sent


def _sender(
    exporter: SpanExporter | MetricExporter, resource: Resource | None, last_start: str | None
) -> Send:
    """Return what sends calls, and tells whether all of them were taken."""
    try:
        from opentelemetry.sdk.metrics.export import MetricExporter
        from opentelemetry.sdk.resources import Resource

        from . import otel_metrics, otel_spans
    except ModuleNotFoundError as error:
        raise ConfigurationError("OpenTelemetry is not installed: pip install 'llmopt[otel]'") from error
    made = Resource.create() if resource is None else resource
    if str(made.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        made = made.merge(Resource({"service.name": "llmopt"}))
    if isinstance(exporter, MetricExporter):
        until = None if last_start is None else otel_spans.nanoseconds(last_start)
        return otel_metrics.Sender(exporter, made, until)
    return lambda calls: otel_spans.send(exporter, calls, made)


def _send(send: Send, calls: Sequence[Logged], target: str, sent: int) -> None:
    """Send calls.

    Raises:
        StoreError: they were not taken.
    """
    try:
        taken, error = send(calls), None
    except Exception as failure:  # noqa: BLE001 - an exporter may raise what it likes
        taken, error = False, failure
    if not taken:
        why = f" ({type(error).__name__})" if error else ""
        told = f"{target} did not take {len(calls)} calls{why}, after {sent} that it took"
        raise StoreError(f"{told}; they are sent again next time") from error


# The log


def _position(connection: sqlite3.Connection, target: str) -> int:
    """Return the rowid of the last call that was sent, or 0.

    SQLite gives the numbers of rows anew when the last ones were removed. A position behind the last row is
    that of a row that is gone, so all that is there now is newer.
    """
    if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'exports'").fetchone()[0]:
        return 0  # a log of the schema's first version
    query = "SELECT position, (SELECT coalesce(max(rowid), 0) FROM calls) FROM exports WHERE target = ?"
    position, last = connection.execute(query, (target,)).fetchone() or (0, 0)
    return position if position <= last else 0


def _last_start(connection: sqlite3.Connection, position: int) -> str | None:
    """Return when the last of the calls began that were sent."""
    query = "SELECT started_at FROM calls WHERE rowid <= ? ORDER BY started_at DESC LIMIT 1"
    found: tuple[str] | None = connection.execute(query, (position,)).fetchone()
    return found and found[0]


def _note(path: str, target: str, position: int) -> None:
    with writing(path) as connection:
        connection.execute(
            "INSERT INTO exports (target, position, at) VALUES (?, ?, ?) "
            "ON CONFLICT (target) DO UPDATE SET position = excluded.position, at = excluded.at",
            (target, position, timestamp(time.time())),
        )


def _after(connection: sqlite3.Connection, position: int, count: int) -> list[Logged]:
    """Return the calls that were written after a position, with their attempts."""
    calls = _rows(
        connection, "SELECT rowid, * FROM calls WHERE rowid > ? ORDER BY rowid LIMIT ?", (position, count)
    )
    if not calls:
        return []
    runs: dict[str, list[dict[str, Any]]] = {call["id"]: [] for call in calls}
    query = (
        "SELECT attempts.* FROM calls JOIN attempts ON attempts.call_id = calls.id "
        "WHERE calls.rowid > ? AND calls.rowid <= ? ORDER BY n"
    )
    for run in _rows(connection, query, (position, calls[-1]["rowid"])):
        runs[run["call_id"]].append(run)
    return [Logged(call, runs[call["id"]]) for call in calls]


def _rows(connection: sqlite3.Connection, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
