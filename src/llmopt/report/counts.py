"""What a report counts beside its figures: errors, retries, fragments, batches, losses. See `types`."""

from __future__ import annotations

from dataclasses import dataclass

from .values import share

__all__ = [
    "BatchStats",
    "CacheCandidate",
    "DropCount",
    "ErrorCount",
    "FragmentUse",
    "OddFragment",
    "RetryCount",
    "TierCount",
]


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Calls that did not end well, of one kind.

    Attributes:
        model: the model that was called.
        status: "error", "cancelled" or "abandoned".
        error_class: kind of the error across providers.
        error_type: class of the error.
        http_status: HTTP status that it carried.
        calls: how many.
        last_at: when the last of them began.
    """

    model: str
    status: str
    error_class: str | None
    error_type: str | None
    http_status: int | None
    calls: int
    last_at: str


@dataclass(frozen=True, slots=True)
class RetryCount:
    """Runs of a model that failed, of one kind, and what became of their calls.

    Attributes:
        model: the model that was run.
        error_class: kind of the error across providers.
        error_type: class of the error.
        failures: how many.
        retried: those that were followed by another run.
        recovered: those whose call ended well in the end.
        waited_ms: how long the calls slept before the next run, together.
    """

    model: str
    error_class: str | None
    error_type: str | None
    failures: int
    retried: int
    recovered: int
    waited_ms: float | None


@dataclass(frozen=True, slots=True)
class TierCount:
    """Calls that one tier of a fallback answered.

    Attributes:
        tier: 0 is the model itself.
        model: the model that was called.
        answered_by: the model that was run last; None for a callable.
        calls: how many.
        cost_usd: what they have cost; None where that is unknown.
        p50_duration_ms: half of them took no longer.
    """

    tier: int
    model: str
    answered_by: str | None
    calls: int
    cost_usd: float | None = None
    p50_duration_ms: float | None = None


@dataclass(frozen=True, slots=True)
class FragmentUse:
    """One text, and the calls that it was sent with.

    Attributes:
        digest: SHA-256 in hex.
        kind: part of the prompt: system, prompt, context, tool or schema.
        bytes: its length in UTF-8.
        tokens: its length in tokens, at four bytes each where nobody counted.
        tokens_estimated: whether they are not exact.
        calls: calls with it.
        first_at: when the first of these began; None where their ids do not tell.
        last_at: when the last one did.
        roles: calls by role, the most frequent first; estimated from a sample where there are many.
        excerpt: how the text begins, where the log keeps it.
    """

    digest: str
    kind: str
    bytes: int
    tokens: int
    tokens_estimated: bool
    calls: int
    first_at: str | None = None
    last_at: str | None = None
    roles: tuple[tuple[str, int], ...] = ()
    excerpt: str | None = None


@dataclass(frozen=True, slots=True)
class OddFragment:
    """A fragment that is used otherwise than those like it: perhaps a fault in how prompts are put together.

    Attributes:
        fragment: the fragment.
        reason: "rare", "missing in one role", "in one role only", "appeared" or "disappeared".
        detail: the figures behind it, in one line.
    """

    fragment: FragmentUse
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class CacheCandidate:
    """A prompt that was sent to a model again although it was the same.

    Attributes:
        prompt_digest: digest that the calls share: all that was asked, and of which model.
        model: the model.
        role: the role of the calls; None where they have none or several, or it was not grouped by.
        calls: calls that were sent to it.
        input_tokens: input tokens of one call, on average.
        output_tokens: output tokens of one call, on average.
        repeated_tokens: input and output tokens of all of them but the first.
        repeated_usd: what these have cost; None where the price is unknown.
        last_at: the day of the last of them.
    """

    prompt_digest: str
    model: str
    role: str | None
    calls: int
    input_tokens: float | None
    output_tokens: float | None
    repeated_tokens: int | None
    repeated_usd: float | None
    last_at: str


@dataclass(frozen=True, slots=True)
class BatchStats:
    """Batches of agents that were planned for together.

    Attributes:
        role: the role; "-" where the log does not say.
        batches: how many.
        agents: agents in them, together.
        calls: calls that answered for them.
        judged_rows: rows whose validity is known.
        valid_rows: those of them that were valid.
        valid_low: lower end of the 95 % interval of their share (Wilson).
        valid_high: upper end.
        prompt_tokens: tokens of a prompt, on average.
        p50_duration_ms: half of the batches took no longer.
        p50_first_plan_ms: half of them had their first plan by then.
        flushed_by: batches by what sent them off.
        strategies: batches by how their requests were cut.
    """

    role: str
    batches: int
    agents: int
    calls: int
    judged_rows: int
    valid_rows: int
    valid_low: float | None = None
    valid_high: float | None = None
    prompt_tokens: float | None = None
    p50_duration_ms: float | None = None
    p50_first_plan_ms: float | None = None
    flushed_by: tuple[tuple[str, int], ...] = ()
    strategies: tuple[tuple[str, int], ...] = ()

    @property
    def valid_rate(self) -> float | None:
        """The share of valid rows."""
        return share(self.valid_rows, self.judged_rows)

    @property
    def agents_per_call(self) -> float | None:
        """Agents that one call answered for, on average."""
        return share(self.agents, self.calls)


@dataclass(frozen=True, slots=True)
class DropCount:
    """Records that the log has lost, for one reason.

    Attributes:
        reason: the reason.
        records: how many.
        last_at: when the last loss was written down.
    """

    reason: str
    records: int
    last_at: str
