"""Bounds how long a call may take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import TIMEOUT_MAX

from ..errors import ConfigurationError
from ..resilience._common import is_number, require
from ..types import Call, Flow, Limits
from ._configured import Configured


@dataclass(frozen=True)
class Timeout(Configured):
    """Gives a call a deadline, and its stream a pace; what takes longer is stopped with `CallTimeout`.

    The deadline is absolute: retries, waits and fallback tiers inside share it. With an outer `Timeout`,
    or a second one inside, the earlier deadline and the shorter pace hold.

    An async model is cancelled. A sync one runs in a thread of its own, which costs about 100 us per
    call. Where the connection is from llmopt's pool, that thread ends within about a second after the
    time is up; another one is left behind, and ends with its next event.

    Args:
        total_s: seconds for the whole call, or None.
        first_token_s: seconds to the first event of each attempt, or None.
        between_tokens_s: seconds between two events, or None.

    Raises:
        ConfigurationError: an argument is no number above 0, all are None, or `total_s` ends before another.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import Answer, ScriptedModel, VirtualClock
        >>> clock = VirtualClock()
        >>> slow = ScriptedModel([Answer(text="late", delay_s=60)], clock=clock)
        >>> llmopt.wrap(slow, llmopt.Timeout(30), clock=clock).prompt("Hi").text()
        Traceback (most recent call last):
        llmopt.errors.CallTimeout: no complete answer within 30 s
    """

    total_s: float | None = None
    first_token_s: float | None = None
    between_tokens_s: float | None = None

    def __post_init__(self) -> None:
        paces = {"first_token_s": self.first_token_s, "between_tokens_s": self.between_tokens_s}
        given = {"total_s": self.total_s, **paces}
        if all(value is None for value in given.values()):
            msg = "Timeout() bounds nothing: give total_s, first_token_s or between_tokens_s"
            raise ConfigurationError(msg)
        for name, value in given.items():
            right = value is None or (is_number(value, above=0) and value <= TIMEOUT_MAX)
            require(right, f"Timeout: {name}", value, "a number of seconds above 0, or None for no bound")
        for name, value in paces.items():
            if self.total_s is not None and value is not None and value > self.total_s:
                msg = f"Timeout: {name}={value!r} bounds nothing, for total_s={self.total_s!r} is shorter: "
                raise ConfigurationError(msg + "make it shorter, or leave it out")

    def __call__(self, call: Call) -> Flow:
        """Return the flow of one call."""
        yield call.replace(limits=self._within(call))

    def _within(self, call: Call) -> Limits:
        """Return the limits of the call with these inside."""
        outer = call.limits or Limits()
        limits = replace(
            outer,
            first_token_s=_shorter(outer.first_token_s, self.first_token_s),
            between_tokens_s=_shorter(outer.between_tokens_s, self.between_tokens_s),
        )
        if self.total_s is None:
            return limits
        deadline = call.clock.monotonic() + self.total_s
        if outer.deadline is not None and outer.deadline <= deadline:
            return limits
        return replace(limits, deadline=deadline, total_s=self.total_s)


def _shorter(one: float | None, other: float | None) -> float | None:
    return one if other is None else other if one is None else min(one, other)
