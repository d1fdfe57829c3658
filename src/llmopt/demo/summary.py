"""What the demo says before and after: what it is about to do, and what that took."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ..plan import Plan
from ..text import aligned
from .model import MISTAKE, SimulatedModel
from .play import Demo, Played
from .run import Tick, masked

__all__ = ["closing", "introduction", "log_command", "table", "values"]


def introduction(demo: Demo) -> Iterator[str]:
    """Yield what is said first: who is asked, and whether that is a real model."""
    yield f"llmopt demo: {demo.agents} game agents, planned for together, at two moments in a row."
    model = demo.model
    if isinstance(model, SimulatedModel):
        pace = f"{model.tokens_per_s:g} tokens/s after {1000 * model.first_token_s:.0f} ms"
        counted = f"{model.counter.encoding}{'' if model.counter.exact else ', estimated'}"
        yield "Model: a SIMULATION in this process, no language model is asked. It plans by"
        yield f"rules from what it reads, and says {pace} ({counted})."
        if model.mistakes:
            yield f"In its first answer one row is wrong on purpose: it calls a tool {MISTAKE}."
    else:
        yield f"Model: {model}"
    yield "Chain: planner (remembers plans by what an agent sees) > UsageLog > Retry >"
    yield "Timeout > model. Times count from the start of a tick."


def closing(demo: Demo, played: Played) -> Iterator[str]:
    """Yield what is said last: the figures, what they are, and where the log lies."""
    yield ""
    yield table(played)
    yield ""
    if isinstance(demo.model, SimulatedModel):
        yield "Times are wall times of this simulation at its stated pace, not of a real model."
    else:
        yield "Times are wall times of this run."
    if _estimated(played):
        yield "~ counted or estimated by llmopt: not all of these are the provider's own figures."
    calls = sum(tick.batch.usage.calls for tick in played.ticks)
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


def table(played: Played) -> str:
    """Return the table at the end: a column for each tick, and one for all of them."""
    ticks = played.ticks
    rows = [["", *(f"tick {tick.number}" for tick in ticks), "together"]]
    for name, counted in _counts(played).items():
        cells = [f"{value:,}" for value in (*counted, sum(counted))] if counted else ["", "", ""]
        rows.append([name, *cells])
    rows.append(["time to first plan from the model", *(_seconds(_first_s(tick)) for tick in ticks), ""])
    totals = [tick.batch.elapsed_s for tick in ticks]
    rows.append(["time to last plan", *map(_seconds, (*totals, sum(totals)))])
    return aligned(rows)


def _counts(played: Played) -> Mapping[str, list[int]]:
    ticks, usages = played.ticks, [tick.batch.usage for tick in played.ticks]
    statuses = [tick.batch.status() for tick in ticks]
    unsent = "" if played.exact else "~"
    sent = "" if all(usage.exact for usage in usages) else "~"
    return {
        "plans": [len(tick.plans) for tick in ticks],
        "  remembered, not asked for": [tick.remembered for tick in ticks],
        "  right at once": [s["ok"] - tick.remembered for s, tick in zip(statuses, ticks, strict=True)],
        "  repaired": [status["repaired"] for status in statuses],
        "  from the fallback": [status["fallback"] for status in statuses],
        "calls of the model": [usage.calls for usage in usages],
        "requests, with retries": [tick.requests for tick in ticks],
        "input tokens of one prompt an agent": [],
        f"  {unsent}with indented JSON": [tick.pretty_tokens for tick in ticks],
        f"  {unsent}with compact JSON": [tick.compact_tokens for tick in ticks],
        f"{sent}input tokens that were sent": [usage.input_tokens for usage in usages],
        f"{sent}output tokens": [usage.output_tokens for usage in usages],
    }


def _estimated(played: Played) -> bool:
    return not (played.exact and all(tick.batch.usage.exact for tick in played.ticks))


def _first_s(tick: Tick) -> float | None:
    """Return the seconds to the first plan that was not remembered."""
    return next((plan.provenance.arrived_s for plan in tick.plans if plan.provenance.source == "model"), None)


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
        "tokens_estimated": _estimated(played),
        "ticks": [_tick_values(demo, tick) for tick in played.ticks],
    }


def _tick_values(demo: Demo, tick: Tick) -> dict[str, Any]:
    usage, first_s = tick.batch.usage, _first_s(tick)
    return {
        "tick": tick.number,
        "status": tick.batch.status(),
        "remembered": tick.remembered,
        "calls": usage.calls,
        "requests": tick.requests,
        "input_tokens_one_by_one_indented": tick.pretty_tokens,
        "input_tokens_one_by_one_compact": tick.compact_tokens,
        "input_tokens_sent": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "first_plan_ms": None if first_s is None else round(1000 * first_s, 3),
        "duration_ms": round(1000 * tick.batch.elapsed_s, 3),
        "plans": [_plan_values(demo, plan) for plan in tick.plans],
    }


def _plan_values(demo: Demo, plan: Plan) -> dict[str, Any]:
    return {
        "agent": plan.agent,
        "status": plan.status,
        "source": plan.provenance.source,
        "arrived_ms": round(1000 * plan.provenance.arrived_s, 3),
        "steps": [[step.tool, *step.args.values()] for step in plan],
        "faults": [masked(fault, demo.model) for fault in plan.faults],
    }
