"""The bytes of what is sent to a model: its messages and its tools, files by their content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from .canonical import canonical, netstring, text_bytes


def class_name(model: object) -> str:
    """Return what a model's class is called, alike for the sync and the async model of a plugin.

    Example:
        >>> class AsyncChat: ...
        >>> class_name(AsyncChat()).rpartition(".")[2]
        'Chat'
    """
    cls = type(model)
    return f"{cls.__module__}.{cls.__qualname__.replace('Async', '')}"


def reads_files(messages: Iterable[Any]) -> bool:
    """Tell whether the key of a call with these messages depends on the content of files."""
    return any(attachment.path and not attachment.content for attachment in _attachments(messages))


def _attachments(messages: Iterable[Any]) -> Iterator[Any]:
    for message in messages:
        for part in message.parts:
            if getattr(part, "attachment", None) is not None:
                yield part.attachment
            yield from getattr(part, "attachments", ())


def message_bytes(message: Any) -> bytes:
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


def texts_of(messages: Iterable[Any]) -> tuple[str, str]:
    """Return a system and a user text of messages, which may say more."""
    said = {message.role: getattr(message.parts[0], "text", "") for message in messages if message.parts}
    system, text = said.get("system"), said.get("user")
    return system if isinstance(system, str) else "", text if isinstance(text, str) else ""


def plain_bytes(system: str, text: str) -> bytes:
    """Return the bytes of a system prompt and a text: those that are not empty are messages."""
    said = text_message("system", system) if system else b""
    return said + text_message("user", text) if text else said


def text_message(role: str, text: str) -> bytes:
    """Return the bytes of a message that is nothing but a text."""
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


def tool_fields(tool: Any) -> list[Any]:
    """Return what is sent of a tool: a function tool's implementation never is."""
    if hasattr(tool, "prepare_request"):  # a ServerSideTool
        return [class_name(tool), tool.name, tool.__dict__]
    return [tool.name, tool.description, tool.input_schema]


def system_beside(prompt: Any, said: list[bytes]) -> bytes:
    """Return the system prompt that was given beside the messages: some plugins send it, others do not."""
    system = prompt.system
    if not system or (said and said[0] == text_message("system", system)):
        return b""
    return b"S" + netstring(text_bytes(system))
