"""Rewrites the texts of one call: data and JSON by their encodings, ids by their handles."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from ..compress.alone import encode_alone
from ..compress.found import Place, json_in, places
from ..compress.notation.lexical import compact
from ..compress.notation.unpack import hide
from ..compress.roles import Role
from ..compress.roles.loss import LossReport
from ..compress.vault import Vault
from ..tokens import TokenCounter
from ._compress_memo import Marks, Outcome, Outcomes

log = logging.getLogger("llmopt")
_NOTHING = Outcome()
_PLAIN: Final = "safe"  # the profile that needs no legend


class Edited(NamedTuple):
    """A text in which what can be shortened is shortened.

    Attributes:
        text: the text.
        loss: what was dropped, by the reason.
        kept: where its other stretches begin and end in the text before, and where they begin in this one.
    """

    text: str
    loss: Counter[str]
    kept: tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Rewriting:
    """Rewrites the texts of one call, in their order, and keeps the account.

    What becomes of a text depends on the text, on whether those before it have needed the legend, and on the
    ids in them, as far as there is a vault.

    Attributes:
        profile: how JSON is encoded.
        role: what is pruned where found JSON is pruned at all.
        min_tokens: found JSON of fewer tokens is left alone.
        model_id: the model that will read it.
        counter: counts its tokens.
        vault: takes the ids.
        marks: what is known to be data.
        outcomes: what was encoded before.
        legend: what has to be said before anything is written in a notation that needs it; "" for nothing.
        explained: whether that is to be said: something is written so.
        before: tokens of the texts that were changed.
        after: tokens of what they were changed to.
        loss: values that a role has dropped, by the reason.
        errors: texts that stay as they are because an encoder has failed.
        hid: whether there is anything to be restored in the reply.
    """

    profile: str
    role: Role | None
    min_tokens: int
    model_id: str
    counter: TokenCounter
    vault: Vault | None
    marks: Marks
    outcomes: Outcomes
    legend: str = ""
    explained: bool = False
    before: int = 0
    after: int = 0
    loss: Counter[str] = field(default_factory=Counter[str])
    errors: int = 0
    hid: bool = False
    _kept: dict[str, tuple[tuple[int, int, int], ...]] = field(
        default_factory=dict[str, tuple[tuple[int, int, int], ...]]
    )

    def text(self, text: str, *, data_only: bool = False) -> str:
        """Return what is sent for a text, never more tokens than it has.

        Args:
            text: a text of a message.
            data_only: whether JSON that was not given as `Data` stays as it is.
        """
        edited = self._worth_a_legend(text, self._edited(text, data_only=data_only), data_only=data_only)
        if edited.text == text:
            return text
        before, after = self._tokens(text), self._tokens(edited.text)
        if after > before:
            return self.hidden(text)
        self.before += before
        self.after += after
        self.loss.update(edited.loss)
        self._kept[text] = edited.kept
        return edited.text

    def place(self, text: str, at: int) -> int | None:
        """Return where in the rewritten text stands what stood at a place of a text; None if nowhere."""
        for start, end, now in self._kept.get(text, ((0, len(text), 0),)):
            if start <= at <= end:
                return now + len(self.hidden(text[start:at]))
        return None

    def hidden(self, text: str) -> str:
        """Return a text with handles for its ids."""
        if self.vault is None:
            return text
        changed = self.vault.hide_in(text)
        self.hid = self.hid or changed != text
        return changed

    def value(self, value: Any) -> Any:
        """Return a JSON value with handles for its ids, the same one if it has none."""
        if self.vault is None:
            return value
        changed = hide(value, self.hidden)
        return value if changed == value else changed

    def _worth_a_legend(self, text: str, edited: Edited, *, data_only: bool) -> Edited:
        """Return what needs no legend, unless one was given or pays here and now."""
        if not self.legend or self.explained or edited.text == text:
            return edited
        plain = replace(self, profile=_PLAIN)._edited(text, data_only=data_only)  # noqa: SLF001 - its own
        if plain.text == edited.text:
            return plain
        legend_tokens = self._tokens(f"{self.legend}\n\n")
        most = min(self._tokens(text), self._tokens(plain.text)) - legend_tokens
        if self._tokens(edited.text) >= most:
            return plain
        self.explained = True
        self.after += legend_tokens
        return edited

    def _edited(self, text: str, *, data_only: bool) -> Edited:
        """Return the text with all that can be shortened in it shortened."""
        made, at, loss = "", 0, Counter[str]()
        kept: list[tuple[int, int, int]] = []
        for start, end, outcome in self._outcomes(text, data_only=data_only):
            kept.append((at, start, len(made)))
            made += self.hidden(text[at:start]) + (outcome.text or "")
            loss.update(dict(outcome.loss))
            at = end
        kept.append((at, len(text), len(made)))
        return Edited(made + self.hidden(text[at:]), loss, tuple(kept))

    def _outcomes(self, text: str, *, data_only: bool) -> Iterator[tuple[int, int, Outcome]]:
        """Yield what takes the place of which part of the text. A block that is no JSON any more says so."""
        at = 0
        for place in places(text, min_chars=2 if self.marks else self.min_tokens // 2):
            outcome = self._at(text, place, data_only=data_only)
            if outcome.text is None:
                continue
            if place.label is not None and place.label[0] >= at and not outcome.is_json:
                yield *place.label, Outcome("")
            yield place.start, place.end, outcome
            at = place.end

    def _at(self, text: str, place: Place, *, data_only: bool) -> Outcome:
        """Return the outcome for what stands at a place."""
        json = text[place.start : place.end]
        is_data, role = self._mark(text, place, json)
        if is_data:
            return self._outcome(json, role)
        return _NOTHING if data_only else self._outcome(json, self.role)

    def _mark(self, text: str, place: Place, json: str) -> tuple[bool, Role | None]:
        """Return whether it was given as data, which fills a line, and its role."""
        alone = text[place.start - 1 : place.start] in ("", "\n") and text[place.end : place.end + 1] in (
            "",
            "\n",
        )
        return self.marks.get(json) if alone and self.marks else (False, None)

    def _outcome(self, json: str, role: Role | None) -> Outcome:
        """Return what becomes of a JSON text: from memory, unless ids have to be taken out of it."""
        if self.vault is not None:
            return self._fresh(json, role)
        return self._remembered((self.min_tokens, role, json), json, lambda: self._fresh(json, role))

    def _fresh(self, json: str, role: Role | None) -> Outcome:
        tokens = self._tokens(json)
        if role is None and tokens < self.min_tokens:
            return _NOTHING
        try:
            value = json_in(json)
        except ValueError:
            return _NOTHING
        try:
            loss = LossReport()
            if role is not None:
                value, loss = role.apply(value)
            encoded = self._encoded(self.value(value))
            if encoded.tokens >= tokens:
                return _NOTHING
        except Exception as error:  # noqa: BLE001 - a call must not fail for want of an encoding
            log.debug("JSON of %d characters is sent as it is: %s", len(json), type(error).__name__)
            self.errors += 1
            return _NOTHING
        dropped: Counter[str] = Counter()
        for entry in loss:
            dropped[entry.reason] += entry.count
        return encoded._replace(loss=tuple(dropped.items()))

    def _encoded(self, value: Any) -> Outcome:
        """Return the encoding of a value; where its ids are handles, by now it may be known."""
        json = compact(value)

        def encode() -> Outcome:
            text, tokens = encode_alone(value, self.profile, self.counter)
            return Outcome(text, text == json, tokens=tokens)

        return encode() if self.vault is None else self._remembered(("hidden", json), json, encode)

    def _tokens(self, text: str) -> int:
        """Return the tokens of a text; exact counters remember by themselves, estimates do not."""
        if self.counter.exact:
            return self.counter.count(text)
        return self._remembered((text,), text, lambda: Outcome(tokens=self.counter.count(text))).tokens

    def _remembered(self, key: tuple[Any, ...], text: str, make: Callable[[], Outcome]) -> Outcome:
        key = self.profile, self.model_id, *key
        outcome = self.outcomes.get(key)
        if outcome is None:
            outcome = make()
            self.outcomes.put(key, text, outcome)
        return outcome
