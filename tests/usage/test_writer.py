"""The writer of a file: its thread, its settings, its ends, and what it tells of faults."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from llmopt.errors import ConfigurationError
from llmopt.usage import drainer as drainer_module
from llmopt.usage.database import Lease
from llmopt.usage.drain import Drain
from llmopt.usage.registry import Registry, resolve
from llmopt.usage.retention import Pruned
from llmopt.usage.segments import spool_folder, survey
from llmopt.usage.settings import Settings
from llmopt.usage.writer import Hello, Writer

from .spooling import PATIENCE_S, drained, drops, payload, records, spool_of, write, written


def until(true, patience_s=PATIENCE_S):
    """Wait for another thread."""
    give_up_at = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < give_up_at, "waited in vain"
        threading.Event().wait(0.002)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "usage.db")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(drainer_module, "LINGER_S", 0.001)
    monkeypatch.setattr(drainer_module, "BACK_OFF_S", 0.001)
    monkeypatch.setattr(drainer_module, "BACK_OFF_MAX_S", 0.004)


@pytest.fixture
def made():
    """Writers of this test; their threads end with it."""
    made = []
    yield made
    for writer in made:
        writer.drainer.close()
        thread = writer.drainer._thread
        writer.drainer.retire()
        if thread is not None:
            thread.join(PATIENCE_S)


@pytest.fixture(params=["process", "power", "none"])
def durability(request):
    return request.param


@pytest.fixture
def make(path, made):
    def make(durability="process"):
        made.append(Writer(path, Settings(durability=durability), write))
        return made[-1]

    return make


@pytest.fixture
def writer(make):
    return make()


@pytest.fixture
def unattended(make, monkeypatch):
    """A writer whose thread does not come to drain."""
    monkeypatch.setattr(drainer_module.Drainer, "_wake", lambda self: None)
    return make()


# the thread


def test_the_thread_drains_by_itself(make, path, durability):
    writer = make(durability)
    for number in range(3):
        assert writer.put(payload(number))
        until(lambda: len(records(path)) == number + 1)  # noqa: B023
    assert writer.drainer._thread.daemon
    assert writer.stats() == {
        "written": 3, "lightened": 0, "unconfirmed": 0, "failed": 0, "undrained_bytes": 0, "drained": 4,
        "damaged_bytes": 0, "drain_faults": 0,
    }  # fmt: skip


def test_there_is_no_thread_before_the_first_record(writer, path):
    assert writer.drainer._thread is None
    assert not Path(spool_folder(path)).exists()


def test_the_thread_sleeps_while_there_is_nothing(writer, path, monkeypatch):
    drains = []
    once = Drain.once
    monkeypatch.setattr(Drain, "once", lambda self, timeout_s: drains.append(1) or once(self, timeout_s))
    writer.put(payload(0))
    until(lambda: writer.stats()["undrained_bytes"] == 0 and writer.drainer._idle)
    drains.clear()
    assert not threading.Event().wait(0.05)
    assert drains == []


def test_a_burst_goes_in_few_transactions(writer, path, monkeypatch):
    monkeypatch.setattr(drainer_module, "LINGER_S", 0.03)
    sizes = []
    writer.drainer.drain._write = lambda connection, payloads: sizes.append(len(payloads))
    for number in range(2_000):
        writer.put(payload(number))
    assert writer.flush(PATIENCE_S)
    assert sum(sizes) == 2_001
    assert len(sizes) < 20


def test_flush_is_for_what_was_put_before(unattended, path):
    for number in range(5):
        unattended.put(payload(number))
    assert records(path) == []
    assert unattended.flush(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(5)]


def test_flush_gives_up(unattended, path):
    unattended.put(payload(0))
    with unattended.drainer.drain._lock:
        assert not unattended.flush(0.01)
    lease = Lease(path)
    with lease.held():
        assert not unattended.flush(0.01)
    lease.close()
    assert unattended.flush(PATIENCE_S)
    assert unattended.stats()["drain_faults"] == 0, "others at work are no fault"


def test_the_thread_ends_with_its_writer(path, durability):
    writer = Writer(path, Settings(durability=durability), write)
    writer.put(payload(0))
    thread = writer.drainer._thread
    del writer
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert records(path) == [payload(0)]
    assert not Path(path + "-wal").exists(), "the file was closed"
    assert survey(spool_folder(path)) == {}


def test_the_thread_ends_though_the_database_fails(path, monkeypatch):
    monkeypatch.setattr(drainer_module, "CLOSE_S", 0.01)
    Path(path).mkdir()
    writer = Writer(path, None, write)
    writer.put(payload(0))
    thread, drainer = writer.drainer._thread, writer.drainer
    until(lambda: drainer.faults > 3)
    del writer
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    Path(path).rmdir()
    drained(path)
    assert records(path) == [payload(0)]


def test_after_its_end_the_writer_begins_anew(writer, path, durability):
    writer.put(payload(0))
    thread = writer.drainer._thread
    writer.drainer.retire()
    thread.join(PATIENCE_S)
    writer.put(payload(1))
    until(lambda: len(records(path)) == 2)


def test_no_thread_to_be_had(writer, path, monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert writer.put(payload(0))
        assert writer.put(payload(1))
    assert writer.drainer._thread is None
    assert writer.put(payload(2))
    until(lambda: len(records(path)) == 3)


def test_one_thread_is_enough(writer, path):
    with writer.drainer._starting:
        assert writer.put(payload(0))
    assert writer.drainer._thread is None
    assert writer.drainer._idle, "who starts it may fail"
    assert writer.flush(PATIENCE_S)
    assert records(path) == [payload(0)]


def test_the_end_does_not_wait_for_ever(unattended, path):
    unattended.put(payload(0))
    lease = Lease(path)
    with lease.held():
        began_s = time.monotonic()
        unattended.drainer.close(0.02)
        assert time.monotonic() - began_s < 1.0
    lease.close()
    assert records(path) == []
    drained(path)
    assert records(path) == [payload(0)]


def test_many_threads(make, path, durability):
    writer = make(durability)
    threads_count, count = 8, 100

    def work(start):
        for number in range(start, start + count):
            assert writer.put(payload(number))

    threads = [threading.Thread(target=work, args=(n * count,)) for n in range(threads_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(PATIENCE_S)
    assert sorted(records(path)) == sorted(payload(n) for n in range(threads_count * count))


def test_callers_help_where_records_are_in_memory(make, path, monkeypatch):
    monkeypatch.setattr("llmopt.usage.memory.BOUND_BYTES", 500)
    monkeypatch.setattr(drainer_module.Drainer, "_wake", lambda self: None)
    writer = make("none")
    for number in range(200):
        assert writer.put(payload(number))
        assert writer.stats()["undrained_bytes"] < 600
    assert 150 < len(records(path)) < 200
    assert writer.flush(PATIENCE_S)
    assert records(path) == [payload(n) for n in range(200)]


def test_callers_do_not_help_where_it_fails(make, path, monkeypatch):
    monkeypatch.setattr("llmopt.usage.memory.BOUND_BYTES", 500)
    monkeypatch.setattr(drainer_module.Drainer, "_wake", lambda self: None)
    Path(path).mkdir()
    writer = make("none")
    kept = sum(writer.put(payload(number)) for number in range(200))
    assert kept < 70
    assert writer.stats()["drain_faults"] == 1, "one of them has tried"
    Path(path).rmdir()
    assert writer.flush(PATIENCE_S)
    assert writer.put(payload(200))
    assert writer.flush(PATIENCE_S)
    assert len(records(path)) == kept + 1
    assert drops(path) == {"quota": 200 - kept}


# faults


def test_the_warning_comes_once(writer, path, caplog):
    Path(spool_folder(path)).write_text("")
    for _ in range(3):
        assert not writer.put(payload(0))
    assert writer.fault == "ENOTDIR"
    assert [record.getMessage() for record in caplog.records] == [
        f"calls are not logged in {path}: ENOTDIR. This is said once; UsageLog.stats() counts what is lost."
    ]
    Path(spool_folder(path)).unlink()
    assert writer.put(payload(1))
    assert writer.flush(PATIENCE_S)
    assert drops(path) == {"ENOTDIR": 3}
    assert writer.stats()["failed"] == 3


def test_a_database_that_fails_for_a_while(writer, path, caplog):
    Path(path).write_bytes(b"This is no database. " * 999)
    writer.put(payload(0))
    until(lambda: writer.stats()["drain_faults"] > 2)
    (warning,) = caplog.records
    assert f"calls wait to be logged in {path}: file is not a database" in warning.getMessage()
    Path(path).unlink()
    until(lambda: records(path) == [payload(0)])


def test_a_database_that_others_have_locked_for_a_while_is_no_matter(writer, path, monkeypatch, caplog):
    monkeypatch.setattr(drainer_module, "PATIENCE_S", 0.005)
    writer.put(payload(0))
    until(lambda: len(records(path)) == 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer.put(payload(1))
        until(lambda: writer.stats()["drain_faults"] > 2)
        assert caplog.records == []
        monkeypatch.setattr(drainer_module, "WARN_AFTER_S", 0.0)
        until(lambda: caplog.records)
        other.execute("ROLLBACK")
    until(lambda: len(records(path)) == 2)
    assert "database is locked" in caplog.text


def test_a_lease_that_others_have_for_long_is_told_of(writer, path, monkeypatch, caplog):
    monkeypatch.setattr(drainer_module, "PATIENCE_S", 0.005)
    monkeypatch.setattr(drainer_module, "WARN_AFTER_S", 0.0)
    lease = Lease(path)
    with lease.held():
        writer.put(payload(0))
        until(lambda: caplog.records)
    lease.close()
    until(lambda: len(records(path)) == 1)
    assert "held by others" in caplog.text


def test_what_is_wrong_with_files_of_others_is_told_of(writer, path, monkeypatch, caplog):
    other = spool_of(path)
    other.append(payload(0))

    def refused(self):
        if self.name.startswith(other._files.current.owner):
            raise PermissionError("not yours")
        return False

    monkeypatch.setattr("llmopt.usage.segments.Segment.is_of_another_version", refused)
    writer.put(payload(1))
    until(lambda: writer.stats()["drain_faults"])
    assert writer.flush(PATIENCE_S)
    assert records(path) == [payload(1)]
    assert "not yours" in caplog.text
    assert writer.stats()["drain_faults"] == 2
    other.close()


def test_much_to_do_is_no_fault(unattended, path, monkeypatch):
    monkeypatch.setattr("llmopt.usage.transfer.BATCH_BYTES", 64)
    monkeypatch.setattr("llmopt.usage.drain.TURN_S", 0.0)
    monkeypatch.setattr(drainer_module, "PATIENCE_S", 0.0)
    monkeypatch.setattr(unattended.drainer, "_is_told_to_end", lambda timeout_s: 1 / 0)
    for number in range(30):
        unattended.put(payload(number))
    assert unattended.drainer._drain()
    assert records(path) == [payload(n) for n in range(30)]
    assert unattended.stats()["drain_faults"] == 0


def test_a_thread_in_trouble_is_told_to_end(unattended, monkeypatch):
    monkeypatch.setattr(unattended.drainer.drain, "once", lambda timeout_s: 1 / 0)
    unattended.drainer._bell.put(True)
    unattended.drainer.retire()
    assert not unattended.drainer._drain()
    assert unattended.stats()["drain_faults"] == 2


def test_what_could_not_even_be_put_is_counted(writer, path):
    writer.lose("TypeError")
    writer.lose("TypeError", 2)
    assert writer.put(payload(0))
    assert writer.flush(PATIENCE_S)
    assert writer.stats()["failed"] == 3
    assert drops(path) == {"TypeError": 3}


def test_losses_are_written_down_without_a_record(writer, path):
    writer.lose("TypeError")
    assert writer.flush(PATIENCE_S)
    assert drops(path) == {"TypeError": 1}


def test_the_spool_is_deleted_again_and_again(writer, path):
    for number in range(30):
        assert writer.put(payload(number))
        if number % 5 == 0:
            shutil.rmtree(spool_folder(path), ignore_errors=True)
    assert writer.flush(PATIENCE_S)
    until(lambda: len(records(path)) == 30)
    assert sorted(records(path)) == sorted(payload(n) for n in range(30))


# upkeep


@pytest.fixture
def upkeep(monkeypatch):
    """What was asked of the retention, and what it says."""
    asked, says = [], []

    def maintain(connection, settings, now):
        asked.append((settings, now, connection.execute("SELECT 1").fetchone()))
        return Pruned(finished=says.pop(0) if says else True)

    monkeypatch.setattr(drainer_module, "maintain", maintain)
    return asked, says


def test_what_is_not_to_be_kept_is_removed_now_and_then(path, made, upkeep):
    asked, says = upkeep
    says += [False, False]
    settings = Settings(keep_days=30)
    made.append(Writer(path, settings, write))
    for number in range(4):
        made[0].put(payload(number))
        until(lambda: len(records(path)) == number + 1 and made[0].drainer._idle)  # noqa: B023
    assert [each[0] for each in asked] == [settings] * 3, "until it was all done; the next time is in an hour"
    assert asked[0][1] == pytest.approx(time.time(), abs=60)
    made[0].drainer.close()
    assert len(asked) == 3


def test_a_short_process_does_so_at_its_end(path, made, upkeep, monkeypatch):
    monkeypatch.setattr(drainer_module.Drainer, "_wake", lambda self: None)
    made.append(Writer(path, Settings(max_bytes=10**9), write))
    made[0].put(payload(0))
    made[0].drainer.close()
    assert len(upkeep[0]) == 1


def test_everything_is_kept_where_nothing_else_was_asked_for(writer, path, upkeep):
    writer.put(payload(0))
    until(lambda: writer.drainer._idle and records(path))
    writer.drainer.close()
    assert upkeep[0] == []


def test_what_cannot_be_removed_is_no_trouble(path, made, monkeypatch):
    def maintain(connection, settings, now):
        raise sqlite3.OperationalError("no")

    monkeypatch.setattr(drainer_module, "maintain", maintain)
    monkeypatch.setattr(drainer_module.Drainer, "_wake", lambda self: None)
    made.append(Writer(path, Settings(max_bytes=10**9), write))
    made[0].put(payload(0))
    made[0].drainer.close()
    assert records(path) == [payload(0)]


# introductions


def test_a_process_introduces_itself(writer, path):
    writer.put(payload(0))
    assert writer.flush(PATIENCE_S)
    kind, pid, host, started_s, llmopt, llm, python, sqlite = orjson.loads(written(path)[0])
    assert (kind, pid, len(host)) == ("hello", os.getpid(), 32)
    assert started_s == pytest.approx(time.time(), abs=60)
    assert sqlite == sqlite3.sqlite_version
    assert python == ".".join(map(str, sys.version_info[:3]))
    assert "unknown" not in (llmopt, llm)


def test_it_does_so_with_the_same_words_until_it_is_another(monkeypatch):
    hello = Hello()
    first = hello()
    assert hello() is first
    monkeypatch.setattr(os, "getpid", lambda: 7)
    assert orjson.loads(hello())[1] == 7


def test_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("llmopt.usage.writer.version", lambda package: package_not_found())

    def package_not_found():
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError

    assert orjson.loads(Hello()())[4:6] == ["unknown", "unknown"]


# the registry


@pytest.fixture
def registry():
    registry = Registry()
    registry._installed = True
    yield registry
    registry.close()


def test_one_writer_per_file(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = registry.writer(tmp_path / "usage.db")
    assert registry.writer("usage.db") is writer
    assert registry.writer("other.db") is not writer
    assert registry.writer("usage.db", Settings()) is writer


@pytest.mark.parametrize(
    ("mine", "message"),
    [
        (
            {"durability": "power"},
            "durability='power' is wrong: another log of .*usage.db has durability='process'",
        ),
        ({"keep_days": 7}, "keep_days=7 is wrong: .* has keep_days=None"),
        ({"prices": {"m": (1.0, 2.0)}}, r"prices={'m': \(1.0, 2.0\)} is wrong: .* has prices=None"),
    ],
)
def test_logs_of_one_file_have_to_agree(registry, path, mine, message):
    writer = registry.writer(path)
    with pytest.raises(ConfigurationError, match=message):
        registry.writer(path, Settings(**mine))
    del writer
    gc.collect()
    assert registry.writer(path, Settings(**mine)).settings == Settings(**mine), "nobody disagrees any more"


def test_the_end_of_the_process_is_listened_for_once(tmp_path, monkeypatch):
    ends = []
    monkeypatch.setattr("atexit.register", ends.append)
    registry = Registry()
    writers = [registry.writer(tmp_path / name) for name in ("a.db", "b.db")]
    (end,) = ends
    for writer in writers:
        writer.put(b'["drop",0,1,"nothing",1]')
    end()
    assert not list(tmp_path.glob("*-wal"))
    assert all(writer.stats()["undrained_bytes"] == 0 for writer in writers)


def test_flush_of_one_file_leaves_others(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(drainer_module.Drainer, "_wake", lambda self: None)
    writers = [registry.writer(tmp_path / name) for name in ("a.db", "b.db")]
    for writer in writers:
        writer.put(b'["drop",0,1,"nothing",1]')
    assert registry.flush(PATIENCE_S, resolve(tmp_path / "a.db"))
    assert [writer.stats()["undrained_bytes"] > 0 for writer in writers] == [False, True]
    assert registry.flush(PATIENCE_S)
    assert writers[1].stats()["undrained_bytes"] == 0


def test_the_default_path_where_no_folder_can_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "file" / "llm"))
    assert resolve(None) == str(tmp_path / "file" / "llm" / "llmopt" / "usage.db")
