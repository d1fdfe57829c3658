"""What is said to the model: instructions first, then the world, then the agents.

The parts stand in the order of how often they change, so that a provider's prefix cache finds as much as it
can: role, tools and form of the answer are the same from batch to batch, the world is the same for all
requests of a batch, and what is the same from tick to tick comes first in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..compress import Encoded, Role, encode
from ._text import compact
from .handles import Handles
from .tool import Tools
from .types import AgentId
from .world import World

if TYPE_CHECKING:
    from ..compress import Vault
    from ..tokens import TokenCounter

Profile: TypeAlias = Literal["safe", "balanced", "dense"]

_FORM = """\
Plan for every agent that is listed. Answer with one line of JSON for each and nothing else, in this form:
["agent",["tool",argument,...],["tool",argument,...],...]"""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a prompt.

    Args:
        name: "role", "tools", "form", "world", "agents" or "faults".
        text: the text.
        tokens: its tokens.
    """

    name: str
    text: str
    tokens: int


@dataclass(frozen=True)
class Brief:
    """What is said to all agents of a role, tick after tick.

    Args:
        role: what they are; None for no role.
        tools: what they can do.
        instructions: what else they are told.
        max_steps: steps that a plan may have; None for any number.
        profile: how snapshots are encoded.
        counter: counts tokens.
    """

    role: Role | None
    tools: Tools
    instructions: str
    max_steps: int | None
    profile: Profile
    counter: TokenCounter

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the system prompt."""
        said = {
            "role": "\n".join(filter(None, (self.role.prompt if self.role else "", self.instructions))),
            "tools": f"Tools:\n{self.tools.text()}",
            "form": _FORM if self.max_steps is None else f"{_FORM}\nAt most {self.max_steps} steps each.",
        }
        return tuple(Part(name, text, self.counter.count(text)) for name, text in said.items() if text)

    @cached_property
    def system(self) -> str:
        """The system prompt."""
        return "\n\n".join(part.text for part in self.parts)


@dataclass(frozen=True)
class Scene:
    """What the agents of one job see, ready to be said.

    Args:
        brief: what they are told anyway.
        handles: what they are called.
        agents: their ids, in the order of `world.own`.
        world: what they see.
        order: the keys of the shared world in groups, those that change least first.
        vault: keeps opaque ids out of the prompt; None leaves them in.
    """

    brief: Brief
    handles: Handles
    agents: Sequence[AgentId]
    world: World
    order: Sequence[Sequence[str]]
    vault: Vault | None = None

    @cached_property
    def shared(self) -> tuple[Part, ...]:
        """The parts of the world, each encoded alone: a change in one is none to what stands before it."""
        return tuple(self._shared(keys) for keys in self.order)

    def user(self, agents: Iterable[AgentId], faults: Iterable[tuple[AgentId, str]] = ()) -> tuple[Part, ...]:
        """Return the parts of the prompt that asks for the plans of some of the agents."""
        said = [*self.shared, self._part("agents", "Agents:", self.encoded(agents).text)]
        wrong = [f"{self.handles.handle_of(agent)}: {fault}" for agent, fault in faults]
        if wrong:
            said.append(self._part("faults", "Your last answer for these agents could not be used:", *wrong))
        return tuple(said)

    def prompt(self, agents: Iterable[AgentId], faults: Iterable[tuple[AgentId, str]] = ()) -> str:
        """Return the text of `user`."""
        return "\n\n".join(part.text for part in self.user(agents, faults))

    def encoded(self, agents: Iterable[AgentId]) -> Encoded:
        """Return the lines of some agents: a table with a row for each."""
        index = self._index
        rows = [{"agent": self.handles.handle_of(agent), **self.world.own[index[agent]]} for agent in agents]
        return encode(rows, self.brief.profile, vault=self.vault, counter=self.brief.counter)

    @cached_property
    def _index(self) -> Mapping[AgentId, int]:
        return {agent: index for index, agent in enumerate(self.agents)}

    def _shared(self, keys: Sequence[str]) -> Part:
        value = {key: self.world.shared[key] for key in keys}
        encoded = encode(value, self.brief.profile, vault=self.vault, counter=self.brief.counter)
        head = ("World:",) if keys is self.order[0] else ()
        return self._part(f"world: {', '.join(keys)}", *head, encoded.text)

    def _part(self, name: str, *lines: str) -> Part:
        text = "\n".join(lines)
        return Part(name, text, self.brief.counter.count(text))


class Order:
    """Remembers how often the parts of the world change, to say the steadiest first.

    Example:
        >>> order = Order()
        >>> order.groups({"t": 1, "walls": [3]}), order.groups({"t": 2, "walls": [3]})
        ([['t', 'walls']], [['walls'], ['t']])
    """

    def __init__(self, seen: Mapping[str, tuple[str, int]] = MappingProxyType({})) -> None:
        self._seen = dict(seen)

    def copy(self) -> Order:
        """Return one that has seen the same."""
        return Order(self._seen)

    def groups(self, shared: Mapping[str, Any]) -> list[list[str]]:
        """Return the keys of a world, together those that have changed as often, the steadiest first."""
        groups: dict[int, list[str]] = {}
        for key, value in shared.items():
            text = compact(value)
            last, changes = self._seen.get(key, (text, 0))
            self._seen[key] = text, changes + (text != last)
            groups.setdefault(self._seen[key][1], []).append(key)
        return [groups[changes] for changes in sorted(groups)]
