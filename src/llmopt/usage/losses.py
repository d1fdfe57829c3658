"""Keeps count of records that are lost, until it is written down."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable

import orjson

HELLO, DROP = "hello", "drop"
"""Kinds of payload that are no records: who writes a file, and what was lost."""


class Losses:
    """Records that are lost, by reason.

    Attributes:
        total: all of them.
        owed: those that are not written down yet, by reason.
    """

    def __init__(self) -> None:
        self.total = 0
        self.owed: Counter[str] = Counter()

    def add(self, reason: str, records: int) -> None:
        """Count records as lost."""
        self.total += records
        self.owed[reason] += records

    def payloads(self) -> list[bytes]:
        """Return what has to be written down."""
        return [drop(os.getpid(), reason, records) for reason, records in self.owed.items()]

    def settle(self) -> None:
        """Forget what was to be written down: it is."""
        self.owed.clear()


def drop(pid: int, reason: str, records: int) -> bytes:
    """Return the payload that tells of a loss.

    Args:
        pid: the process that lost the records.
        reason: why, in a word or two.
        records: how many.
    """
    return orjson.dumps([DROP, time.time(), pid, reason, records])


def tally(payloads: Iterable[bytes]) -> tuple[int, Counter[str]]:
    """Return how many of these payloads are records, and what losses the others tell of, by reason.

    Example:
        >>> tally([b'["hello",1]', b'["call","01"]', b'["drop",0,1,"ENOSPC",3]'])
        (1, Counter({'ENOSPC': 3}))
    """
    records, told = 0, Counter[str]()
    for payload in payloads:
        if payload.startswith(b'["drop",'):
            *_, reason, lost = orjson.loads(payload)
            told[reason] += lost
        elif not payload.startswith(b'["hello",'):
            records += 1
    return records, told
