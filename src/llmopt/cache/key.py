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

Not in the key: how a prompt was spelled (`prompt=`, `fragments=`, `messages=`, a conversation), whether
it is streamed (the same events are replayed to both), and the API key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import repeat
from typing import Any

from ..chain.compat import options_of, plain_texts
from ..types import Call
from .canonical import Unkeyable, canonical, netstring, text_bytes

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


class _Head:
    """All of a call but its messages, and the keys of the texts that were sent with it.

    Attributes:
        digest: of a fixed length, so that messages may follow it.
        keys: the key of each pair of a system prompt and a text.
    """

    __slots__ = ("_begun", "digest", "keys")

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.keys: dict[tuple[str, str], bytes] = {}
        self._begun: dict[str, Any] = {}

    def key(self, texts: tuple[str, str]) -> bytes:
        """Return the key of a system prompt and a text: those that are not empty are messages."""
        system, text = texts
        begun = self._begun.get(system)
        if begun is None:
            begun = sha256(self.digest + _text_message("system", system) if system else self.digest)
            self._begun[system] = begun
        said = begun.copy()
        if text:
            said.update(_text_message("user", text))
        digest: bytes = said.digest()
        return digest


class Keys:
    """Makes the keys of one cache.

    SHA-256 takes longer than all the rest of a hit, so the keys of the last plain prompts are remembered
    with their texts: comparing a text with itself costs next to nothing. What a model, its options and the
    system prompt contribute is remembered as well.

    Args:
        namespace: keeps the keys apart from those of all other namespaces.
    """

    __slots__ = ("_chars", "_heads", "_namespace", "_texts")

    def __init__(self, namespace: str = "") -> None:
        self._namespace = namespace
        self._heads: dict[tuple[Any, ...], _Head] = {}
        self._texts = self._chars = 0

    def plain(self, call: Call, sample_id: int | str | None = None) -> bytes | None:
        """Return the key of a call that sends a text, and perhaps a system prompt; None for any other."""
        texts = plain_texts(call.prompt)
        mark = None if texts is None else self._mark(call, sample_id)
        if texts is None or mark is None:
            return None
        head = self._known_head(call, sample_id, mark)
        return head.keys.get(texts) or self._learn(head, texts)

    def whole(
        self, call: Call, sample_id: int | str | None = None, messages: Sequence[Any] | None = None
    ) -> bytes:
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
        said = [_message(message) for message in (prompt.messages if messages is None else messages)]
        head = self._known_head(call, sample_id, self._mark(call, sample_id))
        return sha256(b"".join((head.digest, *said, _system_beside(prompt, said)))).digest()

    def _mark(self, call: Call, sample_id: int | str | None) -> tuple[Any, ...] | None:
        """Return what tells the head of a call from those of others; None if that takes a closer look."""
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
        if not options.model_fields_set:
            return mark
        given = dict(options) if options.model_extra else options.__dict__
        values = tuple(given.values())
        kinds = tuple(map(type, values))  # 0, 0.0 and False are one key to a dict
        return (*mark, tuple(given), values, kinds) if _SCALARS.issuperset(kinds) else None

    def _learn(self, head: _Head, texts: tuple[str, str]) -> bytes:
        """Return the key of a system prompt and a text, and remember it."""
        key = head.key(texts)
        if self._texts >= _MEMO_TEXTS or self._chars > _MEMO_CHARS:
            self._heads.clear()
            self._texts = self._chars = 0
        self._texts += 1
        self._chars += len(texts[0]) + len(texts[1])
        head.keys[texts] = key
        return key

    def _known_head(self, call: Call, sample_id: int | str | None, mark: tuple[Any, ...] | None) -> _Head:
        """Return the head of a call, and remember it."""
        if mark is None:
            return _Head(self._head(call, sample_id))
        try:
            head = self._heads.get(mark)
        except TypeError:  # headers are a dict, which no dict takes for a key
            return _Head(self._head(call, sample_id))
        if head is None:
            head = _Head(self._head(call, sample_id))
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
        tools = [_tool(tool) for tool in prompt.tools]
        schema = [] if prompt.schema is None else [prompt.schema]
        return sha256(canonical(who) + canonical([schema, tools], ordered=True)).digest()


def class_name(model: object) -> str:
    """Return what a model's class is called, alike for the sync and the async model of a plugin.

    Example:
        >>> class AsyncChat: ...
        >>> class_name(AsyncChat()).rpartition(".")[2]
        'Chat'
    """
    cls = type(model)
    return f"{cls.__module__}.{cls.__qualname__.replace('Async', '')}"


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


def reads_files(messages: Iterable[Any]) -> bool:
    """Tell whether the key of a call with these messages depends on the content of files."""
    return any(attachment.path and not attachment.content for attachment in _attachments(messages))


def _attachments(messages: Iterable[Any]) -> Iterator[Any]:
    for message in messages:
        for part in message.parts:
            if getattr(part, "attachment", None) is not None:
                yield part.attachment
            yield from getattr(part, "attachments", ())


def _message(message: Any) -> bytes:
    """Return a message's bytes: M and its role, T for a text, P for another part, D for its metadata."""
    said = [b"M", netstring(text_bytes(message.role))]
    for part in message.parts:
        if type(part).__name__ == "TextPart" and not part.provider_metadata:
            said += (b"T", netstring(text_bytes(part.text)))
        else:
            said += (b"P", canonical(_part(part)))
    if message.provider_metadata:
        said += (b"D", canonical(message.provider_metadata))
    return b"".join(said)


def _text_message(role: str, text: str) -> bytes:
    return b"M%bT%b" % (netstring(role.encode()), netstring(text_bytes(text)))


def _part(part: Any) -> list[Any]:
    """Return a part's class and fields; what is empty is not sent, but for empty texts."""
    state: dict[str, Any] = part.__dict__
    fields = {name: value for name, value in state.items() if value not in (None, False, [], {})}
    if "attachment" in fields:
        fields["attachment"] = _attachment(fields["attachment"])
    if "attachments" in fields:
        fields["attachments"] = [_attachment(each) for each in fields["attachments"]]
    return [type(part).__name__, fields]


def _attachment(attachment: Any) -> list[Any]:
    """Return an attachment's type, the digest of its content, and its URL."""
    from pathlib import Path

    content = attachment.content
    if not content and attachment.path:
        content = Path(attachment.path).read_bytes()
    kind = attachment.type or (attachment.resolve_type() if content else None)
    return [kind, sha256(content).digest() if content else None, attachment.url]


def _tool(tool: Any) -> list[Any]:
    """Return what is sent of a tool: a function tool's implementation never is."""
    if hasattr(tool, "prepare_request"):  # a ServerSideTool
        return [class_name(tool), tool.name, tool.__dict__]
    return [tool.name, tool.description, tool.input_schema]


def _system_beside(prompt: Any, said: list[bytes]) -> bytes:
    """Return the system prompt that was given beside the messages: some plugins send it, others do not."""
    system = prompt.system
    if not system or (said and said[0] == _text_message("system", system)):
        return b""
    return b"S" + netstring(text_bytes(system))


__all__ = ["ENDPOINT", "SECRET_WORDS", "Keys", "Unkeyable", "class_name", "endpoint", "reads_files"]
