"""Gives a reply its ids back while it passes: in its texts and in the arguments of its tool calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..chain.compat import copy_event
from ..stages import Event
from ..trace import Trace
from ..types import Reply

if TYPE_CHECKING:
    from llm.parts import StreamEvent

    from ..compress.vault import Restorer, Vault

_Key: TypeAlias = "tuple[Any, ...]"


class Restoring:
    """Restores the events of one reply; see `Call.tap`.

    Each part of the reply is restored by itself. A part has ended when another one begins, but for tool calls
    with an id, whose arguments may come in turns. Reasoning passes as it is, for it is signed.

    Args:
        vault: knows the ids.
        trace: of the call; a run of the model that is begun anew begins anew here.
    """

    __slots__ = ("_open", "_run", "_trace", "_vault")

    def __init__(self, vault: Vault, trace: Trace) -> None:
        self._vault = vault
        self._trace = trace
        self._run: Any = None
        self._open: dict[_Key, tuple[Restorer, Event]] = {}

    def see(self, event: Event) -> Iterable[Event] | None:
        """Return what takes the place of an event."""
        if self._trace.run_response is not self._run:
            self._run = self._trace.run_response
            self._open.clear()
        key = _part_of(event)
        late = self._ended(key) if self._open else []
        if key is None:
            return [*late, event] if late else None
        restorer, _ = self._open.get(key) or (self._vault.restorer(), event)
        self._open[key] = restorer, event
        chunk = event if isinstance(event, str) else event.chunk
        restored = restorer.feed(chunk)
        if restored == chunk:
            return [*late, event] if late else None
        return [*late, _saying(event, restored)] if restored or _tells_more(event) else late

    def flush(self) -> list[Event]:
        """Return what was held back: the reply has ended."""
        return self._ended(None, all_of_them=True)

    def _ended(self, key: _Key | None, *, all_of_them: bool = False) -> list[Event]:
        """Return what was held back of parts that have ended, as the part with `key` goes on."""
        late: list[Event] = []
        for other in list(self._open):
            lasts = other[0] == "tool_call_args" and other[1] is not None
            if other != key and (all_of_them or not lasts):
                restorer, event = self._open.pop(other)
                rest = restorer.flush()
                if rest:
                    late.append(_saying(event, rest, alone=True))
        return late


def restore_tool_calls(reply: Reply, vault: Vault) -> None:
    """Give the tool calls of a reply their ids back; those that the consumer's response will carry."""
    if reply.tool_calls:
        reply.tool_calls = [
            replace(asked, arguments=vault.restore_value(asked.arguments)) for asked in reply.tool_calls
        ]


def _part_of(event: Event) -> _Key | None:
    """Return what tells the part of an event from others, or None if it is not restored."""
    if isinstance(event, str):
        return ("text", None, None, 0)
    if event.server_executed or event.type not in {"text", "tool_call_args"}:
        return None
    return event.type, event.tool_call_id, event.part_index, event.message_index


def _tells_more(event: Event) -> bool:
    """Tell whether an event means something even if it says nothing."""
    return not isinstance(event, str) and event.provider_metadata is not None


def _saying(event: Event, text: str, *, alone: bool = False) -> Event:
    """Return a copy of an event that says `text`."""
    if isinstance(event, str):
        return text
    twin = cast("StreamEvent", copy_event(event))
    twin.chunk = text
    if alone:
        twin.provider_metadata = None
    return twin
