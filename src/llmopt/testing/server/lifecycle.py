"""The server's life: a socket, a thread with an event loop, and their orderly end."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .app import App
from .connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .answer import Answer, Request


class OpenAIServer(App):
    """A local server that speaks OpenAI's and Anthropic's APIs, for tests; `openai_server` starts one.

    It listens on 127.0.0.1 from its construction until `close`. See `App` for the attributes that a test
    may set: `answers`, `handler`, `default`, `models`, `prefix_cache`, `require_key`.

    Args:
        port: TCP port; 0 takes a free one.
        keep_requests: how many requests to keep for inspection, the latest ones.

    Raises:
        OSError: if the port is taken.
    """

    def __init__(self, *, port: int = 0, keep_requests: int = 10_000) -> None:
        super().__init__(keep_requests=keep_requests)
        self._socket = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"openai-server-{self.port}", daemon=True)
        self._thread.start()
        self._ready.wait()

    def __repr__(self) -> str:
        return f"<OpenAIServer {self.url}>"

    @property
    def url(self) -> str:
        """Base URL for clients of either API, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[Request]:
        """The requests received so far, oldest first; a copy."""
        return self.ledger.requests()

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted."""
        return self.ledger.connections

    @property
    def disconnects(self) -> int:
        """How many clients left before their answer was complete."""
        return self.ledger.disconnects

    @property
    def in_flight(self) -> int:
        """How many requests are being answered now."""
        return self.ledger.in_flight

    @property
    def max_in_flight(self) -> int:
        """How many requests were being answered at the same time, at most."""
        return self.ledger.max_in_flight

    @property
    def stats(self) -> dict[str, Any]:
        """The counts that GET /stats returns as well."""
        return self.ledger.stats()

    def script(self, *answers: Answer) -> None:
        """Queue answers for the next requests; the same as `answers.extend`."""
        self.answers.extend(answers)

    def wait_for(self, predicate: Callable[[], object], *, timeout_s: float = 5.0) -> bool:
        """Wait until `predicate` holds; it is asked anew whenever the server has counted something.

        Args:
            predicate: tells whether to stop waiting, such as `lambda: server.disconnects == 1`.
            timeout_s: seconds to wait at most.

        Returns:
            Whether it holds.
        """
        return self.ledger.wait_for(predicate, timeout_s)

    def close(self) -> None:
        """Stop: connections are closed, the thread has ended on return. Closing twice does no harm."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connections: set[Connection] = set()
        listener = await self._loop.create_server(lambda: Connection(self, connections), sock=self._socket)
        self._ready.set()
        await self._stop.wait()
        listener.close()
        for connection in list(connections):
            connection.abort()
        while connections:  # noqa: ASYNC110 - each leaves in the next turn of the loop
            await asyncio.sleep(0)


@contextmanager
def openai_server(*, port: int = 0, keep_requests: int = 10_000) -> Generator[OpenAIServer]:
    """Run a local server that speaks OpenAI's and Anthropic's APIs for the length of a `with` block.

    Args:
        port: TCP port on 127.0.0.1; 0 takes a free one.
        keep_requests: how many requests to keep for inspection, the latest ones.

    Yields:
        The running server.

    Raises:
        OSError: if the port is taken.

    Example:
        >>> import json, urllib.request
        >>> from llmopt.testing.server import Answer, openai_server
        >>> with openai_server() as server:
        ...     server.script(Answer(text="HOLD"))
        ...     body = {"model": "echo", "messages": [{"role": "user", "content": "Enemy ahead."}]}
        ...     url = f"{server.url}/chat/completions"
        ...     with urllib.request.urlopen(url, json.dumps(body).encode()) as reply:
        ...         answer = json.load(reply)
        ...     asked = server.requests[0].user_text
        >>> asked, answer["choices"][0]["message"]["content"], answer["usage"]["prompt_tokens"]
        ('Enemy ahead.', 'HOLD', 3)
    """
    server = OpenAIServer(port=port, keep_requests=keep_requests)
    try:
        yield server
    finally:
        server.close()
