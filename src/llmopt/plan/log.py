"""What a batch leaves in the usage log: which call answered for which agent, when, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..usage.batches import Batch, Logs, Slot, payload
from .assembly import Assembly
from .desk import Desk
from .settings import Settings
from .types import PlanBatch


class PlanLog:
    """Surrounds a batch, and leaves its row in every usage log that has logged one of its calls.

    Args:
        batch: what its calls find.
        settings: how it is planned.
        assembly: who is asked for.
        desk: what is known of the plans.
        logs: those of earlier batches, for one that asks nobody.
    """

    def __init__(self, batch: Batch, settings: Settings, assembly: Assembly, desk: Desk, logs: Logs) -> None:
        self._batch = batch
        self._settings = settings
        self._assembly = assembly
        self._desk = desk
        self._logs = logs

    def __enter__(self) -> None:
        """Let the batch begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object, /) -> None:
        """Leave the row, if a log is known: from a call, or from earlier ones where none has begun."""
        for writer in self._logs.of(self._batch):
            try:
                writer.put(self._payload(error))
            except Exception as fault:  # noqa: BLE001 - the log's own fault, which is not the batch's
                writer.lose(type(fault).__name__)

    def _payload(self, error: BaseException | None) -> bytes:
        result = self._desk.result()
        jobs = self._assembly.jobs
        slots = list(self._slots(result, _word(error)))
        arrived = [slot.first_plan_ms for slot in slots if slot.first_plan_ms is not None]
        return payload(
            self._batch,
            self._logs.clean,
            max(arrived) if len(arrived) == len(slots) else result.elapsed_s * 1000,
            slots,
            prompt_tokens=result.usage.input_tokens if result.usage.calls else None,
            role=_same([job.role for job in jobs]),
            strategy=_same([job.choice.strategy if job.choice else self._settings.strategy for job in jobs]),
        )

    def _slots(self, result: PlanBatch, ending: str | None) -> Iterator[Slot]:
        for agent in self._assembly.seen:
            plan = result.plans.get(agent)
            if plan is None:
                yield Slot(str(agent), error=ending)
                continue
            made, wrong = plan.provenance, self._desk.wrong.get(agent)
            ok = plan.ok or made.call_id is not None  # a tier's model has answered where the first did not
            yield Slot(str(agent), made.call_id, ok, made.arrived_s * 1000 if plan else None, wrong)


def _same(names: Sequence[str]) -> str | None:
    """Return the name that all jobs share, if there is one."""
    return names[0] or None if len(set(names)) == 1 else None


def _word(error: BaseException | None) -> str | None:
    """Return why a batch has ended before all its plans were there."""
    if isinstance(error, GeneratorExit):
        return "abandoned"
    if error is None or isinstance(error, Exception):
        return None if error is None else type(error).__name__
    return "cancelled"
