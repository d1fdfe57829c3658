"""iter_plans and aiter_plans: from whatever brings a reply to an iterator of its plans.

They hold all the I/O of this room, which is `for` and `close`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeAlias, TypeVar, Unpack, overload

from ..errors import ConfigurationError, PlanStreamError
from .options import StreamOptions
from .planstream import PlanStream

__all__ = ["Source", "aiter_plans", "iter_plans"]

PlanT = TypeVar("PlanT")
Source: TypeAlias = Any
"""An llm response, an open file, a str or bytes, or an iterable of either; async ones for `aiter_plans`."""

_FILE_CHUNK = 64 * 1024


@overload
def iter_plans(
    source: Source, kind: None = None, **options: Unpack[StreamOptions]
) -> Generator[Any, None, None]: ...
@overload
def iter_plans(
    source: Source, kind: type[PlanT], **options: Unpack[StreamOptions]
) -> Generator[PlanT, None, None]: ...
@overload
def iter_plans(
    source: Source, kind: Callable[[Any], PlanT], **options: Unpack[StreamOptions]
) -> Generator[PlanT, None, None]: ...
def iter_plans(
    source: Source,
    kind: Any = None,
    *,
    stream: PlanStream[Any] | None = None,
    stop_early: bool = True,
    **options: Unpack[StreamOptions],
) -> Generator[Any, None, None]:
    """Return an iterator over the plans of a reply, which has each as soon as its last character is in.

    Args:
        source: an llm `Response`, an open file, a str or bytes, or an iterable of str or bytes.
        kind: what plans are; see `PlanStream`.
        stream: the `PlanStream` to use, instead of one made of `kind` and `options`: it tells afterwards what
            is missing and what has failed.
        stop_early: whether to close the source when all expected plans are here, before the last one is
            handed out. A model then stops generating; llm does not log what was not read to its end.
        options: those of `PlanStream`.

    Raises:
        PlanStreamError: as `PlanStream` does, after the plans that were complete.
        ConfigurationError: an argument is wrong.

    Example:
        >>> reply = iter(['[{"agent_id": 1}', ', {"agent_id": 2}', ' and so on'])
        >>> list(iter_plans(reply, expected=[1, 2]))
        [{'agent_id': 1}, {'agent_id': 2}]
        >>> next(reply)  # it was not asked for more than was needed
        ' and so on'
    """
    plans = _stream_of(kind, stream, options)
    return _iterate(_chunks(source), plans, stop_early=stop_early)


@overload
def aiter_plans(
    source: Source, kind: None = None, **options: Unpack[StreamOptions]
) -> AsyncGenerator[Any, None]: ...
@overload
def aiter_plans(
    source: Source, kind: type[PlanT], **options: Unpack[StreamOptions]
) -> AsyncGenerator[PlanT, None]: ...
@overload
def aiter_plans(
    source: Source, kind: Callable[[Any], PlanT], **options: Unpack[StreamOptions]
) -> AsyncGenerator[PlanT, None]: ...
def aiter_plans(
    source: Source,
    kind: Any = None,
    *,
    stream: PlanStream[Any] | None = None,
    stop_early: bool = True,
    **options: Unpack[StreamOptions],
) -> AsyncGenerator[Any, None]:
    """Return an async iterator over the plans of a reply; see `iter_plans`. For asyncio and trio alike.

    Whoever leaves the loop early closes it with `contextlib.aclosing`, as any async generator.

    Args:
        source: an llm `AsyncResponse`, an async iterable of str or bytes, or what `iter_plans` takes.
        kind: what plans are; see `PlanStream`.
        stream: the `PlanStream` to use, instead of one made of `kind` and `options`.
        stop_early: whether to close the source when all expected plans are here.
        options: those of `PlanStream`.

    Raises:
        PlanStreamError: as `PlanStream` does, after the plans that were complete.
        ConfigurationError: an argument is wrong.

    Example:
        >>> import anyio
        >>> async def reply():
        ...     for chunk in ('[{"agent_id": 1}', ', {"agent_id": 2}]'):
        ...         yield chunk
        >>> async def ask():
        ...     return [plan async for plan in aiter_plans(reply())]
        >>> anyio.run(ask)
        [{'agent_id': 1}, {'agent_id': 2}]
    """
    plans = _stream_of(kind, stream, options)
    return _aiterate(_achunks(source), plans, stop_early=stop_early)


def _stream_of(kind: Any, stream: PlanStream[Any] | None, options: StreamOptions) -> PlanStream[Any]:
    if stream is None:
        return PlanStream(kind, **options)
    if kind is not None or options:
        raise ConfigurationError("give either stream=, or what it is to be made of")
    return stream


def _iterate(
    chunks: Iterator[Any], plans: PlanStream[PlanT], *, stop_early: bool
) -> Generator[PlanT, None, None]:
    feed = plans.feed
    try:
        for chunk in chunks:
            found = feed(chunk)
            if found:
                if stop_early and plans.is_satisfied:
                    _close(chunks)
                    yield from found
                    return
                yield from found
    finally:
        _close(chunks)
    yield from _rest(plans)


async def _aiterate(
    chunks: AsyncIterator[Any], plans: PlanStream[PlanT], *, stop_early: bool
) -> AsyncGenerator[PlanT, None]:
    feed = plans.feed
    try:
        async for chunk in chunks:
            found = feed(chunk)
            done = bool(found) and stop_early and plans.is_satisfied
            if done:
                await _aclose(chunks)
            for plan in found:
                yield plan
            if done:
                return
    finally:
        await _aclose(chunks)
    for plan in _rest(plans):
        yield plan


def _rest(plans: PlanStream[PlanT]) -> Iterator[PlanT]:
    """Yield what the end of the reply makes certain, and raise only then."""
    try:
        yield from plans.finalize().plans
    except PlanStreamError as error:
        yield from error.plans
        raise


def _chunks(source: Source) -> Iterator[Any]:
    if isinstance(source, str | bytes | bytearray):
        return iter((source,))
    if hasattr(source, "read"):
        return iter(lambda: source.read(_FILE_CHUNK) or None, None)
    if not hasattr(source, "__iter__"):
        msg = f"a source of plans is a response, a file, or an iterable of str or bytes, not {source!r}"
        raise ConfigurationError(msg)
    return iter(source)


async def _achunks(source: Source) -> AsyncGenerator[Any, None]:
    """Yield chunks from an async source, or from one that need not wait."""
    if hasattr(source, "astream_events"):  # an AsyncResponse; its own iterator cannot be closed
        source = _texts(source.astream_events())
    if not hasattr(source, "__aiter__"):
        for chunk in _chunks(source):
            yield chunk
        return
    chunks = aiter(source)
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await _aclose(chunks)


async def _texts(events: AsyncGenerator[Any, None]) -> AsyncGenerator[str, None]:
    try:
        async for event in events:
            if event.type == "text":
                yield event.chunk
    finally:
        await events.aclose()


def _close(chunks: Iterator[Any]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


async def _aclose(chunks: AsyncIterator[Any]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
