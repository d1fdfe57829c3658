"""The guard: a plainer profile where a model's answers have become worse.

Whether a model understands an encoding shows in its answers: in how many of the rows that were asked for are
valid. The guard compares that rate with the rate under the next plainer profile, for each model and role.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from ..errors import ConfigurationError
from .notation.features import PROFILES

__all__ = ["Guard"]

_LADDER: Final = tuple(PROFILES)  # the plainest first
_PENDING: Final = 1024
_SWEPT_ALWAYS: Final = 64  # more that is pending is looked through only every so many calls
_ROUNDING: Final = 1e-9


class Guard:
    """Steps a model and role down to a plainer profile when its rate of valid rows falls.

    It steps down when the rate under a profile, taken over `min_calls` judged calls or more, is by more than
    `max_drop` lower than the rate under the next plainer profile. Where that one is not known, the plainer
    profile is used for as many calls to learn it, but not while so few rows are invalid that the rate cannot
    have fallen that far. A step down is never taken back. Calls that nobody judges change nothing.

    Safe for threads.

    Args:
        min_calls: judged calls without which nothing is decided.
        max_drop: how much lower the rate may be; 0.01 is one percentage point.
        window: how many of the last judged calls a rate is taken over.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> guard, profiles = Guard(min_calls=2), []
        >>> for valid in (10, 8, 10, 10, 10):
        ...     profiles.append(guard.profile("tactical", "dense"))
        ...     guard.tell("tactical", profiles[-1], valid, rows=10)
        >>> profiles, guard.steps()
        (['dense', 'dense', 'balanced', 'balanced', 'balanced'], {'tactical': 'balanced'})
    """

    __slots__ = ("_calls", "_courses", "_lock", "_max_drop", "_min_calls", "_pending", "_window")

    def __init__(self, *, min_calls: int = 50, max_drop: float = 0.01, window: int = 200) -> None:
        if type(min_calls) is not int or min_calls < 1:
            raise ConfigurationError(f"min_calls={min_calls!r}: give a whole number from 1 up")
        if type(window) is not int or window < min_calls:
            raise ConfigurationError(f"window={window!r}: give a whole number from min_calls={min_calls} up")
        if type(max_drop) not in {int, float} or not 0 <= max_drop < 1:
            raise ConfigurationError(f"max_drop={max_drop!r}: give a number from 0 up and below 1")
        self._min_calls = min_calls
        self._max_drop = max_drop
        self._window = window
        self._calls = 0
        self._courses: dict[Hashable, _Course] = {}
        self._pending: deque[_Pending] = deque(maxlen=_PENDING)
        self._lock = Lock()

    def profile(self, key: Hashable, wanted: str) -> str:
        """Return the profile to use for a call.

        Args:
            key: model and role.
            wanted: the profile that was configured; a step down starts from there.
        """
        with self._lock:
            self._calls += 1
            if len(self._pending) <= _SWEPT_ALWAYS or self._calls % _SWEPT_ALWAYS == 0:
                self._sweep()
            return _LADDER[self._course(key, wanted).now]

    def tell(self, key: Hashable, profile: str, valid: int, rows: int) -> None:
        """Tell how a call was answered.

        Args:
            key: its model and role.
            profile: the profile under which it was made.
            valid: the rows of the answer that are valid.
            rows: the rows that were asked for; a call without any does not count.
        """
        with self._lock:
            self._tell(key, profile, valid, rows)

    def watch(self, notes: Mapping[str, Any], key: Hashable, profile: str) -> None:
        """Look out for a judgement in the notes of a call: `rows`, and `valid_rows` of them.

        Args:
            notes: the notes of the call's trace.
            key: its model and role.
            profile: the profile under which it was made.
        """
        with self._lock:
            self._pending.append(_Pending(notes, key, profile))

    def steps(self) -> dict[Hashable, str]:
        """Return the profile in use for every key that was stepped down."""
        with self._lock:
            self._sweep()
            return {key: _LADDER[course.top] for key, course in self._courses.items() if course.steps}

    def rates(self, key: Hashable) -> dict[str, float]:
        """Return the rate of valid rows under every profile under which calls of `key` were judged."""
        with self._lock:
            self._sweep()
            rates = self._courses[key].rates if key in self._courses else {}
            return {_LADDER[at]: rate.valid / rate.rows for at, rate in sorted(rates.items())}

    def __reduce__(self) -> tuple[Any, ...]:
        return _guard, (self._min_calls, self._max_drop, self._window)

    def __repr__(self) -> str:
        return f"Guard(min_calls={self._min_calls}, max_drop={self._max_drop}, window={self._window})"

    def _course(self, key: Hashable, wanted: str) -> _Course:
        top = _LADDER.index(wanted)
        course = self._courses.setdefault(key, _Course(top))
        if course.top > top:
            course.top, course.measuring = top, False
        return course

    def _tell(self, key: Hashable, profile: str, valid: int, rows: int) -> None:
        if rows < 1:
            return
        at = _LADDER.index(profile)
        course = self._courses.setdefault(key, _Course(at))
        if at not in course.rates:
            course.rates[at] = _Rate(self._window)
        course.rates[at].tell(min(max(valid, 0), rows), rows)
        self._decide(course)

    def _decide(self, course: _Course) -> None:
        """Step down, measure, or go on."""
        rate, plainer = (self._known(course, at) for at in (course.top, course.top - 1))
        if rate is None or course.top == 0:
            return
        if plainer is not None:
            course.measuring = False
            if rate.is_below(plainer.valid, plainer.rows, self._max_drop):
                course.top -= 1
                course.steps += 1
                self._decide(course)
        elif rate.is_below(1, 1, self._max_drop):
            course.measuring = True

    def _known(self, course: _Course, at: int) -> _Rate | None:
        """Return the rate under a profile if enough calls were judged."""
        rate = course.rates.get(at)
        return None if rate is None or len(rate.calls) < self._min_calls else rate

    def _sweep(self) -> None:
        """Take the judgements that have come in. Calls that nobody judges are given up in the end."""
        for _ in range(len(self._pending)):
            pending = self._pending.popleft()
            rows, valid = pending.notes.get("rows"), pending.notes.get("valid_rows")
            if rows is None or valid is None:
                self._pending.append(pending)
            elif isinstance(rows, int) and isinstance(valid, int):
                self._tell(pending.key, pending.profile, valid, rows)


def _guard(min_calls: int, max_drop: float, window: int) -> Guard:
    """Return a guard with this configuration; what another has learned does not travel."""
    return Guard(min_calls=min_calls, max_drop=max_drop, window=window)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A call that may still be judged."""

    notes: Mapping[str, Any]
    key: Hashable
    profile: str


