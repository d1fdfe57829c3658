"""Builds the errors that llm's OpenAI models raise: openai's own where it is installed, else plain ones.

openai 2 stands on httpx and openai 3 on httpx2, and they wrap different failures; each is built here as
the installed one would raise it.
"""

from __future__ import annotations

import http
from collections.abc import Mapping
from importlib import import_module
from typing import Any

URL = "http://127.0.0.1/v1/chat/completions"
CLOSED = "Cannot send a request, as the client has been closed."
CUT = "peer closed connection without sending complete message body (incomplete chunked read)"
_SERVER_ERRORS = 500
_CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


class PlainStatusError(Exception):
    """An HTTP error status, where openai is not installed.

    Attributes:
        status_code: the status.
        response: itself, so that `error.response.headers` is found where openai has it.
        headers: the response's headers, names in lower case.
        code: the provider's word for what is wrong, or None.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        super().__init__(_message(status, body))
        self.status_code = status
        self.headers = dict(headers)
        self.code = body.get("code")

    @property
    def response(self) -> PlainStatusError:
        """Itself."""
        return self


def status_error(status: int, headers: Mapping[str, str] | None = None, code: str | None = None) -> Exception:
    """Return the error for an HTTP status.

    Args:
        status: 400 to 599.
        headers: the response's headers, such as `{"retry-after": "1"}`.
        code: the provider's word for what is wrong, such as "insufficient_quota".
    """
    reason = "Overloaded" if status not in set(http.HTTPStatus) else http.HTTPStatus(status).phrase
    body = {"message": reason, "type": code or reason.lower().replace(" ", "_"), "code": code}
    openai, httpx = _sdk()
    if openai is None:
        return PlainStatusError(status, headers or {}, body)
    answer = httpx.Response(
        status, headers=dict(headers or {}), json={"error": body}, request=httpx.Request("POST", URL)
    )
    name = "InternalServerError" if status >= _SERVER_ERRORS else _CLASSES.get(status, "APIStatusError")
    error: Exception = getattr(openai, name)(_message(status, body), response=answer, body=body)
    return error


def connection_error() -> Exception:
    """Return the error for a server that cannot be reached."""
    openai, httpx = _sdk()
    refused = "[Errno 111] Connection refused"
    if openai is None:
        return ConnectionRefusedError(refused)
    error: Exception = openai.APIConnectionError(request=httpx.Request("POST", URL))
    error.__cause__ = httpx.ConnectError(refused)
    return error


def closed_client_error() -> Exception:
    """Return the error for a call through a client that has been closed."""
    openai, httpx = _sdk()
    closed = RuntimeError(CLOSED)
    if openai is None or httpx.__name__ == "httpx2":
        return closed
    error: Exception = openai.APIConnectionError(request=httpx.Request("POST", URL))
    error.__cause__ = closed
    return error


def timeout_error() -> Exception:
    """Return the error for an answer that does not come in time."""
    openai, httpx = _sdk()
    if openai is None:
        return TimeoutError("timed out")
    request = httpx.Request("POST", URL)
    error: Exception = openai.APITimeoutError(request=request)
    error.__cause__ = httpx.ReadTimeout("timed out", request=request)
    return error


def cut_error() -> Exception:
    """Return the error for a connection that is closed in the middle of a stream."""
    openai, httpx = _sdk()
    if openai is None:
        return ConnectionResetError(CUT)
    request = httpx.Request("POST", URL)
    cut: Exception = httpx.RemoteProtocolError(CUT, request=request)
    if httpx.__name__ == "httpx":
        return cut  # openai 2 lets it through
    error: Exception = openai.APIConnectionError(request=request)
    error.__cause__ = cut
    return error


def stream_error() -> Exception:
    """Return the error for an error event in the middle of a stream."""
    openai, httpx = _sdk()
    body = {"message": "The server had an error while processing your request", "type": "server_error"}
    if openai is None:
        return PlainStatusError(500, {}, body)
    error: Exception = openai.APIError(body["message"], httpx.Request("POST", URL), body=body)
    return error


def _sdk() -> tuple[Any, Any]:
    """Return openai and the httpx that it stands on, or two Nones."""
    try:
        openai: Any = import_module("openai")
    except ImportError:
        return None, None
    client = next(kind for kind in openai.DefaultHttpxClient.__mro__ if kind.__module__ != "openai")
    return openai, import_module(client.__module__.partition(".")[0])


def _message(status: int, body: Mapping[str, Any]) -> str:
    return f"Error code: {status} - {{'error': {dict(body)}}}"
