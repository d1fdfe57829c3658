"""The catalogue of faults: what models, stores and clocks do to a program, each under a name."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from typing import TypeAlias

from ..errors import ConfigurationError
from ..types import Usage
from . import sdk_errors, spoil
from .script import Answer

Spoil: TypeAlias = Callable[[Answer, float], Answer]
"""(the good answer, the fault's number) -> what the model does instead."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the catalogue.

    Attributes:
        name: its name, without the number.
        does: what happens, in a sentence; N is the number.
        spoil: what a model makes of the good answer; None where it is no fault of models.
        fail: makes the error of a store or a function; None where it is no fault of theirs.
        number: the number that it takes (`name:number`) unless one is given; None where it takes none.
    """

    name: str
    does: str
    spoil: Spoil | None = None
    fail: Callable[[], Exception] | None = None
    number: float | None = None


STATUSES = {
    400: "the request is malformed; the same again fails again",
    401: "the key is wrong",
    403: "the key may not do this",
    404: "there is no such model",
    408: "the server gave up waiting for the request",
    409: "the request is in conflict with another",
    413: "the request is too large",
    422: "the request cannot be processed",
    429: "too many requests; with a number, Retry-After says N seconds",
    500: "the server has an error; with a number, Retry-After says N seconds",
    502: "the proxy has no good answer from the server",
    503: "the server is overloaded; with a number, Retry-After says N seconds",
    504: "the proxy gave up waiting for the server",
    529: "the server is overloaded, by Anthropic's word",
}


def _raises(make: Callable[[], Exception]) -> Spoil:
    return lambda answer, _: replace(answer, error=make, error_after=0)


def _raises_after(make: Callable[[], Exception]) -> Spoil:
    return lambda answer, events: replace(answer, error=make, error_after=int(events))


def _status(status: int, answer: Answer, retry_after_s: float) -> Answer:
    headers = {"retry-after": f"{retry_after_s:g}"} if retry_after_s else {}
    return replace(answer, error=partial(sdk_errors.status_error, status, headers), error_after=0)


def _retry_date(answer: Answer, at_utc_s: float) -> Answer:
    headers = {"retry-after": formatdate(at_utc_s, usegmt=True)}
    return replace(answer, error=partial(sdk_errors.status_error, 429, headers), error_after=0)


def _no_quota() -> Exception:
    return sdk_errors.status_error(429, code="insufficient_quota")


def _broken_arguments(answer: Answer, _: float) -> Answer:
    from llm.parts import StreamEvent

    name = answer.tool_calls[0].name if answer.tool_calls else "tool"
    arguments = '{"broken": '
    events = (
        StreamEvent("tool_call_name", name, tool_call_id="call_1"),
        StreamEvent("tool_call_args", arguments, tool_call_id="call_1"),
    )
    error = json.JSONDecodeError("Expecting value", arguments, len(arguments))
    return Answer(events=events, error=error, error_after=None)


def _counted(rows: list[spoil.Json], missing: int) -> list[spoil.Json]:
    return rows[: max(0, len(rows) - missing)] if missing >= 0 else rows + rows[-1:] * -missing


def _twice(rows: list[spoil.Json], number: float) -> list[spoil.Json]:
    end = 1 + int(number)
    repeated = [spoil.with_id(row, spoil.id_of(rows[0])) for row in rows[1:end]]
    return [*rows[:1], *repeated, *rows[end:]]


def _invented(rows: list[spoil.Json]) -> list[spoil.Json]:
    return [*rows[:-1], *(spoil.with_id(row, "no-such-id") for row in rows[-1:])]


def _os_error(number: int) -> Callable[[], Exception]:
    return lambda: OSError(number, os.strerror(number))


def _sqlite_error(kind: type[sqlite3.Error], message: str) -> Callable[[], Exception]:
    return lambda: kind(message)


_OF_TRANSPORT = (
    Fault("429_date", "429, and Retry-After is a date, N seconds after 1970", _retry_date, number=0),
    Fault("quota", "429 because nothing is left on the account: waiting does not help", _raises(_no_quota)),
    Fault("connection_error", "the server cannot be reached", _raises(sdk_errors.connection_error)),
    Fault("closed_client", "the HTTP client has been closed", _raises(sdk_errors.closed_client_error)),
    Fault("timeout", "no answer within the client's own timeout", _raises(sdk_errors.timeout_error)),
    Fault("timeout_after", "the stream stalls after N events until the client's own timeout",
          _raises_after(sdk_errors.timeout_error), number=1),
    Fault("cut", "the connection is closed after N events", _raises_after(sdk_errors.cut_error), number=1),
    Fault("stream_error", "an error event comes after N events",
          _raises_after(sdk_errors.stream_error), number=1),
    Fault("slow_start", "N seconds pass before the first event",
          lambda answer, delay_s: replace(answer, delay_s=delay_s), number=60),
    Fault("slow_drip", "N seconds pass between two events",
          lambda answer, delay_s: replace(answer, chunk_delay_s=delay_s), number=5),
)  # fmt: skip

_OF_ANSWERS = (
    Fault("ok", "all is well", lambda answer, _: answer),
    Fault("empty", "the model says nothing whatsoever",
          lambda answer, _: Answer(text="", usage=answer.usage)),
    Fault("truncated_json", "the answer stops after the share N of its characters",
          spoil.truncated, number=0.6),
    Fault("fenced_json", "the answer stands in a Markdown fence, with prose around it",
          lambda answer, _: spoil.fenced(answer)),
    Fault("wrong_count", "the last N rows are missing; below 0, the last row comes -N more times",
          lambda answer, n: spoil.rows_changed(answer, partial(_counted, missing=int(n))), number=1),
    Fault("duplicate_ids", "the first row's id stands in the N rows after it, too",
          lambda answer, n: spoil.rows_changed(answer, partial(_twice, number=n)), number=1),
    Fault("unknown_id", "the last row has an id that nobody gave",
          lambda answer, _: spoil.rows_changed(answer, _invented)),
    Fault("malformed_tool_arguments", "the arguments of a tool call are broken JSON", _broken_arguments),
    Fault("no_usage", "no token counts are reported", lambda answer, _: replace(answer, usage=Usage())),
    Fault("clock_forward", "the wall clock is set on by N seconds",
          lambda answer, s: replace(answer, clock_jump_s=s), number=3600),
    Fault("clock_back", "the wall clock is set back by N seconds",
          lambda answer, s: replace(answer, clock_jump_s=-s), number=3600),
)  # fmt: skip

_OF_STORES = (
    Fault("disk_full", "nothing is left on the disk (ENOSPC)", fail=_os_error(errno.ENOSPC)),
    Fault("io_error", "the disk cannot be read or written (EIO)", fail=_os_error(errno.EIO)),
    Fault("read_only", "the file system is read-only (EROFS)", fail=_os_error(errno.EROFS)),
    Fault("no_permission", "the file may not be touched (EACCES)", fail=_os_error(errno.EACCES)),
    Fault("too_many_files", "the process may open no more files (EMFILE)", fail=_os_error(errno.EMFILE)),
    Fault("locked", "another process holds the database",
          fail=_sqlite_error(sqlite3.OperationalError, "database is locked")),
    Fault("corrupt", "the database is damaged",
          fail=_sqlite_error(sqlite3.DatabaseError, "database disk image is malformed")),
    Fault("database_full", "the database has no room left",
          fail=_sqlite_error(sqlite3.OperationalError, "database or disk is full")),
)  # fmt: skip


CATALOGUE: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *(Fault(f"{status}", f"HTTP {status}: {does}", partial(_status, status), number=0)
          for status, does in STATUSES.items()),
        *_OF_TRANSPORT,
        *_OF_ANSWERS,
        *_OF_STORES,
    )
}  # fmt: skip
"""Every fault by its name; "ok" is among them."""


def find(name: str) -> tuple[Fault, float]:
    """Return the fault that `name` means and its number.

    Args:
        name: a name of the catalogue, with its number where it takes one: "429", "429:7", "cut:3".

    Raises:
        ConfigurationError: there is no such fault, or the number is none.
    """
    word, colon, number = name.partition(":")
    fault = CATALOGUE.get(word)
    if fault is None:
        raise ConfigurationError(f"there is no fault {name!r}; there are {', '.join(CATALOGUE)}")
    if not colon:
        return fault, fault.number or 0.0
    if fault.number is None:
        raise ConfigurationError(f"the fault {word!r} takes no number, so not {name!r}")
    try:
        return fault, float(number)
    except ValueError:
        raise ConfigurationError(f"the fault {name!r} needs a number after the colon") from None
