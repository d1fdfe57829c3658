"""The way of a record into the file: the queue, the thread that empties it, helpers and faults."""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from llmopt.errors import StoreError
from llmopt.usage import database, outbox
from llmopt.usage.outbox import Outbox
from llmopt.usage.sink import Sink

PATIENCE_S = 10.0


def until(true, patience_s=PATIENCE_S):
    """Wait for another thread."""
    give_up_at = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < give_up_at, "waited in vain"
        threading.Event().wait(0.002)


@pytest.fixture
def box(path):
    box = Outbox(path)
    yield box
    box.retire()
    box.close()


@pytest.fixture
def unattended(box, monkeypatch):
    """An outbox whose thread does not come to write."""
    monkeypatch.setattr(box, "_idle", False)
    return box


# the thread


def test_the_thread_writes_by_itself(box, path, record, count):
    for _ in range(3):
        box.put(record())
        until(lambda: box.queued == 0 and box.written)
    until(lambda: box.written == 3)
    assert count(path) == 3
    assert box._thread.daemon


def test_a_burst_goes_in_few_transactions(box, path, record, monkeypatch):
    sizes = []
    write = Sink.write
    monkeypatch.setattr(
        Sink, "write", lambda self, records: sizes.append(len(records)) or write(self, records)
    )
    for _ in range(outbox.BATCH + 100):
        box.put(record())
    assert box.flush(PATIENCE_S)
    until(lambda: box.written == outbox.BATCH + 100)
    assert max(sizes) <= outbox.BATCH
    assert len(sizes) <= 4


def test_callers_help_when_the_queue_is_over_its_bound(unattended, path, record, monkeypatch, count):
    monkeypatch.setattr(outbox, "BOUND", 20)
    monkeypatch.setattr(outbox, "BATCH", 8)
    for _ in range(100):
        unattended.put(record())
        assert unattended.queued <= 21
    assert unattended.helped == pytest.approx((100 - 20) / 8, abs=1)
    assert unattended.flush(PATIENCE_S)
    assert (unattended.written, unattended.failed, count(path)) == (100, 0, 100)


def test_long_texts_do_not_stay_in_the_queue(unattended, path, record, monkeypatch, count):
    monkeypatch.setattr(outbox, "BOUND_CHARACTERS", 1000)
    text = (("prompt", ("x" * 400,)),)
    for queued in (1, 2, 0, 1):
        unattended.put(record(fragments=text))
        assert unattended.queued == queued
    assert unattended.helped == 1
    assert count(path, "fragments") == 1


def test_no_thread_to_be_had(box, path, record, monkeypatch, count):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    box.put(record())
    box.put(record())
    assert (box.queued, count(path)) == (0, 2)


def test_flush_gives_up(unattended, record):
    unattended.put(record())
    with unattended._writing:
        assert not unattended.flush(0.01)
    assert not unattended.flush(0)
    assert unattended.flush(PATIENCE_S)


def test_the_end_does_not_wait_for_ever(unattended, path, record, monkeypatch, count):
    monkeypatch.setattr(outbox, "CLOSE_S", 0.01)
    unattended.put(record())
    with unattended._writing:
        unattended.close()
    assert unattended.queued == 1
    unattended.close()
    unattended.close()
    assert (unattended.queued, count(path)) == (0, 1)


def test_one_helper_is_enough(unattended, record, monkeypatch):
    monkeypatch.setattr(outbox, "BOUND", 1)
    unattended._help()
    assert unattended.helped == 0


def test_the_thread_ends_when_it_is_retired(box, path, record):
    box.put(record())
    until(lambda: box.written == 1)
    thread = box._thread
    box.retire()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert not Path(path + "-wal").exists(), "the file was closed"
    box.put(record())
    until(lambda: box.written == 2)


