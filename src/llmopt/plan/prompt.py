"""What is said to the model: instructions first, then the world, then the agents.

The parts stand in the order of how often they change, so that a provider's prefix cache finds as much as it
can: role, tools and form of the answer are the same from batch to batch, the world is the same for all
requests of a batch, and what is the same from tick to tick comes first in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count
from math import inf
from typing import TYPE_CHECKING, Any, Final

from ..compress import Encoded, Role, encode, legend
from .handles import Handles
from .prefix import Prefix, Profile, choose_prefix
from .tool import Tools
from .types import AgentId
from .world import World, text_of

if TYPE_CHECKING:
    from ..compress import Vault
    from ..compress.prefix.cache_rules import CacheRules
    from ..tokens import TokenCounter

_GAP: Final = "\n\n"
_NAMES: Final = ("agent", "handle")
_FORM: Final = """\
Plan for every agent that is listed. Answer with one line of JSON for each and nothing else, in this form:
["agent",["tool",argument,...],["tool",argument,...],...]"""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a prompt.

    Args:
        name: "role", "tools", "legend", "form", "world", "agents" or "faults".
        text: the text.
        counter: counts its tokens.
        gap: what parts it from the next one.
    """

    name: str
    text: str
    counter: TokenCounter = field(repr=False, compare=False)
    gap: str = ""

    @property
    def tokens(self) -> int:
        """Its tokens, with those of the gap: those of all parts add up to those of the prompt."""
        return self.counter.count(self.text + self.gap)


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
            "legend": legend(self.profile),
            "form": _FORM if self.max_steps is None else f"{_FORM}\nAt most {self.max_steps} steps each.",
        }
        return _parts(self.counter, {name: text for name, text in said.items() if text})

    @cached_property
    def system(self) -> str:
        """The system prompt."""
        return joined(self.parts)


@dataclass(frozen=True)
class Scene:
    """What the agents of one job see, ready to be said.

    Args:
        brief: what they are told anyway.
        handles: what they are called.
        agents: their ids, in the order of `world.own`.
        world: what they see.
        groups: the keys of the shared world in groups, those that change least first.
        order: remembers what was last said of each group.
        vault: keeps opaque ids out of the prompt; None leaves them in.
        rules: the provider's prefix cache; None where it is not known.
        requests: how many requests are expected to say the world.
    """

    brief: Brief
    handles: Handles
    agents: Sequence[AgentId]
    world: World
    groups: Sequence[Sequence[str]]
    order: Order
    vault: Vault | None = None
    rules: CacheRules | None = None
    requests: int = 1

    @cached_property
    def prefix(self) -> Prefix:
        """How the part of the world is written that is the same in the next call.

        Where one request says it all, that is the steadiest group; where several do, it is all of it.
        """
        wanted, calls = self.brief.profile, float(self.requests)
        if calls <= 1 and self.groups:
            calls = self.order.lasts(self.groups[0])
        before = sum(part.tokens for part in self.brief.parts)
        return choose_prefix(wanted, self._static_tokens, rules=self.rules, before_tokens=before, calls=calls)

    @cached_property
    def shared(self) -> tuple[Part, ...]:
        """The parts of the world, each encoded alone: a change in one is none to what stands before it."""
        said = {f"world: {', '.join(keys)}": self._world(keys) for keys in self.groups}
        return _parts(self.brief.counter, said, gap=_GAP)

    def user(self, agents: Iterable[AgentId], faults: Iterable[tuple[AgentId, str]] = ()) -> tuple[Part, ...]:
        """Return the parts of the prompt that asks for the plans of some of the agents."""
        said = {"agents": f"Agents:\n{self.encoded(agents).text}"}
        wrong = [f"{self.handles.handle_of(agent)}: {fault}" for agent, fault in faults]
        if wrong:
            said["faults"] = "\n".join(("Your last answer for these agents could not be used:", *wrong))
        return (*self.shared, *_parts(self.brief.counter, said))

    def prompt(self, agents: Iterable[AgentId], faults: Iterable[tuple[AgentId, str]] = ()) -> str:
        """Return the text of `user`."""
        return joined(self.user(agents, faults))

    def encoded(self, agents: Iterable[AgentId]) -> Encoded:
        """Return the lines of some agents: a table with a row for each."""
        index = self._index
        rows = [
            {self._name: self.handles.handle_of(agent), **self.world.own[index[agent]]} for agent in agents
        ]
        return encode(rows, self.brief.profile, vault=self.vault, counter=self.brief.counter)

    @cached_property
    def _name(self) -> str:
        """What the column with the handles is called; a snapshot may have an "agent" of its own."""
        taken = {key for own in self.world.own for key in own} | self.world.shared.keys()
        names = chain(_NAMES, (f"agent{number}" for number in count(2)))
        return next(name for name in names if name not in taken)

    @cached_property
    def _index(self) -> Mapping[AgentId, int]:
        return {agent: index for index, agent in enumerate(self.agents)}

    def _world(self, keys: Sequence[str]) -> str:
        static = keys in self._static
        text = self._written(keys, self.prefix.profile if static else self.brief.profile)
        return f"World:\n{text}" if keys is self.groups[0] else text

    @property
    def _static(self) -> Sequence[Sequence[str]]:
        """The groups that the next call is expected to begin with, too."""
        return self.groups if self.requests > 1 else self.groups[:1]

    def _static_tokens(self, profile: Profile) -> int:
        return sum(self.brief.counter.count(self._written(keys, profile)) for keys in self._static)

    def _written(self, keys: Sequence[str], profile: Profile) -> str:
        def write(value: Any) -> str:
            return encode(value, profile, vault=self.vault, counter=self.brief.counter).text

        return self.order.text({key: self.world.shared[key] for key in keys}, write, profile)


