"""How many agents a model plans well for at once: found by asking for more until rows go wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock
from typing import Final

from ..resilience._common import is_count, require

__all__ = ["Outcome", "Quality", "QualityBook"]

_VALID: Final = 0.98
_STEP: Final = 2
_CLEAN: Final = 2
_START: Final = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the rows of one batch have come out.

    Args:
        asked: agents that were asked for.
        valid: rows among them that were good in the first answer.
        truncated: whether the answer was cut off.
        cap: the `Quality.cap` that the batch was packed under.
        at_cap: whether that cap is what kept it from being larger (`Batch.at_cap`).

    Raises:
        ConfigurationError: a number is out of its range.
    """

    asked: int
    valid: int
    truncated: bool = False
    cap: int = _START
    at_cap: bool = True

    def __post_init__(self) -> None:
        require(is_count(self.asked, least=1), "Outcome: asked", self.asked, "a whole number from 1 up")
        right = f"a whole number from 0 to asked={self.asked}"
        possible = is_count(self.valid, least=0) and self.valid <= self.asked
        require(possible, "Outcome: valid", self.valid, right)
        require(is_count(self.cap, least=1), "Outcome: cap", self.cap, "a whole number from 1 up")

    @property
    def clean(self) -> bool:
        """Whether at least 98 of 100 rows were good, and nothing was cut off."""
        return not self.truncated and self.valid >= _VALID * self.asked


@dataclass(frozen=True, slots=True)
class Quality:
    """How many agents one request may ask for, as far as the quality of the answers goes.

    Additive increase, multiplicative decrease, as TCP finds its window (Chiu and Jain, 1989): two clean
    batches at the cap add 2 to it; a batch with less than 98 % good rows, or one that was cut off, halves it.
    Batches that the cap did not limit prove nothing for a larger one. Outcomes of batches that were packed
    under an older, larger cap are old news, and change nothing.

    Args:
        cap: agents; 8 to start with, 15 for models that reason (batches of 15 kept their accuracy in arXiv
            2511.04108).
        clean: clean batches at the cap in a row.

    Raises:
        ConfigurationError: a number is out of its range.

    Example:
        >>> quality = Quality()
        >>> quality = quality.after(Outcome(8, 8)).after(Outcome(8, 8))
        >>> quality.cap
        10
        >>> quality.after(Outcome(10, 9, cap=10)).cap
        5
    """

    cap: int = _START
    clean: int = 0

    def __post_init__(self) -> None:
        require(is_count(self.cap, least=1), "Quality: cap", self.cap, "a whole number from 1 up")
        right = f"0 to {_CLEAN - 1}"
        require(is_count(self.clean, least=0) and self.clean < _CLEAN, "Quality: clean", self.clean, right)

    def after(self, outcome: Outcome) -> Quality:
        """Return the state after a batch."""
        if outcome.cap > self.cap:
            return self
        if not outcome.clean:
            return Quality(max(1, self.cap // 2))
        if not outcome.at_cap or outcome.cap < self.cap:
            return self
        if self.clean + 1 < _CLEAN:
            return replace(self, clean=self.clean + 1)
        return Quality(self.cap + _STEP)


class QualityBook:
    """The `Quality` of each model and role. Safe for threads.

    Args:
        start: the cap of a model and role that nothing is known about.

    Raises:
        ConfigurationError: `start` is below 1.

    Example:
        >>> book = QualityBook()
        >>> book.record("gpt-4o-mini", "tactical", Outcome(8, 6)).cap
        4
        >>> book.cap("gpt-4o-mini", "tactical"), book.cap("gpt-4o-mini", "stealth")
        (4, 8)
    """

    def __init__(self, start: int = _START) -> None:
        self._start = Quality(start)
        self._lock = Lock()
        self._known: dict[tuple[str, str], Quality] = {}

    def cap(self, model_id: str, role: str) -> int:
        """Return how many agents a request may ask for now."""
        with self._lock:
            return self._known.get((model_id, role), self._start).cap

    def record(self, model_id: str, role: str, outcome: Outcome) -> Quality:
        """Take in how a batch has come out, and return the state after it."""
        with self._lock:
            key = (model_id, role)
            found = self._known[key] = self._known.get(key, self._start).after(outcome)
            return found

    def stats(self) -> dict[tuple[str, str], Quality]:
        """Return the states by model and role."""
        with self._lock:
            return dict(self._known)
