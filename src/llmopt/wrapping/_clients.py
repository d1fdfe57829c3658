"""The pool of SDK clients: one for each key, base URL and whatever else a client is made of.

Clients of one event loop are used in that loop only, and closed when it ends. All of them share one TLS
context, for making one takes longer than a whole call does.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import _http

if TYPE_CHECKING:
    import ssl

MAX_CLIENTS = 64
"""How many clients are kept for the threads, and for each event loop; the least recently used goes first."""

_TLS_SETTINGS = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_SETTINGS = (
    *_TLS_SETTINGS,
    *(
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ),
    *("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_CUSTOM_HEADERS"),
    *("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"),
)
"""The environment variables that a client is made of, beside its arguments."""


class Shelf:
    """The clients of one event loop, or of all threads.

    Args:
        limit: how many clients are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._clients: OrderedDict[bytes, tuple[Any, Any]] = OrderedDict()
        self._open: set[Any] = set()
        self._unused: list[Any] = []
        self.ended = False
        self.keeper: AsyncGenerator[None, None] | None = None

    def find(self, key: bytes) -> Any | None:
        """Return the client kept under `key`, or None; also if somebody has closed it."""
        found = self._clients.get(key)
        if found is None or found[0].is_closed():
            return None
        self._clients.move_to_end(key)
        return found[0]

    def keep(self, key: bytes, client: Any, http: Any) -> None:
        """Keep an SDK's client and the HTTP client that it was given.

        One that must go for it may be in use still: its connections are closed once nobody holds it.
        """
        _, closed = self._clients.pop(key, (None, None))
        self._open.discard(closed)
        self._open.add(http)
        self._clients[key] = client, http
        if len(self._clients) > self._limit:
            _, (old, old_http) = self._clients.popitem(last=False)
            weakref.finalize(old, self._unused.append, old_http).atexit = False

    def unused(self) -> list[Any]:
        """Return the HTTP clients that nobody can use any more, for the caller to close."""
        gone: list[Any] = []
        while self._unused:
            gone.append(self._unused.pop())
        self._open.difference_update(gone)
        return gone

    def end(self) -> list[Any]:
        """Keep nothing from now on, and return all HTTP clients, for the caller to close."""
        self.ended = True
        self._clients.clear()
        http, self._open = list(self._open), set()
        return http

    def tidy(self, _request: Any) -> None:
        """Close what nobody uses any more; called before a request."""
        if self._unused:
            for http in self.unused():
                http.close()

    async def atidy(self, _request: Any) -> None:
        """Close what nobody uses any more; called before a request in an event loop."""
        if self._unused:
            for http in self.unused():
                await http.aclose()


class Pool:
    """The SDK clients of this process.

    Args:
        limit: how many clients are kept for the threads, and for each event loop.
    """

    def __init__(self, limit: int = MAX_CLIENTS) -> None:
        self._limit = limit
        self._registered = False
        self._inherited: list[object] = []
        self._start()

    def _start(self) -> None:
        # Reentrant: the garbage collector may run while a client is built, and a finalizer call a model.
        self._lock = threading.RLock()
        self._threads = Shelf(self._limit)
        self._loops: weakref.WeakKeyDictionary[Any, Shelf] = weakref.WeakKeyDictionary()
        self._tls: dict[tuple[Any, ...], ssl.SSLContext] = {}

    def client(self, constructor: Any, sdk_retries: bool, /, **settings: Any) -> Any:  # noqa: FBT001 - bound
        """Return the client that `constructor(**settings)` would make, from the pool where it can be pooled.

        Args:
            constructor: the SDK's client class. Another callable, such as a test's stand-in, is called.
            sdk_retries: False makes a client that never repeats a request by itself.
            settings: the arguments. With an HTTP client among them nothing is pooled.
        """
        http_class = _http.default_client(constructor)
        if http_class is None:
            return constructor(**settings)
        if not sdk_retries:
            settings.setdefault("max_retries", 0)
        key = _fingerprint(constructor, settings)
        with self._lock:
            shelf = self._shelf(constructor)
            if shelf is None or key is None:
                return constructor(**settings)
            return shelf.find(key) or self._build(shelf, key, constructor, http_class, settings)

    def _build(
        self, shelf: Shelf, key: bytes, constructor: Any, http_class: type, settings: dict[str, Any]
    ) -> Any:
        before = shelf.atidy if _http.is_async(constructor) else shelf.tidy
        http = _http.http_client(http_class, self._tls_context(http_class), before)
        client = constructor(http_client=http, **settings)
        shelf.keep(key, client, http)
        return client

    def _tls_context(self, http_class: type) -> ssl.SSLContext:
        key = (http_class, *map(os.environ.get, _TLS_SETTINGS))
        if key not in self._tls:
            self._tls[key] = _http.tls_context(http_class)
        return self._tls[key]

    def _shelf(self, constructor: Any) -> Shelf | None:
        """Return where the client is kept; None where no event loop runs, or one that is about to end."""
        if not self._registered:
            self._register()
        if not _http.is_async(constructor):
            return self._threads
        loop = _running_loop()
        if loop is None:
            return None
        shelf = self._loops.get(loop)
        if shelf is None:
            self._drop_closed()
            shelf = self._loops[loop] = Shelf(self._limit)
            shelf.keeper = _close_at_end(shelf)
            with suppress(StopIteration):  # that is how an awaited generator hands out what it yields
                anext(shelf.keeper).send(None)
        return None if shelf.ended else shelf

    def _drop_closed(self) -> None:
        """Forget the clients of loops that were closed without shutting down their async generators."""
        for loop in list(self._loops):
            if hasattr(loop, "is_closed") and loop.is_closed():
                del self._loops[loop]

    def _register(self) -> None:
        self._registered = True
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def close(self) -> None:
        """Close the clients of all threads. Those of event loops are closed when their loops end."""
        with self._lock:
            shelf, self._threads = self._threads, Shelf(self._limit)
        for http in shelf.end():
            http.close()

    def forget(self) -> None:
        """Start anew in a forked child: the connections are the parent's; the lock may be held.

        They are neither used nor closed, so they are not garbage either.
        """
        self._inherited.append([self._threads, *self._loops.values()])
        self._start()


async def _close_at_end(shelf: Shelf) -> AsyncGenerator[None, None]:
    """Close the clients of an event loop when it ends: asyncio and trio then close what still yields."""
    import anyio

    try:
        yield
    finally:
        shelf.keeper = None  # it refers to the loop, which would keep the loop's entry in the pool alive
        with anyio.CancelScope(shield=True):
            for http in shelf.end():
                with suppress(Exception):  # the others must be closed as well
                    await http.aclose()


def _running_loop() -> Any | None:
    """Return what stands for the event loop that this thread runs, or None."""
    from anyio.lowlevel import current_token

    try:
        token = current_token()
    except RuntimeError:
        return None
    return getattr(token, "native_token", token)


def _fingerprint(constructor: Any, settings: dict[str, Any]) -> bytes | None:
    """Return a hash of all that a client is made of, or None if something has no value to go by."""
    import orjson

    made_of = [constructor.__module__, constructor.__qualname__, settings, [*map(os.environ.get, _SETTINGS)]]
    try:
        return hashlib.sha256(orjson.dumps(made_of, option=orjson.OPT_SORT_KEYS)).digest()
    except TypeError:
        return None