def joined(parts: Iterable[Part]) -> str:
    """Return the text of a whole prompt."""
    return _GAP.join(part.text for part in parts)


def _parts(counter: TokenCounter, said: dict[str, str], gap: str = "") -> tuple[Part, ...]:
    """Return texts as parts by name; `gap` follows the last of them."""
    gaps = [_GAP] * (len(said) - 1) + [gap]
    return tuple(Part(*named, counter, after) for named, after in zip(said.items(), gaps, strict=False))


class Order:
    """Remembers the parts of the world, so that prompts begin alike for as long as possible.

    How often each part changes, to say the steadiest first; and what was last said of it, to say it in the
    same bytes while it is the same.

    Example:
        >>> order = Order()
        >>> order.groups({"t": 1, "walls": [3]}), order.groups({"t": 2, "walls": [3]})
        ([['t', 'walls']], [['walls'], ['t']])
        >>> order.text({"walls": [3]}, str), order.text({"walls": [3]}, repr), order.text({"walls": [4]}, len)
        ("{'walls': [3]}", "{'walls': [3]}", 1)
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[bytes, int, int]] = {}
        self._said: dict[tuple[str, str], tuple[bytes, str]] = {}

    def copy(self) -> Order:
        """Return one that remembers the same."""
        copy = Order()
        copy._seen.update(self._seen)
        copy._said.update(self._said)
        return copy

    def groups(self, shared: Mapping[str, Any]) -> list[list[str]]:
        """Return the keys of a world, together those that have changed as often, the steadiest first."""
        groups: dict[int, list[str]] = {}
        for key, value in shared.items():
            text = text_of(value)
            last, changes, batches = self._seen.get(key, (text, 0, 0))
            self._seen[key] = text, changes + (text != last), batches + 1
            groups.setdefault(self._seen[key][1], []).append(key)
        return [groups[changes] for changes in sorted(groups)]

    def lasts(self, keys: Iterable[str]) -> float:
        """Return for how many batches keys are expected to stay the same: as long as they have so far."""
        known = [self._seen[key][1:] for key in keys]
        return min(
            batches / changes if changes else inf if batches > 1 else 1.0 for changes, batches in known
        )

    def text(self, value: Mapping[str, Any], write: Callable[[Any], str], profile: str = "") -> str:
        """Return what was last said of some keys, if they have the same values as then; else write it."""
        first, seen = (next(iter(value)), profile), text_of(value)
        last, text = self._said.get(first, (b"", ""))
        if seen != last:
            text = write(value)
            self._said[first] = seen, text
        return text