class _Rate:
    """The valid rows, and all rows, of the last calls."""

    __slots__ = ("calls", "rows", "valid")

    def __init__(self, window: int) -> None:
        self.calls: deque[tuple[int, int]] = deque(maxlen=window)
        self.valid = self.rows = 0

    def tell(self, valid: int, rows: int) -> None:
        """Count a call, and no longer the oldest one if there are too many."""
        if len(self.calls) == self.calls.maxlen:
            self.valid -= self.calls[0][0]
            self.rows -= self.calls[0][1]
        self.calls.append((valid, rows))
        self.valid += valid
        self.rows += rows

    def is_below(self, valid: int, rows: int, points: float) -> bool:
        """Tell whether the rate is by more than `points` lower than that of `valid` rows of `rows`."""
        return valid * self.rows - self.valid * rows > (points + _ROUNDING) * self.rows * rows


@dataclass(slots=True)
class _Course:
    """Where a model and role stand.

    Attributes:
        top: the profile in use, as an index of the ladder.
        measuring: whether the plainer one is in use meanwhile, to learn its rate.
        steps: how often it was stepped down.
        rates: the rate under each profile.
    """

    top: int
    measuring: bool = False
    steps: int = 0
    rates: dict[int, _Rate] = field(default_factory=dict[int, _Rate])

    @property
    def now(self) -> int:
        return self.top - self.measuring
