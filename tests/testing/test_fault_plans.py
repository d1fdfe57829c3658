"""The catalogue of faults, one by one, and the plans that are made of it."""

from __future__ import annotations

import errno
import json
import sqlite3
import sys
from email.utils import parsedate_to_datetime

import anyio
import httpx2
import llm
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError, StoreError
from llmopt.testing import (
    Answer,
    AsyncScriptedModel,
    FaultPlan,
    FaultyStore,
    ScriptedModel,
    VirtualClock,
    sdk_errors,
)
from llmopt.testing.catalogue import CATALOGUE, STATUSES, find
from llmopt.types import Usage

ROWS = json.dumps([{"id": "a1", "do": "hold"}, {"id": "a2", "do": "move"}, {"id": "a3", "do": "hide"}])
OF_MODELS = [name for name, fault in CATALOGUE.items() if fault.spoil is not None]
OF_STORES = [name for name, fault in CATALOGUE.items() if fault.fail is not None]


def said(name, answer=ROWS):
    return ScriptedModel(FaultPlan.of(name, answer=answer)).prompt("x").text()


def raised(name, answer=Answer(chunks=["a", "b", "c"])):  # noqa: B008 - an Answer is frozen
    response = ScriptedModel(FaultPlan.of(name, answer=answer)).prompt("x")
    with pytest.raises(Exception) as caught:
        response.text()
    return caught.value, response._chunks


def test_the_catalogue_is_rich_and_described():
    catalogue = FaultPlan.catalogue()
    assert len(catalogue) > 40
    assert all(len(does) > 10 for does in catalogue.values())
    assert len(set(catalogue.values())) == len(catalogue)
    assert {"429", "500", "503", "timeout", "cut", "disk_full", "locked", "clock_back", "ok"} <= set(
        catalogue
    )


@pytest.mark.parametrize("name", OF_MODELS)
def test_every_fault_of_models_happens_once_and_then_all_is_well(name):
    plan = FaultPlan.of(name, answer=ROWS)
    model = ScriptedModel(plan, clock=VirtualClock())
    assert plan.left == [name]
    try:
        first = model.prompt("x").text()
    except Exception as error:
        first = repr(error)
    assert plan.left == []
    assert model.prompt("x").text() == ROWS
    unseen = {"ok", "no_usage", "slow_start", "slow_drip", "clock_forward", "clock_back"}
    unseen |= {"timeout_after", "cut", "stream_error"} if first == ROWS else set()
    assert (first == ROWS) == (name in unseen)


@pytest.mark.parametrize("status", STATUSES)
def test_statuses_are_openais_own_errors(status):
    error, chunks = raised(f"{status}")
    assert isinstance(error, openai.APIStatusError)
    assert (error.status_code, error.response.status_code, chunks) == (status, status, [])
    assert str(error).startswith(f"Error code: {status} - ")
    assert "retry-after" not in error.response.headers
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(status))) as transport:
        client = openai.OpenAI(api_key="k", base_url="http://test", max_retries=0, http_client=transport)
        with pytest.raises(openai.APIStatusError) as real:
            client.models.list()
    assert type(error) is type(real.value)


def test_retry_after_is_seconds_milliseconds_or_a_date():
    assert raised("429:7")[0].response.headers["retry-after"] == "7"
    assert raised("503:0.5")[0].response.headers["retry-after"] == "0.5"
    date = raised("429_date:1767225660")[0].response.headers["retry-after"]
    assert parsedate_to_datetime(date).timestamp() == 1767225660


def test_a_spent_quota_is_told_from_a_rate_limit():
    error, _ = raised("quota")
    assert (type(error), error.code) == (openai.RateLimitError, "insufficient_quota")
    assert raised("429")[0].code is None


def test_connections_and_timeouts_fail_as_openais_do():
    unreachable, _ = raised("connection_error")
    assert type(unreachable) is openai.APIConnectionError
    assert isinstance(unreachable.__cause__, httpx2.ConnectError)
    late, _ = raised("timeout")
    assert type(late) is openai.APITimeoutError
    assert isinstance(late.__cause__, httpx2.ReadTimeout)


def test_a_closed_client_fails_as_openais_does():
    error, _ = raised("closed_client")
    transport = httpx2.Client()
    transport.close()
    client = openai.OpenAI(api_key="k", base_url="http://test", max_retries=0, http_client=transport)
    with pytest.raises(Exception) as real:
        client.models.list()
    assert (type(error), str(error)) == (type(real.value), str(real.value))


