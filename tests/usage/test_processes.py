"""Processes that share a file, their forks and their ends; full disks and memory; those who read."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from llmopt import usage
from llmopt.errors import StoreError
from llmopt.usage.outbox import Outbox
from llmopt.usage.registry import REGISTRY, Registry, resolve
from llmopt.usage.sink import Sink

SRC = Path(__file__).parents[2] / "src"
PATIENCE_S = 10.0


@pytest.fixture
def box(path):
    box = Outbox(path)
    yield box
    box.retire()
    box.close()


def run_python(code, **keywords):
    env = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{SRC}"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords
    )


def test_a_full_disk_breaks_nothing(path, count):
    code = f"""
        import resource, signal
        from conftest import make_record
        from llmopt.usage.outbox import Outbox
        box = Outbox({path!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        for number in range(25):
            for _ in range(100):
                box.put(make_record())
            box.flush(10)
        print(box.written, box.failed, box.queued)
    """
    process = run_python(code)
    out, err = process.communicate()
    written, failed, queued = map(int, out.split())
    assert written + failed == 2500
    assert min(written, failed) > 0
    assert queued == 0
    assert err.count("could not be logged") == 1
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert count(path) == written


def test_processes_write_into_one_file(path, count):
    code = f"""
        from conftest import make_record
        from llmopt.usage.outbox import Outbox
        import os
        box = Outbox({path!r})
        for number in range(1500):
            box.put(make_record(id=f"01{{os.getpid():08d}}{{number:016d}}"))
        assert box.flush(60)
        print(box.written, box.failed)
        box.close()
    """
    processes = [run_python(code) for _ in range(4)]
    assert [process.communicate() for process in processes] == [("1500 0\n", "")] * 4
    assert (count(path), count(path, "attempts"), count(path, "processes")) == (6000, 6000, 4)


def test_the_end_of_a_process_waits_for_the_last_records(path, count):
    code = f"""
        import llm
        from llmopt.middleware.usage_log import UsageLog
        from llmopt.wrapping import wrap

        class Model(llm.Model):
            model_id = "m"
            def execute(self, prompt, stream, response, conversation):
                yield "HOLD"

        model = wrap(Model(), UsageLog({path!r}))
        for _ in range(20):
            model.prompt("a").text()
    """
    process = run_python(code)
    assert process.communicate() == ("", "")
    assert count(path) == 20
    assert not Path(path + "-wal").exists()


def in_worker(put, make, number):
    put(make(id=f"worker-{number}"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_begins_anew(path, record, count):
    writer = REGISTRY.writer(path)
    writer.put(record())
    assert usage.flush()
    writer.outbox._idle = False  # what follows stays queued
    writer.put(record())
    child = os.fork()
    if child == 0:
        try:
            empty = (writer.outbox.queued, writer.outbox.written) == (0, 0)
            writer.put(record(id="child"))
            os._exit(0 if empty and usage.flush(PATIENCE_S) and writer.outbox.written == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert usage.flush()
    assert writer.outbox.written == 2
    assert count(path) == 3
    assert count(path, "processes") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_the_end_of_a_worker_process_waits_for_the_last_records(path, record, count):
    writer = REGISTRY.writer(path)
    writer.put(record())
    assert usage.flush()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=in_worker, args=(writer.put, record, n)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert count(path) == 3


def test_what_is_the_parents_is_left_to_it(path, record, monkeypatch, count):
    registry = Registry()
    with monkeypatch.context() as patch:
        patch.setattr("atexit.register", lambda function: None)
        writer = registry.writer(path)
    writer.put(record())
    assert registry.flush(PATIENCE_S)
    inherited = writer.outbox._sink._connection
    writer.outbox._idle = False
    writer.put(record())
    unused = registry.writer(path + "-unused")
    for mine in (registry, writer.outbox, unused.outbox):
        mine.disown()
    assert unused.outbox.queued == 0
    assert (writer.outbox.queued, writer.outbox.written) == (0, 0)
    assert inherited.execute("SELECT count(*) FROM calls").fetchone() == (1,)
    writer.put(record())
    assert registry.flush(PATIENCE_S)
    assert inherited.execute("SELECT count(*) FROM calls").fetchone() == (2,)
    inherited.close()


def test_a_worker_of_multiprocessing_closes_at_its_end(box, path, record, monkeypatch, count):
    ends = []

    def finalize(owner, end, exitpriority):
        ends.append(end)

    monkeypatch.setattr("multiprocessing.process.parent_process", lambda: "the parent")
    monkeypatch.setattr("multiprocessing.util.Finalize", finalize)
    box.put(record())
    (end,) = ends
    end()
    assert count(path) == 1
    assert not Path(path + "-wal").exists()


# the registry


def test_a_writer_lasts_as_long_as_its_logs(path, record, count):
    registry = Registry()
    registry._installed = True
    writer = registry.writer(path)
    assert registry.writer(path) is writer
    writer.put(record())
    thread = writer.outbox._thread
    del writer
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert count(path) == 1
    assert not Path(path + "-wal").exists()
    assert len(registry._writers) == 0


def test_flush_of_one_file_leaves_others(tmp_path, record):
    registry = Registry()
    registry._installed = True
    writers = [registry.writer(tmp_path / name) for name in ("a.db", "b.db")]
    for writer in writers:
        writer.outbox._idle = False
        writer.put(record())
    assert registry.flush(PATIENCE_S, resolve(tmp_path / "a.db"))
    assert [writer.outbox.queued for writer in writers] == [0, 1]
    assert registry.flush(PATIENCE_S)
    registry._close()
    assert not list(tmp_path.glob("*-wal"))


def test_the_default_path_where_no_folder_can_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "file" / "llm"))
    assert resolve(None) == str(tmp_path / "file" / "llm" / "llmopt" / "usage.db")


def test_memory_does_not_grow(path):
    code = f"""
        import os
        from conftest import make_record
        from llmopt.usage.outbox import Outbox
        def resident_kib():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        box = Outbox({path!r})
        def put(calls):
            for _ in range(calls):
                box.put(make_record())
            box.flush(60)
            return resident_kib()
        print(put(10_000), put(50_000))
    """
    process = run_python(code)
    out, err = process.communicate()
    before, after = map(int, out.split())
    assert err == ""
    assert after - before <= 1024


# reading


def test_reading_cannot_write(path, record):
    Sink(path).write([record()])
    opened = usage.open(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        opened.execute("DELETE FROM calls")
    assert opened["calls"].count == 1
    opened.close()


def test_reading_sees_what_is_still_queued(path, record):
    writer = REGISTRY.writer(path)
    writer.outbox._idle = False
    writer.put(record())
    assert usage.open(path)["calls"].count == 1


def test_there_is_nothing_to_read(path):
    with pytest.raises(StoreError, match=r"there is no usage log .*usage\.db"):
        usage.open(path)
    assert not Path(path).exists()


def test_not_a_usage_log(path):
    Path(path).write_text("no database at all, " * 500)
    with pytest.raises(StoreError, match="cannot be read as a usage log"):
        usage.open(path)
    Path(path).unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (a)")
    connection.close()
    with pytest.raises(StoreError, match="no table 'calls'"):
        usage.open(path)
