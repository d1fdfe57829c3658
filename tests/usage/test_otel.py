"""What OpenTelemetry gets of a log: by the right names, at the rows' own times, at least once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode

import llmopt
from llmopt.errors import ConfigurationError, StoreError
from llmopt.testing import ScriptedModel
from llmopt.testing.usage import fill_log
from llmopt.usage import otel, otel_metrics, otel_spans
from llmopt.usage.migrations import migrate
from llmopt.usage.otel import Logged
from llmopt.usage.record import trace
from llmopt.usage.schema import describe

SRC = Path(__file__).parents[2] / "src"
(CALLS,) = (relation for relation in describe() if relation.name == "calls")
(ATTEMPTS,) = (relation for relation in describe() if relation.name == "attempts")
RESOURCE = Resource({"service.name": "a-service"})
ID = "01m7ypyadymytaksvwtqashqsd"


def call(**columns):
    known = {
        "rowid": 1,
        **dict.fromkeys(column.name for column in CALLS.columns),
        "id": ID,
        "operation": "chat",
        "model_requested": "gpt-4o",
        "stream": 0,
        "started_at": "2026-11-21T12:00:00.000001Z",
        "duration_ms": 1500.5,
        "status": "ok",
        "attempts": 1,
        "schema_version": 2,
    }
    assert columns.keys() <= known.keys()
    return {**known, **columns}


def run(**columns):
    known = {
        **dict.fromkeys(column.name for column in ATTEMPTS.columns),
        "call_id": ID,
        "n": 1,
        "provider": "openai",
        "model": "gpt-4o",
        "started_at": "2026-11-21T12:00:00.100000Z",
        "duration_ms": 1000.0,
        "status": "ok",
    }
    assert columns.keys() <= known.keys()
    return {**known, **columns}


def insert(path, *calls, runs=()):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection)
        for table, rows in (("calls", calls), ("attempts", runs)):
            for row in rows:
                names = [name for name in row if name != "rowid"]
                marks = ", ".join("?" * len(names))
                sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
                connection.execute(sql, [row[name] for name in names])


def span_of(call, *runs):
    *_, span = otel_spans.spans_of(Logged(call, runs), RESOURCE)
    return span


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "usage.db"
    fill_log(path, 100, days=1)
    return path


def calls_in(path):
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM calls ORDER BY rowid")]


def ids_of(spans):
    return [span.attributes["llmopt.id"] for span in spans if "llmopt.id" in span.attributes]


class TestAttributes:
    def test_every_column_becomes_one_or_is_left_out_on_purpose(self):
        named = otel.ATTRIBUTES.keys() | otel.LEFT_OUT
        assert named <= {column.name for column in CALLS.columns}
        assert not otel.ATTRIBUTES.keys() & otel.LEFT_OUT

    def test_names_are_those_of_the_conventions(self):
        known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
        ours = {*otel.ATTRIBUTES.values(), *otel_spans.OPTIONS.values()}
        assert {name for name in ours if name.startswith("gen_ai.")} <= known
        metrics = {value for name, value in vars(gen_ai_metrics).items() if name.startswith("GEN_AI_")}
        assert {
            each.name for each in (otel_metrics.DURATION, otel_metrics.TOKENS, otel_metrics.FIRST_CHUNK)
        } <= metrics

    def test_providers_have_the_names_of_the_conventions(self):
        known = {member.value for member in gen_ai_attributes.GenAiProviderNameValues}
        assert set(otel_spans.PROVIDERS.values()) - known <= {"moonshot_ai"}  # younger than some packages
        assert {
            otel_spans.provider_name(name) for name in ("openai", "anthropic", "groq", "deepseek")
        } <= known

    def test_a_call_of_every_column(self):
        span = span_of(
            call(
                provider="claude",
                model_requested="claude-haiku",
                model_resolved="claude-haiku-4.5",
                endpoint_host="api.example.com",
                conversation_id="c-1",
                agent="A17",
                role="tactical",
                stream=1,
                ttft_ms=250.0,
                input_tokens=100,
                output_tokens=20,
                cache_read_tokens=64,
                cache_write_tokens=0,
                reasoning_tokens=5,
                tokens_source="provider",
                cost_usd_nano=1234,
                cache_outcome="miss",
                finish_reason="stop",
                options_json='{"temperature":0.5,"max_tokens":300,"prefill":null,"top_k":null}',
                tags_json='{"map": "harbour"}',
                prompt_digest="ab" * 32,
                tier=0,
            ),
            run(),
        )
        assert span.name == "chat claude-haiku"
        assert span.kind is SpanKind.CLIENT
        assert dict(span.attributes) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-haiku",
            "gen_ai.response.model": "claude-haiku-4.5",
            "server.address": "api.example.com",
            "gen_ai.conversation.id": "c-1",
            "gen_ai.agent.name": "A17",
            "gen_ai.request.stream": True,
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 64,
            "gen_ai.usage.cache_creation.input_tokens": 0,
            "gen_ai.usage.reasoning.output_tokens": 5,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 300,
            "llmopt.id": ID,
            "llmopt.role": "tactical",
            "llmopt.tokens_source": "provider",
            "llmopt.cost_usd_nano": 1234,
            "llmopt.cache_outcome": "miss",
            "llmopt.status": "ok",
            "llmopt.attempts": 1,
            "llmopt.tier": 0,
            "llmopt.options_json": '{"temperature":0.5,"max_tokens":300,"prefill":null,"top_k":null}',
            "llmopt.tags_json": '{"map": "harbour"}',
        }

    @pytest.mark.parametrize("outcome", ["hit", "stale", "coalesced"])
    def test_an_answer_out_of_the_cache_has_no_tokens_that_somebody_might_bill(self, outcome):
        hit = call(cache_outcome=outcome, stream=1, input_tokens=9, output_tokens=3, ttft_ms=0.5, attempts=0)
        span = span_of(hit)
        assert not [name for name in span.attributes if name.startswith(("gen_ai.usage", "gen_ai.response"))]
        assert span.attributes["llmopt.served.input_tokens"] == 9
        assert span.attributes["llmopt.served.output_tokens"] == 3
        assert span.kind is SpanKind.INTERNAL

    def test_only_a_stream_has_a_first_chunk(self):
        attributes = span_of(call(ttft_ms=3.0)).attributes
        assert not {"gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"} & attributes.keys()


class TestSpans:
    def test_times_are_those_of_the_row(self):
        span = span_of(call())
        assert span.start_time == 1_795_262_400_000_001_000
        assert span.end_time - span.start_time == 1_500_500_000

    @pytest.mark.parametrize(
        ("status", "code"),
        [("ok", "UNSET"), ("error", "ERROR"), ("cancelled", "UNSET"), ("abandoned", "UNSET")],
    )
    def test_status(self, status, code):
        span = span_of(call(status=status, error_type="TimeoutError", http_status=504))
        assert span.status.status_code is StatusCode[code]
        assert span.attributes["error.type"] == "TimeoutError"
        assert span.attributes["http.response.status_code"] == 504

    def test_attempts_are_inside_and_are_no_calls_of_their_own(self):
        failed = run(status="error", error_type="ConnectionError", duration_ms=None)
        first, second, whole = otel_spans.spans_of(
            Logged(call(attempts=2), [failed, run(n=2, input_tokens=7)]), RESOURCE
        )
        assert [first.name, second.name] == ["attempt 1", "attempt 2"]
        assert {first.parent.span_id, second.parent.span_id} == {whole.context.span_id}
        assert len({span.context.span_id for span in (first, second, whole)}) == 3
        assert {span.context.trace_id for span in (first, second)} == {whole.context.trace_id}
        assert not [
            name for span in (first, second) for name in span.attributes if name.startswith("gen_ai.")
        ]
        assert first.attributes["error.type"] == "ConnectionError"
        assert first.end_time == first.start_time
        assert second.attributes["llmopt.attempt.input_tokens"] == 7
        assert first.status.status_code is StatusCode.ERROR

    def test_calls_of_one_trace_share_it(self):
        one, other = (span_of(call(id=name, trace_id="nightly-7")) for name in ("a", "b"))
        assert one.context.trace_id == other.context.trace_id
        assert one.context.span_id != other.context.span_id

    def test_a_trace_of_opentelemetry_is_kept(self):
        span = span_of(call(trace_id="0af7651916cd43dd8448eb211c80319c", parent_id="b7ad6b7169203331"))
        assert span.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
        assert span.parent.span_id == 0xB7AD6B7169203331

    def test_a_call_of_a_call_is_its_child(self):
        mother, child = span_of(call(id="a")), span_of(call(id="b", parent_id="a"))
        assert child.parent.span_id == mother.context.span_id
        assert child.context.trace_id == mother.context.trace_id
        assert mother.parent is None

    @given(st.text(min_size=1), st.one_of(st.none(), st.text(), st.just("0" * 32), st.just("f" * 32)))
    def test_ids_are_valid_and_always_the_same(self, name, trace):
        spans = [span_of(call(id=name, trace_id=trace)) for _ in range(2)]
        assert spans[0].context == spans[1].context
        assert spans[0].context.is_valid


def points_of(metrics):
    return {
        (metric.name, point.attributes.get("gen_ai.token.type")): point
        for metric in metrics
        for point in metric.data.data_points
    }


def test_spans_are_said_to_be_made_by_llmopt(monkeypatch):
    otel_spans.scope.cache_clear()
    assert (otel_spans.scope().name, bool(otel_spans.scope().version)) == ("llmopt", True)

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(otel_spans, "version", missing)
    otel_spans.scope.cache_clear()
    assert (otel_spans.scope().name, otel_spans.scope().version) == ("llmopt", None)
    otel_spans.scope.cache_clear()


class TestMetrics:
    def test_buckets_are_those_of_the_conventions(self):
        assert otel_metrics.DURATION.bounds == tuple(
            pytest.approx(bound)
            for bound in (
                0.01,
                0.02,
                0.04,
                0.08,
                0.16,
                0.32,
                0.64,
                1.28,
                2.56,
                5.12,
                10.24,
                20.48,
                40.96,
                81.92,
            )
        )
        assert otel_metrics.TOKENS.bounds[:3] == (1, 4, 16)
        assert otel_metrics.TOKENS.bounds[-1] == 67_108_864

    def test_tokens_are_those_that_were_billed(self):
        runs = [run(status="error", input_tokens=100), run(n=2, input_tokens=100, output_tokens=20)]
        hit = call(id="b", cache_outcome="hit", input_tokens=100, output_tokens=20)
        logged = [Logged(call(input_tokens=100, output_tokens=20), runs), Logged(hit, [])]
        points = points_of(otel_metrics.metrics_of(logged, 0, 1))
        assert points["gen_ai.client.token.usage", "input"].sum == 200
        assert points["gen_ai.client.token.usage", "output"].sum == 20
        assert points["gen_ai.client.operation.duration", None].count == 2

    def test_a_histogram_counts_every_value_once(self):
        logged = [Logged(call(duration_ms=ms), []) for ms in (0.0, 10.0, 10.1, 81_920.0, 90_000.0)]
        (point,) = points_of(otel_metrics.metrics_of(logged, 5, 9)).values()
        assert point.bucket_counts == [2, 1, *[0] * 11, 1, 1]
        assert (point.count, point.min, point.max) == (5, 0.0, 90.0)
        assert point.sum == pytest.approx(171.9401)
        assert (point.start_time_unix_nano, point.time_unix_nano) == (5, 9)

    def test_errors_and_models_are_series_of_their_own(self):
        failed = call(status="error", error_type="TimeoutError")
        unknown = call(status="error", model_requested="m-2", provider="gemini")
        (metric,) = otel_metrics.metrics_of([Logged(each, []) for each in (call(), failed, unknown)], 0, 1)
        assert metric.data.aggregation_temporality is AggregationTemporality.DELTA
        assert [dict(point.attributes) for point in metric.data.data_points] == [
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"},
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "error.type": "TimeoutError"},
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "gcp.gemini",
                "gen_ai.request.model": "m-2",
                "error.type": "_OTHER",
            },
        ]

    def test_only_streams_of_models_have_a_first_chunk(self):
        streams = [
            call(stream=1, ttft_ms=5.0),
            call(ttft_ms=6.0),
            call(stream=1),
            call(stream=1, ttft_ms=0.1, cache_outcome="hit"),
        ]
        points = points_of(otel_metrics.metrics_of([Logged(each, []) for each in streams], 0, 1))
        assert points["gen_ai.client.operation.time_to_first_chunk", None].count == 1


class Taking(SpanExporter):
    """Takes some batches, and fails in one way or another at the others."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.taken = []

    def export(self, spans):
        outcome = self.outcomes.pop(0) if self.outcomes else SpanExportResult.SUCCESS
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is SpanExportResult.SUCCESS:
            self.taken += spans
        return outcome


