"""`judge`: says whether an answer was any good."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from ..trace import Trace
from ..types import Call

__all__ = ["judge"]


def judge(call_or_response: Any, *, valid: bool | int, rows: int = 1) -> None:
    """Say whether the answer to a call was any good, so that the guard of `Compress` can compare profiles.

    A middleware outside of `Compress` may set the notes `rows` and `valid_rows` of the call's trace instead.
    Of several judgements of a call the last one before the next call counts.

    Args:
        call_or_response: a call, or the complete response of a wrapped model.
        valid: how many of the rows are valid, or whether the one answer is.
        rows: how many rows were asked for.

    Raises:
        ConfigurationError: it is neither, or the numbers cannot be.

    Example:
        >>> import llmopt
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(["[1,2]"]), llmopt.Retry())
        >>> response = model.prompt("Two numbers, as JSON")
        >>> judge(response, valid=response.text().startswith("["))
        >>> response.llmopt.notes
        {'rows': 1, 'valid_rows': 1}
    """
    trace = call_or_response.trace if isinstance(call_or_response, Call) else _trace_of(call_or_response)
    if type(rows) is not int or rows < 1 or not 0 <= valid <= rows:
        raise ConfigurationError(f"valid={valid!r} of rows={rows!r}: give whole numbers, rows from 1 up")
    trace.notes.update(rows=rows, valid_rows=int(valid))


def _trace_of(response: Any) -> Trace:
    trace = getattr(response, "llmopt", None)
    if not isinstance(trace, Trace):
        msg = "give a Call, or a response of a wrapped model that is complete"
        raise ConfigurationError(f"judge: {type(response).__name__} carries no trace: {msg}")
    return trace
