"""How a reply is kept: bytes from which a replay is made that is the reply again.

Only what comes back the same is kept. The first byte tells the version: `JSON` for any reply, `TEXT` for
the plain ones, of nothing but text and token counts, which are read in a fifth of the time. An entry with
another first byte, or a damaged one, is no entry. Nothing in one can make Python run anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from functools import cache
from sys import getsizeof
from typing import TYPE_CHECKING, Any, TypeAlias

from ..chain.compat import carries_more, copy_event
from ..stages import Event
from ..types import Reply, Usage

if TYPE_CHECKING:
    from llm.models import ToolCall

JSON = b"\x01"
TEXT = b"\x02"
_SEPARATOR = "\x1f"
_TEXT_BYTES = getsizeof("") + 8
_EVENT_BYTES = _TEXT_BYTES + 344
_OBJECT_BYTES = 160
_COUNTS = frozenset((int, type(None)))


class Unreadable(ValueError):
    """An entry is not one, or one of another version."""


class Unfaithful(TypeError):
    """A reply would not come back as it was: something in it is no JSON value."""


Snapshot: TypeAlias = "tuple[int, tuple[Event, ...], bool, int | None, int | None, str | None]"
"""A plain reply as a store in memory may keep it: nothing is encoded, nor read back.

Its size, the events (which nobody may change), whether these are all texts, the counts of input and output
tokens, and the model that answered. It is a plain tuple: one of texts and numbers is nothing that the
garbage collector has to look at again. The size is an estimate: what every event takes beside its text is
much the same.
"""

Entry: TypeAlias = "bytes | Snapshot"
"""What is kept for a reply."""


def encode(reply: Reply, events: Sequence[Event]) -> bytes:
    r"""Return the entry for a reply whose events were `events`.

    Raises:
        Unfaithful: it holds what JSON does not: tuples, other keys than strings, other objects.

    Example:
        >>> encode(Reply(usage=Usage(3, 1)), ["HO", "LD"])
        b'\x023\x1f1\x1f\x1fHO\x1fLD'
        >>> encode(Reply(usage=Usage(3, 1, {"cached": 2})), ["HOLD"])
        b'\x01[["HOLD"],3,1,{"cached":2},null,null,[],null,null]'
    """
    import orjson

    plain = _plain(reply, events)
    if plain is not None:
        return plain
    usage = reply.usage
    calls: list[Any] = [[call.name, call.arguments, call.tool_call_id] for call in reply.tool_calls]
    entry: list[Any] = [
        [event if isinstance(event, str) else _written(event) for event in events],
        usage.input_tokens,
        usage.output_tokens,
        usage.details,
        reply.response_json,
        reply.resolved_model,
        calls,
        reply.prompt_json,
        dict(reply.attributes) if reply.attributes else None,
    ]
    try:
        text = orjson.dumps(entry, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError as error:
        raise Unfaithful(f"the reply cannot be kept: {error}") from None
    if orjson.loads(text) != entry:
        raise Unfaithful("the reply cannot be kept: a value in it has no like in JSON")
    return JSON + text


def decode(value: Entry) -> Reply:
    """Return the reply of an entry, made of new objects throughout.

    Raises:
        Unreadable: it is no entry of this version.

    Example:
        >>> decode(encode(Reply(usage=Usage(3, 1)), ["HO", "LD"])).text
        'HOLD'
    """
    if isinstance(value, tuple):
        return _replay(value)
    version = value[:1]
    try:
        if version == TEXT:
            return _read_text(value)
        if version == JSON:
            return _read_json(value)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"not an entry: {error}") from None
    raise Unreadable(f"an entry of version {version!r}, not {JSON!r} or {TEXT!r}")


def snapshot(reply: Reply, events: Sequence[Event]) -> Snapshot | None:
    """Return a snapshot of a reply that holds nothing but text and token counts, or None for any other.

    The events are kept as they are, and must not be changed any more.
    """
    if not _is_plain(reply):
        return None
    kinds = set(map(type, events))
    texts = kinds <= {str}
    pieces: Any = events if texts else _texts(events)
    if pieces is None:
        return None
    said = "".join(pieces)
    if not _is_unicode(said):
        return None
    size = _OBJECT_BYTES + getsizeof(said) + len(events) * (_TEXT_BYTES if texts else _EVENT_BYTES)
    tokens_in, tokens_out, _ = reply.usage
    return size, tuple(events), texts, tokens_in, tokens_out, reply.resolved_model


def _replay(snapshot: Snapshot) -> Reply:
    _, events, texts, tokens_in, tokens_out, resolved = snapshot
    said = events if texts else [copy_event(event) for event in events]
    return Reply(said, Usage(tokens_in, tokens_out), None, resolved, (), None, None, "cache")


def _is_plain(reply: Reply) -> bool:
    """Tell whether a reply holds nothing but its events, two token counts and the name of a model."""
    if carries_more(reply):
        return False
    usage, resolved = reply.usage, reply.resolved_model
    if usage.details is not None:
        return False
    if not (type(usage.input_tokens) in _COUNTS and type(usage.output_tokens) in _COUNTS):
        return False
    return resolved is None or (type(resolved) is str and resolved != "" and _is_unicode(resolved))


def _texts(events: Sequence[Any]) -> list[str] | None:
    """Return the texts of texts and of stream events that say nothing else; None if there is another."""
    from llm.parts import StreamEvent

    defaults, said = _defaults(StreamEvent), list[str]()
    for event in events:
        if type(event) is StreamEvent:
            state = event.__dict__
            text = state["chunk"]
            if {**state, "chunk": MISSING, "type": MISSING} != defaults or type(state["type"]) is not str:
                return None
            event = text  # noqa: PLW2901
        if type(event) is not str:
            return None
        said.append(event)
    return said


def _plain(reply: Reply, events: Sequence[Any]) -> bytes | None:
    """Return the entry of a reply that holds nothing but texts and token counts, or None for any other."""
    if not (set(map(type, events)) <= {str} and _is_plain(reply)):
        return None
    tokens = (reply.usage.input_tokens, reply.usage.output_tokens)
    pieces = ["" if count is None else str(count) for count in tokens]
    pieces += (reply.resolved_model or "", *events)
    text = _SEPARATOR.join(pieces)
    if text.count(_SEPARATOR) != len(pieces) - 1 or not _is_unicode(text):
        return None
    return TEXT + text.encode()


def _read_text(value: bytes) -> Reply:
    tokens_in, tokens_out, resolved, *texts = value[1:].decode().split(_SEPARATOR)
    usage = Usage(int(tokens_in) if tokens_in else None, int(tokens_out) if tokens_out else None)
    return Reply(texts, usage, None, resolved or None, (), None, None, "cache")


def _read_json(value: bytes) -> Reply:
    import orjson

    events, tokens_in, tokens_out, details, answer, resolved, calls, asked, others = orjson.loads(value[1:])
    return Reply(
        _events(events),
        Usage(tokens_in, tokens_out, details),
        answer,
        resolved,
        _tool_calls(calls) if calls else (),
        asked,
        others,
        "cache",
    )


def _is_unicode(text: str) -> bool:
    """Tell whether UTF-8 has a place for `text`: it has none for lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _written(event: Any) -> dict[str, Any]:
    """Return the fields of a stream event that are not at their defaults."""
    from llm.parts import StreamEvent

    defaults = _defaults(StreamEvent)
    if type(event) is not StreamEvent or vars(event).keys() != defaults.keys():
        raise Unfaithful(f"the reply cannot be kept: {type(event).__name__} is no plain stream event")
    return {name: value for name, value in vars(event).items() if value != defaults[name]}


@cache
def _defaults(cls: Any) -> dict[str, Any]:
    return {field.name: field.default for field in fields(cls)}


def _events(written: Sequence[Any]) -> Sequence[Event]:
    if all(type(event) is str for event in written):
        return written
    from llm.parts import StreamEvent

    return [event if isinstance(event, str) else StreamEvent(**event) for event in written]


def _tool_calls(written: Iterable[Any]) -> list[ToolCall]:
    from llm.models import ToolCall

    return [ToolCall(*call) for call in written]
