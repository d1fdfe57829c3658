"""What calls of a model have taken: out of the usage log, or by asking it a few times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from secrets import token_hex
from typing import Any, Final

from ..chain.clock import SystemClock
from ..resilience._common import is_count, require
from ..tokens import TokenCounter
from ..tokens import counter as counter_of
from ..types import Clock
from .calibrate import Observation

__all__ = ["logged", "probe"]

# One run that went well, and was waited for from its first byte to its last: where a call needed several,
# or an answer came from a cache, the times say nothing about the engine.
_RUNS: Final = """
SELECT a.input_tokens, coalesce(a.cache_read_tokens, 0), a.output_tokens,
       CASE WHEN c.stream THEN a.ttft_ms END, a.duration_ms
FROM attempts a JOIN calls c ON c.id = a.call_id
WHERE a.model = :model AND a.status = 'ok' AND c.status = 'ok' AND a.duration_ms > 0
      AND a.input_tokens IS NOT NULL AND a.output_tokens IS NOT NULL
      AND (:role IS NULL OR c.role = :role)
ORDER BY a.started_at DESC LIMIT :last
"""

_PROBES: Final = ((20, 16), (1200, 16), (20, 160), (1200, 160))
"""Words to read and numbers to write: short and long, so that the time of each can be told."""

_QUESTION: Final = "{}: {}\nCount from 1 to {}, in digits with spaces between them, and write nothing else."


def logged(
    model_id: str, *, role: str | None = None, last: int = 500, log: str | os.PathLike[str] | None = None
) -> list[Observation]:
    """Return what the last runs of a model took, as the usage log has them.

    Args:
        model_id: the model, as llm names it.
        role: only calls made in this role: `"evaluation"`, or what `llmopt.usage.role` has set.
        last: how many runs at most, the newest.
        log: the log's file; None for that in llm's user folder.

    Raises:
        ConfigurationError: `last` is no whole number from 1 up.
        StoreError: there is no such log.

    Example:
        >>> import llmopt
        >>> from llmopt.plan import CostModel, calibrate
        >>> from llmopt.testing import ScriptedModel
        >>> model = llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.UsageLog("usage.db"))
        >>> model.prompt("What now?").text()
        'HOLD'
        >>> calibrate(logged("scripted", log="usage.db"), CostModel.preset("hosted")).notes
        ('1 rows are too few to calibrate on: hosted stays as it is',)
    """
    from .. import usage

    require(is_count(last, least=1), "logged: last", last, "a whole number from 1 up")
    found = usage.open(log)
    try:
        rows = found.execute(_RUNS, {"model": model_id, "role": role, "last": last}).fetchall()
    finally:
        found.close()
    return [
        Observation(read, cached, wrote, _seconds(first_ms), took_ms / 1000)
        for read, cached, wrote, first_ms, took_ms in rows
    ]


def probe(
    model: Any, *, rounds: int = 2, counter: TokenCounter | None = None, clock: Clock | None = None
) -> list[Observation]:
    """Ask a model a few short questions, one after the other, and return what each took.

    Each round reads about 4,000 tokens and writes about 700. No two prompts begin alike, so that neither a
    cache of llmopt's nor the engine's own has a part in it.

    Args:
        model: an llm model that is not async.
        rounds: how often each of four questions is asked.
        counter: counts tokens where the model does not say how many there were.
        clock: what time is taken by.

    Raises:
        ConfigurationError: an argument is wrong.
        Exception: what the model raises.

    Example:
        >>> from llmopt.testing import ScriptedModel
        >>> len(probe(ScriptedModel(["1 2 3"]), rounds=1))
        4
    """
    require(is_count(rounds, least=1), "probe: rounds", rounds, "a whole number from 1 up")
    asked = callable(getattr(model, "prompt", None)) and not _is_async(model)
    require(asked, "probe: model", model, "an llm model that is not async")
    counter = counter or counter_of(model.model_id)
    clock = clock or SystemClock()
    return [_observed(model, text, counter, clock) for _ in range(rounds) for text in _prompts()]


def _prompts() -> Iterator[str]:
    for read, write in _PROBES:
        words = " ".join(f"{number * 7919 % 997} stones" for number in range(read // 2))
        yield _QUESTION.format(token_hex(8), words, write)


def _observed(model: Any, prompt: str, counter: TokenCounter, clock: Clock) -> Observation:
    began_s, first_s, said = clock.monotonic(), None, ""
    response = model.prompt(prompt)
    for chunk in response:
        if first_s is None and chunk:
            first_s = clock.monotonic() - began_s
        said += chunk
    took_s = clock.monotonic() - began_s
    usage = response.usage()
    read = counter.count(prompt) if usage.input is None else usage.input
    wrote = counter.count(said) if usage.output is None else usage.output
    return Observation(read, 0, wrote, first_s if getattr(model, "can_stream", False) else None, took_s)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _is_async(model: Any) -> bool:
    import llm

    return isinstance(model, (llm.AsyncModel, llm.AsyncKeyModel))
