"""The server's I/O: one HTTP connection, and nothing decided here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .wire import take_request

if TYPE_CHECKING:
    from .app import App
    from .wire import Sending

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """One TCP connection; it answers one request after another.

    Args:
        app: decides what to answer.
        connections: the open connections; this one enters and leaves by itself.
    """

    def __init__(self, app: App, connections: set[Connection]) -> None:
        self._app = app
        self._connections = connections
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._sending: Sending | None = None
        self._aborted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the connections; called by asyncio, as the next two."""
        self._transport = cast("asyncio.Transport", transport)
        self._id = self._app.ledger.connected()
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer the requests that they complete."""
        self._buffer += data
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was, it is gone
        """Stop answering; a client that leaves before the end is counted."""
        self._connections.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._end(disconnected=not self._aborted)

    def abort(self) -> None:
        """Close the connection at once; what is being answered does not count as left by the client."""
        self._aborted = True
        self._transport.abort()

    def _advance(self) -> None:
        """Answer the requests that have arrived whole, up to one that takes its time."""
        while self._sending is None and not self._transport.is_closing():
            try:
                raw = take_request(self._buffer)
            except ValueError:
                self._transport.write(_BAD_REQUEST)
                self._transport.close()
                return
            if raw is None:
                return
            self._sending = sending = self._app.respond(raw, self._id)
            if sending.is_immediate:
                sending.on_start()
                self._finish(sending, b"".join(sending.pieces))
            else:
                self._task = asyncio.get_running_loop().create_task(self._perform(sending))

    async def _perform(self, sending: Sending) -> None:
        loop = asyncio.get_running_loop()
        if sending.delay_s:
            await asyncio.sleep(sending.delay_s)
        sending.on_start()
        *pieces, final = sending.pieces
        due_s = loop.time()
        for piece in pieces:
            self._transport.write(piece)
            # Counted from the first piece, so that late timers do not add up.
            due_s += sending.gap_s
            await asyncio.sleep(due_s - loop.time())
        if sending.end == "hang":
            self._transport.write(final)
            await loop.create_future()
        if sending.last:
            self._transport.write(final)
            await asyncio.sleep(sending.end_delay_s)
            final = sending.last
        self._task = None
        self._finish(sending, final)
        self._advance()

    def _finish(self, sending: Sending, data: bytes) -> None:
        """Write the last bytes; whoever reads them finds the answer counted as finished."""
        self._end(disconnected=False)
        self._transport.write(data)
        if sending.end == "close":
            self._transport.close()

    def _end(self, *, disconnected: bool) -> None:
        if self._sending is not None:
            self._sending.on_end(disconnected)
            self._sending = None
