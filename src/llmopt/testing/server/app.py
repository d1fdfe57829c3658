"""The server's decisions, without I/O: which answer a request gets."""

from __future__ import annotations

import hmac
import json
import time
from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from . import chat, embeddings, messages, responses
from .answer import Answer, Request
from .echo import complete
from .ledger import Ledger
from .prefix import PrefixCache
from .sending import as_json, streamed, whole
from .wire import credential, masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .query import Completion, Frame, Query
    from .wire import RawRequest, Sending


@dataclass(frozen=True, slots=True)
class Api:
    """How one endpoint speaks.

    Attributes:
        read: turns a request's body into its meaning.
        body: makes the body of a whole answer.
        frames: makes the events of a streamed answer, or None if it has none.
        error_body: makes an error's body from a status and a message.
        error_frame: makes an event from an error's body and the number of events before it.
    """

    read: Callable[[Mapping[str, Any]], Query]
    body: Callable[[Completion], dict[str, Any]]
    frames: Callable[[Completion], Iterator[Frame]] | None = None
    error_body: Callable[[int, str], dict[str, Any]] = chat.error_body
    error_frame: Callable[[Any, int], Frame] = chat.error_frame


APIS: Mapping[str, Api] = {
    "/chat/completions": Api(chat.read_chat, chat.chat_body, chat.chat_frames),
    "/completions": Api(chat.read_completions, chat.completions_body, chat.completions_frames),
    "/responses": Api(responses.read, responses.body, responses.frames, error_frame=responses.error_frame),
    "/embeddings": Api(embeddings.read, embeddings.embeddings_body),
    "/messages": Api(
        messages.read, messages.body, messages.frames, messages.error_body, messages.error_frame
    ),
    "/messages/count_tokens": Api(messages.read, messages.count_body, None, messages.error_body),
}

_NO_RETRY = {"x-should-retry": "false"}
_UNAUTHORIZED, _FAILED = 401, 400


