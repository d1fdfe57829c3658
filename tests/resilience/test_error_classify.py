"""What errors of SDKs, transports and llm mean."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import urllib.error
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import (
    Abandoned,
    CallTimeout,
    CircuitOpen,
    ConfigurationError,
    FallbackFailed,
    RateLimited,
)
from llmopt.resilience import error_class, http_status, is_transient, retry_after_s

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")
llm = pytest.importorskip("llm")
openai = pytest.importorskip("openai")

REQUEST = httpx2.Request("POST", "https://example.invalid/v1")


def response(status=429, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers=named, request=REQUEST)


def openai_error(status, body=None, **headers):
    return openai.APIStatusError("no", response=response(status, **headers), body=body)


def anthropic_error(status, body=None, **headers):
    return anthropic.APIStatusError("no", response=response(status, **headers), body=body)


def caused(error, cause):
    error.__cause__ = cause
    return error


def within(error, context):
    error.__context__ = context
    return error


class Status(Exception):
    def __init__(self, status, headers=None):
        super().__init__(status)
        self.status_code = status
        self.headers = headers


@pytest.mark.parametrize("make", [openai_error, anthropic_error, Status])
@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_these_statuses_are_worth_another_try(make, status):
    assert is_transient(make(status))
    assert http_status(make(status)) == status


@pytest.mark.parametrize("make", [openai_error, anthropic_error])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_these_statuses_are_not_whatever_the_server_says(make, status):
    assert not is_transient(make(status))
    assert not is_transient(make(status, x_should_retry="true"))


def test_the_server_may_overrule_the_other_statuses():
    assert not is_transient(openai_error(503, x_should_retry="false"))
    assert is_transient(openai_error(418, x_should_retry="true"))
    assert not is_transient(openai_error(418))


@pytest.mark.parametrize(
    "body",
    [
        {"code": "insufficient_quota", "type": "insufficient_quota"},
        {"error": {"type": "insufficient_quota"}},
        {"error": {"code": "billing_hard_limit_reached"}},
    ],
)
def test_an_exhausted_quota_is_not_transient_though_its_status_is_429(body):
    error = openai_error(429, body)
    assert not is_transient(error)
    assert error_class(error) == "quota"
    assert is_transient(openai_error(429, {"code": "rate_limit_exceeded"}))


@pytest.mark.parametrize(
    ("error", "transient", "name"),
    [
        (openai.APITimeoutError(REQUEST), True, "timeout"),
        (openai.APIConnectionError(request=REQUEST), True, "connection"),
        (anthropic.APITimeoutError(REQUEST), True, "timeout"),
        (anthropic.APIConnectionError(request=REQUEST), True, "connection"),
        (anthropic.RetryableError("again"), True, "connection"),
        (httpx2.ConnectError("no"), True, "connection"),
        (httpx2.ReadError("no"), True, "connection"),
        (httpx2.RemoteProtocolError("peer closed"), True, "connection"),
        (httpx2.ProxyError("no"), True, "connection"),
        (httpx2.ReadTimeout("slow"), True, "timeout"),
        (httpx2.PoolTimeout("full"), True, "timeout"),
        (ConnectionResetError(), True, "connection"),
        (BrokenPipeError(), True, "connection"),
        (socket.gaierror(-3, "name resolution"), True, "connection"),
        (TimeoutError(), True, "timeout"),
        (CallTimeout("30 s"), True, "timeout"),
        (caused(llm.ModelError("x"), ConnectionResetError()), True, "connection"),
        (within(llm.ModelError("x"), httpx2.ReadTimeout("slow")), True, "timeout"),
        (caused(RuntimeError("x"), openai_error(503)), True, "overloaded"),
        (httpx2.LocalProtocolError("bad header"), False, "other"),
        (httpx2.UnsupportedProtocol("ftp"), False, "other"),
        (
            caused(openai.APIConnectionError(request=REQUEST), httpx2.LocalProtocolError("key")),
            False,
            "connection",
        ),
        (
            caused(httpx2.ConnectError("tls"), ssl.SSLCertVerificationError("self-signed")),
            False,
            "connection",
        ),
        (within(ValueError("bad"), ConnectionResetError()), False, "other"),
        (ValueError("bad"), False, "other"),
        (llm.ModelError("x"), False, "other"),
        (llm.NeedsKeyException("x"), False, "other"),
        (CircuitOpen("open"), False, "refused"),
        (caused(RateLimited("wait"), ConnectionResetError()), False, "refused"),
        (caused(FallbackFailed("all 2 tiers"), openai_error(503)), False, "overloaded"),
        (caused(FallbackFailed("all 2 tiers"), CallTimeout("30 s")), False, "timeout"),
        (caused(FallbackFailed("all 2 tiers"), CircuitOpen("open")), False, "refused"),
        (caused(FallbackFailed("all 2 tiers"), ValueError("bad")), False, "other"),
        (FallbackFailed("of nothing"), False, "other"),
        (ConfigurationError("x"), False, "other"),
        (Abandoned(), False, "cancelled"),
        (KeyboardInterrupt(), False, "cancelled"),
        (caused(KeyboardInterrupt(), TimeoutError()), False, "cancelled"),
        (caused(httpx2.LocalProtocolError("x"), ConnectionResetError()), False, "connection"),
        (asyncio.CancelledError(), False, "cancelled"),
        (openai.OpenAIError("no key"), False, "other"),
        (anthropic.APIResponseValidationError(response(200), None), False, "other"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_errors_without_a_status(error, transient, name):
    assert is_transient(error) is transient
    assert error_class(error) == name


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (402, "quota"),
        (403, "auth"),
        (404, "not_found"),
        (408, "timeout"),
        (409, "bad_request"),
        (413, "too_large"),
        (422, "bad_request"),
        (429, "too_many_requests"),
        (500, "server"),
        (502, "server"),
        (503, "overloaded"),
        (504, "timeout"),
        (529, "overloaded"),
    ],
)
def test_classes_of_statuses(status, name):
    assert error_class(Status(status)) == name


def test_errors_inside_a_stream_have_the_status_of_their_type():
    overloaded = anthropic_error(200, {"type": "error", "error": {"type": "overloaded_error"}})
    assert http_status(overloaded) == 529
    assert is_transient(overloaded)
    broken = openai.APIError("no", REQUEST, body={"type": "server_error", "code": None})
    assert http_status(broken) == 500
    assert is_transient(broken)
    empty = openai.APIError("no", REQUEST, body={"type": "insufficient_quota"})
    assert http_status(empty) == 429
    assert not is_transient(empty)


def test_no_status_where_there_is_none():
    assert http_status(ValueError("x")) is None
    assert http_status(Status(True)) is None
    assert http_status(Status(302)) is None
    assert http_status(Status("429")) is None
    assert http_status(urllib.error.HTTPError("u", 503, "busy", Message(), None)) == 503


def test_a_cycle_of_causes_ends():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert http_status(first) is None
    assert not is_transient(first)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 1.5 "}, 1.5),
        ({"retry_after": "30", "retry_after_ms": "250"}, 0.25),
        ({"retry_after_ms": "soon", "retry_after": "2"}, 2.0),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "1_000"}, None),
        ({"retry_after": "."}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "tomorrow"}, None),
        ({"retry_after": "9" * 400}, float("inf")),
        ({}, None),
        (
            {"retry_after": "Fri, 20 Nov 2026 12:00:30 GMT", "date": "Fri, 20 Nov 2026 12:00:10 GMT"},
            20.0,
        ),
        (
            {"retry_after": "Fri, 20 Nov 2026 12:00:30 -0000", "date": "Fri, 20 Nov 2026 12:01:10 GMT"},
            0.0,
        ),
        ({"retry_after": "Fri, 20 Nov 2026 12:00:30 GMT"}, None),
        ({"retry_after": "Fri, 99 Nov 2026 12:00:30 GMT", "date": "Fri, 20 Nov 2026 12:00:10 GMT"}, None),
    ],
)
def test_retry_after(headers, expected):
    assert retry_after_s(openai_error(429, **headers)) == expected


def test_retry_after_as_a_date_may_be_compared_with_our_clock():
    error = anthropic_error(429, retry_after="Thu, 01 Jan 1970 00:10:00 GMT")
    assert retry_after_s(error, wall_now=570.0) == 30.0
    assert retry_after_s(caused(llm.ModelError("x"), error), wall_now=570.0) == 30.0


def test_headers_may_be_any_mapping():
    assert retry_after_s(Status(429, {"Retry-After": 3})) == 3.0
    assert retry_after_s(Status(429, ["Retry-After"])) is None
    headers = Message()
    headers["Retry-After"] = "4"
    assert retry_after_s(urllib.error.HTTPError("u", 503, "busy", headers, None)) == 4.0


@given(text=st.text(max_size=40), ms=st.text(max_size=10))
def test_no_header_breaks_it(text, ms):
    found = retry_after_s(Status(429, {"retry-after": text, "retry-after-ms": ms}), wall_now=0.0)
    assert found is None or found >= 0.0


def test_the_room_imports_no_sdk_and_no_strategy_library():
    code = (
        "import sys; import llmopt.resilience as r; "
        "r.RetryPolicy().decide(ConnectionError(), 1, 0.0); r.is_transient(ValueError()); "
        "names = {'tenacity', 'openai', 'anthropic', 'httpx2', 'httpx', 'llm', 'anyio', 'email.utils'}; "
        "print(sorted(names & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
