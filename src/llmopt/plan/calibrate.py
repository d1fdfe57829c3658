"""Fits a cost model to what calls have taken: least squares that outliers do not move far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import median
from typing import Final

from .cost_model import CostModel

__all__ = ["Calibration", "Observation", "calibrate"]

_LEAST_ROWS: Final = 3
_ROUNDS: Final = 12
_HUBER: Final = 1.345  # 95 % efficiency where errors are normal (Huber, 1964)
_TO_SIGMA: Final = 1.4826  # from the median absolute deviation to the standard deviation
# What is left of a column, squared, beside the others: below it, prompts differ by under 3 %.
_LEAST_PIVOT: Final = 1e-3
_TINY_S: Final = 1e-6
_NAMES: Final = ("overhead_s", "prefill_s_per_token", "decode_s_per_token")


@dataclass(frozen=True, slots=True)
class Observation:
    """What one call has taken, as the usage log has it.

    Args:
        input_tokens: tokens of its prompt.
        cached_tokens: those of them that the engine took from its cache.
        output_tokens: tokens of the answer.
        ttft_s: seconds to the first token; None where the answer was not streamed.
        duration_s: seconds to the last one.
    """

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    ttft_s: float | None
    duration_s: float

    @property
    def is_sound(self) -> bool:
        """Whether it can be true at all."""
        counts = 0 <= self.cached_tokens <= self.input_tokens and self.output_tokens >= 0
        first_s = 0.0 if self.ttft_s is None else self.ttft_s
        return (
            counts and isfinite(self.duration_s) and 0 <= first_s <= self.duration_s and self.duration_s > 0
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """A cost model fitted to observations.

    Attributes:
        model: the model; what could not be fitted is as in the one it started from.
        fitted: names of its fields that were fitted.
        notes: what was not fitted, and why; rows that were left out.
        rows: observations that were used.
        error: median relative error of what it says of the durations; None where nothing was fitted.
    """

    model: CostModel
    fitted: tuple[str, ...]
    notes: tuple[str, ...]
    rows: int
    error: float | None


@dataclass(frozen=True, slots=True)
class _Equation:
    """One measured time, as a sum of the unknowns times these factors."""

    factors: tuple[float, float, float]
    seconds: float

    def expected_s(self, values: Sequence[float]) -> float:
        return sum(factor * value for factor, value in zip(self.factors, values, strict=True))


def calibrate(rows: Iterable[Observation], preset: CostModel) -> Calibration:
    """Return the model `preset` with overhead, prefill and decode seconds fitted to observations.

    How they grow with the context, contention, caching and prices stay as in `preset`. Errors count relative
    to what is expected, and large ones with less weight (iterated weights after Huber).

    Args:
        rows: calls of one model under the load that is to be expected; three at least.
        preset: the model to start from.

    Returns:
        The model, and which of its numbers are fitted. Where rows are too few, or all alike, so that they
        cannot tell overhead from prefill, the numbers of `preset` stay, and `notes` says so.

    Example:
        >>> def call(read, wrote):
        ...     return Observation(read, 0, wrote, 0.5 + 0.001 * read, 0.5 + 0.001 * read + 0.02 * wrote)
        >>> hosted = CostModel.preset("hosted")
        >>> found = calibrate([call(100, 50), call(900, 20), call(400, 80)], hosted)
        >>> found.fitted, round(found.model.overhead_s, 3), round(found.model.decode_s_per_token, 3)
        (('overhead_s', 'prefill_s_per_token', 'decode_s_per_token'), 0.5, 0.02)
        >>> calibrate([], hosted).notes
        ('0 rows are too few to calibrate on: hosted stays as it is',)
    """
    given = [*rows]
    sound = [row for row in given if row.is_sound]
    notes = (
        [f"{len(given) - len(sound)} rows cannot be true and were left out"]
        if len(sound) < len(given)
        else []
    )
    if len(sound) < _LEAST_ROWS:
        notes.append(f"{len(sound)} rows are too few to calibrate on: {preset.name} stays as it is")
        return Calibration(preset, (), tuple(notes), len(sound), None)
    equations = [equation for row in sound for equation in _equations(row, preset)]
    values, fitted = _fit(equations, preset, notes)
    changes = {name: values[_NAMES.index(name)] for name in fitted}
    if not fitted:
        return Calibration(preset, (), tuple(notes), len(sound), None)
    source = f"calibrated on {len(sound)} calls, from {preset.name}"
    model = replace(preset, **changes, source=source)  # type: ignore[arg-type]
    error = median(abs(_expected_s(row, model) - row.duration_s) / row.duration_s for row in sound)
    return Calibration(model, fitted, tuple(notes), len(sound), error)


def _equations(row: Observation, preset: CostModel) -> list[_Equation]:
    read = preset.prefill_work(row.input_tokens - row.cached_tokens, row.cached_tokens)
    wrote = preset.decode_work(row.output_tokens, row.input_tokens)
    if row.ttft_s is None:
        return [_Equation((1.0, read, wrote), row.duration_s)]
    return [
        _Equation((1.0, read, 0.0), row.ttft_s),
        _Equation((0.0, 0.0, wrote), row.duration_s - row.ttft_s),
    ]


def _expected_s(row: Observation, model: CostModel) -> float:
    read_s = model.prefill_s(row.input_tokens - row.cached_tokens, row.cached_tokens)
    return model.overhead_s + read_s + model.decode_s(row.output_tokens, row.input_tokens)


def _fit(
    equations: list[_Equation], preset: CostModel, notes: list[str]
) -> tuple[list[float], tuple[str, ...]]:
    """Return the values of the unknowns, and the names of those that were fitted."""
    values = [float(getattr(preset, name)) for name in _NAMES]
    free = [*range(len(_NAMES))]
    while free:
        found, unknown = _robust(equations, values, free)
        if unknown is not None:
            notes.append(f"the rows do not tell {_NAMES[unknown]}: it stays at {values[unknown]:g}")
            free.remove(unknown)
            continue
        worst = min(free, key=lambda index: found[index])
        if found[worst] >= 0:
            return found, tuple(_NAMES[index] for index in free)
        values[worst] = 0.0 if worst == 0 else values[worst]
        notes.append(f"{_NAMES[worst]} came out below 0: it is set to {values[worst]:g}")
        free.remove(worst)
    return values, ()


def _robust(
    equations: list[_Equation], start: list[float], free: list[int]
) -> tuple[list[float], int | None]:
    """Return the values, and the index of an unknown that the equations leave open."""
    weights = [1 / max(equation.seconds, _TINY_S) for equation in equations]
    values = start
    for _ in range(_ROUNDS):
        values, unknown = _solve(equations, weights, start, free)
        if unknown is not None:
            return start, unknown
        expected = [max(equation.expected_s(values), _TINY_S) for equation in equations]
        errors = [abs(e.seconds - want) / want for e, want in zip(equations, expected, strict=True)]
        scale = max(_HUBER * _TO_SIGMA * median(errors), 1e-9)
        weights = [
            (1.0 if error <= scale else (scale / error) ** 0.5) / want
            for error, want in zip(errors, expected, strict=True)
        ]
    return values, None


def _solve(
    equations: list[_Equation], weights: list[float], start: list[float], free: list[int]
) -> tuple[list[float], int | None]:
    """Solve the normal equations of the free unknowns, in columns of unit length."""
    rows = [
        [weight * e.factors[index] for index in free] for e, weight in zip(equations, weights, strict=True)
    ]
    fixed = [value if index not in free else 0.0 for index, value in enumerate(start)]
    right = [weight * (e.seconds - e.expected_s(fixed)) for e, weight in zip(equations, weights, strict=True)]
    norms = [sum(row[column] ** 2 for row in rows) ** 0.5 for column in range(len(free))]
    for index, norm in zip(free, norms, strict=True):
        if norm <= 0:
            return start, index
    unit = [[cell / norm for cell, norm in zip(row, norms, strict=True)] for row in rows]
    matrix: list[list[float]] = [
        [sum((row[a] * row[b] for row in unit), 0.0) for b in range(len(free))]
        + [sum((row[a] * value for row, value in zip(unit, right, strict=True)), 0.0)]
        for a in range(len(free))
    ]
    pivot = _eliminate(matrix)
    if pivot is not None:
        return start, free[pivot]
    found = [*start]
    for index, row, norm in zip(free, matrix, norms, strict=True):
        found[index] = row[-1] / norm
    return found, None


def _eliminate(matrix: list[list[float]]) -> int | None:
    """Solve in place by Gauss and Jordan; return the row of a pivot that is too small, if there is one."""
    for pivot, row in enumerate(matrix):
        if row[pivot] < _LEAST_PIVOT:
            return pivot
        row[:] = [cell / row[pivot] for cell in row]
        for other in matrix:
            if other is not row:
                factor = other[pivot]
                other[:] = [cell - factor * by for cell, by in zip(other, row, strict=True)]
    return None
