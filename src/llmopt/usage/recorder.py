"""Turns calls into payloads, on the caller's thread: what can be known beforehand is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, Literal, TypeAlias

from ..trace import Attempt, Usage
from ..types import Call, Reply
from .begun import ALONE, Begun
from .known_secrets import LABEL, KnownSecrets, telling
from .record import Fault, Record, Values, encoded, finish_reason
from .redact import Redactor
from .remembered import Objects, Words
from .texts import Row, Texts, without_contents
from .token_counts import counter_of
from .values import endpoint_of, number, options_json, plain
from .wording import has_history, parts_of, said_by, texts_sent, tool_text, tools_asked

Content: TypeAlias = Literal["redacted", "full"]
"""What is written of texts: without anything that may be a secret, or without what certainly is one."""

_ULID_CHARS = 26
_LOOK_AGAIN_S = 60.0
_COUNTED = frozenset(("model", "cache"))  # what else answers has no tokens
_WORD_NOTES = ("role", "agent", "cache", "compressor", "breaker")  # those that have a column
_COUNT_NOTES = ("tier", "tokens_before", "tokens_after")
_NO_ANSWER: Values = (None, None, None, None, None)
_NO_NAME = "unknown"
_SILENT = Usage()
_TEXTS = Record._fields.index("texts") + 1  # in a payload


class Recorder:
    """Makes the payloads of one log. They share nothing with the live call, and no fault of it stops them.

    Args:
        role: the role of the log.
        agent: the agent of the log.
        tags: what else is to stand in its rows.
        secrets: values that must not be written, beside those that the process knows.
        content: what is written of texts, or None for nothing.
        digest_key: the key of the digests, or None.
    """

    def __init__(
        self,
        *,
        role: str | None = None,
        agent: str | None = None,
        tags: Mapping[str, Any] | None = None,
        secrets: Sequence[str] = (),
        content: Content | None = None,
        digest_key: bytes | None = None,
    ) -> None:
        self._given = role, agent, dict(tags or {})
        known = self._known = KnownSecrets(secrets)
        self._redactor = Redactor(known)
        contents = Redactor(known, strict_only=content == "full", emails=content == "redacted")
        self._texts = Texts(contents if content else None, digest_key)
        self._words = Words(self._redactor)
        self._clean = self._redactor.clean
        self._models = Objects(self._model_of)
        self._tools = Objects(tool_text)
        self._look_again_s = -inf
        self._version = known.version
        self._labels = self._own_labels()

    def __repr__(self) -> str:
        return f"Recorder({self._redactor!r})"

    def clean(self, text: str) -> str:
        """Return a text without the secrets in it that are known by now."""
        return self._clean(text)

    def payloads(  # noqa: PLR0917 - a tuple with names would take an eighth of the time that all of this does
        self,
        call: Call,
        begun: Begun,
        times_s: tuple[float, float, float],
        runs: Sequence[Attempt],
        faults: Sequence[Fault | None] | None,
        fault: Fault | None,
        reply: Reply | None,
        said: str | None,
    ) -> tuple[bytes, bytes | None]:
        """Return the payload of a call and, if there are contents in it, the same without them.

        Args:
            call: the call.
            begun: what was read when it began.
            times_s: when that was, in seconds since the epoch and in those of the chain's clock; and when it
                ended, in the latter.
            runs: the runs of a model.
            faults: what is kept of the error of each, or None if there was none.
            fault: what is kept of the call's own error, or None.
            reply: the answer, or None.
            said: the text that came, where somebody has listened; else None.
        """
        values = None
        if begun is ALONE and reply is not None and faults is None:
            try:
                values = self._common_values(call, times_s, runs, reply, said)
            except Exception:  # noqa: BLE001 - it is not like most after all
                values = None
        if values is None:
            values = self._values(call, begun, times_s, runs, faults, fault, reply, said)
        lighter = without_contents(values[_TEXTS]) if self._texts.tell else None
        if lighter is None:
            return encoded(values), None
        return encoded(values), encoded((*values[:_TEXTS], lighter, *values[_TEXTS + 1 :]))

    def _common_values(
        self,
        call: Call,
        times_s: tuple[float, float, float],
        runs: Sequence[Attempt],
        reply: Reply,
        said: str | None,
    ) -> Values | None:
        """Return the values of a call that is like most of them, or None for any other.

        A model that is known has answered a text in one run, and nothing was noted. That is all in one piece,
        because calls of functions would take as long as the rest of it.
        """
        model, words, met = call.model, self._words, self._known.met
        wall_s, began_s, ended_s = times_s
        entry = self._models.get(id(model))
        if entry is None or entry[0]() is not model or wall_s >= self._look_again_s or len(runs) != 1:
            return None
        if call.trace.noted or call.key not in met or getattr(model, "key", None) not in met:
            return None
        name, started_s, waited_s, first_s, run_ended_s, _, used = runs[0]
        given, output, details = used or _SILENT
        if details or used is not reply.usage or type(given) is not int or type(output) is not int:
            return None
        resolved, raw, limits, turn_id = (
            reply.resolved_model,
            reply.response_json,
            call.limits,
            call.response.id,
        )
        source, resolved = words[reply.source], None if resolved is None else words[resolved]
        reason, usage = None if raw is None else words[finish_reason(raw)], (given, output, None)
        provider, host, model_id = entry[1]
        # From here on nothing may fail: contents count as written now.
        asked = self._texts.of_plain(call.prompt, model_id, wall_s) if len(turn_id) == _ULID_CHARS else None
        if asked is None:
            return None
        (digest, rows), (role, agent, tags) = asked, self._labels
        if said:
            rows = [*rows, *self._texts.rows([("reply", 0, said)], wall_s)]
        return (
            "call", turn_id, turn_id, None, None, None, None,
            provider, host, model_id, None, digest, rows or None, bool(call.stream),
            limits and limits.total_s, role, agent, tags, wall_s, began_s, ended_s, None,
            source, resolved, reason, usage, None,
            [(words[name], started_s, waited_s, first_s, run_ended_s, usage)], None, None,
        )  # fmt: skip

    def _values(  # noqa: PLR0917 - see `payloads`
        self,
        call: Call,
        begun: Begun,
        times_s: tuple[float, float, float],
        runs: Sequence[Attempt],
        faults: Sequence[Fault | None] | None,
        fault: Fault | None,
        reply: Reply | None,
        said: str | None,
    ) -> Values:
        """Return the values of any call."""
        wall_s, began_s, ended_s = times_s
        provider, host, model_id = self._learn(call, wall_s)
        options, digest, rows = self._asked(call, model_id, begun, wall_s, said)
        trace_id = parent_id = conversation_id = batch_id = None
        role, agent, tags = self._labels
        if begun is not ALONE:
            trace_id, parent_id, conversation_id, batch_id = self._kin(call, begun)
            role, agent = self._word(begun.role) or role, self._word(begun.agent) or agent
        source, resolved, reason, usage, counted = (
            _NO_ANSWER if reply is None else self._answer(call, model_id, reply, said)
        )
        turn_id, limits, noted = call.response.id, call.limits, call.trace.noted
        if type(turn_id) is not str or len(turn_id) != _ULID_CHARS:
            turn_id = self._word(turn_id) or ""
        return (
            "call", turn_id, turn_id, trace_id, parent_id, conversation_id, batch_id,
            provider, host, model_id, options, digest, rows, bool(call.stream),
            limits and limits.total_s, role, agent, tags, wall_s, began_s, ended_s,
            self._fault(fault), source, resolved, reason, usage, counted,
            self._runs(runs, reply, usage), None if faults is None else list(map(self._fault, faults)),
            self._noted(noted) if noted else None,
        )  # fmt: skip

    def _learn(self, call: Call, now_s: float) -> tuple[str | None, str | None, str]:
        """Return what is known of the model; take in its key, and now and then those of the process."""
        model, key, known = call.model, call.key, self._known
        about, own = self._models.of(model), getattr(model, "key", None)
        if key is not None:
            known.learn(key, self._redactor.shows)
        if own is not None:
            known.learn(own, self._redactor.shows)
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + _LOOK_AGAIN_S
            known.look_around()
        return about if known.version == self._version else self._renewed(model)

    def _renewed(self, model: Any) -> tuple[str | None, str | None, str]:
        """Forget what was made when fewer secrets were known."""
        self._version = self._known.version
        self._words.clear()
        self._models.clear()
        self._labels = self._own_labels()
        return self._models.of(model)

    def _own_labels(self) -> Values:
        role, agent, tags = self._given
        return self._word(role), self._word(agent), tags_json(tags, self._clean)

    def _word(self, text: Any) -> str | None:
        try:
            return self._words[text]
        except TypeError:  # it is no text, and cannot even be looked up
            return None

    def _model_of(self, model: Any) -> tuple[str | None, str | None, str]:
        """Return provider, host and id of a model, and take in the secrets that it holds."""
        provider = host = None
        try:
            held: dict[str, Any] = {
                **(getattr(model, "headers", None) or {}),
                **getattr(model, "__dict__", {}),
            }
            for key in telling(held):
                self._known.learn(key, self._redactor.shows)
            provider, host = endpoint_of(model)
        except Exception:  # noqa: BLE001 - a plugin's own attributes
            provider = host = None
        host = self._word(host)
        return self._word(provider), host and host.lower(), self._word(model.model_id) or _NO_NAME

    def _kin(self, call: Call, begun: Begun) -> Values:
        """Return trace, parent, conversation and batch of a call."""
        word, conversation = self._word, call.conversation
        conversation_id = None if conversation is None else word(conversation.id)
        return word(begun.trace_id), word(begun.parent_id), conversation_id, word(begun.batch_id)

    def _asked(
        self, call: Call, model_id: str, begun: Begun, now_s: float, said: str | None
    ) -> tuple[str | None, str | None, list[Row] | None]:
        """Return the options, the digest of the prompt and the rows of the texts."""
        prompt, options, digest = call.prompt, None, None
        rows: list[Row] = []
        try:
            plain_one = None if begun.continues else self._texts.of_plain(prompt, model_id, now_s)
            if plain_one is not None:
                digest, rows = plain_one
            else:
                options = options_json(prompt.options, self._clean)
                parts = parts_of(prompt, self._tools.of)
                rows = self._texts.rows(parts, now_s, partial(counter_of, model_id))
                if not begun.continues and not has_history(prompt):
                    digest = self._texts.digest_of(model_id, prompt, rows)
        except Exception:  # noqa: BLE001 - a plugin's own tools, an attached file that is gone
            digest = None
        if said:
            rows = [*rows, *self._texts.rows([("reply", 0, said)], now_s)]
        return options, digest, rows or None

    def _fault(self, fault: Fault | None) -> Values | None:
        if fault is None:
            return None
        status, name, kind, http_status, retry_after_ms = fault
        return status, self._word(name), kind, number(http_status), number(retry_after_ms)

    def _answer(self, call: Call, model_id: str, reply: Reply, said: str | None) -> Values:
        """Return source, model, finish reason, usage and our own count of an answer."""
        source, resolved, raw = self._word(reply.source), reply.resolved_model, reply.response_json
        usage = usage_of(reply.usage, self._clean)
        counted = None
        if usage is None and source in _COUNTED:
            counted = self._counted(call, model_id, reply, said)
        resolved = None if resolved is None else self._word(resolved)
        return source, resolved, None if raw is None else self._word(finish_reason(raw)), usage, counted

    def _counted(self, call: Call, model_id: str, reply: Reply, said: str | None) -> Values | None:
        """Return the tokens of an answer whose provider says nothing of them."""
        try:
            counter = counter_of(model_id)
            asked = self._texts.tokens(texts_sent(call.prompt, self._tools.of), counter)
            answer = said_by(call) if said is None else said
            answered = None if answer is None else sum(map(counter.count, (answer, *tools_asked(reply))))
        except Exception:  # noqa: BLE001 - a plugin's own messages
            return None
        return asked, answered, "tokenizer" if counter.exact else "estimate"

    def _runs(self, runs: Sequence[Attempt], reply: Reply | None, usage: Values | None) -> list[Values]:
        """Return the runs of a model; mostly there is one, with the usage of the answer."""
        told = None if reply is None else reply.usage
        rows: list[Values] = []
        for name, started_s, waited_s, first_s, ended_s, _, used in runs:
            spent = usage if used is told else usage_of(used, self._clean)
            rows.append((self._words[name] or _NO_NAME, started_s, waited_s, first_s, ended_s, spent))
        return rows

    def _noted(self, noted: Mapping[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {name: self._word(noted[name]) for name in _WORD_NOTES if name in noted}
        for name in _COUNT_NOTES:
            if isinstance(noted.get(name), int):
                told[name] = number(noted[name])
        if "queue_s" in noted:
            told["queue_s"] = number(noted["queue_s"])
        return told


def usage_of(usage: Any, clean: Callable[[str], str]) -> Values | None:
    """Return the tokens of an answer as a record has them, or None if nothing is said of them.

    Args:
        usage: a `Usage`, or what somebody has put in its place.
        clean: what the texts in its details pass through.
    """
    try:
        given, output, details = usage or _SILENT
    except (TypeError, ValueError):
        return None
    given = given if type(given) is int else number(given)
    output = output if type(output) is int else number(output)
    told = plain(details, clean) if details and isinstance(details, Mapping) else None
    return None if given is None and output is None and not told else (given, output, told or None)


def tags_json(tags: Mapping[str, Any] | None, clean: Callable[[str], str]) -> str | None:
    """Return tags as JSON, without the secrets among them.

    Example:
        >>> tags_json({"run": 7, "api_key": "k-1234567"}, str)
        '{"run": 7, "api_key": "[redacted:secret]"}'
    """
    if not tags:
        return None
    kept = {name: f"[redacted:{LABEL}]" if telling({name: tag}) else tag for name, tag in tags.items()}
    return json.dumps(plain(kept, clean), ensure_ascii=False)
