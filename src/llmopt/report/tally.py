"""Sums of calls that a report does not tell apart: what `scan` reads and `figures` adds up."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["Cell", "Counts", "Sums", "added", "total"]


class Sums(NamedTuple):
    """Tokens; None where nobody has said anything.

    Attributes:
        input: input tokens, cached ones included.
        output: output tokens, reasoning included.
        read: input tokens that a provider read from its prefix cache.
        write: input tokens that it wrote there.
        reasoning: output tokens spent on reasoning.
    """

    input: int | None = None
    output: int | None = None
    read: int | None = None
    write: int | None = None
    reasoning: int | None = None

    def plus(self, other: Sums, times: int = 1) -> Sums:
        """Return these and others together, or these less the others."""
        return Sums(*(added(own, value, times) for own, value in zip(self, other, strict=True)))

    @property
    def tokens(self) -> int:
        """Input and output tokens, as far as they are known."""
        return (self.input or 0) + (self.output or 0)


def added(first: int | None, second: int | None, times: int = 1) -> int | None:
    """Return the sum of what is known.

    Example:
        >>> added(None, 2), added(1, 2), added(None, None)
        (2, 3, None)
    """
    if first is None or second is None:
        return first if second is None else times * second
    return first + times * second


def total(values: Iterable[Sums]) -> Sums:
    """Return all of these together."""
    together = Sums()
    for value in values:
        together = together.plus(value)
    return together


class Counts(NamedTuple):
    """How many calls there were, and of which kind.

    Attributes:
        calls: calls, whatever became of them.
        ok: those that ended well.
        runs: runs of a model.
        counted: calls whose tokens somebody has counted.
        told: calls of a model whose tokens are known.
        priced: calls of a model whose price is known.
        shrunk: calls of a model that compression was at work on.
        outcomes: calls by what llmopt's own cache did.
        sources: calls by who has counted their tokens, if it was not the provider.
    """

    calls: int
    ok: int = 0
    runs: int = 0
    counted: int = 0
    told: int = 0
    priced: int = 0
    shrunk: int = 0
    outcomes: Mapping[str, int] = MappingProxyType({})
    sources: Mapping[str, int] = MappingProxyType({})

    @property
    def doubtful(self) -> int:
        """Calls whose tokens the provider has not counted."""
        return sum(self.sources.values())

    @property
    def served(self) -> int:
        """Calls that llmopt's own cache answered."""
        return sum(self.outcomes.get(outcome, 0) for outcome in ("hit", "stale", "coalesced"))

    @property
    def missed(self) -> int:
        """Calls that it looked up and did not find."""
        return self.outcomes.get("miss", 0)


class Cell(NamedTuple):
    """The calls of one day, model, price and group.

    Attributes:
        day: the day in UTC.
        name: their role or agent, if that is what they are grouped by; else empty.
        model: the model that was called.
        price: number of the price; None where it is unknown.
        counts: how many there are.
        ran: tokens of the answers of those that took a run of a model.
        served: tokens of the answers of those that took none.
        cost_nano: what their runs have cost, in nano-dollars, as far as it is known.
        shrunk: tokens that compression took from the prompts that were sent.
        durations_us: how long each of them took, of those that a model answered; in microseconds, to four
            digits.
        ttfts_us: how long it took to the first event.
    """

    day: str
    name: str
    model: str
    price: int | None
    counts: Counts
    ran: Sums = Sums()
    served: Sums = Sums()
    cost_nano: int | None = None
    shrunk: int | None = None
    durations_us: array[int] = array("Q")
    ttfts_us: array[int] = array("Q")
