"""The usage log's row of a batch: agents that were planned for together, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from .record import BATCH, encode

if TYPE_CHECKING:
    from .remembered import Words

FlushedBy: TypeAlias = Literal["full", "time", "demand"]
"""What sent a batch off."""


class Writer(Protocol):
    """Takes payloads for one usage log."""

    def put(self, payload: bytes, /) -> object:
        """Write one payload."""
        ...

    def lose(self, reason: str, /) -> object:
        """Count a payload that could not even be made."""
        ...


class Slot(NamedTuple):
    """What became of one agent of a batch.

    Attributes:
        agent: the agent's id.
        call_id: the call that answered for it, or None.
        plan_ok: whether a model's plan for it was valid; None where nobody knows.
        first_plan_ms: from the beginning of the batch to its plan, whoever made that.
        error: what was wrong, in a word or the name of a class; also where a later plan was valid.
    """

    agent: str
    call_id: str | None = None
    plan_ok: bool | None = None
    first_plan_ms: float | None = None
    error: str | None = None


class Batch:
    """A batch under way: the calls that are made for it carry its id, and it knows their logs.

    Args:
        wall_s: when it began, in seconds since the epoch.
        flushed_by: what sent it off.

    Attributes:
        writers: those of the usage logs that have logged a call of it; a log adds its own.

    Example:
        >>> batch = Batch(1.5)
        >>> with batch.calls():
        ...     BATCH.get() is batch
        True
        >>> BATCH.get() is None, batch.writers
        (True, set())
    """

    __slots__ = ("_ids", "flushed_by", "wall_s", "writers")

    def __init__(self, wall_s: float, flushed_by: FlushedBy = "demand") -> None:
        self._ids: list[str] = []
        self.wall_s = wall_s
        self.flushed_by: FlushedBy = flushed_by
        self.writers: set[Writer] = set()

    @property
    def id(self) -> str:
        """Its id, a ULID. It is made when a log asks for it: without one a batch does not pay for it."""
        if not self._ids:
            from llm.utils import monotonic_ulid

            self._ids.append(str(monotonic_ulid()).lower())
        return self._ids[0]  # where two threads were here at once, the first of theirs

    @contextmanager
    def calls(self) -> Generator[None, None, None]:
        """Have the calls that begin inside the block carry its id."""
        token = BATCH.set(self)
        try:
            yield
        finally:
            BATCH.reset(token)


class Logs:
    """The usage logs of those who make batches, known from one batch to the next.

    Example:
        >>> logs, batch = Logs(), Batch(1.5)
        >>> logs.of(batch)
        ()
        >>> logs.clean("ann"), logs.clean("Bearer 9f8e7d6c5b4a3210")
        ('ann', 'Bearer [redacted:authorization]')
    """

    __slots__ = ("_words", "_writers")

    def __init__(self) -> None:
        self._writers: set[Writer] = set()
        self._words: Words | None = None

    def of(self, batch: Batch) -> tuple[Writer, ...]:
        """Return the writers of the logs of a batch: of earlier ones too if no call of it was logged."""
        written = tuple(batch.writers)
        self._writers.update(written)
        return written or tuple(self._writers)

    def clean(self, name: str) -> str | None:
        """Return a name as it may be written: without what is, or looks like, a secret."""
        if self._words is None:
            from .known_secrets import KnownSecrets
            from .redact import Redactor
            from .remembered import Words

            known = KnownSecrets()
            known.look_around()
            self._words = Words(Redactor(known))
        return self._words[name]


def payload(
    batch: Batch,
    clean: Callable[[str], str | None],
    duration_ms: float,
    slots: Iterable[Slot],
    *,
    prompt_tokens: int | None = None,
    role: str | None = None,
    strategy: str | None = None,
) -> bytes:
    r"""Return a batch as the log takes it: a JSON array, with an array for each agent at its end.

    Args:
        batch: the batch.
        clean: takes secrets out of the names of agents and of the role.
        duration_ms: from its beginning to the last plan, or to its end if an agent has none.
        slots: the agents in order.
        prompt_tokens: input tokens of its requests, or None.
        role: the role that was planned for, or None.
        strategy: how its requests were cut, or None.

    Example:
        >>> payload(Batch(1.5), str, 20.0, [Slot("ann", "01k", True, 18.5)], role="tactical")
        b'["batch","...",1.5,20.0,1,"demand",null,"tactical",null,[[0,"ann","01k",1,18.5,null]]]'
    """
    rows = [
        (place, clean(agent), call_id, None if ok is None else int(ok), first_ms, error)
        for place, (agent, call_id, ok, first_ms, error) in enumerate(slots)
    ]
    head = (batch.id, batch.wall_s, duration_ms, len(rows), batch.flushed_by)
    return encode((*head, prompt_tokens, role and clean(role), strategy, rows), "batch")
