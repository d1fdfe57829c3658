"""What a call has opened is closed when the call ends, however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextvars import ContextVar
from functools import wraps
from typing import Any


class Opened:
    """The response that one call has opened: the first one that is no failure.

    It takes no second one, for whoever else opens a response in the same context while the call is
    under way wants it kept open.
    """

    __slots__ = ("_accepts", "_response")

    def __init__(self) -> None:
        self._accepts = True
        self._response: Any = None

    def add(self, response: Any) -> None:
        """Note a response."""
        if self._accepts and response.is_success:
            self._accepts, self._response = False, response

    def end(self) -> Any | None:
        """Note that the call has ended, and return what it has opened."""
        response, self._accepts, self._response = self._response, False, None
        return response


_opened: ContextVar[Opened | None] = ContextVar("llmopt_opened", default=None)


def tidy(execute: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
    """Return an `execute` that leaves no stream open when it ends, however it ends.

    openai's streams are part of a reference cycle: when a consumer leaves, they would stay open, and
    the provider would go on writing, until the garbage collector comes by.

    Args:
        execute: the `execute` method of an llm model class.
        asynchronous: whether it is one of an async model.
    """
    return _atidy(execute) if asynchronous else _tidy(execute)


def _tidy(execute: Callable[..., Iterable[Any]]) -> Callable[..., Generator[Any, None, None]]:
    @wraps(execute)
    def tidied(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        opened = Opened()
        _opened.set(opened)
        try:
            yield from execute(*args, **kwargs)
        finally:
            response = opened.end()
            if response is not None:
                response.close()

    return tidied


def _atidy(execute: Callable[..., Any]) -> Callable[..., AsyncGenerator[Any, None]]:
    @wraps(execute)
    async def tidied(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        opened = Opened()
        _opened.set(opened)
        events = execute(*args, **kwargs)
        try:
            async for event in events:
                yield event
        finally:
            response = opened.end()
            try:
                if hasattr(events, "aclose"):
                    await events.aclose()
            finally:
                if response is not None:
                    await response.aclose()

    return tidied


def note(response: Any) -> None:
    """Tell the call that runs in this context, if there is one, that it has opened `response`."""
    opened = _opened.get()
    if opened is not None:
        opened.add(response)
