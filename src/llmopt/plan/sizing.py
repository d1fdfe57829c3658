"""Packs agents into batches: as few requests as context, output, latency and quality allow, evenly filled."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from math import ceil
from types import MappingProxyType
from typing import Any, Final

from ..errors import ConfigurationError
from ..resilience._common import is_count, is_number, require
from .types import AgentId

__all__ = ["PLAN_TOKENS", "Batch", "Budgets", "Member", "Packing", "pack", "plan_tokens"]

PLAN_TOKENS: Final = 30
"""Tokens of one row until some have been seen: 26 measured for three steps as array rows, and a margin."""

_TAIL: Final = 0.95
_NOTHING: Final[Mapping[Hashable, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Member:
    """One agent of a group, as its size matters.

    Args:
        agent: its id.
        line_tokens: tokens of its own line of the prompt.
        output_tokens: tokens that its row may need; see `plan_tokens`.
        sees: what it sees of the shared world; each is in the prompt once for all members of a batch.
    """

    agent: AgentId
    line_tokens: int
    output_tokens: int = PLAN_TOKENS
    sees: frozenset[Hashable] = frozenset()

    def __post_init__(self) -> None:
        require(is_count(self.line_tokens, least=0), "Member: line_tokens", self.line_tokens, _AMOUNT)
        require(is_count(self.output_tokens, least=0), "Member: output_tokens", self.output_tokens, _AMOUNT)


@dataclass(frozen=True, slots=True)
class Budgets:
    """What one request may be.

    Args:
        context_tokens: tokens that the model takes in and puts out together.
        output_tokens: tokens that it puts out at most.
        max_agents: agents that it still plans well for at once; see `Quality`.
        latency_s: seconds until the last plan of a batch has to be there; None for any number.
        first_token_s: seconds until the first token, of `latency_s`.
        output_s_per_token: seconds for each token of output, of `latency_s`.
        safety: share of context and output that is used, above 0 and up to 1: counts may be estimates.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    context_tokens: int = 128_000
    output_tokens: int = 16_384
    max_agents: int = 8
    latency_s: float | None = None
    first_token_s: float = 0.0
    output_s_per_token: float = 0.0
    safety: float = 0.9

    def __post_init__(self) -> None:
        for name in ("context_tokens", "output_tokens", "max_agents"):
            value = getattr(self, name)
            require(is_count(value, least=1), f"Budgets: {name}", value, "a whole number from 1 up")
        for name in ("first_token_s", "output_s_per_token"):
            value = getattr(self, name)
            require(
                is_number(value, above=-1e-300), f"Budgets: {name}", value, "a number of seconds from 0 up"
            )
        right = "a number of seconds above 0, or None"
        bounded = self.latency_s is None or is_number(self.latency_s, above=0)
        require(bounded, "Budgets: latency_s", self.latency_s, right)
        share = is_number(self.safety, above=0) and self.safety <= 1
        require(share, "Budgets: safety", self.safety, "a fraction above 0 and up to 1")

    def output_limit(self) -> float:
        """Return the tokens of output that are allowed by `output_tokens` and `latency_s`."""
        limit = self.safety * self.output_tokens
        if self.latency_s is None:
            return limit
        left_s = self.latency_s - self.first_token_s
        in_time = left_s / self.output_s_per_token if self.output_s_per_token else limit
        return min(limit, in_time if left_s >= 0 else -1)


@dataclass(frozen=True, slots=True)
class Batch:
    """The agents of one request.

    Args:
        members: the agents, in the order in which they stand in the prompt.
        input_tokens: tokens of the prompt.
        output_tokens: tokens that the answer may need.
        fits: whether it keeps the budgets; only a single agent may be too large for them.
        at_cap: whether a larger `max_agents` would have made it larger; see `Quality.after`.
    """

    members: tuple[Member, ...]
    input_tokens: int
    output_tokens: int
    fits: bool = True
    at_cap: bool = False

    @property
    def agents(self) -> tuple[AgentId, ...]:
        """The ids of its agents, in order."""
        return tuple(member.agent for member in self.members)


@dataclass(frozen=True, slots=True)
class Packing:
    """How a group has been packed.

    Args:
        batches: each agent is in exactly one of them. But for agents that are far larger than the others and
            are alone therefore, which come last, their sizes differ by one at most.
        alone: how many of the batches are such.
    """

    batches: tuple[Batch, ...]
    alone: int = 0


def plan_tokens(observed: Sequence[int], prior_tokens: int = PLAN_TOKENS) -> int:
    """Return the tokens of output to reckon with for one plan: what 95 of 100 rows stay within.

    Args:
        observed: tokens of the rows that were seen lately.
        prior_tokens: what to expect where fewer than 20 were seen, unless one of them was larger.

    Example:
        >>> plan_tokens([]), plan_tokens([24, 41]), plan_tokens([20] * 19 + [90])
        (30, 41, 20)
    """
    ranked = sorted(observed)
    rank = ceil(_TAIL * len(ranked))
    tail = ranked[rank - 1] if ranked else 0
    enough = len(ranked) * (1 - _TAIL) >= 1 - 1e-9
    return tail if enough else max(prior_tokens, tail)


