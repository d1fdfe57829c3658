"""The options of a stream, for type checkers: `iter_plans` and `PlanStream` take the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, TypedDict

from .expectations import AgentId, OnDuplicate

__all__ = ["Mode", "OnError", "StreamOptions"]

Mode: TypeAlias = Literal["strict", "lenient", "repair"]
OnError: TypeAlias = Literal["record", "raise"]


class StreamOptions(TypedDict, total=False):
    """The keyword arguments of `PlanStream`, which says what they mean."""

    expected: Iterable[AgentId] | int | None
    mode: Mode
    id_key: str | int
    on_duplicate: OnDuplicate | None
    on_error: OnError
    path: str
    partial: bool
    max_element_bytes: int
    max_depth: int
    max_preamble_bytes: int
    max_plans: int | None
