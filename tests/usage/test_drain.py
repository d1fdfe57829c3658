"""Draining: every record of every process once, whatever was damaged, removed, replaced or interrupted."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from llmopt.usage import drain as drain_module
from llmopt.usage import transfer
from llmopt.usage.database import Lease
from llmopt.usage.frames import MAGIC, VERSION, pack
from llmopt.usage.memory import Memory
from llmopt.usage.segments import Owner, Segment, lock_of, spool_folder, survey

from .spooling import (
    HELLO,
    PATIENCE_S,
    die,
    drain_of,
    drained,
    drops,
    names_in,
    payload,
    positions,
    records,
    spool_of,
    write,
    written,
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "usage.db")


@pytest.fixture
def spool(path):
    spool = spool_of(path)
    yield spool
    spool.close()


@pytest.fixture
def drain(path, spool):
    drain = drain_of(path, spool)
    yield drain
    drain.close(PATIENCE_S)


def fill(spool, numbers):
    for number in numbers:
        assert spool.append(payload(number))


def files_of(path):
    return [Path(spool_folder(path), name) for names in survey(spool_folder(path)).values() for name in names]


def left_behind(path, content):
    """A file of a process that is gone."""
    owner = Owner(spool_folder(path))
    segment = owner.new_segment("spool")
    os.write(segment.descriptor, content)
    segment.close()
    owner.close()
    return segment.path


# what goes well


def test_records_of_this_process(drain, spool, path):
    fill(spool, range(5))
    assert drain.once(PATIENCE_S) == 6
    assert written(path) == [HELLO, *map(payload, range(5))]
    assert drain.once(PATIENCE_S) == 0
    fill(spool, range(5, 8))
    assert drain.once(PATIENCE_S) == 3
    assert records(path) == [payload(n) for n in range(8)]
    assert list(positions(path).values()) == [files_of(path)[0].stat().st_size]
    assert spool.stats()["undrained_bytes"] == 0


def test_records_of_others_that_live_and_that_are_gone(drain, spool, path):
    live, gone = spool_of(path), spool_of(path)
    fill(live, range(3))
    fill(gone, range(3, 6))
    die(gone)
    fill(spool, range(6, 9))
    assert drain.once(PATIENCE_S) == 12
    assert records(path)[:3] == [payload(n) for n in range(6, 9)], "this process comes first"
    assert sorted(records(path)) == [payload(n) for n in range(9)]
    assert set(survey(spool.folder)) == spool.owners() | live.owners()
    assert len(positions(path)) == 2
    fill(live, [9])
    live.close()
    assert drained(path) == 1
    assert set(survey(spool.folder)) == spool.owners()
    assert len(records(path)) == 10


def test_nothing_is_left_when_all_are_gone(path):
    spools = [spool_of(path, segment_bytes=100) for _ in range(3)]
    for spool in spools:
        fill(spool, range(10))
        die(spool)
    assert drained(path) > 30
    assert len(records(path)) == 30
    assert (names_in(spool_folder(path)), positions(path)) == ([], {})


def test_own_files_go_when_they_are_full_and_drained(path):
    spool = spool_of(path, segment_bytes=100)
    drain = drain_of(path, spool)
    fill(spool, range(20))
    count = len(files_of(path))
    drain.once(PATIENCE_S)
    assert (count > 5, len(files_of(path)), len(positions(path))) == (True, 1, 1)
    spool.end()
    drain.once(PATIENCE_S)
    assert (files_of(path), positions(path)) == ([], {})
    spool.close()
    assert names_in(spool.folder) == []
    drain.close(PATIENCE_S)
    assert not Path(path + "-wal").exists()
    assert records(path) == [payload(n) for n in range(20)]


def test_a_batch_is_one_transaction(drain, spool, path, monkeypatch):
    sizes = []
    monkeypatch.setattr(drain, "_write", lambda connection, payloads: sizes.append(sum(map(len, payloads))))
    monkeypatch.setattr(transfer, "BATCH_BYTES", 1000)
    for number in range(100):
        spool.append(payload(number, "x" * 80))
    drain.once(PATIENCE_S)
    assert 10 < len(sizes) < 15
    assert max(sizes) <= 1000


def test_a_record_longer_than_a_batch(drain, spool, path, monkeypatch):
    monkeypatch.setattr(transfer, "BATCH_BYTES", 64)
    long = [payload(n, "x" * 10**n) for n in range(1, 6)]
    assert all(map(spool.append, long))
    drain.once(PATIENCE_S)
    assert records(path) == long


def test_many_threads_and_drains(path):
    """Two drains of one process, as two processes: what counts is the lease."""
    spools = [spool_of(path, segment_bytes=2_000) for _ in range(2)]
    drains = [drain_of(path, spool) for spool in spools]
    barrier = threading.Barrier(6)

    def append(spool, start):
        barrier.wait()
        fill(spool, range(start, start + 300))

    def move(drain):
        barrier.wait()
        for _ in range(30):
            drain.once(PATIENCE_S)

    work = [(append, (spools[n % 2], n * 300)) for n in range(4)] + [(move, (drain,)) for drain in drains]
    threads = [threading.Thread(target=target, args=args) for target, args in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for drain in drains:
        drain.once(PATIENCE_S)
        drain.close(PATIENCE_S)
    assert sorted(records(path)) == sorted(payload(n) for n in range(1200))


def test_a_queue_in_memory(path):
    memory = Memory(lambda: HELLO)
    drain = drain_of(path, memory)
    assert drain.once(PATIENCE_S) == 0
    for number in range(3):
        assert memory.append(payload(number))
    left_behind(path, MAGIC + pack(payload(3)))
    assert drain.once(PATIENCE_S) == 5
    assert written(path) == [HELLO, *map(payload, range(4))]
    drain.close(PATIENCE_S)


# turns


def test_others_have_their_turn(path, monkeypatch):
    monkeypatch.setattr(drain_module, "TURN_S", 0.0)
    monkeypatch.setattr(transfer, "BATCH_BYTES", 100)
    monkeypatch.setattr(drain_module, "PAUSE_S", 0.0)
    for start in (0, 20):
        spool = spool_of(path, segment_bytes=400)
        fill(spool, range(start, start + 20))
        die(spool)
    spool = spool_of(path, segment_bytes=400)
    fill(spool, range(40, 60))
    turns = []
    drain = drain_of(path, spool)
    opened = drain._open

    def count(timeout_s):
        turns.append(len(records(path)))
        return opened(timeout_s)

    monkeypatch.setattr(drain, "_open", count)
    drain.once(PATIENCE_S)
    assert len(turns) > 15
    assert turns == sorted(turns)
    assert sorted(records(path)) == sorted(payload(n) for n in range(60))
    assert len(survey(spool.folder)) == 1
    drain.close(PATIENCE_S)


def test_a_process_that_goes_between_two_turns(path, monkeypatch):
    """What it has begun meanwhile is drained before its place in it is forgotten."""
    monkeypatch.setattr(drain_module, "TURN_S", 0.0)
    monkeypatch.setattr(transfer, "BATCH_BYTES", 64)
    other = spool_of(path, segment_bytes=200)
    fill(other, range(5))
    drain = drain_of(path)

    def meanwhile(_seconds):
        if other.written < 15:
            fill(other, range(other.written, other.written + 5))
            drained(path)
            if other.written == 15:
                die(other)
                other.written = 15

    monkeypatch.setattr(time, "sleep", meanwhile)
    drain.once(PATIENCE_S)
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(15)]
    assert (names_in(other.folder), positions(path)) == ([], {})


def test_own_files_that_another_thread_has_removed_between_two_turns(path, monkeypatch):
    monkeypatch.setattr(drain_module, "TURN_S", 0.0)
    monkeypatch.setattr(transfer, "BATCH_BYTES", 64)
    spool = spool_of(path, segment_bytes=200)
    drain = drain_of(path, spool)
    fill(spool, range(20))
    slept = []

    def meanwhile(_seconds):
        if not slept:
            slept.append(1)
            spool.end()
            drain.once(PATIENCE_S)
            assert files_of(path) == []

    monkeypatch.setattr(time, "sleep", meanwhile)
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(20)]


def test_a_file_that_goes_between_two_turns(path, monkeypatch):
    monkeypatch.setattr(drain_module, "TURN_S", 0.0)
    other = spool_of(path, segment_bytes=100)
    fill(other, range(9))
    other_drain, drain = drain_of(path, other), drain_of(path)
    monkeypatch.setattr(
        time, "sleep", lambda seconds: other_drain.once(PATIENCE_S) if not records(path)[8:] else None
    )
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(9)]
    for each in (other_drain, drain):
        each.close(PATIENCE_S)
    other.close()


def test_too_much_for_the_time(drain, spool, path, monkeypatch):
    monkeypatch.setattr(transfer, "BATCH_BYTES", 100)
    fill(spool, range(100))
    with pytest.raises(TimeoutError, match=r"0\.0 s were too few to write what waits for .*usage\.db"):
        drain.once(0.0)
    assert 0 < len(records(path)) < 100
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(100)]


def test_the_lease_is_waited_for_and_given_up(drain, spool, path):
    fill(spool, [0])
    lease = Lease(path)
    with lease.held():
        with pytest.raises(TimeoutError, match="held by others"):
            drain.once(0.01)
        other = threading.Thread(target=drain.once, args=(PATIENCE_S,))
        other.start()
        while not drain._lock.locked():
            time.sleep(0.001)
        with pytest.raises(TimeoutError, match="written by another thread"):
            drain.once(0.01)
    other.join()
    lease.close()
    assert records(path) == [payload(0)]


# damage


def test_cut_at_every_byte(tmp_path):
    payloads = [HELLO, *(payload(n, "x" * n) for n in range(6))]
    content, ends = MAGIC, [len(MAGIC)]
    for each in payloads:
        content += pack(each)
        ends.append(len(content))
    path = str(tmp_path / "usage.db")
    moved, drain = 0, drain_of(path)
    for cut in range(len(content) + 1):
        left_behind(path, content[:cut])
        drain.once(PATIENCE_S)
        whole = max(0, sum(end <= cut for end in ends) - 1)
        moved += whole
        assert drain.moved == moved, cut
    found = written(path)
    expected = []
    for cut in range(len(content) + 1):
        expected += payloads[: max(0, sum(end <= cut for end in ends) - 1)]
    assert found == expected
    assert drops(path) == {}, "what was never acknowledged is no loss"
    assert (names_in(spool_folder(path)), positions(path)) == ([], {})
    drain.close(PATIENCE_S)


@pytest.mark.parametrize("tail", [bytes(20), b"?" * 20, pack(b"one")[:-1] + b"?", bytes(7)])
def test_damage_at_the_end_is_a_loss(path, tail):
    left_behind(path, MAGIC + pack(payload(0)) + tail)
    drain = drain_of(path)
    drain.once(PATIENCE_S)
    assert records(path) == [payload(0)]
    assert drops(path) == {"damaged": 1}
    assert drain.lost_bytes == len(tail)
    assert files_of(path) == []
    drain.close(PATIENCE_S)


def test_damage_in_the_middle_is_a_loss_and_takes_nothing_along(path):
    damaged = bytearray(MAGIC + b"".join(pack(payload(n)) for n in range(5)))
    damaged[len(damaged) // 2] ^= 1
    left_behind(path, bytes(damaged))
    drained(path)
    assert records(path) == [payload(n) for n in (0, 1, 3, 4)]
    assert drops(path) == {"damaged": 1}
    pid = written(path)[-1].split(b",")[2]
    assert int(pid) == os.getpid()


@pytest.mark.parametrize("head", [b"", MAGIC[:3], bytes(8), b"llmOpt\n\1"])
def test_a_file_whose_beginning_is_damaged(path, head):
    left_behind(path, head + pack(payload(0)) + pack(payload(1)))
    drained(path)
    assert records(path) == [payload(0), payload(1)]
    assert drops(path) == ({"damaged": 1} if head else {})


def test_damage_is_looked_at_twice(drain, path, monkeypatch):
    """Of a file that is being written, a later page may be seen before an earlier one."""
    other = spool_of(path)
    fill(other, range(3))
    pread, seen = os.pread, []

    def too_early(descriptor, size, offset):
        found = pread(descriptor, size, offset)
        if not seen and len(found) > 60:
            seen.append(found)
            return found[:30] + bytes(10) + found[40:]
        return found

    monkeypatch.setattr(os, "pread", too_early)
    drain.once(PATIENCE_S)
    assert seen
    assert records(path) == [payload(n) for n in range(3)]
    assert drops(path) == {}


def test_what_is_being_written_is_waited_for(drain, path):
    owner = Owner(spool_folder(path))
    segment = owner.new_segment("spool")
    content = MAGIC + pack(payload(0)) + pack(payload(1))
    for cut in (3, 12, len(content) - 1, len(content)):
        os.write(segment.descriptor, content[segment.size() : cut])
        drain.once(PATIENCE_S)
    assert records(path) == [payload(0), payload(1)]
    assert files_of(path) == [Path(segment.path)]
    segment.close()
    owner.close()


def test_files_of_another_version_are_left_alone(path):
    other = left_behind(path, MAGIC[:-1] + bytes([VERSION + 1]) + b"what it may be")
    mine = left_behind(path, MAGIC + pack(payload(0)))
    assert drained(path) == 1
    assert Path(other).read_bytes().endswith(b"what it may be")
    assert not Path(mine).exists()
    assert Path(other).parent.joinpath(Path(other).name.split(".")[0] + ".lock").exists()
    assert drained(path) == 0


def test_other_files_are_left_alone(path):
    left_behind(path, MAGIC + pack(payload(0)))
    Path(spool_folder(path), "notes.txt").write_text("mine")
    drained(path)
    assert names_in(spool_folder(path)) == ["notes.txt"]


# what somebody removes or replaces


def test_the_spool_was_removed_while_its_process_lives(drain, spool, path):
    fill(spool, range(3))
    drain.once(PATIENCE_S)
    fill(spool, range(3, 6))
    shutil.rmtree(spool.folder)
    fill(spool, range(6, 9))
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(9)]
    assert len(files_of(path)) == 1, "others find the next records again"
    fill(spool, range(9, 12))
    die(spool)
    drained(path)
    assert records(path) == [payload(n) for n in range(12)]


def test_only_the_lock_was_removed(drain, spool, path):
    """Others take its owner for gone, and remove the file; nothing is lost, and nothing doubled."""
    fill(spool, range(3))
    drain.once(PATIENCE_S)
    Path(spool._files._owner._lock.path).unlink()
    fill(spool, range(3, 6))
    drained(path)
    assert files_of(path) == []
    fill(spool, range(6, 9))
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(9)]
    spool.end()
    drain.once(PATIENCE_S)
    assert len(records(path)) == 9
    assert positions(path) == {}


@pytest.mark.parametrize("suffixes", [[""], ["", "-wal", "-shm"]])
def test_the_database_was_removed(drain, spool, path, suffixes):
    fill(spool, range(3))
    drain.once(PATIENCE_S)
    for suffix in suffixes:
        Path(path + suffix).unlink()
    fill(spool, range(3, 6))
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(6)], "what the spool had still, it gives again"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_database_is_replaced_while_it_is_written(path, spool, monkeypatch):
    fill(spool, range(3))
    spool.end()
    left_behind(path, MAGIC + pack(payload(3)))

    def replace(connection, payloads):
        write(connection, payloads)
        if plan:
            plan.pop()()

    plan = [lambda: Path(path).rename(path + ".old")]
    drain = drain_of(path, spool)
    drain._write = replace
    with pytest.raises(sqlite3.OperationalError, match="was replaced while it was written"):
        drain.once(PATIENCE_S)
    assert len(files_of(path)) == 2
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(4)]
    drain.close(PATIENCE_S)


def test_no_database_at_all(drain, spool, path):
    Path(path).write_bytes(b"This is no database. " * 999)
    fill(spool, range(3))
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            drain.once(PATIENCE_S)
    Path(path).unlink()
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(3)]


def test_a_database_that_is_locked(drain, spool, path):
    drain.once(PATIENCE_S)
    fill(spool, range(3))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            drain.once(0.02)
        other.execute("ROLLBACK")
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(3)]


def test_a_full_disk(drain, spool, path):
    drain.once(PATIENCE_S)
    pages = drain._connection.execute("PRAGMA page_count").fetchone()[0]
    drain._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    for number in range(300):
        spool.append(payload(number, "x" * 100))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        drain.once(PATIENCE_S)
    drain.once(PATIENCE_S)
    assert len(records(path)) == 300


def test_rows_that_cannot_be_written_leave_no_trace(drain, spool, path):
    def half(connection, payloads):
        write(connection, payloads)
        raise TypeError("what is this?")

    fill(spool, range(3))
    drain._write = half
    with pytest.raises(TypeError):
        drain.once(PATIENCE_S)
    drain._write = write
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(3)]


def test_a_file_that_cannot_be_read_does_not_keep_others(drain, path, monkeypatch):
    bad, good = left_behind(path, b"?"), left_behind(path, MAGIC + pack(payload(0)))
    assert bad < good

    def read(self, offset, size):
        if self.path == bad:
            raise OSError(errno.EIO, "no")
        return os.pread(self.descriptor, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(Segment, "read", read)
        assert drain.once(PATIENCE_S) == 1
        assert str(drain.problem) == "[Errno 5] no"
    assert records(path) == [payload(0)]
    assert [str(file) for file in files_of(path)] == [bad]
    drain.once(PATIENCE_S)
    assert drain.problem is None
    assert files_of(path) == []


def test_a_file_of_ones_own_that_cannot_be_removed_is_tried_again(drain, spool, path, monkeypatch):
    def refused(self):
        raise PermissionError

    fill(spool, range(3))
    spool.end()
    with monkeypatch.context() as patch:
        patch.setattr(Segment, "remove", refused)
        with pytest.raises(PermissionError):
            drain.once(PATIENCE_S)
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(3)]
    assert files_of(path) == []


def test_the_quota_is_kept_while_the_database_fails(path):
    Path(path).mkdir()
    spool = spool_of(path, quota_bytes=2_000, segment_bytes=500)
    drain = drain_of(path, spool)
    numbers = iter(range(10**9))
    appended = 0
    for _ in range(20):
        while spool.append(payload(next(numbers))):
            appended += 1
        with pytest.raises((sqlite3.Error, OSError)):
            drain.once(PATIENCE_S)
        assert spool.stats()["undrained_bytes"] <= 2_100
    Path(path).rmdir()
    drain.once(PATIENCE_S)
    assert len(records(path)) + spool.stats()["failed"] == next(numbers)
    assert drops(path) == {"quota": spool.stats()["failed"]}
    assert records(path)[-1] == payload(appended + 18)
    drain.close(PATIENCE_S)


def test_queued_records_are_kept_while_the_database_fails(path):
    Path(path).mkdir()
    memory = Memory(lambda: HELLO)
    drain = drain_of(path, memory)
    memory.append(payload(0))
    memory.lose("some reason", 2)
    with pytest.raises((sqlite3.Error, OSError)):
        drain.once(PATIENCE_S)
    Path(path).rmdir()
    drain._write = lambda connection, payloads: 1 / 0
    with pytest.raises(ZeroDivisionError):
        drain.once(PATIENCE_S)
    drain._write = write
    drain.once(PATIENCE_S)
    assert records(path) == [payload(0)]
    assert written(path)[0] == HELLO
    assert drops(path) == {"some reason": 2}
    drain.close(PATIENCE_S)


# power


def test_files_with_power_are_confirmed_before_they_go(path, monkeypatch):
    spool = spool_of(path, durability="power")
    fill(spool, range(3))
    die(spool)
    left_behind(path, MAGIC + pack(payload(3)))
    drain = drain_of(path)
    modes = []

    def watch(connection, payloads):
        write(connection, payloads)
        modes.append(connection.execute("PRAGMA synchronous").fetchone()[0])

    drain._write = watch
    drain.once(PATIENCE_S)
    assert modes == [2, 1], "FULL, then NORMAL again"
    drain.close(PATIENCE_S)


# ends


def test_a_lock_is_held_while_its_owner_is_buried(path, monkeypatch):
    owner = Owner(spool_folder(path))
    owner.close()
    removed = []

    def watched(self):
        other = lock_of(spool_folder(path), owner.name)
        removed.append(other.acquire())
        other.close()

    monkeypatch.setattr("llmopt.usage.locks.Lock.remove", watched)
    drained(path)
    assert removed == [False]


def test_a_database_that_somebody_holds_at_the_end_is_closed_all_the_same(drain, spool, path):
    fill(spool, [0])
    drain.once(PATIENCE_S)
    lease = Lease(path)
    with lease.held():
        drain.close(0.0)
    assert drain._connection is None
    lease.close()
    drain._lock.acquire()
    drain.close(0.0)
    drain._lock.release()


def test_a_drain_is_closed_however_it_is_left(path):
    drain = drain_of(path)
    drain.once(PATIENCE_S)
    connection = drain._connection
    del drain
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_fork_waits_for_the_batch(drain, spool, path):
    fill(spool, [0])
    drain.once(PATIENCE_S)
    assert drain.pause()
    assert drain._connection is None
    with pytest.raises(TimeoutError):
        drain.once(0.0)
    drain.resume()
    fill(spool, [1])
    drain.once(PATIENCE_S)
    assert records(path) == [payload(0), payload(1)]


def test_a_fork_ends_the_turn(path, spool, monkeypatch):
    monkeypatch.setattr(transfer, "BATCH_BYTES", 64)
    fill(spool, range(50))
    drain = drain_of(path, spool)
    batches, seen = [], []

    def fork():
        assert drain.pause()
        seen.append(len(batches))
        drain.resume()

    forking = threading.Thread(target=fork)

    def begin_to_fork(connection, payloads):
        write(connection, payloads)
        batches.append(1)
        if len(batches) == 3:
            forking.start()
            while drain._transfer._ends_at:
                time.sleep(0.001)

    drain._write = begin_to_fork
    drain.once(PATIENCE_S)
    forking.join()
    assert seen == [3]
    assert records(path) == [payload(n) for n in range(50)]
    drain.close(PATIENCE_S)


def test_a_drain_that_appends_nothing_may_be_forked_too(path):
    left_behind(path, MAGIC + pack(payload(0)))
    drain = drain_of(path)
    assert drain.pause()
    drain.resume()
    drain.disown()
    assert drain.once(PATIENCE_S) == 1
    drain.close(PATIENCE_S)


def test_a_fork_does_not_wait_for_ever(drain, spool, monkeypatch):
    monkeypatch.setattr(drain_module, "PATIENCE_S", 0.01)
    with drain._lock:
        assert not drain.pause()
    monkeypatch.setattr(spool, "pause", lambda: False)
    assert not drain.pause()
    assert not drain._lock.locked()


def test_what_is_the_parents_is_left_to_it(drain, spool, path):
    fill(spool, range(3))
    drain.once(PATIENCE_S)
    inherited = drain._connection
    drain.disown()
    assert inherited.execute("SELECT count(*) FROM payloads").fetchone() == (4,)
    assert (drain.moved, spool.written) == (0, 0)
    fill(spool, range(3, 6))
    drain.once(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(6)]
    inherited.close()
