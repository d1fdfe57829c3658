"""UsageLog and its files: when they are made, who may read them, and who shares them."""

from __future__ import annotations

import threading

import llm
import pytest

from llmopt import usage
from llmopt.middleware.usage_log import UsageLog
from llmopt.usage.segments import spool_folder, survey
from llmopt.wrapping import wrap


class Model(llm.Model):
    model_id = "m"
    can_stream = True

    def execute(self, prompt, stream, response, conversation):
        yield "HOLD"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "usage.db"


def count(path, what="*"):
    database = usage.open(path)
    (row,) = database.query(f"SELECT count({what}) AS n FROM calls")  # noqa: S608
    database.close()
    return row["n"]


def test_nothing_happens_before_the_first_call(path, monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "first"))
    default, log = UsageLog(), UsageLog(path)
    wrap(Model(), default, log)
    assert set(log.stats().values()) == {0}
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "second"))
    wrap(Model(), default).prompt("a").text()
    assert count(None) == 1
    assert (tmp_path / "second" / "llmopt" / "usage.db").exists()


def test_files_and_folders_are_the_owners_alone(path):
    log = UsageLog(path)
    wrap(Model(), log).prompt("a").text()
    assert usage.flush()
    found = [path.parent, *path.parent.rglob("*")]
    assert {file.stat().st_mode & 0o777 for file in found if file.is_dir()} == {0o700}
    assert {file.stat().st_mode & 0o777 for file in found if file.is_file()} == {0o600}
    assert len(found) >= 6, "log, lease, WAL, its index, and the spool"


def test_logs_of_one_path_share_a_writer(path, monkeypatch):
    monkeypatch.chdir(path.parents[1])
    first, second = UsageLog(path), UsageLog("log/../log/usage.db")
    wrap(Model(), first).prompt("a").text()
    wrap(Model(), second).prompt("b").text()
    assert first.stats() == second.stats()
    assert first.stats()["written"] == 2
    assert len(survey(spool_folder(str(path)))) == 1


@pytest.mark.parametrize("durability", ["process", "power", "none"])
def test_many_threads_lose_nothing(path, durability):
    log = UsageLog(path, durability=durability)
    threads_count, calls = 8, 100
    barrier = threading.Barrier(threads_count)

    def work():
        model = wrap(Model(), log)
        barrier.wait()
        for _ in range(calls):
            model.prompt("a").text()

    threads = [threading.Thread(target=work) for _ in range(threads_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(path) == count(path, "DISTINCT id") == threads_count * calls
    stats = log.stats()
    assert (stats["written"], stats["failed"], stats["undrained_bytes"]) == (threads_count * calls, 0, 0)
