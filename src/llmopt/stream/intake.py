"""Takes the text of plans in: decodes it, looks whose plan it is, and keeps what is to be handed out."""

from __future__ import annotations

from typing import Any

from ..errors import PlanStreamError, PlanSyntaxError, PlanValidationError
from .alphabet import Text
from .decoders import Decoder, Fault, fault_in
from .expectations import Expectations
from .identity import Identity
from .limits import Limits
from .result import FailedRow

__all__ = ["Intake", "text_of"]


class Intake:
    """One stream's plans, from text to what `feed` returns.

    Args:
        decoder: from text to plan.
        identity: where ids stand.
        expectations: whose plans are expected.
        limits: how many plans there may be.
        raises: whether a row that is refused ends the stream, instead of being recorded.
        selective: whether an object without an id is no plan, if plans have ids. So it is in lenient streams,
            where an object may be anything; types tell by themselves.

    Attributes:
        found: plans that are complete and not yet handed out.
        failed: rows that are none.
        repaired: ids of plans that were no exact JSON.
    """

    def __init__(
        self,
        decoder: Decoder,
        identity: Identity,
        expectations: Expectations,
        limits: Limits,
        *,
        raises: bool = False,
        selective: bool = False,
    ) -> None:
        self.decoder = decoder
        self.identity = identity
        self.expectations = expectations
        self.limits = limits
        self.raises = raises
        self.found: list[Any] = []
        self.failed: list[FailedRow] = []
        self.repaired: list[Any] = []
        self.count = 0
        self.dropped = 0
        self._one = decoder.one
        self._selective = selective and not decoder.typed
        self._key = identity.key if self._selective and not identity.rows else None
        self._has_ids = bool(expectations.ids)
        self._simple = not expectations.tracks
        self._most = limits.max_plans or float("inf")

    def collect(self) -> list[Any] | tuple[()]:
        """Return what is to be handed out now."""
        found = self.found
        if not found:
            return ()
        self.found = []
        return found

    def take(self, raw: Text, offset: int) -> Fault | None:
        """Take one row in.

        Returns:
            What is wrong with it as JSON. What is wrong with it as a plan is recorded or raised here.

        Raises:
            PlanStreamError: it is refused and `raises` says so, or is one too many.
        """
        try:
            plan = self._one(raw)
        except Exception as error:  # noqa: BLE001 - whatever a decoder raises, it refuses the plan
            fault = fault_in(raw)
            if fault is None:
                self.refuse(raw, offset, f"{error}", error)
            return fault
        # Most plans need no more than this look, if any.
        key = self._key
        if self._simple and (key is None or key in plan) and self.count < self._most:
            self._has_ids = True
            self.count += 1
            self.found.append(plan)
        else:
            self.deliver(plan, raw, offset)
        return None

    def deliver(self, plan: Any, raw: Text, offset: int) -> bool:
        """Keep a plan to be handed out, unless what is known of its agent forbids it.

        Returns:
            Whether it will be handed out.
        """
        if self._selective and not self._selected(plan, raw, offset):
            return False
        if self.expectations.tracks and not self._admitted(self.identity.of(plan, raw), raw, offset):
            return False
        if self.count >= self._most:
            raise self.limits.too_many()
        self.count += 1
        self.found.append(plan)
        return True

    def _selected(self, plan: Any, raw: Text, offset: int) -> bool:
        if self.identity.of_plan(plan) is not None:
            self._has_ids = True
        elif self._has_ids:
            self.refuse(raw, offset, f"it has no {self.identity.key!r}")
            return False
        return True

    def _admitted(self, agent_id: Any, raw: Text, offset: int) -> bool:
        expectations = self.expectations
        if expectations.on_duplicate == "error" and expectations.has(agent_id):
            expectations.admit(agent_id)
            msg = f"a second plan of agent {agent_id!r} at offset {offset}"
            raise PlanValidationError(msg, agent_id=agent_id, raw=text_of(raw))
        if expectations.admit(agent_id):
            return True
        self.dropped += 1
        return False

    def take_many(self, stretch: Text) -> bool:
        """Take the text of a list in, whose elements are whole if it can be decoded at all.

        Returns:
            Whether it could. If not, nothing has happened, and the rows are to be taken one by one.
        """
        expectations = self.expectations
        if self.decoder.many is None or expectations.on_duplicate == "error":
            return False
        try:
            plans = self.decoder.many(stretch)
        except Exception:  # noqa: BLE001 - what it is, is found when the rows are taken one by one
            return False
        if self.count + len(plans) > self._most:
            return False
        if self._simple:
            if self._key is not None and not self._have_ids(plans):
                return False
        else:
            ids = self.identity.of_plans(plans)
            if ids is None:
                return False
            self._has_ids = True
            admit = expectations.admit
            kept = [plan for plan, agent_id in zip(plans, ids, strict=True) if admit(agent_id)]
            self.dropped += len(plans) - len(kept)
            plans = kept
        self.count += len(plans)
        self.found += plans
        return True

    def _have_ids(self, plans: list[Any]) -> bool:
        key = self._key
        try:
            for plan in plans:
                if key not in plan:
                    return False
        except TypeError:  # a number has no keys
            return False
        self._has_ids = True
        return True

    def refuse(self, raw: Text, offset: int, reason: str, cause: Exception | None = None) -> None:
        """Record or raise that a row of JSON is no plan."""
        text = text_of(raw)
        agent_id = self.identity.of_text(text)
        whose = "the plan" if agent_id is None else f"the plan of agent {agent_id!r}"
        error = PlanValidationError(
            f"{whose} at offset {offset} is refused: {reason}", agent_id=agent_id, raw=text
        )
        error.__cause__ = cause
        if self.raises:
            raise error
        self.failed.append(FailedRow(agent_id, text, offset, error))

    def record(self, raw: Text, offset: int, error: PlanStreamError) -> None:
        """Record or raise that a row is no JSON."""
        text = text_of(raw)
        if self.raises and isinstance(error, PlanSyntaxError):
            raise error
        self.failed.append(FailedRow(self.identity.of_text(text), text, offset, error))


def text_of(raw: Text) -> str:
    """Return the text as str, whatever it is and however broken."""
    return raw if isinstance(raw, str) else bytes(raw).decode(errors="replace")