def test_an_interrupted_write_loses_nothing(unattended, path, record, monkeypatch, count):
    def interrupted(self, records):
        raise KeyboardInterrupt

    for _ in range(3):
        unattended.put(record())
    before = list(unattended._pending)
    with monkeypatch.context() as patch:
        patch.setattr(Sink, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            unattended.flush(PATIENCE_S)
    assert list(unattended._pending) == before
    assert unattended.flush(PATIENCE_S)
    assert count(path) == 3


def test_write_now_takes_along_what_was_queued(unattended, path, record, count):
    unattended.put(record())
    unattended.write_now(record())
    assert (unattended.queued, count(path)) == (0, 2)


# faults


class Broken:
    @property
    def model_id(self):
        raise OSError("no such model")


def test_a_record_at_fault_does_not_take_others_along(unattended, path, record, count):
    bad = [
        record(model=Broken()),
        record(stream=True, finish_reason=object()),
        record(notes={"tier": "first"}),
    ]
    for each in [record(), *bad, record()]:
        unattended.put(each)
    assert unattended.flush(PATIENCE_S)
    assert (unattended.written, unattended.failed, count(path)) == (2, 3, 2)
    unattended.put(record())
    unattended.flush(PATIENCE_S)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT reason, records FROM drops").fetchall() == [("ValueError", 3)]
    connection.close()


def test_a_record_at_fault_is_told_of_at_once_where_that_is_asked_for(box, record):
    with pytest.raises(StoreError, match="the schema refuses"):
        box.write_now(record(model=Broken()))


def test_the_same_id_twice_is_two_calls(unattended, path, record, count):
    twin = record()
    for each in (twin, twin, record()):
        unattended.put(each)
    assert unattended.flush(PATIENCE_S)
    connection = sqlite3.connect(path)
    ids = connection.execute("SELECT id FROM calls WHERE llm_turn_id = ?", (twin.id,)).fetchall()
    assert len({i for (i,) in ids}) == 2
    assert {i[:10] for (i,) in ids} == {twin.id[:10]}
    assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (3,)
    connection.close()


def test_what_is_lost_is_written_down_when_the_file_is_back(unattended, path, record, caplog, count):
    Path(path).mkdir()
    for _ in range(2):
        unattended.put(record())
        assert unattended.flush(PATIENCE_S)
    assert (unattended.written, unattended.failed) == (0, 2)
    assert len(caplog.records) == 1
    Path(path).rmdir()
    unattended.put(record())
    unattended.put(record())
    unattended.flush(PATIENCE_S)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT pid, reason, records FROM drops").fetchall() == [
        (os.getpid(), "IsADirectoryError", 2)
    ]
    connection.close()
    assert count(path) == 2


def test_a_file_that_was_removed_is_made_anew(unattended, path, record, count):
    for _ in range(2):
        unattended.put(record())
        unattended.flush(PATIENCE_S)
        for suffix in ("", "-wal", "-shm"):
            Path(path + suffix).unlink()
    unattended.put(record())
    unattended.flush(PATIENCE_S)
    assert (count(path), count(path, "processes")) == (1, 1)


def test_the_lease_is_waited_for_and_given_up(path, record, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.02)
    other = database.Lease(path)
    mine = Sink(path)
    with other.held(), pytest.raises(TimeoutError, match="held by others"):
        mine.write([record()])
    assert mine.write([record()]) == 1
    mine.close()
    other.close()


def test_a_sink_is_closed_however_it_is_left(path, record):
    Sink(path).close()
    left = Sink(path)
    left.write([record()])
    connection = left._connection
    del left
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_disk_that_fills_while_records_are_written_singly(path, record, count):
    full = Sink(path)
    twin = record()
    full.write([twin])
    pages = full._connection.execute("PRAGMA page_count").fetchone()[0]
    full._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        full.write([twin, *(record() for _ in range(300))])
    assert count(path) == 1
    full.close()


def test_another_thread_has_started_the_writer(box, record):
    started = []
    with box._writing:
        put = threading.Thread(target=lambda: box.put(record()))
        put.start()
        until(lambda: box.queued == 1 and not box._idle)
        box._thread = started
    put.join()
    assert box._thread is started
    box._thread = None
    assert box.flush(PATIENCE_S)
