"""The store in a file: who shares it, leases, all that befalls files. Its contract: test_cache_stores.py."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from llmopt.cache import _sqlite_file as sqlite_file_module
from llmopt.cache import sqlite as sqlite_module
from llmopt.cache._sqlite_file import SQLiteFile
from llmopt.cache.sqlite import SQLiteStore
from llmopt.errors import ConfigurationError, StoreError

SRC = Path(__file__).parents[2] / "src"
KEY, OTHER = bytes(32), bytes([1]) * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


@pytest.fixture
def store(path):
    with SQLiteStore(path, busy_timeout_s=0.05) as store:
        yield store


def test_stores_of_one_file_share_it(path, store):
    with SQLiteStore(str(path)) as other:
        store.put(KEY, b"value", 1.0)
        assert other.get(KEY) == (b"value", 1.0)
        other.put(KEY, b"newer", 2.0)
        assert store.get(KEY) == (b"newer", 2.0)
        assert store.stats() == other.stats() == {"entries": 1, "bytes": 37, "evictions": 0}


def test_it_outlives_the_store(path):
    with SQLiteStore(path) as store:
        store.put(KEY, b"value", 1.0)
    with SQLiteStore(path) as store:
        assert store.get(KEY) == (b"value", 1.0)


def test_what_was_used_last_outlives_the_store_too(path):
    with SQLiteStore(path) as store:
        store.put(KEY, b"value", 1.0)
        store.put(OTHER, b"value", 2.0)
        store.get(KEY)
    with SQLiteStore(path) as store:
        assert list(store) == [OTHER, KEY]


def test_the_file_is_its_owners_alone(path, store):
    old = os.umask(0)
    try:
        store.put(KEY, b"value", 1.0)
    finally:
        os.umask(old)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}


def test_it_may_live_beside_other_tables(path, store):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE entries (id INTEGER)")
    database.close()
    store.put(KEY, b"value", 1.0)
    assert store.get(KEY) == (b"value", 1.0)


def test_nothing_is_opened_before_it_is_used(path):
    SQLiteStore(path).close()
    assert not path.exists()


def test_uses_are_written_without_a_put_in_the_end(path, store, monkeypatch):
    monkeypatch.setattr(sqlite_module, "_USED_MAX", 1)
    store.put(KEY, b"value", 1.0)
    store.put(OTHER, b"value", 1.0)
    for key in (OTHER, KEY):
        store.get(key)
    with SQLiteStore(path) as other:
        assert list(other) == [OTHER, KEY]


def test_a_use_that_cannot_be_written_does_not_spoil_the_read(path, store, monkeypatch):
    monkeypatch.setattr(sqlite_module, "_USED_MAX", 0)
    store.put(KEY, b"value", 1.0)
    with locked(path):
        assert store.get(KEY) == (b"value", 1.0)


# leases


def test_one_gets_the_lease_and_the_others_the_answer(store):
    assert store.claim(KEY, "a", 0.0, -1.0) is True
    assert store.claim(KEY, "b", 1.0, -1.0) is False
    assert store.claim(OTHER, "b", 1.0, -1.0) is True
    assert store.claim(KEY, "a", 1.0, -1.0) is True
    store.put(KEY, b"value", 2.0)
    assert store.claim(KEY, "b", 3.0, -1.0) == (b"value", 2.0)
    assert store.claim(KEY, "b", 3.0, 2.5) is False  # too old for it
    store.release(KEY, "a")
    assert store.claim(KEY, "b", 3.0, 2.5) is True


def test_a_lease_ends_by_itself(store):
    assert store.claim(KEY, "a", 0.0, 0.0) is True
    assert store.claim(KEY, "b", store.lease_s - 1, 0.0) is False
    assert store.claim(KEY, "b", store.lease_s, 0.0) is True
    store.release(KEY, "a")
    assert store.claim(KEY, "a", store.lease_s + 1, 0.0) is False


def test_of_many_who_ask_at_once_one_gets_the_lease(path, store):
    start = threading.Barrier(4)
    got = []

    def work(name):
        with SQLiteStore(path) as mine:
            start.wait(10)
            got.append(mine.claim(KEY, name, 0.0, 0.0))

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == [False, False, False, True]


def test_a_lease_that_is_taken_between_the_look_and_the_write(path, store):
    with SQLiteStore(path) as other, store._file as file:
        write = file.write

        def too_late(fn):
            assert other.claim(KEY, "b", 0.0, 0.0) is True
            return write(fn)

        file.write = too_late
        assert store.claim(KEY, "a", 0.0, 0.0) is False


# what befalls files


class locked:  # noqa: N801 - used as a function
    """Another process has begun to write, and does not come to an end."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.database = sqlite3.connect(self.path, isolation_level=None)
        self.database.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_):
        self.database.close()


def test_a_locked_file_can_be_read_and_not_written(path, store):
    store.put(KEY, b"value", 1.0)
    with locked(path):
        assert store.get(KEY) == (b"value", 1.0)
        for write in (lambda: store.put(KEY, b"newer", 2.0), store.clear, lambda: store.delete(KEY)):
            with pytest.raises(StoreError, match=r"cache\.db cannot be used: database is locked"):
                write()
    store.put(KEY, b"newer", 2.0)
    assert store.get(KEY) == (b"newer", 2.0)


