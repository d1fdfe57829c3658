"""Forks while other threads use SQLite: no child may find one of its locks held."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import threading

import pytest

from llmopt.cache.sqlite import SQLiteStore
from llmopt.forks import Forks
from llmopt.usage.settings import Settings
from llmopt.usage.writer import Writer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

FORKS, PATIENCE_S = 15, 30


class Busy:
    """Uses SQLite in a thread, again and again, until it is left."""

    def __init__(self, work):
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,))

    def _run(self, work):
        while not self._ended.wait(0.001):  # others are to have a chance
            work()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


def status_of_child(work):
    """Run `work` in a child; a child that hangs is ended by the signal of its alarm."""
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE_S)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def use_sqlite():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a)")
    connection.close()


@pytest.fixture(params=["process", "none"])
def log(tmp_path, request):
    log = Writer(str(tmp_path / "usage.db"), Settings(durability=request.param))
    yield log
    log.drainer.close()


def write(log):
    """Log a loss, and have it in the database, which is closed again."""
    assert log.put(b'["drop",0,%d,"nothing",1]' % os.getpid())
    assert log.flush(PATIENCE_S)
    log.drainer.drain.close(PATIENCE_S)


def test_no_child_hangs_while_a_log_is_written(log):
    with Busy(lambda: write(log)):
        assert [status_of_child(use_sqlite) for _ in range(FORKS)] == [0] * FORKS


def test_no_child_hangs_while_a_cache_is_written(tmp_path):
    store = SQLiteStore(tmp_path / "cache.db")

    def work():
        store.put(b"key", b"value", 0.0)
        store.close()

    with Busy(work):
        assert [status_of_child(use_sqlite) for _ in range(FORKS)] == [0] * FORKS
    store.close()


def test_what_a_child_writes_is_not_lost(tmp_path):
    """The parent opens and closes the file at the same time: both must see each other's locks."""
    store = SQLiteStore(tmp_path / "cache.db", busy_timeout_s=PATIENCE_S)

    def work():
        store.put(b"key", b"value", 0.0)
        store.close()

    with Busy(work):
        ends = [status_of_child(lambda n=n: store.put(b"%d" % n, b"value", 0.0)) for n in range(FORKS)]
    assert ends == [0] * FORKS
    assert sorted(store) == sorted([b"key", *(b"%d" % n for n in range(FORKS))])
    store.close()


def test_what_a_child_logs_is_not_lost(log):
    with Busy(lambda: write(log)):
        assert [status_of_child(lambda: write(log)) for _ in range(FORKS)] == [0] * FORKS
    write(log)
    connection = sqlite3.connect(log.path)
    for table in ("processes", "drops"):
        assert connection.execute(f"SELECT count(DISTINCT pid) FROM {table}").fetchone() == (FORKS + 1,)  # noqa: S608
    connection.close()


class Lamp:
    """Records what a fork does with it."""

    def __init__(self, *, can_pause=True):
        self.can_pause = can_pause
        self.seen = []

    def pause(self):
        self.seen.append("pause")
        return self.can_pause

    def resume(self):
        self.seen.append("resume")

    def disown(self):
        self.seen.append("disown")


def test_what_could_not_pause_is_not_resumed_and_what_is_gone_is_not_asked():
    forks, calm, restless, gone = Forks(), Lamp(), Lamp(can_pause=False), Lamp()
    for lamp in (calm, restless, gone):
        forks.guard(lamp)
    log = gone.seen
    del gone, lamp
    gc.collect()
    ended = status_of_child(lambda: os._exit(len(calm.seen) + 10 * len(restless.seen)))
    assert ended == 22  # in the child both have begun anew, whether or not they could pause
    assert (calm.seen, restless.seen, log) == (["pause", "resume"], ["pause"], [])
    forks.guard(Lamp())  # the lock is free again
