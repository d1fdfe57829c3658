"""Histograms of logged calls: of those that are sent, not of all before them (delta temporality)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)

from .otel import Logged, attribute
from .otel_spans import nanoseconds, provider_name, scope, served

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

__all__ = ["Sender", "metrics_of"]


class Measure(NamedTuple):
    """One histogram of the conventions.

    Attributes:
        name: its name.
        unit: its unit.
        description: what it measures.
        bounds: the upper bounds of its buckets, in its unit, as the conventions advise.
    """

    name: str
    unit: str
    description: str
    bounds: tuple[float, ...]


_SECONDS = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(4**power for power in range(14))

DURATION = Measure("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _SECONDS)
FIRST_CHUNK = Measure(
    "gen_ai.client.operation.time_to_first_chunk", "s", "Time to receive the first chunk.", _SECONDS
)
TOKENS = Measure("gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", _TOKENS)

_OF_A_CALL = ("operation", "provider", "model_requested", "model_resolved", "endpoint_host")
_OF_A_RUN = ("input_tokens", "output_tokens")


Series: TypeAlias = "tuple[tuple[str, Any], ...]"


class Measured(NamedTuple):
    """One value of a histogram.

    Attributes:
        measure: the histogram.
        series: the attributes that tell it from others of that name.
        value: the value, in its unit.
    """

    measure: Measure
    series: Series
    value: float


class Sender:
    """Sends the histograms of calls, one batch after another.

    Args:
        exporter: what sends them.
        resource: what they are of.
        until: when the last call began that was sent before, in nanoseconds since the epoch, or None.
    """

    def __init__(self, exporter: MetricExporter, resource: Resource, until: int | None) -> None:
        self._exporter = exporter
        self._resource = resource
        self._until = until

    def __call__(self, calls: Sequence[Logged]) -> bool:
        """Send the histograms of calls. Return whether they were taken."""
        began = [nanoseconds(call["started_at"]) for call, _ in calls]
        since = min(began) if self._until is None else self._until
        # Receivers drop what overlaps: each batch begins where the last one ended.
        self._until = max(*began, since + 1)
        metrics = metrics_of(calls, since, self._until)
        made = [ResourceMetrics(self._resource, [ScopeMetrics(scope(), metrics, "")], "")]
        return self._exporter.export(MetricsData(made)) is MetricExportResult.SUCCESS


def metrics_of(calls: Sequence[Logged], since: int, until: int) -> list[Metric]:
    """Return the histograms of calls, as of the time between two moments."""
    values: dict[Measure, dict[Series, list[float]]] = defaultdict(lambda: defaultdict(list))
    for logged in calls:
        for measure, series, value in _measured(logged):
            values[measure][series].append(value)
    return [
        Metric(
            measure.name,
            measure.description,
            measure.unit,
            Histogram(
                [_point(measure, series, found, since, until) for series, found in by_series.items()],
                AggregationTemporality.DELTA,
            ),
        )
        for measure, by_series in values.items()
    ]


def _point(
    measure: Measure, series: Series, values: Sequence[float], since: int, until: int
) -> HistogramDataPoint:
    counts = [0] * (len(measure.bounds) + 1)
    for value in values:
        counts[bisect_left(measure.bounds, value)] += 1
    return HistogramDataPoint(
        dict(series), since, until, len(values), sum(values), counts, measure.bounds, min(values), max(values)
    )


def _measured(logged: Logged) -> Iterator[Measured]:
    """Yield the values of a call: its times, and the tokens of each of its runs, which are what is billed."""
    call = logged.call
    of_call = _series(call, *_OF_A_CALL)
    failed = (("error.type", call["error_type"] or "_OTHER"),) if call["status"] == "error" else ()
    yield Measured(DURATION, of_call + failed, call["duration_ms"] / 1000)
    if call["stream"] and call["ttft_ms"] is not None and not served(call):
        yield Measured(FIRST_CHUNK, of_call, call["ttft_ms"] / 1000)
    for run in logged.runs:
        model = {**call, "provider": run["provider"], "model_requested": run["model"]}
        series = _series(model, "operation", "provider", "model_requested")
        for column in _OF_A_RUN:
            if run[column] is not None:
                kind = ("gen_ai.token.type", column.removesuffix("_tokens"))
                yield Measured(TOKENS, (*series, kind), run[column])


def _series(call: Mapping[str, Any], *columns: str) -> Series:
    told = {**call, "provider": call["provider"] and provider_name(call["provider"])}
    return tuple((attribute(column), told[column]) for column in columns if told[column] is not None)
