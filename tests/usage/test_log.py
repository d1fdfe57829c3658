"""UsageLog as an object: when it begins, what it shares, what it is configured with."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path

import llm
import pytest

import llmopt
from llmopt import usage
from llmopt.errors import ConfigurationError
from llmopt.middleware.usage_log import UsageLog
from llmopt.wrapping import wrap


class Model(llm.Model):
    model_id = "m"
    can_stream = True

    def __init__(self, *errors):
        self.errors = list(errors)

    def execute(self, prompt, stream, response, conversation):
        if self.errors and (error := self.errors.pop(0)):
            raise error
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
    assert list(tmp_path.iterdir()) == []
    assert log.stats() == {"written": 0, "queued": 0, "failed": 0, "helped": 0}
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "second"))
    wrap(Model(), default).prompt("a").text()
    assert count(None) == 1
    assert (tmp_path / "second" / "llmopt" / "usage.db").exists()


def test_file_and_folder_are_the_owners_alone(path):
    wrap(Model(), UsageLog(path)).prompt("a").text()
    usage.flush()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_logs_of_one_path_share_a_writer(path, monkeypatch):
    monkeypatch.chdir(path.parents[1])
    first, second = UsageLog(path), UsageLog("log/../log/usage.db")
    wrap(Model(), first).prompt("a").text()
    wrap(Model(), second).prompt("b").text()
    usage.flush()
    assert first.stats() == second.stats()
    assert first.stats()["written"] == 2


def test_many_threads_lose_nothing(path):
    log = UsageLog(path)
    threads_count, calls = 8, 500
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
    assert (stats["written"], stats["failed"]) == (threads_count * calls, 0)


@pytest.mark.parametrize("strict", [False, True])
def test_a_record_that_cannot_be_made_breaks_no_call(path, monkeypatch, strict):
    def broken(call, *args):
        raise RuntimeError("no such attribute")

    monkeypatch.setattr("llmopt.middleware.usage_log.record_of", broken)
    log = UsageLog(path, strict=strict)
    model = wrap(Model(None, ConnectionError()), log)
    if strict:
        with pytest.raises(RuntimeError):
            model.prompt("a").text()
    else:
        assert model.prompt("a").text() == "HOLD"
    with pytest.raises(ConnectionError):
        model.prompt("a").text()
    assert log.stats()["failed"] == (1 if strict else 2)


# configuration


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": ""}, "path='' is wrong: it must be the path of a file, or None"),
        ({"path": ":memory:"}, "path=':memory:' is wrong"),
        ({"path": 7}, "path=7 is wrong"),
        ({"path": "a\0b"}, "path='a.*b' is wrong"),
        ({"role": ""}, "role='' is wrong: it must be a name, or None"),
        ({"agent": 7}, "agent=7 is wrong"),
        (
            {"tags": {"a": object}},
            "tags=.* is wrong: it must be texts, numbers or truth values by name, or None",
        ),
        ({"tags": {1: "a"}}, "tags=.* is wrong"),
        ({"tags": {"a": float("nan")}}, "tags=.* is wrong"),
        ({"tags": "a"}, "tags='a' is wrong"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        UsageLog(**arguments)


def test_a_copy_has_the_configuration_alone(path):
    log = UsageLog(Path(path), role="tactical", tags={"a": 1}, strict=True)
    wrap(Model(), log).prompt("a").text()
    for twin in (copy.deepcopy(log), pickle.loads(pickle.dumps(log))):  # noqa: S301 - our own bytes
        assert twin == log
        assert hash(twin) == hash(log)
        assert twin.stats()["written"] == 0
    assert llmopt.UsageLog is UsageLog