class TakingMetrics(MetricExporter):
    def __init__(self):
        super().__init__()
        self.taken = []

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.taken += metrics_data.resource_metrics[0].scope_metrics[0].metrics
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        pass


class TestExport:
    def test_sends_everything_once_in_order_and_then_what_is_new(self, path):
        exporter = InMemorySpanExporter()
        assert otel.export(path, exporter, target="t", batch=30) == 100
        assert ids_of(exporter.get_finished_spans()) == calls_in(path)
        insert(path, call(id="new"))
        assert otel.export(path, exporter, target="t") == 1
        assert otel.export(path, exporter, target="t") == 0
        assert ids_of(exporter.get_finished_spans())[-1] == "new"

    def test_calls_stand_in_the_trace_of_the_request_that_they_are_made_for(self, tmp_path):
        model = llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog(tmp_path / "own.db"))
        with trace("0af7651916cd43dd8448eb211c80319c"):
            model.prompt("What now?").text()
        exporter = Taking()
        assert otel.export(tmp_path / "own.db", exporter, target="t") == 1
        assert {span.context.trace_id for span in exporter.taken} == {0x0AF7651916CD43DD8448EB211C80319C}

    def test_targets_know_nothing_of_each_other(self, path):
        assert [otel.export(path, Taking(), target=target) for target in ("a", "b", "a")] == [100, 100, 0]

    @pytest.mark.parametrize("failure", [SpanExportResult.FAILURE, RuntimeError("bearer sk-secret"), None])
    def test_what_an_exporter_does_not_take_is_sent_again(self, path, failure):
        exporter = Taking(SpanExportResult.SUCCESS, failure)
        with pytest.raises(StoreError, match=r"^t did not take 40 calls.*after 40") as raised:
            otel.export(path, exporter, target="t", batch=40)
        assert "sk-secret" not in str(raised.value)
        assert len(ids_of(exporter.taken)) == 40
        assert otel.export(path, exporter, target="t", batch=40) == 60
        assert ids_of(exporter.taken) == calls_in(path)

    def test_a_process_that_dies_before_it_has_noted_it_sends_the_same_spans_again(self, path):
        code = """
import os, sys
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from llmopt.usage import otel

class Dying(SpanExporter):
    batches = 0
    def export(self, spans):
        print(*(span.context.span_id for span in spans), flush=True)
        self.batches += 1
        if self.batches == 2:
            os._exit(9)
        return SpanExportResult.SUCCESS

otel.export(sys.argv[1], Dying(), target="t", batch=40)
"""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
        command = [sys.executable, "-B", "-c", code, str(path)]
        died = subprocess.run(
            command, env={**env, "PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False
        )
        assert died.returncode == 9, died.stderr
        lost = set(map(int, died.stdout.splitlines()[1].split()))
        exporter = Taking()
        assert otel.export(path, exporter, target="t") == 60
        assert lost <= {span.context.span_id for span in exporter.taken}

    def test_attempts_come_with_their_calls(self, path):
        exporter = Taking()
        otel.export(path, exporter, target="t", batch=7)
        with closing(sqlite3.connect(path)) as connection:
            (attempts,) = connection.execute("SELECT count(*) FROM attempts").fetchone()
        assert len(exporter.taken) == 100 + attempts

    def test_metrics_have_a_place_of_their_own_and_do_not_overlap(self, path):
        exporter = TakingMetrics()
        assert otel.export(path, exporter, target="m", batch=40) == 100
        insert(path, call(id="late", started_at="2026-01-01T00:00:00.000000Z"), call(id="new"))
        assert otel.export(path, exporter, target="m", batch=1) == 2
        points = [
            point
            for metric in exporter.taken
            if metric.name == "gen_ai.client.operation.duration"
            for point in metric.data.data_points
        ]
        assert sum(point.count for point in points) == 102
        times = sorted({(point.start_time_unix_nano, point.time_unix_nano) for point in points})
        assert len(times) == 5
        assert all(begin < end for begin, end in times)
        assert [end for _, end in times[:-1]] == [begin for begin, _ in times[1:]]

    def test_calls_that_were_pruned_do_not_hide_those_that_come_after(self, path):
        otel.export(path, Taking(), target="t")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM calls")
        insert(path, call(id="after"))
        exporter = Taking()
        assert otel.export(path, exporter, target="t") == 1
        assert ids_of(exporter.taken) == ["after"]

    def test_a_log_of_the_first_version_has_sent_nothing_yet(self, path):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE exports")
            assert otel._position(connection, "t") == 0

    def test_the_service_has_a_name(self, path, monkeypatch):
        exporter = Taking()
        otel.export(path, exporter, target="a")
        otel.export(path, exporter, target="b", resource=Resource({"service.name": "mine"}))
        monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
        otel.export(path, exporter, target="c")
        names = [span.resource.attributes["service.name"] for span in exporter.taken]
        assert sorted(set(names)) == ["llmopt", "mine", "theirs"]

    @pytest.mark.parametrize("wrong", [{"target": ""}, {"target": "t", "batch": 0}])
    def test_wrong_arguments(self, path, wrong):
        with pytest.raises(ConfigurationError, match="target is a name"):
            otel.export(path, Taking(), **wrong)

    def test_without_the_extra_it_says_what_to_install(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics.export", None)
        with pytest.raises(ConfigurationError, match=r"llmopt\[otel\]"):
            otel.export(path, object(), target="t")


@contextmanager
def receiver(*statuses):
    """An OTLP/HTTP receiver: the path and body of each request; statuses are of the first ones."""
    got, left = [], list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = left.pop(0) if left else 200
            if status == 200:
                got.append((self.path, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestReceiver:
    def test_spans_and_metrics_arrive_over_http(self, path):
        with receiver() as (url, got):
            spans, metrics = (
                OTLPSpanExporter(endpoint=f"{url}/v1/traces"),
                OTLPMetricExporter(endpoint=f"{url}/v1/metrics"),
            )
            assert otel.export(path, spans, target="t", batch=64) == 100
            assert otel.export(path, metrics, target="m", batch=64) == 100
            spans.shutdown()
            metrics.shutdown()
        assert [path for path, _ in got] == ["/v1/traces"] * 2 + ["/v1/metrics"] * 2
        requests = [ExportTraceServiceRequest.FromString(body) for _, body in got[:2]]
        arrived = [span for request in requests for span in request.resource_spans[0].scope_spans[0].spans]
        assert [span.name.split()[0] for span in arrived].count("chat") == 100
        histograms = [ExportMetricsServiceRequest.FromString(body) for _, body in got[2:]]
        names = {
            metric.name for each in histograms for metric in each.resource_metrics[0].scope_metrics[0].metrics
        }
        assert names >= {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}

    def test_what_a_receiver_refuses_is_sent_again(self, path):
        with receiver(200, 400) as (url, got):
            exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
            with pytest.raises(StoreError, match="after 60"):
                otel.export(path, exporter, target="t", batch=60)
            assert otel.export(path, exporter, target="t", batch=60) == 40
            exporter.shutdown()
        assert len(got) == 2
