"""What the demo says before and after: what it is about to do, and what that took."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from .model import SimulatedModel
from .play import Demo, Played
from .run import Tick
from .text import aligned

__all__ = ["closing", "introduction", "log_command", "table", "values"]


def introduction(demo: Demo) -> Iterator[str]:
    """Yield what is said first: who is asked, and whether that is a real model."""
    yield f"llmopt demo: {demo.agents} game agents, one call each, at two moments in a row."
    model = demo.model
    if isinstance(model, SimulatedModel):
        pace = f"{model.tokens_per_s:g} tokens/s after {_ms(model.first_token_s)}"
        counted = f"{model.counter.encoding}{'' if model.counter.exact else ', estimated'}"
        yield "Model: a SIMULATION in this process, no language model is asked. It plans by"
        yield f"rules from what each agent sees, and says {pace} ({counted})."
    else:
        yield f"Model: {model}"
    yield "Chain: UsageLog > Cache > Retry > Timeout > model"


def closing(demo: Demo, played: Played) -> Iterator[str]:
    """Yield what is said last: the figures, what they are, and where the log lies."""
    yield ""
    yield table(played.ticks)
    yield ""
    if isinstance(demo.model, SimulatedModel):
        yield "Times are wall times of this simulation at its stated pace, not of a real model."
    else:
        yield "Times are wall times of this run."
    if any(tick.counts.estimated for tick in played.ticks):
        yield "~ counted by llmopt: the provider did not state the tokens of every answer."
    calls = sum(len(tick.plans) for tick in played.ticks)
    if played.logged < calls:
        yield f"Only {played.logged} of {calls} calls could be written to the log {demo.log}"
    else:
        yield f"The log has a row for each call: {demo.log}"
    if played.logged:
        yield f"See them with:  {log_command(demo, played.logged)}"


def log_command(demo: Demo, calls: int) -> str:
    """Return the command that shows the calls of this run, ready for a shell."""
    from ..usage.database import default_path

    elsewhere = "" if demo.log == default_path() else f" --db {shlex.quote(str(demo.log))}"
    return f"llmopt log -n {calls}{elsewhere}"


def _ms(duration_s: float) -> str:
    return f"{1000 * duration_s:.0f} ms"


def table(ticks: Sequence[Tick]) -> str:
    """Return the table at the end: a column for each tick, and one for all of them."""
    rows = [["", *(f"tick {tick.number}" for tick in ticks), "together"]]
    about = "~" if any(tick.counts.estimated for tick in ticks) else ""
    counted = {
        "calls": [len(tick.plans) for tick in ticks],
        "answered from the cache": [tick.hits for tick in ticks],
        "requests that reached the model": [tick.counts.requests for tick in ticks],
        f"{about}input tokens, asked": [tick.counts.asked_tokens for tick in ticks],
        f"{about}input tokens, sent": [tick.counts.sent_tokens for tick in ticks],
        f"{about}output tokens": [tick.counts.output_tokens for tick in ticks],
    }
    rows += [[name, *(f"{value:,}" for value in (*row, sum(row)))] for name, row in counted.items()]
    firsts = [tick.first_plan_s for tick in ticks]
    rows.append(["time to first plan", *map(_seconds, firsts), ""])
    totals = [tick.duration_s for tick in ticks]
    rows.append(["time to last plan", *map(_seconds, (*totals, sum(totals)))])
    return aligned(rows)


def _seconds(duration_s: float | None) -> str:
    return "none" if duration_s is None else f"{duration_s:.3f} s"


def values(demo: Demo, played: Played) -> dict[str, Any]:
    """Return the whole run as plain values, for machines."""
    return {
        "model": demo.model.model_id,
        "simulated": isinstance(demo.model, SimulatedModel),
        "seed": demo.seed,
        "log": str(demo.log),
        "logged": played.logged,
        "ticks": [_tick_values(tick) for tick in played.ticks],
    }


def _tick_values(tick: Tick) -> dict[str, Any]:
    counts = tick.counts
    return {
        "tick": tick.number,
        "calls": len(tick.plans),
        "cache_hits": tick.hits,
        "requests": counts.requests,
        "input_tokens_asked": counts.asked_tokens,
        "input_tokens_sent": counts.sent_tokens,
        "output_tokens": counts.output_tokens,
        "tokens_estimated": counts.estimated,
        "first_plan_ms": None if tick.first_plan_s is None else round(1000 * tick.first_plan_s, 3),
        "duration_ms": round(1000 * tick.duration_s, 3),
        "plans": [
            {
                "agent": planned.agent,
                "role": planned.role,
                "source": planned.source,
                "duration_ms": round(1000 * planned.duration_s, 3),
                "steps": list(planned.result.steps),
                "problem": planned.result.problem,
            }
            for planned in tick.plans
        ],
    }
