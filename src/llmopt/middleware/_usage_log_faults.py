"""What the usage log keeps of errors."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Abandoned
from ..resilience.classify import error_class, http_status, retry_after_s
from ..types import Attempt
from ..usage.record import Fault


def faults_of(runs: Sequence[Attempt]) -> list[Fault | None] | None:
    """Return what is kept of the errors of attempts, or None where there was none."""
    if not any(run.error is not None for run in runs):
        return None
    return [None if run.error is None else fault_of(run.error) for run in runs]


def fault_of(error: BaseException) -> Fault:
    """Return what is kept of an error.

    Example:
        >>> fault_of(TimeoutError("the prompt was ..."))
        Fault(status='error', type='TimeoutError', kind='timeout', http_status=None, retry_after_ms=None)
    """
    if isinstance(error, Abandoned):
        error = error.__cause__ or GeneratorExit()
    if isinstance(error, GeneratorExit):
        return Fault("abandoned")
    cls = type(error)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    if not isinstance(error, Exception):
        return Fault("cancelled", name)
    try:
        pause_s = retry_after_s(error)
        return Fault("error", name, error_class(error), http_status(error), pause_s and pause_s * 1000)
    except Exception:  # noqa: BLE001 - an SDK's own attributes may raise anything
        return Fault("error", name, "other")
