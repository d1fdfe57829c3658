"""Finds the prompts that came more than once, in one pass and in little memory."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from .pricing import NANO
from .tally import Cell
from .types import CacheCandidate

__all__ = ["Repeat", "Repeats"]

MOST_PROMPTS: Final = 1_500_000
"""Different prompts that are remembered, at about 70 bytes each. Of those that come later, a repeat is not
seen."""


@dataclass(slots=True)
class Repeat:
    """A prompt that was sent to a model again. The first time that it was sent is not counted.

    Attributes:
        digest: its digest.
        model: the model.
        role: the role of the calls; None where they have none, or several.
        calls: how often it was sent again.
        input_tokens: input tokens of these, as far as they are known.
        output_tokens: output tokens of these.
        counted: calls whose tokens are known.
        cost_nano: what they have cost, as far as that is known.
        priced: calls whose price is known.
        last_day: the day of the last one.
    """

    digest: str
    model: str
    role: str | None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    counted: int = 0
    cost_nano: int = 0
    priced: int = 0
    last_day: str = ""

    def add(
        self, cell: Cell, role: str | None, given: int | None, output: int | None, cost_nano: int | None
    ) -> None:
        """Add a call."""
        self.calls += 1
        self.role = self.role if role == self.role else None
        self.last_day = max(self.last_day, cell.day)
        if given is not None:
            self.counted += 1
            self.input_tokens += given
            self.output_tokens += output or 0
        if cost_nano is not None:
            self.priced += 1
            self.cost_nano += cost_nano


@dataclass(slots=True)
class Repeats:
    """The prompts that came more than once, and what the repetitions have cost.

    Attributes:
        found: those prompts, by their digest.
        is_complete: whether all prompts were remembered.
    """

    found: dict[str, Repeat] = field(default_factory=dict[str, Repeat])
    is_complete: bool = True
    _seen: set[int] = field(default_factory=set[int])

    def add(self, cell: Cell, role: str, digests: Sequence[str], *columns: Sequence[int | None]) -> None:
        """Add calls that were sent to a model.

        Args:
            cell: what they have in common.
            role: their role; empty where it is not known.
            digests: what each has asked, and of which model; empty where that is unknown.
            columns: their input tokens, output tokens, and prices in nano-dollars, as far as they are known.
        """
        for place in self._repeated(list(map(hash, digests))):
            digest = digests[place]
            if digest:
                repeat = self.found.get(digest)
                if repeat is None:
                    repeat = self.found[digest] = Repeat(digest, cell.model, role or None)
                repeat.add(cell, role or None, *(column[place] for column in columns))

    def _repeated(self, hashes: list[int]) -> Iterator[int]:
        """Yield the places of prompts that came before; remember the others.

        Sets are compared as a whole: there may be millions of prompts, of which few come again.
        """
        here = set(hashes)
        before = here & self._seen
        twice: set[int] = set()
        if len(here) < len(hashes):
            twice = {known for known, calls in Counter(hashes).items() if calls > 1} - before
        if len(self._seen) + len(here) <= MOST_PROMPTS:
            self._seen |= here
        else:
            self.is_complete = False
        again = before | twice
        for place in [place for place, known in enumerate(hashes) if known in again]:
            if hashes[place] in twice:
                twice.remove(hashes[place])  # the first of them
            else:
                yield place

    def candidates(self, most: int) -> tuple[CacheCandidate, ...]:
        """Return the prompts whose repetitions have cost most.

        Args:
            most: how many at most.
        """
        dearest = heapq.nlargest(most, self.found.values(), key=_worth)
        return tuple(map(_candidate, dearest))


def _worth(repeat: Repeat) -> tuple[float, int, int, str]:
    return repeat.cost_nano, repeat.input_tokens + repeat.output_tokens, repeat.calls, repeat.digest


def _candidate(repeat: Repeat) -> CacheCandidate:
    counted = repeat.counted
    return CacheCandidate(
        repeat.digest,
        repeat.model,
        repeat.role,
        repeat.calls + 1,
        repeat.input_tokens / counted if counted else None,
        repeat.output_tokens / counted if counted else None,
        repeat.input_tokens + repeat.output_tokens if counted else None,
        repeat.cost_nano / NANO if repeat.priced else None,
        repeat.last_day,
    )