@pytest.mark.parametrize("name", ["cut", "timeout_after", "stream_error"])
def test_streams_break_after_so_many_events(name):
    for events, chunks in [("", ["a"]), (":0", []), (":2", ["a", "b"])]:
        error, got = raised(name + events)
        assert isinstance(error, openai.APIError)
        assert got == chunks


def test_an_error_event_names_the_servers_error():
    error, _ = raised("stream_error")
    assert (type(error), error.type) == (openai.APIError, "server_error")


def test_slow_answers_pass_time():
    clock = VirtualClock()
    plan = FaultPlan.of("slow_start", "slow_drip:2", answer=Answer(chunks="abc"))
    model = ScriptedModel(plan, clock=clock)
    model.prompt("x").text()
    assert clock.monotonic() == 60
    model.prompt("x").text()
    assert clock.monotonic() == 64


def test_the_clock_is_set_on_and_back():
    clock = VirtualClock(wall_s=10_000)
    model = ScriptedModel(FaultPlan.of("clock_forward", "clock_back:100"), clock=clock)
    model.prompt("x").text()
    assert clock.time() == 13_600
    model.prompt("x").text()
    assert (clock.time(), clock.monotonic()) == (13_500, 0)


def test_answers_are_spoilt():
    assert said("empty") == ""
    assert said("truncated_json:0.5") == ROWS[: len(ROWS) // 2]
    with pytest.raises(json.JSONDecodeError):
        json.loads(said("truncated_json"))
    assert f"```json\n{ROWS}\n```" in said("fenced_json")
    ids = [[row["id"] for row in json.loads(said(name))] for name in ("wrong_count", "wrong_count:-2")]
    assert ids == [["a1", "a2"], ["a1", "a2", "a3", "a3", "a3"]]
    assert [row["id"] for row in json.loads(said("duplicate_ids"))] == ["a1", "a1", "a3"]
    assert [row["id"] for row in json.loads(said("duplicate_ids:2"))] == ["a1", "a1", "a1"]
    assert json.loads(said("unknown_id"))[-1] == {"id": "no-such-id", "do": "hide"}


def test_rows_may_stand_in_an_object_and_be_arrays_or_ids():
    wrapped = json.dumps({"note": "n", "plans": [["a1", "hold"], ["a2", "move"]]})
    assert json.loads(said("duplicate_ids", wrapped)) == {
        "note": "n",
        "plans": [["a1", "hold"], ["a1", "move"]],
    }
    assert json.loads(said("unknown_id", '["a1", "a2"]')) == ["a1", "no-such-id"]
    assert json.loads(said("duplicate_ids", "[[], {}, []]")) == [[], {"id": None}, []]
    assert json.loads(said("wrong_count:9", "[1]")) == []


def test_spoilt_answers_keep_coming_in_pieces():
    answer = Answer(chunks=[ROWS[:10], ROWS[10:60], ROWS[60:]])
    response = ScriptedModel(FaultPlan.of("truncated_json", answer=answer)).prompt("x")
    assert response.text() == ROWS[: int(len(ROWS) * 0.6)]
    assert len(response._chunks) == 3
    assert said("truncated_json:0", Answer(chunks=[])) == ""


@given(st.lists(st.fixed_dictionaries({"id": st.integers(), "do": st.text(max_size=5)}), max_size=6))
def test_spoilt_rows_are_still_json_unless_they_are_truncated(rows):
    answer = json.dumps(rows)
    assert json.loads(said("wrong_count", answer)) == rows[:-1]
    assert [row["do"] for row in json.loads(said("duplicate_ids", answer))] == [row["do"] for row in rows]
    assert len(json.loads(said("unknown_id", answer))) == len(rows)


@pytest.mark.parametrize("answer", ["no JSON", '{"a": 1}', "3"])
def test_faults_of_rows_need_rows(answer):
    with pytest.raises(ConfigurationError, match="a JSON array, or an object with one"):
        said("wrong_count", answer)


def test_faults_of_answers_need_an_answer():
    with pytest.raises(ConfigurationError, match="answer="):
        said("truncated_json", None)
    assert said("ok", None) == "x"


def test_broken_arguments_of_a_tool_fail_as_in_llms_openai_models():
    answer = Answer(tool_calls=[llm.ToolCall(name="move", arguments={"x": 1}, tool_call_id="t")])
    response = ScriptedModel(FaultPlan.of("malformed_tool_arguments", answer=answer)).prompt("x")
    with pytest.raises(json.JSONDecodeError):
        response.text()
    assert [event.chunk for event in response._stream_events] == ["move", '{"broken": ']
    error, _ = raised("malformed_tool_arguments")
    assert isinstance(error, json.JSONDecodeError)


def test_usage_may_be_missing():
    response = ScriptedModel(FaultPlan.of("no_usage", answer=Answer(text="x", usage=Usage(3, 1)))).prompt("x")
    assert response.text() == "x"
    assert response.usage() == llm.Usage()


def test_the_good_answer_may_depend_on_the_prompt():
    model = ScriptedModel(FaultPlan.of("truncated_json:0.5", "ok", answer=lambda prompt: prompt.prompt * 2))
    assert [model.prompt("abcd").text() for _ in range(2)] == ["abcd", "abcdabcd"]


def test_async_models_follow_plans():
    async def ask():
        model = AsyncScriptedModel(FaultPlan.of("cut:1", answer=Answer(chunks=["a", "b"])))
        with pytest.raises(openai.APIConnectionError):
            await model.prompt("x").text()
        return await model.prompt("x").text()

    assert anyio.run(ask, backend="trio") == "ab"


@pytest.mark.parametrize(
    ("name", "kind", "mark"),
    [
        ("disk_full", OSError, errno.ENOSPC),
        ("io_error", OSError, errno.EIO),
        ("read_only", OSError, errno.EROFS),
        ("no_permission", PermissionError, errno.EACCES),
        ("too_many_files", OSError, errno.EMFILE),
        ("locked", sqlite3.OperationalError, "locked"),
        ("corrupt", sqlite3.DatabaseError, "malformed"),
        ("database_full", sqlite3.OperationalError, "full"),
    ],
)
def test_functions_fail_as_planned(name, kind, mark):
    plan = FaultPlan.of("ok", name)
    add = plan.around(lambda a, *, b: a + b)
    assert add(1, b=2) == 3
    with pytest.raises(kind) as caught:
        add(1, b=2)
    assert mark == getattr(caught.value, "errno", None) or mark in str(caught.value)
    assert add(1, b=2) == 3
    assert name in OF_STORES


class DictStore(dict):
    def put(self, key, value, now):
        self[key] = (value, now)

    delete = dict.__delitem__

    def stats(self):
        return {"entries": len(self)}


def test_a_faulty_store_fails_in_every_way_and_otherwise_works():
    store = FaultyStore(DictStore(), FaultPlan.of("ok", "disk_full", "io_error", "locked", "corrupt"))
    store.put(b"k", b"v", 1.0)
    for use in (lambda: store.put(b"k", b"w", 2.0), lambda: store.get(b"k"), lambda: store.delete(b"k")):
        with pytest.raises(StoreError, match="the store could not"):
            use()
    with pytest.raises(StoreError, match="clear an entry: database disk image is malformed") as caught:
        store.clear()
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert store.get(b"k") == (b"v", 1.0)
    assert (list(store), store.stats()) == ([b"k"], {"entries": 1})
    store.delete(b"k")
    store.clear()
    assert store.get(b"k") is None


def test_a_plan_says_what_is_wrong_with_it():
    for name, message in [
        ("no_such", "there is no fault 'no_such'; there are 400, 401"),
        ("ok:3", "'ok' takes no number"),
        ("cut:many", "'cut:many' needs a number"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            FaultPlan.of(name)
    assert find("cut:3")[1] == 3
    with pytest.raises(ConfigurationError, match="'locked' is no fault of a model"):
        said("locked")
    with pytest.raises(ConfigurationError, match="'429' is a fault of models"):
        FaultPlan.of("429").error()


# Other SDKs


@pytest.fixture
def no_openai(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)


@pytest.mark.usefixtures("no_openai")
def test_without_openai_errors_are_plain():
    assert raised("429:7")[0].response.headers == {"retry-after": "7"}
    assert (raised("529")[0].status_code, raised("quota")[0].code) == (529, "insufficient_quota")
    kinds = {
        "connection_error": ConnectionRefusedError,
        "closed_client": RuntimeError,
        "timeout": TimeoutError,
        "cut": ConnectionResetError,
        "stream_error": sdk_errors.PlainStatusError,
    }
    assert {name: type(raised(name)[0]) for name in kinds} == kinds


def test_openai_2_stands_on_httpx_and_lets_cuts_through(monkeypatch):
    httpx = type(sys)("httpx")
    vars(httpx).update(Request=httpx2.Request, RemoteProtocolError=httpx2.RemoteProtocolError)
    client = type("Client", (), {"__module__": "httpx"})
    monkeypatch.setitem(sys.modules, "httpx", httpx)
    monkeypatch.setattr(openai, "DefaultHttpxClient", type("Own", (client,), {"__module__": "openai"}))
    assert type(raised("cut")[0]) is httpx2.RemoteProtocolError
    closed, _ = raised("closed_client")
    assert type(closed) is openai.APIConnectionError
    assert isinstance(closed.__cause__, RuntimeError)
