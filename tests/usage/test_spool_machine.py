"""Spool and drain as a state machine: whatever happens, each record is there once, or counted as lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from llmopt.usage import transfer
from llmopt.usage.frames import pack
from llmopt.usage.segments import spool_folder, survey

from .spooling import (
    PATIENCE_S,
    die,
    drain_of,
    drops,
    payload,
    positions,
    records,
    spool_of,
    write,
    write_half,
)

QUOTA_BYTES, SEGMENT_BYTES, BATCH_BYTES = 1_500, 300, 150


class Spooling(RuleBasedStateMachine):
    """Some processes append to one log, drain it and die; files are torn, removed, and over their quota."""

    spools = Bundle("spools")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = str(Path(self.folder, "usage.db"))
        self.number = 0
        self.acknowledged = set()
        self.lost = 0
        self.told = 0  # losses that a process could not write down before it died
        self.live = {}  # each with its drain
        self.other = drain_of(self.path)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(transfer, "BATCH_BYTES", BATCH_BYTES)
        self.removed = False

    def teardown(self):
        try:
            self._end()
        finally:
            self.patch.undo()
            shutil.rmtree(self.folder)

    def _end(self):
        for spool, drain in list(self.live.items()):
            drain.once(PATIENCE_S)
            self._die(spool)
        self.other.once(PATIENCE_S)
        self.other.close(PATIENCE_S)
        found = records(self.path)
        assert len(found) == len(set(found)), "doubled"
        assert set(found) <= self.acknowledged
        lost = len(self.acknowledged) - len(found)
        assert drops(self.path).get("quota", 0) + self.told == lost + self.lost
        assert survey(spool_folder(self.path)) == {}
        assert positions(self.path) == {} or self.removed

    def _die(self, spool):
        self.told += sum(spool._losses.owed.values())
        self.live.pop(spool)._disconnect()
        die(spool)

    @rule(target=spools)
    def begin(self):
        spool = spool_of(self.path, quota_bytes=QUOTA_BYTES, segment_bytes=SEGMENT_BYTES)
        self.live[spool] = drain_of(self.path, spool)
        return spool

    @rule(spool=spools, count=st.integers(1, 12), length=st.integers(0, 400))
    def append(self, spool, count, length):
        for _ in range(count):
            self.number += 1
            heavy, light = payload(self.number, "x" * length), payload(self.number)
            lightened = spool.lightened
            if spool.append(heavy, light):
                self.acknowledged.add(light if spool.lightened > lightened else heavy)
            else:
                self.lost += 1

    @rule(spool=spools)
    def drain(self, spool):
        self.live[spool].once(PATIENCE_S)

    @rule()
    def drain_without_appending(self):
        self.other.once(PATIENCE_S)

    @rule(spool=spools)
    def fail_to_drain(self, spool):
        """The database cannot be written: what is over the quota is given up."""
        drain = self.live[spool]
        drain._write = write_half
        with suppress(ConnectionError):
            drain.once(PATIENCE_S)
        drain._write = write

    @rule(spool=spools)
    def rotate(self, spool):
        spool.end()

    @rule(spool=spools)
    def close(self, spool):
        spool.segments()  # what is lost is told of
        self.told += sum(spool._losses.owed.values())
        spool._losses.settle()
        spool.close()

    @rule(spool=consumes(spools))
    def kill(self, spool):
        self._die(spool)

    @rule(spool=consumes(spools), length=st.integers(1, 40), part=st.integers(1, 40))
    def kill_while_it_appends(self, spool, length, part):
        current = spool._files.current
        if current is not None and current.size():
            frame = pack(payload(0, "x" * length))
            os.write(current.descriptor, frame[: min(part, len(frame) - 1)])
        self._die(spool)

    @rule()
    def remove_the_folder(self):
        """Of processes that live. Those that are gone have nobody who holds their files open."""
        self.other.once(PATIENCE_S)
        self.removed = True
        shutil.rmtree(spool_folder(self.path), ignore_errors=True)
        for spool in self.live:
            spool.segments()

    @rule(spool=spools)
    def remove_the_lock(self, spool):
        self.removed = True
        if spool._files._owner is not None:
            Path(spool._files._owner._lock.path).unlink(missing_ok=True)

    @invariant()
    def nobody_has_more_than_quota_and_a_file(self):
        for spool in self.live:
            assert spool.stats()["undrained_bytes"] <= QUOTA_BYTES + SEGMENT_BYTES + 200


TestSpooling = Spooling.TestCase
TestSpooling.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
