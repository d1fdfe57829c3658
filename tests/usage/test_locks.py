"""Locks between processes, and files that are their owner's alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llmopt.usage import disk
from llmopt.usage.database import Lease
from llmopt.usage.locks import Lock

PATIENCE_S = 10.0

HOLD = """
import sys
from filelock import lock_descriptor
file = open(sys.argv[1], "a")
lock_descriptor(file.fileno())
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "folder" / "some.lock")


@pytest.fixture
def lock(path):
    lock = Lock(path)
    yield lock
    lock.close()


def test_one_at_a_time(lock, path):
    other = Lock(path)
    assert lock.acquire()
    assert not other.acquire()
    assert not other.acquire(0.01)
    lock.release()
    assert other.acquire()
    other.close()
    assert lock.acquire()


def test_it_is_waited_for(lock, path):
    other = Lock(path)
    lock.acquire()
    timer = threading.Timer(0.02, lock.release)
    timer.start()
    assert other.acquire(PATIENCE_S)
    timer.join()
    other.close()


def test_a_block_holds_it_and_gives_up(lock, path):
    other = Lock(path)
    with (
        lock.held(0.0),
        pytest.raises(TimeoutError, match=r"some\.lock was held by others for 0\.0 s"),
        other.held(0.0),
    ):
        pass
    with other.held(0.0):
        assert not lock.acquire()
    assert lock.acquire()
    other.close()


def test_it_ends_with_its_process(lock, path):
    Path(path).parent.mkdir()
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert not lock.acquire()
        process.kill()
        process.wait()
        assert lock.acquire(PATIENCE_S)


def test_the_file_is_made_for_its_owner_alone(lock, path):
    lock.acquire()
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700


def test_one_whose_file_was_removed_is_locked_anew(lock, path):
    assert lock.acquire()
    assert lock.is_in_place()
    lock.release()
    Path(path).unlink()
    assert not lock.is_in_place()
    assert lock.acquire(PATIENCE_S)
    assert lock.is_in_place()
    assert not Lock(path).acquire()


def test_to_remove_it_is_to_let_go(lock, path):
    lock.acquire()
    lock.remove()
    lock.remove()
    lock.release()
    assert not Path(path).exists()
    assert not lock.is_in_place()
    assert lock.acquire()


def test_a_file_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Lock(str(tmp_path / "file" / "some.lock")).acquire()


def test_a_lease_is_beside_its_log(tmp_path):
    lease = Lease(str(tmp_path / "usage.db"))
    with lease.held():
        assert (tmp_path / "usage.db-lease").exists()
    lease.close()
    lease.close()


def test_the_disk_is_asked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "fdatasync", asked.append, raising=False)
    monkeypatch.setattr(os, "fsync", asked.append)
    disk.sync(7)
    disk.sync_folder(str(tmp_path))
    monkeypatch.delattr(os, "fdatasync")
    disk.sync(7)
    assert len(asked) == 3
