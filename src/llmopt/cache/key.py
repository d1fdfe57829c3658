"""Keys: SHA-256 over everything that can change the answer to a call, and over nothing else.

==========================  ============================================================================
in the key                  how
==========================  ============================================================================
the model                   its class (module and name, without the word "Async": sync and async models
                            share entries) and its `model_id`
where it runs               the attributes named in `ENDPOINT`; of its headers all but the secret ones
every message               role, parts and provider metadata in order; attachments by their content: a
                            file by its bytes and its type, a URL as it stands
tools, in order             name, description and input schema; server-side tools by class and attributes
schema, `hide_reasoning`    as they are; the order of a schema's properties counts
options                     those that are set, by the model or by the call, in any order
`namespace`, `sample_id`    as they are
==========================  ============================================================================

A cache's own memory takes a plain prompt of moderate length as it is, beside the digest of all the rest.

Not in the key: how a prompt was spelled (`prompt=`, `fragments=`, `messages=`, a conversation), whether
it is streamed (the same events are replayed to both), and the API key.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import repeat
from typing import Any, TypeAlias

from ..chain.compat import options_of, plain_texts
from ..types import Call
from .canonical import canonical
from .contents import (
    class_name,
    message_bytes,
    plain_bytes,
    reads_files,
    system_beside,
    texts_of,
    tool_fields,
)

ENDPOINT = (
    "api_base",
    "base_url",
    "host",
    "url",
    "endpoint",
    "region",
    "api_type",
    "api_version",
    "api_engine",
    "model_name",
    "headers",
)
"""The attributes of a model that say where, or as what, it is asked."""

SECRET_WORDS = ("auth", "key", "token", "secret", "cookie", "password", "credential")
"""A header whose name contains one of these does not change the answer, and changes when it is renewed."""

_ENDPOINT = frozenset(ENDPOINT)
_SCALARS = frozenset((str, int, float, bool, type(None)))
_SCHEME = 1
_MEMO_HEADS = 256
_MEMO_TEXTS = 1024
_MEMO_CHARS = 4_000_000
_OWN_CHARS = 4096

Texts: TypeAlias = "tuple[bytes, str, str]"
"""A plain prompt: the digest of all but its texts, the system prompt and the text, which may be empty."""

Key: TypeAlias = "bytes | Texts"
"""What tells calls apart: a digest, or in the memory of one process the plain prompt itself."""


class Keys:
    """Makes the keys of one cache.

    SHA-256 takes longer than all the rest of a hit, so the keys of the last plain prompts are remembered
    with their texts: comparing a text with itself costs next to nothing. What a model, its options and the
    system prompt contribute is remembered as well. In the memory of one process keys need not be of one
    length: there a plain prompt of moderate length may be its own key, and nothing is hashed.

    Args:
        namespace: keeps the keys apart from those of all other namespaces.
        own: whether plain prompts of moderate length are their own keys.
    """

    __slots__ = ("_begun", "_chars", "_heads", "_known", "_namespace", "_own_chars")

    def __init__(self, namespace: str = "", *, own: bool = False) -> None:
        self._namespace = namespace
        self._own_chars = _OWN_CHARS if own else -1
        self._heads: dict[tuple[Any, ...], bytes] = {}
        self._known: dict[Texts, bytes] = {}
        self._begun: dict[tuple[bytes, str], Any] = {}
        self._chars = 0

    def plain(self, call: Call, sample_id: int | str | None = None) -> Key | None:
        """Return the key of a call that sends a text, and perhaps a system prompt; None for any other."""
        texts = plain_texts(call.prompt)
        head = None if texts is None else self._known_head(call, sample_id)
        return None if texts is None or head is None else self._key((head, *texts))

    def whole(
        self, call: Call, sample_id: int | str | None = None, messages: Sequence[Any] | None = None
    ) -> Key:
        """Return the key of any call. It reads the files that are attached.

        Args:
            call: the call.
            sample_id: as in `Cache`.
            messages: `call.prompt.messages`, if they are at hand: llm makes them anew every time.

        Raises:
            Unkeyable: something in it has no canonical form.
            OSError: an attached file cannot be read.
        """
        prompt = call.prompt
        messages = prompt.messages if messages is None else messages
        pieces = [message_bytes(message) for message in messages]
        said = b"".join((*pieces, system_beside(prompt, pieces)))
        head = self._known_head(call, sample_id) or self._head(call, sample_id)
        texts = texts_of(messages)
        if said == plain_bytes(*texts):
            return self._key((head, *texts))
        return sha256(head + said).digest()

    def _known_head(self, call: Call, sample_id: int | str | None) -> bytes | None:
        """Return the head of a call, remembered by what it is made of; None if that takes a closer look."""
        prompt: Any = call.prompt
        model, options = call.model, prompt.options
        if prompt.tools or prompt.schema:
            return None
        mark: tuple[Any, ...] = (
            model.__class__,
            model.model_id,
            options.__class__,
            prompt.hide_reasoning,
            sample_id,
        )
        state: dict[str, Any] = model.__dict__
        if not _ENDPOINT.isdisjoint(state):
            mark += tuple(map(getattr, repeat(model), ENDPOINT, repeat(None)))
        if options.__pydantic_fields_set__:  # `model_fields_set` is a property, and slow
            given = dict(options) if options.__pydantic_extra__ else options.__dict__
            values = tuple(given.values())
            kinds = tuple(map(type, values))  # 0, 0.0 and False are one key to a dict
            if not _SCALARS.issuperset(kinds):
                return None
            mark += (tuple(given), values, kinds)
        try:
            return self._heads.get(mark) or self._new_head(call, sample_id, mark)
        except TypeError:  # headers are a dict, which no dict takes for a key
            return self._head(call, sample_id)

    def _key(self, texts: Texts) -> Key:
        """Return the key of a head, a system prompt and a text."""
        if len(texts[1]) + len(texts[2]) <= self._own_chars:
            return texts
        return self._known.get(texts) or self._learn(texts)

    def _learn(self, texts: Texts) -> bytes:
        """Return the digest of a plain prompt, and remember it."""
        head, system, text = texts
        if len(self._known) >= _MEMO_TEXTS or self._chars > _MEMO_CHARS:
            self._known.clear()
            self._begun.clear()
            self._chars = 0
        begun = self._begun.get((head, system))
        if begun is None:
            begun = self._begun[head, system] = sha256(head + plain_bytes(system, ""))
        said = begun.copy()
        said.update(plain_bytes("", text))
        key: bytes = said.digest()
        self._chars += len(system) + len(text)
        self._known[texts] = key
        return key

    def _new_head(self, call: Call, sample_id: int | str | None, mark: tuple[Any, ...]) -> bytes:
        """Return the head of a call, and remember it."""
        head = self._head(call, sample_id)
        # A property of the class may say something else the next time.
        if not any(hasattr(mark[0], name) for name in ENDPOINT):
            if len(self._heads) >= _MEMO_HEADS:
                self._heads.clear()
            self._heads[mark] = head
        return head

    def _head(self, call: Call, sample_id: int | str | None) -> bytes:
        """Return the digest of all but the messages: of a fixed length, so that they may follow it."""
        prompt: Any = call.prompt
        model = call.model
        who = {
            "scheme": _SCHEME,
            "namespace": self._namespace,
            "sample_id": "" if sample_id is None else [sample_id],
            "class": class_name(model),
            "model_id": model.model_id,
            "endpoint": endpoint(model),
            "options": options_of(prompt),
            "hide_reasoning": prompt.hide_reasoning,
        }
        tools = [tool_fields(tool) for tool in prompt.tools]
        schema = [] if prompt.schema is None else [prompt.schema]
        return sha256(canonical(who) + canonical([schema, tools], ordered=True)).digest()


def endpoint(model: object) -> dict[str, Any]:
    """Return where, or as what, a model is asked: the attributes of `ENDPOINT` that are set.

    Example:
        >>> class Chat:
        ...     api_base = "http://localhost/v1"
        ...     headers = {"X-Tier": "fast", "Authorization": "Bearer 1"}
        >>> endpoint(Chat())
        {'api_base': 'http://localhost/v1', 'headers': {'x-tier': 'fast'}}
    """
    found = {name: value for name in ENDPOINT if (value := getattr(model, name, None)) is not None}
    if isinstance(found.get("headers"), dict):
        found["headers"] = _public(found["headers"])
    return {name: value for name, value in found.items() if value != {}}


def _public(headers: dict[Any, Any]) -> dict[str, Any]:
    named = ((str(name).lower(), value) for name, value in headers.items())
    return {name: value for name, value in named if not any(word in name for word in SECRET_WORDS)}


__all__ = ["ENDPOINT", "SECRET_WORDS", "Key", "Keys", "Texts", "class_name", "endpoint", "reads_files"]
