"""Processes that share a log: their forks and their ends, a full disk, memory, and those who read."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path

import pytest

from llmopt import usage
from llmopt.errors import StoreError
from llmopt.usage.database import connect
from llmopt.usage.reading import catch_up
from llmopt.usage.registry import REGISTRY
from llmopt.usage.segments import spool_folder, survey
from llmopt.usage.settings import Settings
from llmopt.usage.writer import Writer

from .spooling import PATIENCE_S, die, drained, drops, names_in, payload, records, spool_of, write, written

SRC = Path(__file__).parents[2] / "src"
HERE = Path(__file__).parent

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "usage.db")


@pytest.fixture
def writer(path):
    writer = Writer(path, Settings(), write)
    yield writer
    writer.drainer.close()


def run_python(code, **keywords):
    """Start a process; it can use what this module has imported."""
    head = f"""
        import importlib.util, os, sys
        spec = importlib.util.spec_from_file_location("spooling", {str(HERE / "spooling.py")!r})
        spooling = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(spooling)
        from llmopt.usage.writer import Writer
        from llmopt.usage.settings import Settings
    """
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*sys.path[:1], str(SRC), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords
    )


def said(process):
    out, err = process.communicate(timeout=60)
    assert err == ""
    return out


# several processes


@pytest.mark.parametrize("durability", ["process", "none"])
def test_eight_processes_of_eight_threads(path, durability):
    count = 40
    code = f"""
        import threading
        writer = Writer({path!r}, Settings(durability={durability!r}), spooling.write)
        def work(start):
            for number in range(start, start + {count}):
                assert writer.put(b'["record","%d-%d"]' % (os.getpid(), number))
        threads = [threading.Thread(target=work, args=(n * {count},)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert writer.flush(60)
        writer.drainer.close(60)
        print(writer.stats()["written"], writer.stats()["failed"])
    """
    processes = [run_python(code) for _ in range(8)]
    assert [said(process) for process in processes] == [f"{8 * count} 0\n"] * 8
    found = records(path)
    assert len(found) == len(set(found)) == 64 * count
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    if durability == "process":
        assert names_in(spool_folder(path)) == []
    assert not Path(path + "-wal").exists()


def test_a_full_disk_breaks_nothing(path):
    """No file may be longer than 300 kB: neither the spool's, nor the database."""
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        writer = Writer({path!r}, Settings(), spooling.write)
        spool = writer.drainer.source
        spool._quota_bytes, spool._segment_bytes = 500_000, 100_000
        kept = 0
        for number in range(5_000):
            kept += writer.put(spooling.payload(number, "x" * 400))
            if number % 500 == 0:
                writer.flush(10)
        writer.flush(10)
        print(kept, writer.stats()["written"], writer.stats()["failed"])
    """
    process = run_python(code)
    out, err = process.communicate(timeout=60)
    kept, written_, failed = map(int, out.split())
    assert kept == written_ < 5_000
    assert err.count("This is said once") == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    drained(path)
    found = records(path)
    assert len(found) == len(set(found)) == 5_000 - failed
    assert drops(path) == {"quota": failed}


def test_memory_does_not_grow_with_what_is_not_drained(path):
    code = f"""
        def resident_kib():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        spool = spooling.spool_of({path!r})
        def put(count):
            for number in range(count):
                assert spool.append(spooling.payload(number, "x" * 400))
            return resident_kib()
        print(put(1_000), put(50_000))
    """
    before, after = map(int, said(run_python(code)).split())
    assert after - before <= 256
    assert sum(file.stat().st_size for file in Path(spool_folder(path)).iterdir()) > 20_000_000


# ends


def test_the_end_of_a_process_waits_for_the_last_records(path):
    code = f"""
        from llmopt.usage import registry
        registry.Writer = lambda path, settings: Writer(path, settings, spooling.write)
        writer = registry.REGISTRY.writer({path!r})
        for number in range(20):
            writer.put(spooling.payload(number))
    """
    assert said(run_python(code)) == ""
    assert len(records(path)) == 20
    assert not Path(path + "-wal").exists()
    assert survey(spool_folder(path)) == {}


def test_the_end_of_a_process_does_not_wait_for_ever(path):
    code = f"""
        from llmopt.usage import drainer, registry
        registry.CLOSE_S = 0.1
        registry.Writer = lambda path, settings: Writer(path, settings, spooling.write)
        registry.REGISTRY.writer({path!r}).put(spooling.payload(0))
        import sqlite3
        other = sqlite3.connect({path!r}, isolation_level=None)
        other.execute("CREATE TABLE a (b)")
        other.execute("BEGIN EXCLUSIVE")
        import time
        began_s = time.monotonic()
        import atexit
        atexit._run_exitfuncs()
        print(time.monotonic() - began_s < 3.0)
    """
    assert said(run_python(code)) == "True\n"
    drained(path)
    assert records(path) == [payload(0)]


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_process_that_ends_at_once_loses_nothing(path, durability):
    code = f"""
        writer = Writer({path!r}, Settings(durability={durability!r}), spooling.write)
        for number in range(20):
            assert writer.put(spooling.payload(number))
        os._exit(0)
    """
    assert said(run_python(code)) == ""
    drained(path)
    assert sorted(records(path)) == sorted(payload(n) for n in range(20))


def in_worker(put, number):
    put(payload(number))
    if number % 2:
        os._exit(0)


@forks
def test_the_end_of_a_worker_of_multiprocessing(writer, path):
    writer.put(payload(100))
    assert writer.flush(PATIENCE_S)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=in_worker, args=(writer.put, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert {payload(0), payload(2)} <= set(records(path)), "they have drained at their end"
    assert writer.flush(PATIENCE_S)
    assert sorted(records(path)) == sorted(payload(n) for n in (0, 1, 2, 3, 100))


def test_a_worker_of_multiprocessing_closes_at_its_end(writer, path, monkeypatch):
    ends = []

    def finalize(owner, end, exitpriority):
        ends.append(end)

    monkeypatch.setattr("multiprocessing.process.parent_process", lambda: "the parent")
    monkeypatch.setattr("multiprocessing.util.Finalize", finalize)
    writer.put(payload(0))
    (end,) = ends
    end()
    assert records(path) == [payload(0)]
    assert survey(spool_folder(path)) == {}


# forks


def status_of_child(work):
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@forks
@pytest.mark.parametrize("durability", ["process", "none"])
def test_a_forked_child_begins_anew(path, durability):
    writer = Writer(path, Settings(durability=durability), write)
    writer.put(payload(0))
    assert writer.flush(PATIENCE_S)
    writer.put(payload(1))

    def work():
        fresh = writer.stats()["written"] == 0 and writer.drainer._thread is None
        return writer.put(payload(2)) and writer.flush(PATIENCE_S) and fresh

    assert status_of_child(work) == 0
    assert writer.put(payload(3))
    assert writer.flush(PATIENCE_S)
    assert sorted(records(path)) == [payload(n) for n in range(4)]
    assert writer.stats()["written"] == 3
    writer.drainer.close()


@forks
def test_a_child_lives_on_after_its_parent(path, tmp_path):
    """What the parent held is free at its end, though the child has inherited the open files."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = f"""
        writer = Writer({path!r}, Settings(), spooling.write)
        writer.put(spooling.payload(0))
        if os.fork() == 0:
            open({str(gate)!r}).read()
            writer.put(spooling.payload(1))
            writer.drainer.close()
        os._exit(0)
    """
    process = run_python(code)
    process.wait(60)
    drained(path)
    assert records(path) == [payload(0)]
    assert survey(spool_folder(path)) == {}
    gate.write_text("go on")
    assert said(process) == ""
    assert sorted(records(path)) == [payload(0), payload(1)]


@forks
def test_forks_at_any_moment(writer, path):
    """Threads append and drain all the while; no child hangs, and nothing is lost or doubled."""
    ended = threading.Event()
    counts = [0, 0]

    def append(place):
        while not ended.wait(0.0005):
            assert writer.put(b'["record",%d,"parent %d"]' % (counts[place], place))
            counts[place] += 1

    def flush():
        while not ended.wait(0.001):
            writer.flush(PATIENCE_S)

    threads = [threading.Thread(target=append, args=(place,)) for place in range(2)]
    threads.append(threading.Thread(target=flush))
    for thread in threads:
        thread.start()
    try:
        children = [
            status_of_child(
                lambda n=n: writer.put(b'["record",%d,"child"]' % n) and (n % 2 or writer.flush(PATIENCE_S))
            )
            for n in range(20)
        ]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert children == [0] * 20
    assert writer.flush(PATIENCE_S)
    expected = [b'["record",%d,"parent %d"]' % (n, place) for place in range(2) for n in range(counts[place])]
    expected += [b'["record",%d,"child"]' % n for n in range(20)]
    assert sorted(records(path)) == sorted(expected)


# reading


def make_log(path):
    """A file that is a usage log, with nothing in it."""
    drained(path)


def test_reading_cannot_write(path):
    make_log(path)
    opened = usage.open(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        opened.execute("DELETE FROM calls")
    assert opened["calls"].count == 0
    opened.close()


def test_reading_has_all_processes_drained_first(path, monkeypatch):
    monkeypatch.setattr("llmopt.usage.drain._ingest", lambda: write)
    gone, live = spool_of(path), spool_of(path)
    gone.append(payload(0))
    live.append(payload(1))
    die(gone)
    opened = usage.open(path)
    assert opened["payloads"].count == 4
    opened.close()
    live.close()


def test_reading_sees_what_waits_in_this_process(path, monkeypatch):
    monkeypatch.setattr("llmopt.usage.writer.Drainer._wake", lambda self: None)
    monkeypatch.setattr(
        "llmopt.usage.ingest.write", lambda connection, payloads, pricing: write(connection, payloads)
    )
    writer = REGISTRY.writer(path)
    writer.put(payload(0))
    opened = usage.open(path)
    assert opened["payloads"].count == 2
    opened.close()
    writer.put(payload(1))
    assert usage.flush()
    assert len(records(path)) == 2


def test_a_log_that_cannot_be_written_is_read_all_the_same(path, monkeypatch):
    make_log(path)
    spool = spool_of(path)
    spool.append(payload(0))

    def refused(path, timeout_s):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("llmopt.usage.drain.connect", refused)
    opened = usage.open(path)
    assert opened["calls"].count == 0
    opened.close()
    spool.close()


def test_to_open_it_again_keeps_the_locks_of_those_who_read(path):
    """POSIX gives up all locks of a process on a file as soon as any descriptor of it is closed."""
    connect(path).close()
    reader = sqlite3.connect(path)
    reader.execute("SELECT count(*) FROM calls").fetchone()
    connect(path).close()
    code = f"""
        import sqlite3
        print(sqlite3.connect({path!r}, timeout=0).execute("PRAGMA journal_mode = DELETE").fetchone())
    """
    out, err = run_python(code).communicate(timeout=60)
    assert (out, "database is locked" in err) == ("", True)
    reader.close()


def test_there_is_nothing_to_read(path):
    with pytest.raises(StoreError, match=r"there is no usage log .*usage\.db"):
        usage.open(path)
    assert names_in(Path(path).parent) == []


def test_not_a_usage_log(path):
    Path(path).write_text("no database at all, " * 500)
    with pytest.raises(StoreError, match="cannot be read as a usage log"):
        usage.open(path)
    Path(path).unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (a)")
    with pytest.raises(StoreError, match="no table 'calls'"):
        usage.open(path)
    assert names_in(Path(path).parent) == ["usage.db"], "and it is left as it is"


def test_catching_up_takes_no_longer_than_it_may(path, monkeypatch):
    spool = spool_of(path)
    spool.append(payload(0))
    monkeypatch.setattr("llmopt.usage.drain._ingest", lambda: write)
    from llmopt.usage.database import Lease

    lease = Lease(path)
    with lease.held():
        catch_up(path, 0.01)
    lease.close()
    assert written(path) == []
    catch_up(path, PATIENCE_S)
    assert records(path) == [payload(0)]
    spool.close()
