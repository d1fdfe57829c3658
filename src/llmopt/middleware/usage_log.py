"""Logs every call and every attempt, whatever becomes of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from ..errors import Abandoned, ConfigurationError
from ..resilience.classify import error_class, http_status, retry_after_s
from ..types import Attempt, Call, Flow, Reply, Run
from ..usage.record import WHOM, Fault, Labels, Values, finish_reason, fragments_of
from ..usage.values import options_json
from ._configured import Configured

if TYPE_CHECKING:
    from ..usage.registry import Writer


@dataclass(frozen=True)
class UsageLog(Configured):
    """Writes one row per call and one per attempt into a SQLite file, for every outcome.

    Success, failure, cancellation, a stream that its consumer closed, and an answer out of a cache are told
    apart. Kept are times, tokens, model, role, and what the other middlewares did; no text of a prompt or a
    reply, and no message of an error. Put it first in the chain, so that it sees all that happens inside.

    A background thread writes; the call itself pays for an append. Records of the last moment
    (`llmopt.usage.outbox.LINGER_S`) are lost if the process is killed; its ordinary end waits for them.

    Args:
        path: the file; None stands for `llmopt/usage.db` in llm's user folder, looked up at the first call.
            Logs with one path share one writer.
        role: the role that the calls are made in, unless `llmopt.usage.role(...)` says otherwise.
        agent: the agent that they are made for, unless `llmopt.usage.agent(...)` says otherwise.
        tags: what else is to stand in the rows, by name.
        strict: a call that went well fails with StoreError when its row cannot be written, and waits for
            that. Without it a fault of the log is counted and logged once.

    Raises:
        ConfigurationError: an argument is wrong.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> log = UsageLog("usage.db", role="tactical", tags={"run": 7})
        >>> llmopt.wrap(ScriptedModel(["HOLD"]), log).prompt("What now?").text()
        'HOLD'
        >>> llmopt.usage.flush(), log.stats()["written"]
        (True, 1)
    """

    path: str | os.PathLike[str] | None = None
    role: str | None = field(default=None, kw_only=True)
    agent: str | None = field(default=None, kw_only=True)
    tags: Mapping[str, Any] | None = field(default=None, kw_only=True, hash=False)
    strict: bool = field(default=False, kw_only=True)
    _labels: Labels = field(init=False, repr=False, compare=False)
    _writer: Writer | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        _require(is_path(self.path), "path", self.path, "the path of a file, or None")
        for name in ("role", "agent"):
            value = getattr(self, name)
            _require(value is None or (isinstance(value, str) and value), name, value, "a name, or None")
        _require(are_tags(self.tags), "tags", self.tags, "texts, numbers or truth values by name, or None")
        tags_json = json.dumps(dict(self.tags), ensure_ascii=False) if self.tags else None
        object.__setattr__(self, "_labels", Labels(self.role, self.agent, tags_json))

    def stats(self) -> dict[str, int]:
        """Return counters of the file's writer in this process: `written`, `queued`, `failed`, `helped`.

        `helped` are batches that threads of callers wrote, because the background thread could not keep up.
        """
        names = ("written", "queued", "failed", "helped")
        return {name: 0 if self._writer is None else getattr(self._writer.outbox, name) for name in names}

    def __call__(self, call: Call) -> Flow:
        """Return the flow that logs `call`."""
        writer = self._writer or self._find()
        trace, clock = call.trace, call.clock
        outer = trace.log
        if outer is writer:  # a log outside of this one writes to the same file
            yield call
            return
        trace.log = writer
        runs = trace.record()
        earlier, whom = len(runs), WHOM.get()
        labels = self._labels if whom is None else self._labels_of(whom)
        wall_s, began_s = clock.time(), clock.monotonic()
        try:
            reply = yield call
        except BaseException as error:
            trace.log = outer
            times_s = (wall_s, began_s, clock.monotonic())
            try:
                writer.put(record_of(call, labels, times_s, runs[earlier:], error))
            except Exception as fault:  # noqa: BLE001 - it is the model's error that is to be raised
                writer.outbox.lose(1, fault)
            raise
        trace.log = outer
        times_s = (wall_s, began_s, clock.monotonic())
        if self.strict:
            record = record_of(call, labels, times_s, runs[earlier:], reply)
            yield Run(partial(writer.outbox.write_now, record))
            return
        try:
            writer.put(record_of(call, labels, times_s, runs[earlier:], reply))
        except Exception as fault:  # noqa: BLE001 - the call itself went well
            writer.outbox.lose(1, fault)

    def _find(self) -> Writer:
        from ..usage.registry import REGISTRY

        writer = REGISTRY.writer(self.path)
        object.__setattr__(self, "_writer", writer)
        return writer

    def _labels_of(self, whom: Labels) -> Labels:
        own = self._labels
        return Labels(whom.role or own.role, whom.agent or own.agent, own.tags_json)


def record_of(
    call: Call,
    labels: Labels,
    times_s: tuple[float, float, float],
    runs: list[Attempt],
    outcome: Reply | BaseException,
) -> Values:
    """Return the `Record` of a call. The call waits for this, so nothing is looked at that can wait."""
    faults = None
    if len(runs) != 1 or runs[0].error is not None:
        runs, faults = without_errors(runs)
    fault, source, resolved_model, reason, usage = answer_of(outcome)
    prompt, conversation, limits, turn_id = call.prompt, call.conversation, call.limits, call.response.id
    wall_s, began_s, ended_s = times_s
    noted = call.trace.noted
    return (
        turn_id,
        turn_id,
        call.model,
        options_json(prompt.options),
        fragments_of(prompt) if prompt.fragments or prompt.system_fragments else None,
        None if conversation is None else conversation.id,
        call.stream,
        None if limits is None else limits.total_s,
        labels,
        wall_s,
        began_s,
        ended_s,
        fault,
        source,
        resolved_model,
        reason,
        usage,
        runs,
        faults,
        {**noted} if noted else None,
    )


def answer_of(outcome: Reply | BaseException) -> Values:
    """Return the fault of a record, and the source, model, finish reason and usage of its answer."""
    if not isinstance(outcome, Reply):
        return fault_of(outcome), None, None, None, None
    raw = outcome.response_json
    reason = None if raw is None else finish_reason(raw)
    return None, outcome.source, outcome.resolved_model, reason, outcome.usage


def without_errors(runs: list[Attempt]) -> tuple[list[Attempt], list[Fault | None]]:
    """Return copies of the attempts and what is kept of their errors, which hold on to frames and prompts."""
    faults = [None if run.error is None else fault_of(run.error) for run in runs]
    return [run._replace(error=None) for run in runs], faults


def fault_of(error: BaseException) -> Fault:
    """Return what is kept of an error.

    Example:
        >>> fault_of(TimeoutError("the prompt was ..."))
        Fault(status='error', type='TimeoutError', kind='timeout', http_status=None, retry_after_ms=None)
    """
    if isinstance(error, Abandoned):
        error = error.__cause__ or GeneratorExit()
    if isinstance(error, GeneratorExit):
        return Fault("abandoned")
    cls = type(error)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    if not isinstance(error, Exception):
        return Fault("cancelled", name)
    pause_s = retry_after_s(error)
    return Fault(
        "error", name, error_class(error), http_status(error), None if pause_s is None else pause_s * 1000
    )


def is_path(value: object) -> bool:
    """Tell whether this can be the file of a log. A database in memory cannot: it dies with its owner."""
    try:
        name = os.fspath(cast("str", value))
    except TypeError:
        return value is None
    return type(name) is str and name not in ("", ":memory:") and "\0" not in name


def are_tags(value: object) -> bool:
    """Tell whether these are tags that JSON can hold."""
    if not isinstance(value, Mapping):
        return value is None
    tags = cast("Mapping[object, object]", value)
    return all(
        isinstance(name, str) and (isinstance(tag, (str, int)) or (isinstance(tag, float) and isfinite(tag)))
        for name, tag in tags.items()
    )


def _require(ok: object, name: str, value: object, right: str) -> None:
    if not ok:
        raise ConfigurationError(f"UsageLog: {name}={value!r} is wrong: it must be {right}")
