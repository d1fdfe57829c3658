"""HTTP clients whose connections are used again.

They are the provider SDK's own default clients, with three things added through public hooks: a stream
that has said all that matters is read to its very end, so that its connection can be used
again, and a call gets to know the response that it has opened, so that it can close it. A call with
limits waits for no byte that comes too late.

Which HTTP library it is (httpx, httpx2) is the SDK's choice and never named here.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..chain.limits import Waiter, waiter
from ._opened import note

if TYPE_CHECKING:
    import ssl

DRAIN_S = 0.05
"""How long the rest of a stream may take after its last event; openai's own async client waits 0.1 s."""

DRAIN_BYTES = 65_536
"""How much may come after the last event."""

SLACK_S = 0.25
"""How much later a request gives up than its call, whose own error is to come first."""

_GIVEN = "llmopt.timeout"
_LAST_EVENT = re.compile(rb"\n(?:data: ?\[DONE\]|event: ?message_stop)")
_TAIL_BYTES = 128


def default_client(constructor: Any) -> type | None:
    """Return the class of the HTTP client that an SDK makes by default, or None if it publishes none.

    Args:
        constructor: the class of the SDK's client, such as `openai.AsyncOpenAI`; a stand-in that a test
            has put in its place has none.
    """
    sdk = sys.modules.get(str(getattr(constructor, "__module__", "")).partition(".")[0])
    name = "DefaultAsyncHttpxClient" if is_async(constructor) else "DefaultHttpxClient"
    return getattr(sdk, name, None)


def is_async(constructor: Any) -> bool:
    """Tell whether an SDK's client class is one for event loops."""
    return hasattr(constructor, "__aenter__")


def tls_context(client_class: type) -> ssl.SSLContext:
    """Return a new TLS context, as the HTTP library of `client_class` makes it by default."""
    context: ssl.SSLContext = _library(client_class).create_ssl_context()
    return context


def http_client(client_class: type, context: ssl.SSLContext, before: Callable[..., Any]) -> Any:
    """Return a new HTTP client.

    Args:
        client_class: the SDK's own class, from `default_client`.
        context: the TLS context to share.
        before: called with every request; a coroutine function for an async client.
    """
    if is_async(client_class):  # a task is cancelled, and needs no other bound
        return client_class(verify=context, event_hooks={"request": [before], "response": [_awatch]})
    return client_class(verify=context, event_hooks={"request": [before, _hurry], "response": [_watch]})


def _hurry(request: Any) -> None:
    """Let a request wait for its answer as long as its call may, and not for the SDK's ten minutes."""
    waiting = waiter.get()
    left_s = None if waiting is None else waiting.answer_left()
    if left_s is not None:
        given = request.extensions.setdefault(_GIVEN, request.extensions.get("timeout", {}))
        names = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = {name: _shorter(given.get(name), left_s + SLACK_S) for name in names}


def _shorter(given_s: float | None, left_s: float) -> float:
    return left_s if given_s is None else min(given_s, left_s)


def _watch(response: Any) -> None:
    waiting = waiter.get()
    _prepare(response, _Draining, every=waiting is not None)
    if waiting is not None:
        extensions = response.request.extensions
        if _GIVEN in extensions:  # the body is read next, and its pace is another matter
            extensions["timeout"] = extensions[_GIVEN]
        if isinstance(response.stream, _Draining):
            response.stream.wait_with(waiting)


async def _awatch(response: Any) -> None:
    _prepare(response, _AsyncDraining)


def _prepare(response: Any, draining: type, *, every: bool = False) -> None:
    note(response)
    is_events = response.headers.get("content-type", "").startswith("text/event-stream")
    if (is_events or response.is_error or every) and response.http_version == "HTTP/1.1":
        response.stream = _stream_class(draining, _library(response.__class__))(response)


@cache
def _library(cls: type) -> Any:
    """Return the HTTP library that `cls` comes from: an SDK's client class has one of its classes as base."""
    roots = (base.__module__.partition(".")[0] for base in cls.__mro__)
    modules = (sys.modules[root] for root in roots)
    return next(module for module in modules if hasattr(module, "SyncByteStream"))


@cache
def _stream_class(draining: type, library: Any) -> type:
    """Return `draining` as a class that the HTTP library takes for one of its own streams."""
    base = library.AsyncByteStream if draining is _AsyncDraining else library.SyncByteStream
    return type(draining.__name__, (draining, base), {})


class _Ending:
    """Knows whether a stream has said all, but has not been read to its end.

    A stream of events has said all with its last event. An error has, too: SDKs look at the status only
    when they are going to repeat the request.
    """

    def __init__(self, response: Any) -> None:
        self._stream = response.stream
        self._network = response.extensions.get("network_stream")
        self._is_error = response.is_error
        self._tail = b"\n"
        self._is_read = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _seen(self, chunk: bytes) -> bytes:
        self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
        return chunk

    def _has_rest(self) -> bool:
        if self._is_read:
            return False
        return self._is_error or _LAST_EVENT.search(self._tail) is not None


class _Draining(_Ending):
    """A response's stream that reads what little is left after the last event before it closes.

    A stream that is closed earlier is closed as it is, which drops its connection.
    """

    _waiting: Waiter | None = None

    def wait_with(self, waiting: Waiter) -> None:
        """Have a read that blocks end when the call has ended."""
        if isinstance(self._socket, socket.socket):
            self._waiting = waiting
            waiting.add(self._interrupt)

    @property
    def _socket(self) -> Any:
        find = getattr(self._network, "get_extra_info", None)
        return None if find is None else find("socket")

    def _interrupt(self) -> None:
        with suppress(OSError):  # it is closed already
            # An SSLSocket's own shutdown takes TLS away from whoever reads.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __iter__(self) -> Generator[bytes, None, None]:
        for chunk in self._stream:
            yield self._seen(chunk)
        self._is_read = True

    def close(self) -> None:
        try:
            if self._has_rest():
                self._drain()
        finally:
            waiting, self._waiting = self._waiting, None
            if waiting is not None:  # before another call can have the connection
                waiting.remove(self._interrupt)
            self._stream.close()

    def _drain(self) -> None:
        left = DRAIN_BYTES
        with suppress(Exception), _hurried(self._network):  # all was said; at worst the connection is dropped
            for chunk in self._stream:
                left -= len(chunk)
                if left < 0:
                    break


@contextmanager
def _hurried(network: Any) -> Generator[None, None, None]:
    """Give the reads of one connection `DRAIN_S` in all, whatever timeout the request has."""
    read, until = network.read, monotonic() + DRAIN_S

    def hurried(max_bytes: int, timeout: float | None = None) -> Any:  # noqa: ARG001 - that is too long
        return read(max_bytes, timeout=max(0.001, until - monotonic()))

    network.read = hurried
    try:
        yield
    finally:
        del network.read


class _AsyncDraining(_Ending):
    """The twin of `_Draining`, for SDKs whose async streams do not do it themselves (openai before 3)."""

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        chunks = aiter(self._stream)
        try:
            async for chunk in chunks:
                yield self._seen(chunk)
            self._is_read = True
        finally:
            await chunks.aclose()

    async def aclose(self) -> None:
        try:
            if self._has_rest():
                await self._drain()
        finally:
            await self._stream.aclose()

    async def _drain(self) -> None:
        import anyio

        left = DRAIN_BYTES
        with suppress(Exception), anyio.move_on_after(DRAIN_S):
            async for chunk in self._stream:
                left -= len(chunk)
                if left < 0:
                    break
