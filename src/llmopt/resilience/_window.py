"""Two sums over a window of time that is cut into slots."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

Pair: TypeAlias = "tuple[int, int]"


@dataclass(slots=True, eq=False)
class Slot:
    """One part of the window.

    Attributes:
        index: which one, in slot lengths since the clock's zero.
        counts: the amounts booked in it, one per column.
        gone: whether the window has left it behind.
    """

    index: int
    counts: list[int] = field(default_factory=lambda: [0, 0])
    gone: bool = False


class Window:
    """Sums over the current slot and those before it; not thread-safe by itself.

    Time only goes forward here: a clock that is set back is held at the last slot, until it is so
    far behind that the whole window lies in its future; then the slots are moved back to it.

    Args:
        slot_s: length of a slot in seconds.
        keep: how many slots there are, the current one included.
    """

    __slots__ = ("_keep", "_slot_s", "_slots", "sums")

    def __init__(self, slot_s: float, keep: int) -> None:
        self._slot_s = slot_s
        self._keep = keep
        self._slots: deque[Slot] = deque()
        self.sums = [0, 0]

    def at(self, now: float) -> Slot:
        """Move the window to `now` and return the current slot."""
        index = int(now // self._slot_s)
        slots = self._slots
        if slots:
            last = slots[-1]
            if index == last.index:
                return last
            if index < last.index:
                return self._set_back(index)
        while slots and slots[0].index <= index - self._keep:
            self._forget(slots.popleft())
        slot = Slot(index)
        slots.append(slot)
        return slot

    def book(self, slot: Slot, first: int, second: int) -> None:
        """Book an amount in each column of a slot, unless it is gone."""
        if slot.gone:
            return
        counts, sums = slot.counts, self.sums
        counts[0] += first
        counts[1] += second
        sums[0] += first
        sums[1] += second

    def empty_in_s(self, now: float) -> float:
        """Return the seconds until the last slot with anything in it is gone; 0.0 if there is none."""
        used = [slot.index for slot in self._slots if any(slot.counts)]
        return self._gone_in_s(used[-1], now) if used else 0.0

    def fits_in_s(self, now: float, amounts: Pair, limits: tuple[float, float]) -> float | None:
        """Return the seconds until `amounts` keep within `limits`, as slots go; None if they never do."""
        left = [total + amount for total, amount in zip(self.sums, amounts, strict=True)]
        for slot in self._slots:
            left = [total - count for total, count in zip(left, slot.counts, strict=True)]
            if all(total <= limit for total, limit in zip(left, limits, strict=True)):
                return self._gone_in_s(slot.index, now)
        return None

    def _gone_in_s(self, index: int, now: float) -> float:
        return (index + self._keep) * self._slot_s - now

    def _forget(self, slot: Slot) -> None:
        slot.gone = True
        self.sums[0] -= slot.counts[0]
        self.sums[1] -= slot.counts[1]

    def _set_back(self, index: int) -> Slot:
        last = self._slots[-1]
        shift = last.index - index
        if shift > self._keep:
            for slot in self._slots:
                slot.index -= shift
        return last
