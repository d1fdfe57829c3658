"""What has happened to a call: its attempts, its usage, and the notes that middlewares leave."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias


class Usage(NamedTuple):
    """Tokens of one reply as the provider states them, in llm's own shape.

    Attributes:
        input_tokens: input tokens; whether cached ones are included is the provider's choice.
        output_tokens: output tokens, reasoning included.
        details: the provider's own breakdown, or None.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    details: dict[str, Any] | None = None


class Attempt(NamedTuple):
    """One run of a model on behalf of a call; all times are the chain clock's monotonic seconds.

    Attributes:
        model_id: the model that was asked.
        started_at: when it was asked.
        waited_s: seconds that flows slept since the call or the last attempt.
        first_event_at: when its first event came, or None.
        ended_at: when it ended.
        error: what went wrong; an `Abandoned` when the consumer left.
        usage: its tokens.
    """

    model_id: str
    started_at: float
    waited_s: float = 0.0
    first_event_at: float | None = None
    ended_at: float | None = None
    error: BaseException | None = None
    usage: Usage | None = None


RunUnderWay: TypeAlias = "tuple[str, float, float]"
"""The first three attributes of the `Attempt` that it will be."""


class Trace:
    """What has happened to one logical call so far; shared by all its changed copies.

    A wrapped model's response carries it as `response.llmopt`, once the response is complete.

    Attributes:
        started: whether an event has reached the consumer.
        waited_s: seconds slept since the last attempt.
        source: what answered in the end: "model", "cache", "fallback", ...; None until then.
        attempts: every run of a model that has ended, or None where no middleware wants to know (`record`).
        run: the run under way, if attempts are recorded.
        first_event_at: when the first event of that run came, or None.
        run_response: the llm response that the last run has written to.
        noted: the notes, or None while there are none.
        log: the writer of the usage log that is to log this call, or None.
    """

    __slots__ = (
        "attempts",
        "first_event_at",
        "log",
        "noted",
        "run",
        "run_response",
        "source",
        "started",
        "waited_s",
    )

    def __init__(self) -> None:
        self.started = False
        self.waited_s = 0.0
        self.source: str | None = None
        self.attempts: list[Attempt] | None = None
        self.run: RunUnderWay | None = None
        self.first_event_at: float | None = None
        self.run_response: Any = None
        self.noted: dict[str, Any] | None = None
        self.log: Any = None

    def record(self) -> list[Attempt]:
        """Have the times and the usage of every attempt recorded from now on, and return the list."""
        if self.attempts is None:
            self.attempts = []
        return self.attempts

    @property
    def notes(self) -> dict[str, Any]:
        """What middlewares have to say to each other and to the log, by name ("cache", "tier", ...)."""
        if self.noted is None:
            self.noted = {}
        return self.noted
