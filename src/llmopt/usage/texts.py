"""The texts of calls: their digests, their lengths and, where that is wanted, what they say."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from ..chain.compat import plain_texts
from .redact import Redactor
from .token_counts import counter_of
from .values import options_set, well_formed

if TYPE_CHECKING:
    from ..tokens import TokenCounter

Part: TypeAlias = "tuple[str, int, str]"
"""A text of a call: its kind, its place among the texts of that kind, and itself."""

Row: TypeAlias = "tuple[str, int, str, int, int | None, str | None, str | None, int]"
"""A text as it stands in a record: kind, position, digest, bytes, tokens, their source, content, redacted."""

AGAIN_S = 3600.0
"""Seconds after which a content is written again: somebody may have removed the file meanwhile."""

_TOKENS, _CONTENT = 4, 6  # in a row
_TEXT_CHARS = 4_000_000  # of texts that are known again, twice
_ENTRY_CHARS = 200  # what an entry weighs beside its text
_SENT = 20_000
_PLAIN, _PLAIN_CHARS = 1000, 16_000
_NOTHING = (0, ())


class Seen:
    """What is known of a text.

    Attributes:
        digest: its digest, in hex.
        n_bytes: its length in UTF-8.
        tokens: its length in tokens, or None.
        tokens_source: who counted them: "tokenizer" or "estimate".
        again: whether it has been seen more than once.
    """

    __slots__ = ("again", "digest", "n_bytes", "tokens", "tokens_source")

    def __init__(self, digest: str, n_bytes: int) -> None:
        self.digest = digest
        self.n_bytes = n_bytes
        self.tokens: int | None = None
        self.tokens_source: str | None = None
        self.again = False

    def count(self, text: str, counter: TokenCounter) -> int:
        """Return how many tokens it has, counted once."""
        if self.tokens is None:
            self.tokens = counter.count(text)
            self.tokens_source = "tokenizer" if counter.exact else "estimate"
        return self.tokens


class _Memo(dict[str, Seen]):
    """Makes what it does not hold, and forgets what has not been asked for longest, by the half.

    A hit is one look-up, in C; for the very same text that takes as long for a megabyte as for a word. Where
    two threads come at the same moment, one of them does not remember.
    """

    __slots__ = ("_chars", "_lock", "_make", "_max_chars", "_old")

    def __init__(self, make: Callable[[str], Seen], max_chars: int) -> None:
        super().__init__()
        self._make = make
        self._max_chars = max_chars
        self._chars = 0
        self._old: dict[str, Seen] = {}
        self._lock = Lock()

    def __missing__(self, text: str) -> Seen:
        seen = self._old.get(text) or self._make(text)
        if len(text) <= self._max_chars // 8 and self._lock.acquire(blocking=False):
            try:
                self._chars += len(text) + _ENTRY_CHARS
                if self._chars > self._max_chars:
                    self._old = dict(self)
                    self.clear()
                    self._chars = len(text) + _ENTRY_CHARS
                self[text] = seen
            finally:
                self._lock.release()
        return seen


class Texts:
    """Makes the rows of texts. Each text is hashed once, as long as it is remembered.

    Args:
        redactor: what takes the secrets out of contents; None where no content is to be written.
        digest_key: the key of the digests, without which they can be found by guessing; None for plain ones.
        max_chars: how much text is remembered.

    Example:
        >>> texts = Texts(Redactor())
        >>> texts.rows([("prompt", 0, "What now?")], 0.0)
        [('prompt', 0, '6a62...', 9, None, None, 'What now?', 0)]
        >>> texts.rows([("prompt", 0, "What now?")], 9.0)  # it is written already
        [('prompt', 0, '6a62...', 9, None, None, None, 0)]
    """

    def __init__(
        self,
        redactor: Redactor | None = None,
        digest_key: bytes | None = None,
        *,
        max_chars: int = _TEXT_CHARS,
    ) -> None:
        self._redactor = redactor
        self.tell = redactor is not None
        self._hash: Callable[[bytes], str] = (
            _plain_hash if digest_key is None else partial(_keyed_hash, digest_key)
        )
        self._memo = _Memo(self._see, max_chars)
        self._sent: dict[str, float] = {}
        self._plain: dict[tuple[str, str, str], tuple[str, list[Row]]] = {}

    def _see(self, text: str) -> Seen:
        encoded = text.encode("utf-8", "surrogatepass")
        return Seen(self._hash(encoded), len(encoded))

    def rows(
        self, parts: Iterable[Part], now_s: float, counter: Callable[[], TokenCounter] | None = None
    ) -> list[Row]:
        """Return the rows of texts.

        A text that comes again is worth the time that counting its tokens takes, another is not.

        Args:
            parts: the texts.
            now_s: the time, for contents that were written long ago.
            counter: what returns the counter of tokens, or None.
        """
        rows: list[Row] = []
        for kind, position, text in parts:
            seen = self._memo[text]
            if seen.again:
                if seen.tokens is None and counter is not None:
                    seen.count(text, counter())
            else:
                seen.again = True
            content, redacted = (None, 0) if self._redactor is None else self._content(seen, text, now_s)
            rows.append(
                (
                    kind,
                    position,
                    seen.digest,
                    seen.n_bytes,
                    seen.tokens,
                    seen.tokens_source,
                    content,
                    redacted,
                )
            )
        return rows

    def of_plain(self, prompt: Any, model_id: str, now_s: float) -> tuple[str, list[Row]] | None:
        """Return the digest and the rows of a prompt that is a text, and perhaps a system prompt.

        Those of one that comes again and again are remembered. None stands for a prompt with anything else.
        """
        said = plain_texts(prompt)
        if said is None or prompt.fragments or prompt.system_fragments or prompt.tools or prompt.schema:
            return None
        if prompt.options.__pydantic_fields_set__:
            return None
        asked = (model_id, *said)
        return self._plain.get(asked) or self._of_plain(asked, now_s)

    def _of_plain(self, asked: tuple[str, str, str], now_s: float) -> tuple[str, list[Row]]:
        model_id, system, text = asked
        parts = [("system", 0, system)] if system else []
        if text:
            parts.append(("prompt", 0, text))
        rows = self.rows(parts, now_s, partial(counter_of, model_id))
        found = self._digest(model_id, (), rows, _NOTHING), rows
        came_before = all(row[_TOKENS] is not None for row in rows)
        if came_before and not self.tell and len(system) + len(text) <= _PLAIN_CHARS:
            if len(self._plain) >= _PLAIN:
                self._plain.clear()
            self._plain[asked] = found
        return found

    def digest_of(self, model_id: str, prompt: Any, rows: Iterable[Row]) -> str:
        """Return the digest of all that a prompt without a history asks, and whom.

        Args:
            model_id: the model that is asked.
            prompt: llm's prompt.
            rows: the rows of its texts.

        Raises:
            OSError: an attached file cannot be read.
        """
        attached = [attachment.id() for attachment in prompt.attachments]
        beside = (
            len(prompt.tool_results),
            attached,
        )  # results of tools stand among the rows, after fragments
        return self._digest(model_id, options_set(prompt.options), rows, beside)

    def _digest(self, model_id: str, options: Sequence[Any], rows: Iterable[Row], beside: Any) -> str:
        said = [(row[0], row[2]) for row in rows]
        asked = (model_id, options, said, beside)
        return self._hash(orjson.dumps(asked, default=repr, option=orjson.OPT_NON_STR_KEYS))

    def tokens(self, texts: Iterable[str], counter: TokenCounter) -> int:
        """Return how many tokens these texts have."""
        return sum(self._memo[text].count(text, counter) for text in texts)

    def _content(self, seen: Seen, text: str, now_s: float) -> tuple[str | None, int]:
        """Return what is to be written of a text, None if it is written already; and whether it is all."""
        sent_s = self._sent.get(seen.digest)
        if self._redactor is None or (sent_s is not None and sent_s <= now_s < sent_s + AGAIN_S):
            return None, 0
        if len(self._sent) >= _SENT:
            self._sent.clear()
        self._sent[seen.digest] = now_s
        whole = well_formed(str.__str__(text))
        content = self._redactor.clean(whole)
        return content, 0 if content == whole else 1


def without_contents(rows: Sequence[Row] | None) -> list[Row] | None:
    """Return the rows of texts without what they say, or None if none says anything."""
    if not rows or all(row[_CONTENT] is None for row in rows):
        return None
    return [(kind, place, *known, None, 0) for kind, place, *known, _, _ in rows]  # type: ignore[misc]


def _plain_hash(text: bytes) -> str:
    return sha256(text).hexdigest()


def _keyed_hash(key: bytes, text: bytes) -> str:
    return hmac.digest(key, text, "sha256").hex()
