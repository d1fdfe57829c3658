"""PlanStream: chunks of a reply in, whole plans out."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, Unpack, get_args, overload

from ..errors import ConfigurationError, PlanStreamError
from .decoders import decoder_of
from .expectations import AgentId, Expectations, OnDuplicate
from .gather import gather
from .identity import Identity
from .intake import Intake
from .limits import Limits
from .mend import Mender
from .options import Mode, OnError, StreamOptions
from .partial import Growing
from .result import FailedRow, StreamResult, StreamStats
from .route import Route
from .scanner import Scanner
from .setup import Setup

__all__ = ["PlanStream"]

PlanT = TypeVar("PlanT")


class PlanStream(Generic[PlanT]):
    """Parses the plans of a reply while it arrives, whatever stands around them.

    Every plan is returned by the `feed` that brings its last character, in time linear in the reply and in
    memory that a plan and a chunk determine. What is cut off is never taken for a plan.

    Args:
        kind: what plans are: None for dict (or list, for rows), a pydantic model, a msgspec Struct, a
            dataclass, a TypedDict, or a function from the JSON text of one plan to the plan.
        expected: the ids of the agents whose plans are to come, or their number.
        mode: "strict" takes JSON and nothing else, or raises. "lenient" finds plans in fences, prose, wrapper
            objects and lines, and passes by what is damaged. "repair" guesses besides what damaged plans
            were meant to be (extra `repair`).
        id_key: the key of the id in a plan, or 0 for plans that are arrays and begin with the id.
        on_duplicate: what to do with the second plan of an agent: "first" drops it, "last" and "keep" hand it
            out, "error" ends the stream. None means "first" where ids are expected and "keep" elsewhere.
            With "keep" and no expected ids, ids are not looked at.
        on_error: "record" goes on after a plan that is refused and lists it in `failed`; "raise" does not.
        path: "auto" looks for the list wherever it is customary, "root" takes the reply itself for the list
            or the plan, "ndjson" takes every value for a plan; else the keys that lead to the list, such as
            "data.plans".
        partial: whether `partial` shows the plan that is arriving (extra `partial`).
        max_element_bytes: the size of one plan. This and the next two are characters where str is fed.
        max_depth: brackets within each other in one plan, its own included.
        max_preamble_bytes: text before the first plan, or beside the list in a wrapper.
        max_plans: how many plans there may be.

    Attributes:
        feed: takes the next chunk, str or bytes, the same throughout, split anywhere; returns the plans that
            it completes, which may be none. It is the `send` of a generator, because a method around it
            would cost as much again.

    Raises:
        ConfigurationError: an argument is wrong, or the package that it needs is absent.

    Example:
        >>> stream = PlanStream(expected=["a1", "a2"])
        >>> stream.feed('Here you are: [{"agent_id": "a1", "steps": []}, {"agent_id"')
        [{'agent_id': 'a1', 'steps': []}]
        >>> stream.feed(': "a2", "ste'), stream.missing
        ((), ('a2',))
        >>> stream.finalize().truncated
        True
    """

    feed: Callable[[Any], Sequence[PlanT]]

    @overload
    def __init__(self: PlanStream[Any], kind: None = None, **options: Unpack[StreamOptions]) -> None: ...
    @overload
    def __init__(self, kind: type[PlanT], **options: Unpack[StreamOptions]) -> None: ...
    @overload
    def __init__(self, kind: Callable[[Any], PlanT], **options: Unpack[StreamOptions]) -> None: ...

    def __init__(
        self,
        kind: Any = None,
        *,
        expected: Iterable[AgentId] | int | None = None,
        mode: Mode = "lenient",
        id_key: str | int = "agent_id",
        on_duplicate: OnDuplicate | None = None,
        on_error: OnError = "record",
        path: str = "auto",
        partial: bool = False,
        max_element_bytes: int = 1 << 20,
        max_depth: int = 128,
        max_preamble_bytes: int = 1 << 20,
        max_plans: int | None = None,
    ) -> None:
        _one_of("mode", mode, get_args(Mode))
        _one_of("on_error", on_error, get_args(OnError))
        limits = Limits(
            max_element_bytes=max_element_bytes,
            max_depth=max_depth,
            max_preamble_bytes=max_preamble_bytes,
            max_plans=max_plans,
        )
        expectations = Expectations(expected, on_duplicate=on_duplicate, loose=mode != "strict")
        identity, decoder = Identity(id_key), decoder_of(kind)
        self._intake = Intake(
            decoder,
            identity,
            expectations,
            limits,
            raises=on_error == "raise",
            selective=mode != "strict",
        )
        own = decoder.fields if identity.rows else decoder.fields | {str(id_key)}
        mender = None if mode == "strict" else Mender(decoder, identity, repair=mode == "repair")
        self._growing = Growing() if partial else None
        self._setup = Setup(self._intake, Route.parse(path, rows=identity.rows, own=own), mender)
        self._setup.on_failure = _refusal(weakref.ref(self))
        self._result: StreamResult[PlanT] | None = None
        self._gathering = gather(self._setup)
        next(self._gathering)
        self.feed = self._gathering.send

    @property
    def is_satisfied(self) -> bool:
        """Whether all plans that were expected have come. Without `expected` that is never known."""
        return self._intake.expectations.satisfied(self._intake.count)

    @property
    def missing(self) -> tuple[AgentId, ...]:
        """Expected ids whose plans have not come, in the order in which they were given."""
        return self._intake.expectations.missing

    @property
    def unexpected(self) -> tuple[AgentId, ...]:
        """Ids of plans that have come and were not expected. The plans were handed out."""
        return self._intake.expectations.unexpected

    @property
    def failed(self) -> tuple[FailedRow, ...]:
        """What should have been plans so far and is none."""
        return tuple(self._intake.failed)

    @property
    def partial(self) -> Any:
        """The plan that is arriving, as far as it has, or None between plans.

        Strings may be cut off in it, and numbers are left out until they are complete.

        Raises:
            ConfigurationError: `partial=True` was not given.
        """
        if self._growing is None:
            raise ConfigurationError("give PlanStream partial=True to see the plan that is arriving")
        scanner = self._setup.scanner
        return None if scanner is None else self._growing.look(scanner)

    def finalize(self) -> StreamResult[PlanT]:
        """Say that the reply has ended.

        Returns:
            What is known of the stream, with the plans that its end made certain. Further calls return the
            same, without these.

        Raises:
            PlanStreamError: the stream had failed; or, in strict mode, `TruncatedStreamError`: the reply
                must not end here. The plans that were complete are in its `plans`.
        """
        if self._result is None:
            scanner = self._setup.scanner or self._setup.scanner_for("")
            try:
                truncated = scanner.finish()
            except PlanStreamError as error:
                error.plans += tuple(self._intake.collect())
                self._end(error)
                raise
            self._result = self._result_of(scanner, truncated=truncated)
            self._end(PlanStreamError("the stream was finalized: a new reply needs a new PlanStream"))
            return self._result
        return replace(self._result, plans=())

    def _result_of(self, scanner: Scanner, *, truncated: bool) -> StreamResult[PlanT]:
        intake = self._intake
        plans = tuple(intake.collect())
        stats = StreamStats(
            chars=scanner.cursor.offset + len(scanner.unread()),
            plans=intake.count,
            repaired=len(intake.repaired),
            failed=len(intake.failed),
            dropped=intake.dropped,
        )
        expectations = intake.expectations
        return StreamResult(
            plans=plans,
            missing=expectations.missing,
            unexpected=expectations.unexpected,
            duplicates=expectations.duplicates,
            failed=tuple(intake.failed),
            truncated=truncated,
            repaired=tuple(intake.repaired),
            stats=stats,
        )

    def _end(self, error: Exception) -> None:
        """From now on every `feed` raises."""

        def feed(_chunk: Any) -> Sequence[PlanT]:
            raise error

        self.feed = feed


def _refusal(stream: weakref.ref[PlanStream[Any]]) -> Callable[[Exception], None]:
    """Return what makes the stream, if there still is one, raise the same error at every further `feed`.

    The generator has ended then, and would only say so. It must not keep the stream alive: whoever has
    taken `feed` alone needs no more than the generator.
    """

    def refuse(error: Exception) -> None:
        found = stream()
        if found is not None:
            found._end(error)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its own

    return refuse


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigurationError(f"{name} must be one of {known}, not {value!r}")
