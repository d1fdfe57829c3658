"""Whose plan it is: from the plan itself, from its JSON, or from a text that is no JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from ..errors import ConfigurationError
from .alphabet import Text
from .decoders import as_dict
from .expectations import AgentId

__all__ = ["Identity"]


class Identity:
    """Where the id of a plan stands.

    Args:
        key: the key of the id in an object, or the position of the id in a row, which then is an array.

    Raises:
        ConfigurationError: the key is neither a name nor the position 0.

    Example:
        >>> Identity("agent_id").of_plan({"agent_id": 7}), Identity(0).of_plan(["a1", ["Wait", 2]])
        (7, 'a1')
        >>> Identity("agent_id").of_text('{"agent_id": "a1", "steps": [{]}')
        'a1'
    """

    def __init__(self, key: str | int) -> None:
        is_row = isinstance(key, int) and not isinstance(key, bool)
        if key != 0 if is_row else (not isinstance(key, str) or not key):
            msg = f"id_key is the name of a key, or 0 for rows that begin with the id; not {key!r}"
            raise ConfigurationError(msg)
        self.key = key
        self.rows = is_row
        self._find = _finder(key)

    def of_plan(self, plan: Any) -> Any:
        """Return the id of a decoded plan, or None."""
        members = as_dict(plan)
        if members is not None:
            found = members.get(str(self.key))
        elif self.rows:
            items: Any = plan
            found = next(iter(items), None) if type(items) in (list, tuple) else None
        else:
            found = getattr(plan, str(self.key), None)
        return found if isinstance(found, str | int) else None

    def of_plans(self, plans: list[Any]) -> list[AgentId] | None:
        """Return the ids of decoded plans, or None if one has none."""
        key = self.key
        try:
            found = [plan[key] for plan in plans]
        except (TypeError, LookupError):
            found = [self.of_plan(plan) for plan in plans]
        return found if {str, int}.issuperset(map(type, found)) else None

    def of(self, plan: Any, raw: Text) -> Any:
        """Return the id of a plan whose type need not show it, or None."""
        found = self.of_plan(plan)
        if found is None and not isinstance(plan, dict | list):
            found = self.of_plan(orjson.loads(raw))
        return found

    def of_text(self, raw: str) -> AgentId | None:
        """Return the first id in a text that is no JSON, or None if there is none."""
        found = self._find(raw)
        if found is None:
            return None
        number, text = found.group("number"), found.group("text")
        return int(number) if number is not None else str(text)


def _finder(key: str | int) -> Callable[[str], re.Match[str] | None]:
    value = r"""(?:(?P<number>-?\d{1,18}+)(?![\w.])|["'“](?P<text>[^"'”\\\n]*+)["'”])"""
    before = r"\[\s*+" if key == 0 else rf"""["'“]?\b{re.escape(str(key))}["'”]?\s*+[:=]\s*+"""
    return re.compile(before + value).search