def pack(
    members: Iterable[Member],
    budgets: Budgets,
    *,
    static_tokens: int = 0,
    entity_tokens: Mapping[Hashable, int] = _NOTHING,
    seed: int = 0,
) -> Packing:
    """Return the agents of one group in batches.

    Agents that see the same stand together. There are as few batches as the budgets allow when all are of
    equal size, give or take one, because the slowest decides when all plans are there. Within a batch the
    order is rotated by `seed`, so that no agent is always the last one.

    Args:
        members: the agents of a group, which have role, tools and static part in common.
        budgets: what one request may be.
        static_tokens: tokens of the part that is the same for all.
        entity_tokens: tokens of the parts of the shared world that members `sees`.
        seed: for the rotation, such as the number of the tick. The same arguments make the same batches,
            in whatever order the members are given.

    Raises:
        ConfigurationError: an agent is there twice, or `static_tokens` is negative.

    Example:
        >>> packing = pack([Member(n, 40) for n in range(10)], Budgets(max_agents=8), static_tokens=500)
        >>> [batch.agents for batch in packing.batches]
        [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
        >>> packing.batches[0].input_tokens, packing.batches[0].output_tokens
        (700, 150)
    """
    require(is_count(static_tokens, least=0), "pack: static_tokens", static_tokens, _AMOUNT)
    ranked = sorted(members, key=_rank)
    agents = [member.agent for member in ranked]
    if len(set(agents)) < len(agents):
        twice = next(agent for agent in agents if agents.count(agent) > 1)
        raise ConfigurationError(f"pack: agent={twice!r} is there more than once")
    return _Packer(budgets, static_tokens, entity_tokens, seed).pack(ranked)


@dataclass(frozen=True, slots=True)
class _Packer:
    budgets: Budgets
    static_tokens: int
    entity_tokens: Mapping[Hashable, int]
    seed: int
    _context: float = field(init=False)
    _output: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_context", self.budgets.safety * self.budgets.context_tokens)
        object.__setattr__(self, "_output", self.budgets.output_limit())

    def pack(self, ranked: list[Member]) -> Packing:
        """Return the packing with the fewest batches over how many of the largest are left alone."""
        by_size = sorted(ranked, key=lambda member: -self._share(member))
        first = sum(not self._fits(*self._size([member])) for member in ranked)
        tried = [self._deal(ranked, by_size[:first])]
        if len(tried[0][0]) > self._fewest(by_size[first:]):
            # One large agent makes all batches small. Doubling finds about how many to set apart.
            steps = [first + 2**step for step in range(len(ranked).bit_length())]
            tried += [self._deal(ranked, by_size[:alone]) for alone in steps if alone <= len(ranked)]
        together, apart = min(tried, key=lambda found: len(found[0]) + len(found[1]))
        cap = self.budgets.max_agents
        count = sum(map(len, together))
        at_cap = (len(together) > 1 and len(together) == ceil(count / cap)) or count == cap
        batches = [self._batch(part, at_cap=at_cap) for part in together]
        return Packing((*batches, *(self._batch([member]) for member in apart)), alone=len(apart))

    def _deal(self, ranked: list[Member], apart: list[Member]) -> tuple[list[list[Member]], list[Member]]:
        """Return all but `apart` in even parts that fit, as few as can be."""
        out = {member.agent for member in apart}
        rest = [member for member in ranked if member.agent not in out]
        lines = [0, *accumulate(member.line_tokens for member in rest)]
        rows = [0, *accumulate(member.output_tokens for member in rest)]
        parts = self._fewest(rest)
        while not self._all_fit(rest, lines, rows, parts):
            parts += 1
        return [rest[a:b] for a, b in _cuts(len(rest), parts)], sorted(apart, key=_rank)

    def _fewest(self, members: list[Member]) -> int:
        """Return a number of parts that is not too large, from what all of them hold together."""
        count, room = len(members), self._context - self.static_tokens
        lines = sum(member.line_tokens for member in members)
        rows = sum(member.output_tokens for member in members)
        bounds = [count / self.budgets.max_agents]
        bounds += [(lines + rows) / room] if room > 0 else []
        bounds += [rows / self._output] if self._output > 0 else []
        return min(count, max(map(ceil, bounds)))

    def _all_fit(self, rest: list[Member], lines: list[int], rows: list[int], parts: int) -> bool:
        """Tell whether even parts keep the budgets; parts of one agent do, or are set apart."""
        if parts >= len(rest):
            return True
        return all(
            self._fits(
                self.static_tokens + lines[b] - lines[a] + self._world(rest[a:b]),
                rows[b] - rows[a],
            )
            for a, b in _cuts(len(rest), parts)
        )

    def _world(self, members: list[Member]) -> int:
        if not self.entity_tokens:
            return 0
        seen = set(chain.from_iterable(member.sees for member in members))
        return sum(self.entity_tokens.get(entity, 0) for entity in seen)

    def _size(self, members: list[Member]) -> tuple[int, int]:
        lines = sum(member.line_tokens for member in members)
        rows = sum(member.output_tokens for member in members)
        return self.static_tokens + lines + self._world(members), rows

    def _fits(self, input_tokens: int, output_tokens: int) -> bool:
        return input_tokens + output_tokens <= self._context and output_tokens <= self._output

    def _share(self, member: Member) -> float:
        """Return which part of a request an agent takes up: 1 where it needs all of it."""
        size = sum(self._size([member])) - self.static_tokens
        room = self._context - self.static_tokens
        return max(size / room if room > 0 else size, member.output_tokens / max(self._output, 1e-9))

    def _batch(self, members: list[Member], *, at_cap: bool = False) -> Batch:
        first = self.seed % len(members)
        size = self._size(members)
        return Batch((*members[first:], *members[:first]), *size, fits=self._fits(*size), at_cap=at_cap)


def _cuts(count: int, parts: int) -> list[tuple[int, int]]:
    """Return the bounds of `parts` parts of `count`, whose sizes differ by one at most."""
    return [(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def _rank(member: Member) -> tuple[Any, ...]:
    """Order by what is seen, then by id; neither sets nor ids of two types have an order of their own."""
    return (sorted(map(repr, member.sees)), isinstance(member.agent, str), member.agent)


_AMOUNT: Final = "a whole number from 0 up"
