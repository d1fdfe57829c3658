"""Logs every call and every attempt, whatever becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..types import Attempt, Call, Event, Flow, Reply, Run, text_of
from ..usage.begun import begin
from ._configured import Configured, freeze
from ._usage_log_arguments import check, key_bytes, shown
from ._usage_log_faults import fault_of, faults_of

if TYPE_CHECKING:
    from ..usage.begun import Begun
    from ..usage.prices import UserPrices
    from ..usage.recorder import Content, Recorder
    from ..usage.settings import Durability
    from ..usage.writer import Writer


@dataclass(frozen=True, repr=False)
class UsageLog(Configured):
    """Writes one row per call and one per attempt into a SQLite file, for every outcome.

    Success, failure, cancellation, a stream that its consumer closed, and an answer out of a cache are told
    apart. Kept are times, tokens, prices, models, roles, what the other middlewares did, and digests of
    texts; no message of an error, and no text of a prompt or a reply unless `content` asks for it. What is or
    may be a secret is taken out of everything that is written. Put it first in the chain: it then sees all
    that happens.

    The call pays for one append to a file in `<path>-spool/`, which a thread moves into the database.

    Args:
        path: the file; None stands for `llmopt/usage.db` in llm's user folder, looked up at the first call.
            Logs with one path share one writer, and have to agree on how it keeps its records: on
            `durability`, `prices`, `keep_days`, `keep_content_days` and `max_bytes`.
        role: the role that the calls are made in, unless `llmopt.usage.role(...)` says otherwise.
        agent: the agent that they are made for, unless `llmopt.usage.agent(...)` says otherwise.
        tags: what else is to stand in the rows, by name.
        strict: a call that went well fails with StoreError when its row cannot be appended. Without it a
            fault of the log is counted and logged once.
        durability: what a row survives from the end of its call on: the death of the "process", a loss of
            "power" (it waits for the disk), or "none".
        content: texts of prompts and replies that are kept: None; "redacted", without secrets, passwords and
            e-mail addresses; or "full", without keys of providers, tokens and known secrets.
        secrets: values that must never be written, of 8 characters or more, beside those that are known
            anyway: secret environment variables, llm's stored keys, those of the model and of the call.
        digest_key: a key (16 bytes or more) for the digests of texts, so that nobody finds short ones by
            guessing. They then join no other log.
        prices: dollars per million tokens by model id, `(input, output[, cache read[, cache write]])`, for
            models that the `genai-prices` package does not know, or not rightly.
        keep_days: days after which rows are removed, their daily sums excepted.
        keep_content_days: days after which texts are removed.
        max_bytes: size of the file above which the oldest rows are removed.

    Raises:
        ConfigurationError: an argument is wrong, or another log of the same file has other ones.

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
    durability: Durability = field(default="process", kw_only=True)
    content: Content | None = field(default=None, kw_only=True)
    secrets: Sequence[str] = field(default=(), kw_only=True, hash=False)
    digest_key: str | bytes | None = field(default=None, kw_only=True)
    prices: UserPrices | None = field(default=None, kw_only=True, hash=False)
    keep_days: float | None = field(default=None, kw_only=True)
    keep_content_days: float | None = field(default=None, kw_only=True)
    max_bytes: int | None = field(default=None, kw_only=True)
    _recorder: Recorder = field(init=False, compare=False)
    _writer: Writer | None = field(init=False, compare=False, default=None)

    def __post_init__(self) -> None:
        check(self._arguments())
        from ..usage.recorder import Recorder

        recorder = Recorder(
            role=self.role,
            agent=self.agent,
            tags=self.tags,
            content=self.content,
            secrets=self.secrets,
            digest_key=key_bytes(self.digest_key),
        )
        freeze(self, _recorder=recorder)
        if self.path is not None:
            self._find()

    def __repr__(self) -> str:
        return self._recorder.clean(f"UsageLog({shown(self._arguments())})")

    def stats(self) -> dict[str, int]:
        """Return counters of the file's writer in this process.

        `written` records are as safe as was asked for, `lightened` ones among them went without their texts,
        `failed` ones are lost, and `undrained_bytes` are not in the database yet. See `usage.writer.Writer`.
        """
        return dict((self._writer or self._find()).stats())

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
        begun, earlier = begin(call, writer), len(runs)
        said: list[str] | None = None if self.content is None else []
        began_s = clock.time(), clock.monotonic()
        try:
            reply = yield call if said is None else call.tap(_listener(said))
        except BaseException as error:
            trace.log = outer
            ended = (writer, call, begun, (*began_s, clock.monotonic()), runs, earlier, said, error)
            if self.durability == "power" and not isinstance(error, GeneratorExit):
                yield Run(partial(self._write, *ended))  # no event loop is to wait for the disk
            else:
                self._write(*ended)
            raise
        trace.log = outer
        done = (writer, call, begun, (*began_s, clock.monotonic()), runs, earlier, said, reply)
        kept = (yield Run(partial(self._write, *done))) if self.durability == "power" else self._write(*done)
        if self.strict and not kept:
            raise StoreError(f"{writer.path} could not be written: {writer.fault or 'see the log'}")

    def _write(  # noqa: PLR0917 - what there is to be known of a call that has ended
        self,
        writer: Writer,
        call: Call,
        begun: Begun,
        times_s: tuple[float, float, float],
        runs: list[Attempt],
        earlier: int,
        said: list[str] | None,
        outcome: Reply | BaseException,
    ) -> bool:
        """Write the record of a call. Return whether it is as safe as was asked for; never raise."""
        try:
            reply, fault = (outcome, None) if isinstance(outcome, Reply) else (None, fault_of(outcome))
            own = runs[earlier:] if earlier else runs
            faults = faults_of(own) if len(own) != 1 or own[0].error is not None else None
            text = "".join(said) if said else None
            return writer.put(*self._recorder.payloads(call, begun, times_s, own, faults, fault, reply, text))
        except Exception as error:  # noqa: BLE001 - the log's own fault, which is not the call's
            writer.lose(type(error).__name__)
            return False

    def _arguments(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}

    def _find(self) -> Writer:
        from ..usage.registry import REGISTRY
        from ..usage.settings import Settings

        settings = Settings(
            self.durability, self.prices, self.keep_days, self.keep_content_days, self.max_bytes
        )
        writer = REGISTRY.writer(self.path, settings)
        freeze(self, _writer=writer)
        return writer


def _listener(said: list[str]) -> Callable[[Event], None]:
    """Return what keeps the text of the events that pass."""

    def listen(event: Event) -> None:
        text = text_of(event)
        if text:
            said.append(text)

    return listen
