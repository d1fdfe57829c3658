"""Appending to the spool: what is kept, what is given up, and that all of the latter is counted."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from llmopt.errors import ConfigurationError
from llmopt.usage import confirmation, disk
from llmopt.usage.files import Files
from llmopt.usage.frames import LIMIT_BYTES, MAGIC, pack, unpack
from llmopt.usage.segments import survey

from .spooling import HELLO, PATIENCE_S, Disk, die, payload, spool_of

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "usage.db")


@pytest.fixture
def spool(path):
    spool = spool_of(path)
    yield spool
    spool.close()


@pytest.fixture
def disk_of(monkeypatch):
    return Disk(monkeypatch)


def files_of(spool):
    return [Path(spool.folder, name) for names in survey(spool.folder).values() for name in names]


def kept(spool):
    """All payloads in the folder but greetings."""
    found = []
    for file in files_of(spool):
        content = file.read_bytes()
        assert content.startswith(MAGIC) or len(content) < len(MAGIC)
        found += unpack(content[len(MAGIC) :]).payloads
    return [each for each in found if each != HELLO]


def dropped(spool):
    return {
        each.split(b'"')[3].decode(): int(each[:-1].split(b",")[-1])
        for each in kept(spool)
        if b"drop" in each
    }


# what is appended


def test_a_record_is_in_the_file_when_append_returns(spool):
    assert spool.append(payload(1))
    (file,) = files_of(spool)
    assert file.read_bytes() == MAGIC + pack(HELLO) + pack(payload(1))
    assert spool.append(payload(2))
    assert kept(spool) == [payload(1), payload(2)]
    assert spool.stats() == {
        "written": 2, "lightened": 0, "unconfirmed": 0, "failed": 0, "undrained_bytes": file.stat().st_size,
    }  # fmt: skip


def test_nothing_is_there_before_the_first_record(spool):
    assert not Path(spool.folder).exists()
    spool.append(payload(1))
    assert Path(spool.folder).stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in Path(spool.folder).iterdir()} == {0o600}


def test_a_full_file_is_followed_by_the_next(path):
    spool = spool_of(path, segment_bytes=200)
    for number in range(20):
        assert spool.append(payload(number))
    files = files_of(spool)
    assert len(files) > 2
    assert all(file.stat().st_size <= 200 for file in files)
    assert all(file.read_bytes().startswith(MAGIC + pack(HELLO)) for file in files)
    assert kept(spool) == [payload(number) for number in range(20)]


def test_a_record_longer_than_a_file(path):
    spool = spool_of(path, segment_bytes=200)
    long = payload(1, "x" * 1000)
    assert all(spool.append(each) for each in (payload(0), long, payload(2)))
    assert kept(spool) == [payload(0), long, payload(2)]
    assert len(files_of(spool)) == 3


def test_many_threads(path):
    spool = spool_of(path, segment_bytes=5_000)
    count, threads_count = 500, 8

    def work(start):
        for number in range(start, start + count):
            assert spool.append(payload(number))

    threads = [threading.Thread(target=work, args=(n * count,)) for n in range(threads_count)]
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch_s)
    assert sorted(kept(spool)) == sorted(payload(n) for n in range(threads_count * count))
    assert spool.written == threads_count * count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"durability": "none"}, "durability='none' is wrong"),
        ({"quota_bytes": 0}, "quota_bytes=0 is wrong"),
        ({"segment_bytes": 0}, "segment_bytes=0 is wrong"),
        (
            {"segment_bytes": LIMIT_BYTES + 1},
            f"segment_bytes={LIMIT_BYTES + 1} is wrong: 1 to {LIMIT_BYTES} is right",
        ),
    ],
)
def test_wrong_arguments_are_refused(path, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        spool_of(path, **arguments)


# faults


@pytest.mark.parametrize(
    "plan", [["ENOSPC"], [0], [1], [9], [20, 3, 1], ["EIO", "EIO"], [1, 0], [20, 2, "EIO"]]
)
def test_what_one_attempt_does_not_bring_the_next_one_does(spool, disk_of, plan):
    spool.append(payload(0))
    disk_of.fail(*plan)
    assert spool.append(payload(1))
    assert spool.append(payload(2))
    assert kept(spool) == [payload(n) for n in range(3)]
    assert len(files_of(spool)) == (2 if plan[1:] and plan[-1] != 1 else 1)
    assert spool.stats()["failed"] == 0


@pytest.mark.parametrize("plan", [["ENOSPC"], [1, "ENOSPC"], [20, 3, "ENOSPC"]])
def test_what_no_file_takes_is_counted(spool, disk_of, plan):
    disk_of.fail(*plan)
    assert not spool.append(payload(0))
    assert spool.append(payload(1))
    assert kept(spool)[1:] == [payload(1)]
    assert dropped(spool) == {"ENOSPC": 1}
    assert spool.stats()["failed"] == 1


def test_a_short_write_is_taken_back(spool, disk_of):
    spool.append(payload(0))
    (file,) = files_of(spool)
    size = file.stat().st_size
    disk_of.fail(5, 5, "ENOSPC", 5, "ENOSPC")
    assert not spool.append(payload(1))
    assert file.stat().st_size == size
    assert spool.fault == "ENOSPC"


def test_a_short_write_that_cannot_be_taken_back_ends_the_file(spool, disk_of, monkeypatch):
    def refused(descriptor, size):
        raise OSError(errno.EIO, "no")

    spool.append(payload(0))
    disk_of.fail(5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refused)
        assert spool.append(payload(1))
    assert kept(spool) == [payload(0), payload(1)]
    assert len(files_of(spool)) == 2
    disk_of.fail("EIO", 5, "EIO", 5, "EIO")
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refused)
        assert not spool.append(payload(2))
    assert spool._files.current is None
    assert spool.append(payload(3))
    assert [each for each in kept(spool) if b"record" in each] == [payload(0), payload(1), payload(3)]


def test_contents_go_first_when_the_disk_is_full(spool, disk_of):
    spool.append(payload(0))
    disk_of.fail("ENOSPC", 3, "ENOSPC", 3, "ENOSPC")
    assert spool.append(payload(1, "text" * 100), payload(1))
    assert kept(spool) == [payload(0), payload(1)]
    assert (spool.written, spool.lightened, spool.stats()["failed"]) == (2, 1, 0)


def test_a_full_disk_makes_no_heap_of_empty_files(spool, disk_of):
    spool.append(payload(0))
    disk_of.fail(*["ENOSPC"] * 60)
    while disk_of.plan:
        assert not spool.append(payload(1), payload(1))
    assert len(files_of(spool)) == 2
    assert spool.append(payload(2))
    assert dropped(spool) == {"ENOSPC": spool.stats()["failed"]}


def test_losses_are_told_of_once(spool, disk_of):
    disk_of.fail("ENOSPC", "ENOSPC", "EIO")
    for _ in range(3):
        assert not spool.append(payload(0))
    spool.lose("TypeError", 4)
    assert spool.stats()["failed"] == 7
    assert all(spool.append(payload(n)) for n in (1, 2))
    assert dropped(spool) == {"ENOSPC": 2, "EIO": 1, "TypeError": 4}
    assert len(kept(spool)) == 5


def test_the_folder_was_removed(spool):
    spool.append(payload(0))
    shutil.rmtree(spool.folder)
    spool.segments()  # as the drain does
    assert spool.append(payload(1))
    assert kept(spool) == [payload(1)]
    (first, closed), (second, still) = spool.segments()
    assert (closed, still) == (True, False)
    assert first.unpack(4096).payloads[1:] == [payload(0)]
    assert second.unpack(4096).payloads[1:] == [payload(1)]


@pytest.mark.parametrize("code", ["EROFS", "EACCES", "EMFILE", "ENOSPC"])
def test_a_folder_that_takes_no_files(spool, monkeypatch, code):
    made = os.open

    def refused(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(getattr(errno, code), "no")
        return made(path, flags, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        assert not spool.append(payload(0))
        spool.segments()
    assert spool.fault == code
    assert spool.append(payload(1))
    assert dropped(spool) == {code: 1}


def test_where_no_file_can_be_made_the_old_one_grows(path, monkeypatch):
    def refused(self):
        raise OSError(errno.EMFILE, "no")

    spool = spool_of(path, segment_bytes=100)
    spool.append(payload(0))
    with monkeypatch.context() as patch:
        patch.setattr(Files, "begin", refused)
        for number in range(1, 9):
            assert spool.append(payload(number))
    assert len(files_of(spool)) == 1
    assert spool.append(payload(9))
    assert len(files_of(spool)) == 2
    assert kept(spool) == [payload(n) for n in range(10)]


def test_something_is_in_the_way_of_the_folder(path):
    spool = spool_of(path)
    Path(spool.folder).write_text("")
    assert not spool.append(payload(0))
    assert spool.fault == "ENOTDIR"
    Path(spool.folder).unlink()
    assert spool.append(payload(1))


def test_who_cannot_introduce_itself_is_no_trouble_to_the_caller(path):
    spool = spool_of(path)
    spool._hello = lambda: 1 / 0
    assert not spool.append(payload(0))
    assert spool.fault == "ZeroDivisionError"


def test_a_record_that_no_frame_holds(spool, monkeypatch):
    monkeypatch.setattr("llmopt.usage.frames.LIMIT_BYTES", 100)
    long = payload(1, "x" * 100)
    assert not spool.append(long)
    assert spool.append(long, payload(2))
    assert [each for each in kept(spool) if b"record" in each] == [payload(2)]
    assert dropped(spool) == {"too large": 1}
    assert spool.lightened == 1


def test_a_file_at_the_limit_of_its_size(path):
    """The system's own limit: a write is short, the next one is refused; another file has room again."""
    code = f"""
        import resource
        from llmopt.usage.spool import Spool
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        spool = Spool({path + "-spool"!r}, lambda: b'["hello",1]')
        kept = [spool.append(b'["record",%d,"%s"]' % (number, b"x" * 83)) for number in range(100)]
        long = spool.append(b"y" * 3000), spool.append(b"y" * 3000, b"z")
        print(kept.count(True), long, spool.stats()["failed"])
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("100 (False, True) 1\n", "")
    spool = spool_of(path)
    assert len([each for each in kept(spool) if b"record" in each]) == 100
    assert all(file.stat().st_size <= 3000 for file in files_of(spool))
    assert dropped(spool) == {"EFBIG": 1}


def test_the_clock_goes_back(path, monkeypatch):
    spool = spool_of(path, segment_bytes=100)
    now = [2 * 10**18]
    monkeypatch.setattr("time.time_ns", lambda: now[0])
    for number in range(6):
        now[0] -= 10**15
        assert spool.append(payload(number))
    assert kept(spool) == [payload(number) for number in range(6)]


# quota


def test_contents_go_first_then_the_newest_are_refused(path):
    spool = spool_of(path, quota_bytes=2_000, segment_bytes=1_000)
    text = "x" * 150
    whole = 0
    while spool.append(payload(whole, text), payload(whole)) and not spool.lightened:
        whole += 1
    assert 2_000 - 250 < spool.stats()["undrained_bytes"] < 2_050
    light = 1
    while spool.append(payload(whole + light, text), payload(whole + light)):
        light += 1
    assert spool.fault == "quota"
    assert 2_000 < spool.stats()["undrained_bytes"] <= 3_000
    assert kept(spool)[:whole] == [payload(n, text) for n in range(whole)]
    assert kept(spool)[whole:] == [payload(n) for n in range(whole, whole + light)]
    assert (spool.lightened, spool.written, spool.stats()["failed"]) == (light, whole + light, 1)


def test_the_oldest_closed_files_are_given_up(path):
    spool = spool_of(path, quota_bytes=2_000, segment_bytes=1_000)
    numbers = iter(range(10_000))
    while spool.append(payload(next(numbers))):
        pass
    appended = next(numbers) - 1
    spool.relieve()
    assert spool.stats()["undrained_bytes"] <= 2_000
    left = [each for each in kept(spool) if b"record" in each]
    assert left[-1] == payload(appended - 1)
    assert appended - len(left) + 1 == spool.stats()["failed"]
    assert spool.append(payload(appended))
    assert dropped(spool) == {"quota": spool.stats()["failed"]}
    assert len(survey(spool.folder)) == 1


def test_told_losses_are_not_given_up_with_their_file(path, disk_of):
    spool = spool_of(path, quota_bytes=300, segment_bytes=300)
    disk_of.fail("ENOSPC")
    spool.append(payload(0))
    number = 0
    while spool.append(payload(number)):
        number += 1
    spool.relieve()
    assert spool.append(payload(number))
    assert dropped(spool) == {"ENOSPC": 1, "quota": spool.stats()["failed"] - 1}
    assert spool.stats()["failed"] + len([each for each in kept(spool) if b"record" in each]) == number + 3


def test_what_is_drained_makes_room(path):
    spool = spool_of(path, quota_bytes=1_000, segment_bytes=1_000)
    while spool.append(payload(0)):
        pass
    for segment, _ in spool.segments():
        segment.position = segment.size()
    spool.measure()
    assert spool.stats()["undrained_bytes"] < 100
    assert spool.append(payload(1))


def test_what_cannot_be_removed_is_not_counted_as_lost(path, monkeypatch):
    def refused(self):
        raise PermissionError

    spool = spool_of(path, quota_bytes=1_000, segment_bytes=500)
    while spool.append(payload(0)):
        pass
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        spool.relieve()
    assert spool.stats()["failed"] == 1


# interruptions


def test_a_record_in_the_middle_of_another(spool, monkeypatch):
    """A signal's handler, or what the garbage collector closes, may append while this thread appends."""
    write = os.write
    nested = []

    def interrupted(descriptor, data):
        if len(nested) < 6:
            nested.append(1)
            assert spool.append(payload(100 + len(nested)))
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        assert spool.append(payload(1))
        assert spool.append(payload(2))
    found = kept(spool)
    assert sorted(found) == sorted([payload(1), payload(2), *(payload(n) for n in range(101, 107))])
    assert spool.written == 8


