"""Files of a spool folder: names, owners, what they hold, and how they go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmopt.usage.files import Files
from llmopt.usage.frames import MAGIC, VERSION, pack
from llmopt.usage.locks import Lock
from llmopt.usage.segments import Owner, Segment, lock_of, pid_of, spool_folder, survey


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "usage.db-spool")


@pytest.fixture
def owner(folder):
    owner = Owner(folder)
    yield owner
    owner.close()


@pytest.fixture
def segment(owner):
    segment = owner.new_segment("spool")
    yield segment
    segment.close()


def test_the_folder_is_beside_the_log():
    assert spool_folder("/logs/usage.db") == "/logs/usage.db-spool"


def test_an_owner_lives_as_long_as_its_lock_is_held(owner, folder):
    assert not lock_of(folder, owner.name).acquire()
    assert owner.is_in_place()
    assert pid_of(owner.name) == os.getpid()
    owner.close()
    lock = lock_of(folder, owner.name)
    assert lock.acquire()
    lock.close()


def test_no_owner_has_the_name_of_another(folder, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 0)
    owners = [Owner(folder) for _ in range(10)]
    assert len({owner.name for owner in owners}) == 10
    for owner in owners:
        owner.remove()
    assert [*Path(folder).iterdir()] == []


def test_a_lock_that_somebody_looks_at_is_not_taken(folder, monkeypatch):
    refused = []
    acquire = Lock.acquire

    def looked_at(self, timeout_s=0.0):
        if not refused:
            refused.append(self.path)
            return False
        return acquire(self, timeout_s)

    monkeypatch.setattr(Lock, "acquire", looked_at)
    owner = Owner(folder)
    assert owner.name not in refused[0]
    assert owner.is_in_place()
    owner.remove()


def test_the_survey_tells_owners_and_their_files_in_order(owner, folder):
    segments = [owner.new_segment(kind) for kind in ("spool", "power", "spool")]
    idle = Owner(folder)
    for name in ("notes.txt", "usage.db", f"{owner.name}.txt", f"{owner.name}.000001.spool.bak", "x.lock"):
        Path(folder, name).write_text("")
    found = survey(folder)
    assert found == {owner.name: [segment.name for segment in segments], idle.name: []}
    assert [name.partition(".")[2] for name in found[owner.name]] == [
        "000001.spool",
        "000002.power",
        "000003.spool",
    ]
    assert [segment.has_to_survive_power for segment in segments] == [False, True, False]
    assert {segment.owner for segment in segments} == {owner.name}
    for each in (*segments, idle):
        each.close()


def test_a_survey_of_what_is_no_folder(tmp_path):
    assert survey(str(tmp_path / "nowhere")) == {}
    (tmp_path / "file").write_text("")
    assert survey(str(tmp_path / "file")) == {}


def test_what_is_appended_is_read(segment, folder):
    os.write(segment.descriptor, MAGIC + pack(b"one") + pack(b"two"))
    reader = Segment(folder, segment.name)
    for each in (segment, reader):
        assert each.size() == 30
        assert each.unpack(4096) == ([b"one", b"two"], 30, 0)
        assert each.unpack(19) == ([b"one"], 19, 0)
        each.position = 19
        assert each.unpack(4096) == ([b"two"], 11, 0)
        assert each.rest(24) == pack(b"two")[:5]
    reader.close()
    reader.close()
    assert Path(segment.path).stat().st_mode & 0o777 == 0o600


def test_where_pread_is_missing(segment, monkeypatch):
    os.write(segment.descriptor, b"0123456789")
    monkeypatch.delattr(os, "pread")
    assert segment.read(2, 3) == b"234"
    assert segment.read(8, 30) == b"89"


def test_a_file_without_its_beginning_is_read_all_the_same(segment):
    os.write(segment.descriptor, MAGIC[:5] + pack(b"one"))
    assert segment.unpack(4096) == ([b"one"], 16, 5)
    assert segment.rest(3) == MAGIC[:3]


@pytest.mark.parametrize(
    ("head", "other"),
    [
        (MAGIC, False),
        (MAGIC[:-1] + bytes([VERSION + 1]), True),
        (MAGIC[:-1], False),
        (b"", False),
        (bytes(8), False),
        (b"llmOpt\n" + bytes([VERSION]), False),
    ],
)
def test_other_versions_are_known_by_the_first_bytes(segment, head, other):
    os.write(segment.descriptor, head)
    assert segment.is_of_another_version() is other


def test_bytes_are_taken_back(segment, folder):
    os.write(segment.descriptor, b"0123456789")
    assert segment.take_back(0)
    assert segment.take_back(4)
    os.write(segment.descriptor, b"x")
    assert segment.read(0, 99) == b"012345x"
    reader = Segment(folder, segment.name)
    assert not reader.take_back(1), "it is open for reading"
    reader.close()


def test_a_file_is_removed(segment):
    assert segment.is_in_place()
    segment.remove()
    assert not Path(segment.path).exists()
    assert segment.descriptor == -1
    segment.remove()


def test_a_file_that_cannot_be_removed_stays_open(segment, monkeypatch):
    def refused(self):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(PermissionError):
        segment.remove()
    assert segment.size() == 0


def test_a_name_that_is_taken_is_not_written_over(owner, segment, folder):
    with pytest.raises(FileExistsError):
        Segment(folder, segment.name, new=True)


# what one process has open


@pytest.fixture
def files(folder):
    files = Files(folder, "spool")
    yield files
    files.disown()


def test_files_follow_each_other(files):
    assert (files.all(), files.owners(), files.undrained_bytes()) == ([], set(), 0)
    first = files.begin()
    second = files.begin()
    assert files.all() == [first, second]
    assert (files.closed, files.current) == ([first], second)
    assert files.owners() == {first.owner}
    os.write(first.descriptor, b"12345")
    os.write(second.descriptor, b"678")
    first.position = 2
    assert files.undrained_bytes() == 6
    files.end()
    files.end()
    files.forget(first)
    assert (files.all(), files.current) == ([second], None)


def test_what_is_left_is_for_others(files, folder):
    segment = files.begin()
    files.leave()
    assert survey(folder) == {segment.owner: [segment.name]}
    assert lock_of(folder, segment.owner).acquire()
    files.leave()
    again = files.begin()
    assert again.owner != segment.owner
    files.end()
    files.forget(again)
    files.leave()
    assert again.owner not in survey(folder)


def test_an_owner_whose_lock_was_removed_takes_another_name(files):
    first = files.begin()
    files.look_after()
    assert files.all() == [first]
    Path(files._owner._lock.path).unlink()
    Path(first.path).unlink()
    files.look_after()
    old, second = files.all()
    assert (old, files.current) == (first, second)
    assert files.owners() == {first.owner, second.owner}
    assert first.owner != second.owner


def test_the_oldest_is_given_up(files):
    first = files.begin()
    os.write(
        first.descriptor, MAGIC + b"".join(map(pack, [b'["hello",1]', b'["call"]', b'["drop",0,1,"EIO",3]']))
    )
    files.begin()
    assert files.sacrifice() == (1, {"EIO": 3})
    assert files.closed == []


def test_files_with_power_are_found_after_its_loss(folder, monkeypatch):
    synced = []
    monkeypatch.setattr("llmopt.usage.files.sync_folder", synced.append)
    files = Files(folder, "power")
    assert files.begin().has_to_survive_power
    assert synced == [folder, str(Path(folder).parent)]
    files.disown()
