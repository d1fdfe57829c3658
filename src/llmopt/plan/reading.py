"""Reads the answer of one request: rows out of the stream, plans out of the rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import PlanStreamError
from ..stream import PlanStream
from .events import Found
from .handles import Handles
from .rows import RowFault, parse_row
from .tool import Tools

if TYPE_CHECKING:
    from ..compress import Vault


class PlanReader:
    """Makes plans of the text of one answer, each as soon as its last character is there.

    Args:
        tools: what the agents can do.
        handles: what they are called in the prompt.
        vault: gives ids back that the prompt had replaced; None if it had not.
        max_steps: steps that a plan may have; None for any number.
    """

    def __init__(
        self, tools: Tools, handles: Handles, vault: Vault | None = None, max_steps: int | None = None
    ) -> None:
        self._tools = tools
        self._handles = handles
        self._vault = vault
        self._max_steps = max_steps
        self._stream: PlanStream[Any] = PlanStream(id_key=0, mode="lenient")
        self._broken = False

    def feed(self, text: str) -> Iterable[Found]:
        """Take more text, and return the rows that are complete with it."""
        if self._broken:
            return ()
        try:
            return [self._found(row) for row in self._stream.feed(text)]
        except PlanStreamError as error:
            self._broken = True
            return [*(self._found(row) for row in error.plans), Found(None, fault=str(error))]

    def close(self) -> Iterator[Found]:
        """Take note that the answer has ended, and return what can still be said."""
        if self._broken:
            return
        try:
            result = self._stream.finalize()
        except PlanStreamError as error:
            yield Found(None, fault=str(error))
            return
        if not result.stats.plans and not result.failed:
            yield Found(None, fault="the answer has no row in it")
        for row in result.plans:
            yield self._found(row)
        for failed in result.failed:
            yield Found(self._handles.agent_of(failed.agent_id), None, str(failed.error), failed.raw)

    def _found(self, row: Any) -> Found:
        if self._vault is not None:
            row = self._vault.restore_value(row)
        text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
        read = parse_row(row, self._tools, self._handles, max_steps=self._max_steps)
        agent = None if read.handle is None else self._handles.agents[read.handle]
        if isinstance(read, RowFault):
            return Found(agent, None, read.reason, text)
        return Found(agent, read.steps, text=text)