def test_a_file_that_is_locked_when_it_is_opened(path):
    SQLiteStore(path).stats()
    with locked(path), pytest.raises(StoreError, match="locked"):
        SQLiteStore(path, busy_timeout_s=0.02).stats()


def test_a_file_that_somebody_else_is_turning_to_wal(path):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("CREATE TABLE t (id INTEGER)")
    database.execute("BEGIN EXCLUSIVE")
    store = SQLiteStore(path, busy_timeout_s=0.02)
    with pytest.raises(StoreError, match="locked"):
        store.stats()
    database.close()
    assert store.stats()["entries"] == 0
    store.close()


def test_the_turn_to_wal_is_tried_again(path):
    class Busy(sqlite3.Connection):
        left = 2

        def execute(self, statement, *values):
            if "journal_mode" in statement and self.left:
                self.left -= 1
                raise sqlite3.OperationalError("database is locked")
            return super().execute(statement, *values)

    connection = Busy(path, isolation_level=None)
    SQLiteStore(path)._file._prepare(connection)
    assert connection.left == 0
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_nobody_has_to_close_it(path):
    SQLiteStore(path).put(KEY, b"value", 1.0)
    SQLiteStore(path)
    gc.collect()
    assert [file.name for file in path.parent.iterdir()] == ["cache.db"]  # no -wal: the connection is closed


def test_a_full_disk(store):
    store.put(KEY, b"value", 1.0)
    store._file.connection.execute("PRAGMA max_page_count = 1")
    for _ in range(2):
        with pytest.raises(StoreError, match="full"):
            store.put(OTHER, bytes(10**6), 2.0)
    assert store.get(KEY) == (b"value", 1.0)
    assert store.stats()["entries"] == 1


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"SQLite format 3\0" + bytes(4000)])
def test_a_damaged_file(path, store, content):
    path.write_bytes(content)
    for use in (lambda: store.get(KEY), lambda: store.put(KEY, b"", 1.0), store.stats, lambda: list(store)):
        with pytest.raises(StoreError, match=r"cache\.db cannot be used"):
            use()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match=r"none/cache\.db cannot be used"):
        SQLiteStore(tmp_path / "none" / "cache.db").get(KEY)


def test_a_write_in_the_middle_of_another_leaves_that_alone(store):
    store.put(KEY, b"value", 1.0)

    def both(connection):
        with pytest.raises(StoreError, match="in the middle"):
            store.release(KEY, "a")  # as the garbage collection of an abandoned call does
        return connection.in_transaction

    with store._file as file:
        assert file.write(both) is True
    assert store.get(KEY) == (b"value", 1.0)


def test_an_error_in_a_write_undoes_it(store):
    store.put(KEY, b"value", 1.0)

    def fail(connection):
        connection.execute("DELETE FROM llmopt_cache_entries")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), store._file as file:
        file.write(fail)
    assert store.get(KEY) == (b"value", 1.0)


FORK = """
    import os, sys, threading
    from llmopt.cache import _sqlite_file
    from llmopt.cache.sqlite import SQLiteStore

    _sqlite_file.PATIENCE_S = 0.1
    store = SQLiteStore(sys.argv[1])
    store.put(b"before", b"1", 0.0)
    if sys.argv[2] == "held":
        held, done = threading.Event(), threading.Event()

        def hold():
            with store._file:
                held.set()
                done.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
    child = os.fork()
    if not child:
        store.get(b"before")
        store.put(b"child", b"2", 0.0)
        os._exit(0 if store.get(b"child") == (b"2", 0.0) else 1)
    if sys.argv[2] == "held":
        done.set()
        thread.join()
    _, status = os.waitpid(child, 0)
    store.put(b"after", b"3", 0.0)
    print(status, [store.get(key)[0] for key in (b"before", b"child", b"after")])
    store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("lock", ["free", "held"])
def test_a_fork_opens_its_own(path, lock):
    command = [sys.executable, "-c", textwrap.dedent(FORK), str(path), lock]
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "0 [b'1', b'2', b'3']\n"


def test_the_parents_connection_is_left_alone(store):
    store.put(KEY, b"value", 1.0)
    theirs = store._file.connection
    store._file.disown()
    assert store.get(KEY) == (b"value", 1.0)
    assert store._file.connection is not theirs
    assert theirs.execute("SELECT 1").fetchone() == (1,)
    theirs.close()


# arguments


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))])  # noqa: S301
def test_a_copy_opens_the_same_file(store, twin):
    store.put(KEY, b"value", 1.0)
    with twin(store) as other:
        assert other.get(KEY) == (b"value", 1.0)
        assert (other.path, other.busy_timeout_s) == (store.path, 0.05)
        assert repr(other) == f"SQLiteStore({store.path!r})"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": ":memory:"}, "no file"),
        ({"path": ""}, "no file"),
        ({"path": "a", "lease_s": -1}, "lease_s=-1 is wrong"),
        ({"path": "a", "busy_timeout_s": float("inf")}, "busy_timeout_s=inf is wrong"),
    ],
)
def test_arguments_are_checked(given, message):
    with pytest.raises(ConfigurationError, match=message):
        SQLiteStore(**given)


def test_a_file_is_collected_after_the_module_os_is_gone(tmp_path, monkeypatch):
    file = SQLiteFile(str(tmp_path / "a.db"), "", 1.0)
    with file:
        pass
    monkeypatch.setattr(sqlite_file_module, "os", None)  # as at the interpreter's end
    file.__del__()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        file.connection.execute("SELECT 1")
    file.close()