class App:
    """What the server does, as far as it needs neither sockets nor threads.

    Args:
        keep_requests: how many requests to keep for inspection, the latest ones.

    Attributes:
        answers: what the next requests get, in order; then comes `handler`, then `default`. Requests that
            are refused (no such path, wrong key, unreadable) take none.
        handler: called with each request that no scripted answer waits for; None lets it fall to `default`.
            It runs in the server's thread, so it must not block.
        default: the answer to everything else.
        models: what the list of models holds.
        prefix_cache: the simulated prefix cache.
        require_key: the API key that clients must present, or None.
        keep_alive: whether a connection serves many requests. llm never closes its async clients, so
            without keep-alive a test that turns warnings into errors hears nothing of their sockets.
        ledger: what has been seen.
    """

    def __init__(self, *, keep_requests: int = 10_000) -> None:
        self.answers: deque[Answer] = deque()
        self.handler: Callable[[Request], Answer | None] | None = None
        self.default = Answer()
        self.models: Sequence[str] = ("echo",)
        self.prefix_cache = PrefixCache()
        self.require_key: str | None = None
        self.keep_alive = True
        self.ledger = Ledger(keep_requests)
        self._numbers = count(1)

    def respond(self, raw: RawRequest, connection_id: int) -> Sending:
        """Record a request and return what to send.

        Args:
            raw: the request.
            connection_id: number of the connection that it came over.

        Returns:
            The answer in bytes.
        """
        path = _route(raw.target)
        api = APIS.get(path) if raw.method == "POST" else None
        reading = _read(raw.body, api)
        if path == "/stats":
            return self._without_answer(raw, path)
        text = reading.query.user_text if reading.query else ""
        received_s = time.perf_counter()
        request = Request(
            raw.method, raw.target, masked(raw.headers), reading.body, connection_id, received_s, text
        )
        self.ledger.received(request, path)
        if api is None or reading.query is None or not self._admits(raw):
            sending = self._without_answer(raw, path, reading.problem)
        else:
            sending = self._answered(api, reading.query, request)
        stays = sending.end != "keep" or (self.keep_alive and raw.keeps_alive)
        end = sending.end if stays else "close"
        return replace(sending, on_end=self.ledger.finished, end=end)

    def reset(self) -> None:
        """Forget what was recorded, scripted and cached; settings and connections stay."""
        self.answers.clear()
        self.prefix_cache.clear()
        self.ledger.reset()
        self._numbers = count(1)

    def _admits(self, raw: RawRequest) -> bool:
        key = self.require_key
        return key is None or hmac.compare_digest(credential(raw.headers).encode(), key.encode())

    def _without_answer(self, raw: RawRequest, path: str, problem: str = "") -> Sending:
        """Return a page, or say why the model is not asked."""
        is_anthropic = path.startswith("/messages") or "anthropic-version" in raw.headers
        error_body = messages.error_body if is_anthropic else chat.error_body
        if not self._admits(raw):
            return self._page(_UNAUTHORIZED, error_body(_UNAUTHORIZED, "Incorrect API key provided."))
        if raw.method == "GET" and path == "/models":
            return self._page(200, embeddings.models_body(self.models))
        if raw.method == "GET" and path == "/stats":
            return self._page(200, self.ledger.stats())
        if problem:
            return self._page(400, error_body(400, f"The request cannot be read: {problem}"))
        return self._page(404, error_body(404, f"There is no {raw.method} {raw.target} here."))

    def _page(self, status: int, payload: Any, headers: Mapping[str, str] | None = None) -> Sending:
        return as_json(status, payload, {**(headers or {}), **self._connection()})

    def _connection(self) -> Mapping[str, str]:
        return {} if self.keep_alive else {"connection": "close"}

    def _answered(self, api: Api, query: Query, request: Request) -> Sending:
        try:
            return self._scripted(api, query, self._closing(self._next_answer(request)))
        except Exception as error:  # noqa: BLE001 - what a handler or a strange schema raises must reach the test
            return self._page(500, api.error_body(500, f"The test server failed: {error!r}"), _NO_RETRY)

    def _scripted(self, api: Api, query: Query, answer: Answer) -> Sending:
        if answer.raw_body is not None:
            return whole(answer, answer.raw_body, lambda: None)
        if answer.status >= _FAILED or (answer.error_in_stream and not query.stream):
            status = answer.status if answer.status >= _FAILED else 500
            return whole(
                answer, json.dumps(_error(api, answer, status)).encode(), lambda: None, status=status
            )
        return self._completed(api, query, answer)

    def _next_answer(self, request: Request) -> Answer:
        if self.answers:
            return self.answers.popleft()
        answer = self.handler(request) if self.handler else None
        return self.default if answer is None else answer

    def _closing(self, answer: Answer) -> Answer:
        return (
            answer if self.keep_alive else replace(answer, headers={**answer.headers, **self._connection()})
        )

    def _completed(self, api: Api, query: Query, answer: Answer) -> Sending:
        lookup = self.prefix_cache.look_up(query.segments, explicit=query.explicit_cache, model=query.model)
        completion = complete(query, answer, lookup, next(self._numbers))

        def start() -> None:
            self.prefix_cache.store(lookup)
            self.ledger.answered(completion.tokens)

        if query.stream and api.frames is not None:
            error = _error(api, answer, 500)
            return streamed(
                answer, api.frames(completion), lambda number: api.error_frame(error, number), start
            )
        return whole(answer, json.dumps(api.body(completion)).encode(), start)


class _Reading(NamedTuple):
    """A request's body decoded, and what it means to the API, or why it means nothing."""

    body: Any = None
    query: Query | None = None
    problem: str = ""


def _read(data: bytes, api: Api | None) -> _Reading:
    try:
        body = json.loads(data) if data else None
    except ValueError as error:
        return _Reading(problem=str(error))
    if api is None:
        return _Reading(body)
    if not isinstance(body, dict):
        return _Reading(body, problem="its body must be a JSON object")
    try:
        return _Reading(body, api.read(cast("dict[str, Any]", body)))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return _Reading(body, problem=f"{type(error).__name__}: {error}")


def _route(target: str) -> str:
    """Return the path below /v1; the SDKs disagree on whether a base URL includes that."""
    path = target.partition("?")[0]
    while path.startswith("/v1/"):
        path = path.removeprefix("/v1")
    return path


def _error(api: Api, answer: Answer, status: int) -> Any:
    if answer.json_error_body is not None:
        return answer.json_error_body
    return api.error_body(status, f"The test asked for this error, status {status}.")