def test_a_record_behind_a_short_write(spool, monkeypatch):
    write = os.write
    plan = ["nested", "short"]

    def interrupted(descriptor, data):
        if not plan:
            return write(descriptor, data)
        if plan.pop() == "short":
            done = write(descriptor, data[:9])
            spool.append(payload(7))
            return done
        return write(descriptor, data)

    spool.append(payload(0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        assert spool.append(payload(1))
    assert sorted(kept(spool)) == sorted([payload(0), payload(7), payload(1)])
    assert spool.written == 3


def test_an_exception_between_write_and_count(spool, monkeypatch):
    """Ctrl-C at the worst place: the record is there, though nobody was told, and the next is not harmed."""
    write = os.write

    def interrupted(descriptor, data):
        write(descriptor, data)
        raise KeyboardInterrupt

    for number in (0, 2):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                spool.append(payload(number))
        assert spool.append(payload(number + 1))
    Disk(monkeypatch).fail(5)
    assert spool.append(payload(4))
    assert kept(spool) == [payload(number) for number in range(5)]


# power


def test_a_file_that_would_not_be_found_again_is_not_begun(powered, monkeypatch):
    def refused(folder):
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr("llmopt.usage.files.sync_folder", refused)
        assert not powered.append(payload(0))
    assert files_of(powered) == []
    assert powered.append(payload(1))


@pytest.fixture
def powered(path):
    spool = spool_of(path, durability="power", segment_bytes=400)
    yield spool
    spool.close()


def test_the_disk_confirms_each_record(powered, monkeypatch):
    synced = []
    monkeypatch.setattr(confirmation, "sync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    for number in range(20):
        assert powered.append(payload(number))
    assert len(synced) >= 20
    assert {file.stat().st_ino for file in files_of(powered)} == set(synced)
    assert all(file.name.endswith(".power") for file in files_of(powered))


def test_one_confirmation_serves_all_that_wait(powered, monkeypatch):
    first, go_on, rounds = threading.Event(), threading.Event(), []

    def slow(descriptor):
        rounds.append(descriptor)
        first.set()
        assert go_on.wait(PATIENCE_S)
        disk.sync(descriptor)

    monkeypatch.setattr(confirmation, "sync", slow)
    threads = [threading.Thread(target=powered.append, args=(b"[%d]" % n,)) for n in range(9)]
    threads[0].start()
    assert first.wait(PATIENCE_S)
    for thread in threads[1:]:
        thread.start()
    while powered.written < 9:
        assert not go_on.wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(rounds) == 2, "one for the first, one for the eight that came meanwhile"


def test_a_disk_that_confirms_nothing(powered, monkeypatch):
    def refused(descriptor):
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr(confirmation, "sync", refused)
        assert not powered.append(payload(0))
    stats = powered.stats()
    assert (stats["written"], stats["unconfirmed"], stats["failed"]) == (1, 1, 0)
    assert powered.fault == "EIO"
    assert powered.append(payload(1))
    assert kept(powered) == [payload(0), payload(1)]


def test_a_file_that_was_drained_needs_no_confirmation(powered, monkeypatch):
    def drained(descriptor):
        powered.end()
        for segment, _ in powered.segments():
            powered.forget(segment)
        raise OSError(errno.EBADF, "closed")

    monkeypatch.setattr(confirmation, "sync", drained)
    assert powered.append(payload(0))


def test_closed_files_are_confirmed_once(powered, monkeypatch):
    monkeypatch.setattr(confirmation, "sync", lambda descriptor: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        powered.append(payload(0))
    powered.end()
    synced = []
    monkeypatch.setattr(confirmation, "sync", synced.append)
    assert powered.append(payload(1))
    assert len(synced) == 2
    assert powered.append(payload(2))
    powered.end()
    assert len(synced) == 3
    powered.end()
    assert powered._confirm(99)
    assert len(synced) == 4, "that of the file which is closed now"
    assert powered._confirm(99)
    assert len(synced) == 4


# its life


def test_it_begins_anew_after_its_end(spool):
    spool.append(payload(0))
    spool.close()
    spool.close()
    assert spool.append(payload(1))
    assert len(survey(spool.folder)) == 2
    assert sorted(kept(spool)) == [payload(0), payload(1)]


def test_losses_are_told_of_at_its_end(spool):
    spool.lose("some reason", 2)
    spool.close()
    assert dropped(spool) == {"some reason": 2}


@pytest.mark.parametrize("which", ["file", "lock", "both"])
@pytest.mark.parametrize("reused", [False, True])
def test_somebody_closes_its_files(spool, which, reused):
    """As those do who close all descriptors. What these stand for then is another's, and is left alone."""
    spool.append(payload(0))
    descriptors = {"file": spool._files.current.descriptor, "lock": spool._files._owner._lock._descriptor}
    closed = [descriptors[which]] if which != "both" else list(descriptors.values())
    for descriptor in closed:
        os.close(descriptor)
    others = [os.open(os.devnull, os.O_RDONLY) for _ in closed] if reused else []
    assert set(others) <= set(closed)
    if reused and which != "lock":
        assert not spool.append(payload(9)), "what has taken its place cannot be written"
        spool.segments()
    assert spool.append(payload(1))
    spool.end()
    assert spool.append(payload(2))
    assert spool._files.current.is_in_place()
    assert [each for each in sorted(kept(spool)) if b"record" in each] == [payload(n) for n in range(3)]
    assert sum(dropped(spool).values()) == spool.stats()["failed"]
    assert len(survey(spool.folder)) == 2
    for descriptor in others:
        os.close(descriptor)


def test_the_child_of_a_fork_has_files_of_its_own(spool):
    spool.append(payload(0))
    parent = spool.owners()
    spool.lose("some reason", 1)
    assert spool.pause()
    spool.resume()
    child = os.fork()
    if child == 0:
        try:
            spool.disown()
            ok = spool.append(payload(1)) and spool.written == 1 and not spool.owners() & parent
            os._exit(0 if ok else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(survey(spool.folder)) == 2
    assert spool.append(payload(2))
    assert sorted(each for each in kept(spool) if b"record" in each) == [payload(n) for n in range(3)]
    assert dropped(spool) == {"some reason": 1}


def test_a_spool_that_is_forgotten_closes_its_files(path):
    spool = spool_of(path)
    spool.append(payload(0))
    descriptor = spool.segments()[0][0].descriptor
    del spool
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_killed_process_leaves_what_it_appended(path):
    spool = spool_of(path)
    spool.append(payload(0))
    die(spool)
    assert kept(spool) == [payload(0)]


def test_a_signal_in_the_middle_of_appending(path):
    """Thousands of them, at whatever place they come."""
    spool = spool_of(path, segment_bytes=2_000)
    numbers = iter(range(10**9))
    done = []

    def handle(*_):
        number = next(numbers)
        assert spool.append(payload(number))
        done.append(number)

    earlier = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while len(done) < 600:
            handle()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    assert sorted(kept(spool)) == sorted(payload(number) for number in done)
