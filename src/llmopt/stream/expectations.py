"""Whose plans are expected, whose have come, and what to do with the second plan of one agent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

from ..errors import ConfigurationError

__all__ = ["AgentId", "Expectations", "OnDuplicate"]

AgentId: TypeAlias = str | int
OnDuplicate: TypeAlias = Literal["error", "first", "last", "keep"]


class Expectations:
    """The ids that are expected and those that have come.

    Args:
        expected: ids of agents, their number, or None if that is not known.
        on_duplicate: None means "first" where ids are expected, and "keep" elsewhere.
        loose: whether "7" counts as 7 where 7 is expected, and the other way round.

    Attributes:
        tracks: whether ids are looked at; without, nothing is remembered of a plan.

    Example:
        >>> expected = Expectations(["a1", "a2"])
        >>> expected.admit("a2"), expected.admit("a2"), expected.admit("a9"), expected.missing
        (True, False, True, ('a1',))
        >>> expected.duplicates, expected.unexpected, expected.satisfied(3)
        (('a2',), ('a9',), False)
    """

    def __init__(
        self,
        expected: Iterable[AgentId] | int | None = None,
        *,
        on_duplicate: OnDuplicate | None = None,
        loose: bool = False,
    ) -> None:
        self.count, self._waiting = _expected(expected)
        self.ids = tuple(self._waiting)
        if on_duplicate not in (None, *get_args(OnDuplicate)):
            msg = f"on_duplicate must be one of {get_args(OnDuplicate)}, not {on_duplicate!r}"
            raise ConfigurationError(msg)
        self.on_duplicate: OnDuplicate = on_duplicate or ("first" if self.ids else "keep")
        self.tracks = bool(self.ids) or self.on_duplicate != "keep"
        self._known = frozenset(self.ids)
        self._aliases = {str(agent_id): agent_id for agent_id in self.ids} if loose else {}
        self._seen: set[AgentId] = set()
        self._arrived = 0  # different agents, and plans without an id
        self._duplicates: dict[AgentId, None] = {}
        self._unexpected: dict[AgentId, None] = {}

    @property
    def missing(self) -> tuple[AgentId, ...]:
        """The expected ids that have not come, in the order in which they were given."""
        return tuple(self._waiting)

    @property
    def unexpected(self) -> tuple[AgentId, ...]:
        """The ids that have come without being expected."""
        return tuple(self._unexpected)

    @property
    def duplicates(self) -> tuple[AgentId, ...]:
        """The ids that have come more than once."""
        return tuple(self._duplicates)

    def satisfied(self, plans: int) -> bool:
        """Whether all that was expected has come. Never, where nothing was.

        Args:
            plans: how many plans have come, whosever they are.
        """
        if self.count is None:
            return False
        if self.ids:
            return not self._waiting
        return (self._arrived if self.tracks else plans) >= self.count

    def known_as(self, agent_id: Any) -> Any:
        """Return the expected id that `agent_id` stands for, or itself."""
        if agent_id in self._known:
            return agent_id
        return self._aliases.get(str(agent_id), agent_id) if self._aliases else agent_id

    def admit(self, agent_id: Any) -> bool:
        """Take note of one plan. Return whether it is to be handed out."""
        agent_id = self.known_as(agent_id)
        if agent_id in self._seen:
            self._duplicates[agent_id] = None
            return self.on_duplicate != "first"
        self._arrived += 1
        if agent_id is None:
            return True
        self._seen.add(agent_id)
        if agent_id in self._known:
            self._waiting.pop(agent_id)
        elif self._known:
            self._unexpected[agent_id] = None
        return True

    def knows(self, agent_id: Any) -> bool:
        """Whether plans of this agent are expected."""
        return self.known_as(agent_id) in self._known

    def has(self, agent_id: Any) -> bool:
        """Whether a plan of this agent has come."""
        return self.known_as(agent_id) in self._seen


def _expected(expected: Iterable[AgentId] | int | None) -> tuple[int | None, dict[AgentId, None]]:
    """Return how many plans are expected, and whose."""
    given: Any = expected
    if given is None:
        return None, {}
    if isinstance(given, int) and not isinstance(given, bool):
        if given < 0:
            msg = f"expected must not be negative: {given}"
            raise ConfigurationError(msg)
        return given, {}
    if isinstance(given, str | bytes | bool) or not hasattr(given, "__iter__"):
        msg = f"expected is a number of plans or the ids of agents, not {given!r}"
        raise ConfigurationError(msg)
    waiting: dict[AgentId, None] = dict.fromkeys(given)
    known: Any = str | int
    wrong = [agent_id for agent_id in waiting if not isinstance(agent_id, known)]
    if wrong:
        msg = f"expected ids are str or int, not {wrong[0]!r}"
        raise ConfigurationError(msg)
    return len(waiting), waiting
