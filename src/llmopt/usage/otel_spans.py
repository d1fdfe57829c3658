"""Spans of logged calls: one for each call, and below it one for each run of a model.

A call's span is the one that the conventions mean: it covers all retries, and has the tokens of the answer.
The spans of its attempts are none of theirs, so that nothing is counted twice; and an answer out of llmopt's
own cache has its tokens by other names, since nobody has billed them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from .otel import LEFT_OUT, Logged, attribute

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

__all__ = ["attributes_of", "nanoseconds", "provider_name", "scope", "send", "served", "spans_of"]

OPTIONS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
}
"""The attributes of options, by the names that llm's plugins give them."""

PROVIDERS = {
    "claude": "anthropic",
    "gemini": "gcp.gemini",
    "grok": "x_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Providers that the conventions call otherwise than llm's plugins do."""

_OF_ANSWERS = (
    "ttft_ms",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_OF_STREAMS = ("stream", "ttft_ms")
_OF_ERRORS = ("error_type", "http_status")
_SAID_OTHERWISE = {*LEFT_OUT, "rowid"}
_ID = re.compile(r"(?!0+$)[0-9a-f]+")


def send(exporter: SpanExporter, calls: Sequence[Logged], resource: Resource) -> bool:
    """Send the spans of calls. Return whether all were taken."""
    spans = [span for logged in calls for span in spans_of(logged, resource)]
    return exporter.export(spans) is SpanExportResult.SUCCESS


def spans_of(logged: Logged, resource: Resource) -> Iterator[ReadableSpan]:
    """Yield the spans of the attempts of a call, and then its own, as they would have ended."""
    call = logged.call
    context, parent = _context(call), _parent(call)
    for run in logged.runs:
        yield ReadableSpan(
            f"attempt {run['n']}",
            context=_inside(context, f"{call['id']}/{run['n']}"),
            parent=context,
            resource=resource,
            attributes=_attributes_of_run(run),
            kind=SpanKind.CLIENT,
            instrumentation_scope=scope(),
            status=_status(run),
            start_time=nanoseconds(run["started_at"]),
            end_time=nanoseconds(run["started_at"], run["duration_ms"] or 0.0),
        )
    yield ReadableSpan(
        f"{call['operation']} {call['model_requested']}",
        context=context,
        parent=parent,
        resource=resource,
        attributes=attributes_of(call),
        kind=SpanKind.CLIENT if logged.runs else SpanKind.INTERNAL,
        instrumentation_scope=scope(),
        status=_status(call),
        start_time=nanoseconds(call["started_at"]),
        end_time=nanoseconds(call["started_at"], call["duration_ms"]),
    )


# Ids


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


def _context(call: Mapping[str, Any]) -> SpanContext:
    """Return the ids of a call's span: always the same ones for the same call."""
    trace = call["trace_id"] or call["parent_id"] or call["id"]
    return _span_context(_number(trace, 32, _digest(trace)[:16]), _digest(call["id"])[16:24])


def _parent(call: Mapping[str, Any]) -> SpanContext | None:
    """Return the ids of the span that a call was made in: another call's, or somebody else's."""
    parent = call["parent_id"]
    if not parent:
        return None
    number = _number(parent, 16, _digest(parent)[16:24])
    return _span_context(_context(call).trace_id, number.to_bytes(8, "big"))


def _inside(context: SpanContext, name: str) -> SpanContext:
    return _span_context(context.trace_id, _digest(name)[16:24])


def _span_context(trace_id: int, span_id: bytes) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id, int.from_bytes(span_id, "big"), is_remote=False, trace_flags=sampled)


def _number(text: str, digits: int, otherwise: bytes) -> int:
    """Return an id that is OpenTelemetry's own already, or one made of something else."""
    if len(text) == digits and _ID.fullmatch(text):
        return int(text, 16)
    return int.from_bytes(otherwise, "big")


# Attributes


def attributes_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a call's span: its columns, if they have a value, by `otel.ATTRIBUTES`."""
    found: dict[str, Any] = {}
    for column, value in call.items():
        if value is None or column in _SAID_OTHERWISE or (column in _OF_STREAMS and not call["stream"]):
            continue
        if column in _OF_ANSWERS and served(call):
            found[f"llmopt.served.{column}"] = value
        else:
            found[attribute(column)] = _CONVERTED.get(column, _same)(value)
    return found | _options(call["options_json"])


def served(call: Mapping[str, Any]) -> bool:
    """Return whether llmopt's own cache has answered: nobody has billed the tokens."""
    return call["cache_outcome"] in ("hit", "stale", "coalesced")


def provider_name(provider: str) -> str:
    """Return what the conventions call a provider.

    Example:
        >>> provider_name("gemini"), provider_name("openai")
        ('gcp.gemini', 'openai')
    """
    return PROVIDERS.get(provider, provider)


def _same(value: Any) -> Any:
    return value


def _seconds(value_ms: float) -> float:
    return value_ms / 1000


def _list(value: str) -> tuple[str, ...]:
    return (value,)


_CONVERTED: Mapping[str, Callable[[Any], Any]] = {
    "provider": provider_name,
    "stream": bool,
    "ttft_ms": _seconds,
    "finish_reason": _list,
}


def _options(options_json: str | None) -> dict[str, Any]:
    options: dict[str, Any] = orjson.loads(options_json) if options_json else {}
    return {OPTIONS[name]: value for name, value in options.items() if name in OPTIONS and value is not None}


def _attributes_of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        attribute(column) if column in _OF_ERRORS else f"llmopt.attempt.{column}": value
        for column, value in run.items()
        if value is not None and column not in ("call_id", "started_at", "duration_ms")
    }


def _status(row: Mapping[str, Any]) -> Status:
    """Return the status of a span: what the caller has ended is no error."""
    return Status(StatusCode.ERROR if row["status"] == "error" else StatusCode.UNSET)


def nanoseconds(started_at: str, later_ms: float = 0.0) -> int:
    """Return a time of the log in nanoseconds since the epoch.

    Args:
        started_at: the time.
        later_ms: how much later, in milliseconds.

    Example:
        >>> nanoseconds("1970-01-01T00:00:01.000002Z", 0.5)
        1000502000
    """
    since = datetime.fromisoformat(started_at) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000 + round(
        later_ms * 1e6
    )


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


@cache
def scope() -> InstrumentationScope:
    """Return what the spans and metrics are said to be made by."""
    try:
        return InstrumentationScope("llmopt", version("llmopt"))
    except PackageNotFoundError:
        return InstrumentationScope("llmopt")
