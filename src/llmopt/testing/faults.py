"""Fault plans: models, stores and functions that fail as they are told, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ConfigurationError, StoreError
from ..types import Store
from .catalogue import CATALOGUE, Fault, find
from .script import Answer, Said, answer_of

if TYPE_CHECKING:
    from typing import Self

    from llm.models import Prompt

ResultT = TypeVar("ResultT")


class FaultPlan:
    """Faults in the order in which they happen, one for each use; afterwards all is well.

    A plan is the script of a scripted model, makes a `FaultyStore` fail, or stands `around` a function.
    Errors of models are the ones that llm's OpenAI models raise. `FaultPlan.catalogue()` names all
    faults there are. A plan is used up as it goes: give each model its own.

    Attributes:
        left: the names of the faults that are still to happen.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> plan = FaultPlan.of("429:7", "ok", answer="HOLD")
        >>> model = ScriptedModel(plan)
        >>> try:
        ...     model.prompt("What now?").text()
        ... except Exception as error:
        ...     print(error.status_code, error.response.headers["retry-after"])
        429 7
        >>> model.prompt("What now?").text(), plan.left
        ('HOLD', [])
    """

    def __init__(self, names: tuple[str, ...], answer: Said | Callable[[Prompt], Said] | None = None) -> None:
        self._faults: deque[tuple[str, Fault, float]] = deque((name, *find(name)) for name in names)
        self._answer = answer if answer is None or callable(answer) else answer_of(answer)

    @classmethod
    def of(cls, *names: str, answer: Said | Callable[[Prompt], Said] | None = None) -> Self:
        """Return the plan of these faults.

        Args:
            names: names of the catalogue, some with a number: "429", "429:7", "cut:3", "ok".
            answer: what a model says where all is well, and what its faults spoil: an answer, or a
                function from the llm prompt to one; the echo of the prompt unless given.

        Raises:
            ConfigurationError: there is no such fault.
        """
        return cls(names, answer)

    @staticmethod
    def catalogue() -> dict[str, str]:
        """Return what each fault does, by name.

        Example:
            >>> FaultPlan.catalogue()["cut"]
            'the connection is closed after N events'
        """
        return {name: fault.does for name, fault in CATALOGUE.items()}

    @property
    def left(self) -> list[str]:
        """The names of the faults that are still to happen."""
        return [name for name, _, _ in self._faults]

    def __call__(self, prompt: Prompt) -> Answer:
        """Return what a model does with `prompt`, this time."""
        good = answer_of(self._answer(prompt)) if callable(self._answer) else self._answer or Answer()
        name, fault, number = self._take()
        if fault.spoil is None:
            raise ConfigurationError(f"{name!r} is no fault of a model; use FaultyStore or around()")
        return fault.spoil(good, number)

    def error(self) -> Exception | None:
        """Return the error of a store or a function, this time; None where all is well."""
        name, fault, _ = self._take()
        if fault.fail is None and fault.name != "ok":
            raise ConfigurationError(f"{name!r} is a fault of models; use it as the script of one")
        return None if fault.fail is None else fault.fail()

    def around(self, function: Callable[..., ResultT]) -> Callable[..., ResultT]:
        """Return `function` with the plan's errors raised in place of its calls.

        Example:
            >>> write = FaultPlan.of("ok", "disk_full").around([].append)
            >>> write(1)
            >>> try:
            ...     write(2)
            ... except OSError as error:
            ...     print(error.strerror)
            No space left on device
        """

        def planned(*args: Any, **kwargs: Any) -> ResultT:
            error = self.error()
            if error is not None:
                raise error
            return function(*args, **kwargs)

        return planned

    def _take(self) -> tuple[str, Fault, float]:
        return self._faults.popleft() if self._faults else ("ok", CATALOGUE["ok"], 0.0)


class FaultyStore:
    """A cache store that fails as a plan says: with `StoreError`, caused by the error of the plan.

    Args:
        store: the store that does the work where all is well.
        plan: what happens to `get`, `put`, `delete` and `clear`, one fault for each call.

    Example:
        >>> from llmopt.testing import FaultPlan
        >>> class Nothing(dict):
        ...     stats = dict
        >>> store = FaultyStore(Nothing(), FaultPlan.of("ok", "disk_full"))
        >>> store.get(b"key")
        >>> try:
        ...     store.get(b"key")
        ... except Exception as error:
        ...     print(repr(error.__cause__))
        OSError(28, 'No space left on device')
    """

    def __init__(self, store: Store, plan: FaultPlan) -> None:
        self._store = store
        self._plan = plan

    def get(self, key: bytes) -> tuple[bytes, float] | None:
        """Get an entry, or fail."""
        self._may_fail("get")
        return self._store.get(key)

    def put(self, key: bytes, value: bytes, now: float) -> None:
        """Put an entry, or fail."""
        self._may_fail("put")
        self._store.put(key, value, now)

    def delete(self, key: bytes) -> None:
        """Delete an entry, or fail."""
        self._may_fail("delete")
        self._store.delete(key)

    def clear(self) -> None:
        """Delete all entries, or fail."""
        self._may_fail("clear")
        self._store.clear()

    def stats(self) -> Mapping[str, int]:
        """Return the counters of the store; this never fails."""
        return self._store.stats()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._store)

    def _may_fail(self, verb: str) -> None:
        error = self._plan.error()
        if error is not None:
            raise StoreError(f"the store could not {verb} an entry: {error}") from error
