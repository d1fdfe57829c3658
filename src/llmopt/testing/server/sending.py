"""Answers as bytes, with everything that may go wrong on their way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from .answer import Answer
from .wire import LAST_CHUNK, Sending, chunk, head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .query import Frame

_STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


def whole(answer: Answer, body: bytes, on_start: Callable[[], None], *, status: int | None = None) -> Sending:
    """Return an answer in one piece.

    Args:
        answer: its headers, delay, and what shall go wrong.
        body: its body.
        on_start: called just before the first byte goes out.
        status: status to send instead of the answer's own.

    Returns:
        What to send; only half of the body where the answer is to be cut short.
    """
    headers = {"content-type": "application/json", **answer.headers}
    data = head(status or answer.status, headers, length=len(body)) + body
    if answer.cut_after_chunks is None and not answer.hang:
        return Sending([data], delay_s=answer.delay_s, on_start=on_start)
    if not answer.cut_after_chunks:
        return _silent(answer)
    half = data[: len(data) - (len(body) + 1) // 2]
    return Sending([half], delay_s=answer.delay_s, end=_wrong_end(answer), on_start=on_start)


def as_json(status: int, payload: Any, headers: Mapping[str, str]) -> Sending:
    """Return an answer that no test has scripted: a page, or a refusal."""
    answer = Answer(status=status, headers=headers)
    return whole(answer, json.dumps(payload).encode(), lambda: None)


def streamed(
    answer: Answer, frames: Iterable[Frame], error: Callable[[int], Frame], on_start: Callable[[], None]
) -> Sending:
    """Return a streamed answer.

    Args:
        answer: its headers, delays, and what shall go wrong.
        frames: its events.
        error: makes the event that ends a failing stream, from the number of events before it.
        on_start: called just before the first byte goes out.

    Returns:
        What to send: one piece for each content chunk, the events around them sharing their pieces.
    """
    limit = 0 if answer.hang and answer.cut_after_chunks is None else answer.cut_after_chunks
    pieces, tail, count = _grouped(frames, limit)
    if answer.error_in_stream:
        tail = chunk(error(count).data)
    elif limit is not None:
        tail = b""
    is_whole = limit is None or answer.error_in_stream
    if is_whole and not answer.end_delay_s:
        tail += LAST_CHUNK
    if not (pieces or tail):
        return _silent(answer)
    first, *others = pieces or [b""]
    pieces = [head(answer.status, _STREAM_HEADERS | dict(answer.headers), length=None) + first, *others]
    pieces[-1] += tail
    return Sending(
        pieces if answer.chunk_delay_s else [b"".join(pieces)],
        last=LAST_CHUNK if is_whole and answer.end_delay_s else b"",
        delay_s=answer.delay_s,
        gap_s=answer.chunk_delay_s,
        end_delay_s=answer.end_delay_s if is_whole else 0.0,
        end="keep" if is_whole else _wrong_end(answer),
        on_start=on_start,
    )


def _silent(answer: Answer) -> Sending:
    return Sending([b""], delay_s=answer.delay_s, end=_wrong_end(answer))


def _wrong_end(answer: Answer) -> Literal["close", "hang"]:
    return "hang" if answer.hang else "close"


def _grouped(frames: Iterable[Frame], limit: int | None) -> tuple[list[bytes], bytes, int]:
    """Return pieces that end with a content chunk, what follows the last, and the events in the pieces."""
    pieces: list[bytes] = []
    waiting: list[bytes] = []
    count = 0
    for number, frame in enumerate(frames, start=1):
        if frame.is_content and len(pieces) == limit:
            break
        waiting.append(chunk(frame.data))
        if frame.is_content:
            pieces.append(b"".join(waiting))
            waiting, count = [], number
    return pieces, b"".join(waiting), count
