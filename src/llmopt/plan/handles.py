"""What agents are called in a prompt: by their own ids where those are short, else by short handles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count, product
from string import ascii_lowercase
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from ..errors import ConfigurationError
from .types import AgentId

if TYPE_CHECKING:
    from ..tokens import TokenCounter

__all__ = ["Handle", "Handles"]

Handle: TypeAlias = "str | int"
"""What an agent is called in a prompt and in the rows of the answer."""

MAX_TOKENS: Final = 2
_PLAIN: Final = re.compile(r"-?[0-9]+|[^\W_][\w-]*")
_TITLED: Final = re.compile(r"(?:agent|id|handle)(?:[\s_#:-]+|(?=[0-9]))(.+)|#(.+)", re.IGNORECASE)
_HUGE: Final = 10**30  # Python refuses to write out numbers of thousands of digits
_JOINTS: Final = re.compile(r"[\s_-]+")


@dataclass(frozen=True, slots=True)
class Handles:
    """The handles of a group of agents.

    They depend on which agents there are and on nothing else, so that the same group has the same prompt
    tick after tick. Positions are never used: models miscount.

    Args:
        agents: the ids by handle.

    Example:
        >>> Handles.of([7, 12]).handle_of(12)
        12
        >>> handles = Handles.of(["5f3c9a1e-77aa-4c1d", "0b8e4d21-90fe-4aa2"])
        >>> handles.handle_of("0b8e4d21-90fe-4aa2"), handles.agent_of("A2")
        ('a1', '5f3c9a1e-77aa-4c1d')
    """

    agents: Mapping[Handle, AgentId]
    _handles: Mapping[AgentId, Handle]
    _exact: Mapping[str, Handle | None]
    _alike: Mapping[str, Handle | None]

    @classmethod
    def of(cls, agents: Iterable[AgentId], counter: TokenCounter | None = None) -> Handles:
        """Return handles for a group of agents.

        Their own ids are taken where each is a whole number or a plain word of at most two tokens, and no two
        look the same as text. Otherwise they are called a1, a2, ... in the order of their ids.

        Args:
            agents: their ids, in any order.
            counter: counts tokens; None for o200k_base.

        Raises:
            ConfigurationError: an id is no string and no whole number, or is there twice.
        """
        ids = _checked([*agents])
        texts = {str(agent) for agent in ids}
        own = len(texts) == len(ids) and _are_short(texts, counter)
        made: dict[AgentId, Handle] = {agent: agent for agent in ids} if own else _numbered(ids)
        return cls._made(made)

    @classmethod
    def _made(cls, handles: dict[AgentId, Handle]) -> Handles:
        exact: dict[str, Handle | None] = {}
        alike: dict[str, Handle | None] = {}
        for agent, handle in handles.items():
            _add(exact, str(agent), handle)
            for text in {_key(str(handle)), _key(str(agent))}:
                _add(alike, text, handle)
        exact |= {str(handle): handle for handle in handles.values()}
        agents = {handle: agent for agent, handle in handles.items()}
        return cls(MappingProxyType(agents), handles, exact, alike)

    def handle_of(self, agent: AgentId) -> Handle:
        """Return what an agent is called.

        Raises:
            KeyError: it is not in the group.
        """
        return self._handles[agent]

    def handle(self, said: object) -> Handle | None:
        """Return the handle that is meant by what a model wrote, or None if none is.

        17, "17", 17.0 and "Agent 17" are the same, as are "a1" and "A1"; so is the agent's own id where it
        has another handle. What could mean two agents means none.
        """
        if isinstance(said, float) and said.is_integer():
            said = int(said)
        if isinstance(said, bool) or not isinstance(said, (str, int)):
            return None
        text = str(said).strip() if isinstance(said, str) or abs(said) < _HUGE else ""
        titled = _TITLED.fullmatch(text)
        forms = (text, titled[1] or titled[2]) if titled else (text,)
        tried = chain(((self._exact, form) for form in forms), ((self._alike, _key(form)) for form in forms))
        return next((known[form] for known, form in tried if form in known), None)

    def agent_of(self, said: object) -> AgentId | None:
        """Return the id of the agent that is meant by what a model wrote, or None; see `handle`."""
        handle = self.handle(said)
        return None if handle is None else self.agents[handle]

    def __len__(self) -> int:
        """Return the number of agents."""
        return len(self.agents)

    def __contains__(self, agent: object) -> bool:
        """Tell whether there is a handle for this id."""
        return agent in self._handles


def _checked(agents: list[AgentId]) -> list[AgentId]:
    """Return the ids in their order: numbers, then strings."""
    for agent in agents:
        if type(agent) not in (str, int):
            raise ConfigurationError(f"Handles: agent={agent!r}: an id must be a string or a whole number")
    if len(set(agents)) < len(agents):
        twice = next(agent for agent in agents if agents.count(agent) > 1)
        raise ConfigurationError(f"Handles: agent={twice!r} is there more than once")
    return sorted(agents, key=lambda agent: (isinstance(agent, str), agent))


def _are_short(texts: Iterable[str], counter: TokenCounter | None) -> bool:
    if counter is None:
        from ..tokens import counter as counter_of

        counter = counter_of("o200k_base")
    return all(_PLAIN.fullmatch(text) and counter.count(text) <= MAX_TOKENS for text in texts)


def _numbered(agents: list[AgentId]) -> dict[AgentId, Handle]:
    """Return handles that are no agent's id: where one is called "a2", they are b1, b2, ..."""
    taken = {_key(str(agent)) for agent in agents}
    prefixes = (letter for size in count(1) for letter in map("".join, product(ascii_lowercase, repeat=size)))
    tried = ([f"{prefix}{number}" for number in range(1, len(agents) + 1)] for prefix in prefixes)
    return dict(zip(agents, next(filter(taken.isdisjoint, tried)), strict=True))


def _add(known: dict[str, Handle | None], text: str, handle: Handle) -> None:
    """Note that a text means a handle; what two handles have in common means none."""
    known[text] = handle if known.get(text, handle) == handle else None


def _key(text: str) -> str:
    """Return what names are alike by; numbers stay as they are, or 1.5 would be 15."""
    return _JOINTS.sub("", text.casefold()) if any(map(str.isalpha, text)) else text
