"""UsageLog: odd values in calls, faults of the log, and its arguments."""

from __future__ import annotations

import copy
import pickle
import re
from decimal import Decimal

import llm
import pytest

from llmopt.errors import ConfigurationError, StoreError
from llmopt.middleware.usage_log import UsageLog
from llmopt.types import Reply, Usage
from llmopt.usage.begun import ALONE
from llmopt.usage.record import encoded
from llmopt.usage.recorder import Recorder
from llmopt.wrapping import wrap

from .logged import SECRET, WORLDS, Overloaded, Played, SyncModel, check, contents, rows


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "usage.db"


# what others put into a call


class Fancy(tuple):
    __slots__ = ()

    def __iter__(self):
        raise RuntimeError(SECRET)


def itself():
    value = {}
    value["self"] = [value] * 9
    return value


ODD = {
    "decimal": {"cost": Decimal("0.1")},
    "surrogates": {"\ud800": "\udfff"},
    "not a number": {"a": float("nan"), "b": float("inf")},
    "huge": {"a": 2**200, "b": -(2**63)},
    "itself": itself(),
    "keys": {1: 2, None: 3, (1, 2): 4, False: 5, 2.5: 6},
    "bytes": {"a": b"\0", "b": {1, 2}, "c": object()},
    "named": {"a": Usage(1, 2)},
    "fancy": {"a": Fancy((1, 2))},
    "no details": [1, 2],
    "text": "details",
}


@pytest.mark.parametrize("odd", ODD)
def test_nothing_that_others_put_into_a_call_loses_its_row(world, path, odd):
    def meddle(call):
        call.trace.notes.update(cache=ODD[odd], tier=ODD[odd], mine=ODD[odd], role=7, queue_s=0.5)
        reply = yield call
        reply.usage = Usage(10, 2**70, ODD[odd])
        reply.resolved_model = ODD[odd]
        reply.source = ["model"]

    log = UsageLog(path, tags={"\ud800": "a\udfff"})
    assert world.text(wrap(world.model(), log, meddle), "a\ud800", system="\udfff") == "HOLD"
    (call,) = rows(path)
    check(call, status="ok", input_tokens=10, tags_json='{"?": "a?"}', queue_ms=500.0)
    assert log.stats()["failed"] == 0
    assert rows(path, "SELECT * FROM drops") == []


def test_a_usage_of_another_shape_is_none(path):
    def meddle(call):
        reply = yield call
        reply.usage = (1, 2)

    wrap(SyncModel(), UsageLog(path), meddle).prompt("a").text()
    (call,) = rows(path)
    check(call, status="ok", tokens_source="estimate")


def test_a_prompt_that_cannot_be_read_costs_its_texts_alone(path):
    def meddle(call):
        call.prompt.fragments = 7
        yield Reply.of_text("HOLD", source="mine")

    wrap(SyncModel(), UsageLog(path), meddle).prompt("a").text()
    (call,) = rows(path)
    check(call, status="ok", prompt_digest=None)


def test_an_error_that_cannot_be_read_is_an_error(world, path):
    class Hostile(Exception):
        @property
        def response(self):
            raise RuntimeError(SECRET)

    with pytest.raises(Hostile):
        world.text(wrap(world.model(Hostile()), UsageLog(path)), "a")
    (call,) = rows(path)
    check(call, status="error", error_class="other", http_status=None)
    assert call["error_type"].endswith("Hostile")


def test_a_record_that_cannot_be_made_is_counted(world, path, monkeypatch):
    monkeypatch.setattr(Recorder, "payloads", lambda *_: 1 / 0)
    log = UsageLog(path)
    assert world.text(wrap(world.model(), log), "a") == "HOLD"
    assert log.stats()["failed"] == 1
    with pytest.raises(StoreError, match=r"usage\.db could not be written"):
        world.text(wrap(world.model(), UsageLog(path, strict=True)), "a")


# keys


class KeyModel(Played, llm.KeyModel):
    needs_key = "played"
    key = "key-of-the-model"
    headers = {"X-Auth-Token": "token-in-a-header"}  # noqa: RUF012 - as a user would
    api_base = "https://[no-host"

    def execute(self, prompt, stream, response, conversation, key):
        yield from self.play(response)


def test_the_keys_of_calls_and_models_are_known_from_then_on(path):
    said = "key-of-the-model, token-in-a-header, key-of-the-call"
    model = wrap(KeyModel(), UsageLog(path, content="full", role=said))
    model.prompt("a").text()
    model.prompt("b", key="key-of-the-call").text()
    model.prompt(said, key="key-of-the-call").text()
    first, second, third = rows(path)
    assert first["role"] == "[redacted:secret], [redacted:secret], key-of-the-call"
    assert second["role"] == third["role"] == ", ".join(["[redacted:secret]"] * 3)
    assert {row[1] for row in contents(path)} == {"a", "b", second["role"], "HOLD"}
    check(first, provider="played", endpoint_host=None)


def test_a_model_that_cannot_be_read_is_logged_by_its_id(path):
    class Hostile(SyncModel):
        @property
        def headers(self):
            raise RuntimeError(SECRET)

    wrap(Hostile(), UsageLog(path)).prompt("a").text()
    (call,) = rows(path)
    check(call, model_requested="played", provider=None, endpoint_host=None)


def test_tokens_of_messages_that_cannot_be_read_are_not_counted(path):
    class Hostile(llm.parts.Message):
        @property
        def parts(self):
            raise RuntimeError(SECRET)

        @parts.setter
        def parts(self, _parts):
            pass

    def meddle(call):
        call.prompt._explicit_messages = [Hostile(role="user", parts=[])]
        yield Reply.of_text("HOLD", source="model")

    wrap(SyncModel(), UsageLog(path), meddle).prompt("a").text()
    (call,) = rows(path)
    check(call, status="ok", input_tokens=None, tokens_source=None)


# the short way


@pytest.mark.parametrize("asked", [("a",), ("a", "s"), ("",)])
@pytest.mark.parametrize("content", [None, "full"])
def test_a_call_like_most_leaves_what_any_other_does(path, monkeypatch, asked, content):
    made = []
    short = Recorder._common_values

    def both(self, call, times_s, runs, reply, said):  # noqa: PLR0917
        self._texts._sent.clear()
        values = short(self, call, times_s, runs, reply, said)
        self._texts._sent.clear()
        made.append((values, self._values(call, ALONE, times_s, runs, None, None, reply, said)))
        return values

    monkeypatch.setattr(Recorder, "_common_values", both)
    model = wrap(SyncModel(), UsageLog(path, role="r", tags={"run": 7}, content=content), without_details)
    for _ in range(3):
        model.prompt(asked[0], system="".join(asked[1:]), stream=False).text()
    (first, _), *rest = made
    assert first is None  # nothing is known of the model yet
    assert [one for one, _ in rest] == [other for _, other in rest] != []
    assert all(encoded(one) == encoded(other) for one, other in rest)


def without_details(call):
    reply = yield call
    reply.usage = call.trace.attempts[0].usage._replace(details=None)
    if call.prompt.system:
        reply.response_json = {}
    call.trace.attempts[0] = call.trace.attempts[0]._replace(usage=reply.usage)


def with_id(response, new_id):
    response.id = new_id
    return response


def halving(call):
    reply = yield call
    reply.usage = call.trace.attempts[0].usage._replace(input_tokens=2.5, details=None)
    call.trace.attempts[0] = call.trace.attempts[0]._replace(usage=reply.usage)


def noting(call):
    call.trace.notes["tier"] = 0
    yield call


def passing(call):
    yield call


ODD_ONES = {
    "an option": (None, lambda model: model.prompt("a", temperature=0.5)),
    "a fragment": (None, lambda model: model.prompt("a", fragments=["f"])),
    "a conversation": (None, lambda model: model.conversation().prompt("a")),
    "an id of its own": (None, lambda model: with_id(model.prompt("a"), "mine")),
    "no id": (None, lambda model: with_id(model.prompt("a"), 7)),
    "details": (passing, lambda model: model.prompt("a")),
    "notes": (noting, lambda model: model.prompt("a")),
    "tokens that are no integers": (halving, lambda model: model.prompt("a")),
}


@pytest.mark.parametrize("odd", ODD_ONES)
def test_any_other_call_goes_the_long_way(path, monkeypatch, odd):
    taken = []
    long_way = Recorder._values
    monkeypatch.setattr(Recorder, "_values", lambda *given: taken.append(1) or long_way(*given))
    flow, ask = ODD_ONES[odd]
    model = wrap(SyncModel(), UsageLog(path), flow or without_details)
    model.prompt("b").text()
    for _ in range(2):
        ask(model).text()
    assert len(taken) == 3
    assert len(rows(path)) == 3


# how rows are kept


@pytest.mark.parametrize("durability", ["process", "power", "none"])
def test_every_outcome_is_kept_as_safely_as_is_asked_for(world, path, durability):
    log = UsageLog(path, durability=durability)
    assert world.text(wrap(world.model(), log), "a") == "HOLD"
    with pytest.raises(Overloaded):
        world.text(wrap(world.model(Overloaded()), log), "a")
    world.interrupt(wrap(world.model(["HO", "hang"]), log))
    world.leave(wrap(world.model(["HO", "LD"]), log))
    assert [call["status"] for call in rows(path)] == ["ok", "error", "cancelled", "abandoned"]
    assert log.stats()["written"] == 4


def test_logs_of_one_file_have_to_agree(path):
    log = UsageLog(path, keep_days=30)
    with pytest.raises(ConfigurationError, match=r"30.*7|7.*30"):
        UsageLog(path, keep_days=7)
    assert UsageLog(path, keep_days=30, content="full")._writer is log._writer


def test_a_strict_log_appends_before_the_call_returns(world, path):
    log = UsageLog(path, strict=True)
    world.text(wrap(world.model(), log), SECRET)
    assert log.stats()["written"] == 1


@pytest.fixture
def unwritable(path):
    path.parent.write_text("a file in the place of the folder")
    return path


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_folder_that_cannot_be_made_breaks_no_call(world, unwritable, durability, caplog):
    log = UsageLog(unwritable, durability=durability)
    model = wrap(world.model(["HOLD"], Overloaded(), ["HOLD"]), log)
    assert world.text(model, SECRET) == "HOLD"
    with pytest.raises(Overloaded):
        world.text(model, SECRET)
    assert world.text(model, SECRET) == "HOLD"
    assert (log.stats()["written"], log.stats()["failed"]) == (0, 3)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_strict_log_fails_the_call_that_it_cannot_write(world, unwritable, durability):
    log = UsageLog(unwritable, strict=True, durability=durability)
    with pytest.raises(StoreError, match=r"usage\.db could not be written"):
        world.text(wrap(world.model(), log), SECRET)
    with pytest.raises(Overloaded):
        world.text(wrap(world.model(Overloaded()), log), SECRET)


# arguments


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"path": ":memory:"}, "path=':memory:' is wrong"),
        ({"path": 7}, "path=7 is wrong"),
        ({"path": b"usage.db"}, "the path of a file"),
        ({"role": ""}, "role='' is wrong: it must be a name"),
        ({"agent": 7}, "agent=7"),
        ({"tags": [1]}, "tags="),
        ({"tags": {"a": None}}, "tags="),
        ({"tags": {"a": float("nan")}}, "tags="),
        ({"strict": 1}, "True or False"),
        ({"durability": "disk"}, "'process' or 'power' or 'none'"),
        ({"content": True}, "'redacted' or 'full'"),
        ({"secrets": "letmein-please"}, "secrets= is wrong"),
        ({"secrets": ["short"]}, "8 characters"),
        ({"secrets": [7]}, "8 characters"),
        ({"digest_key": "too short"}, "16 bytes"),
        ({"digest_key": 7}, "digest_key= is wrong"),
        ({"prices": {"m": 1}}, "prices"),
        ({"keep_days": 0}, "keep_days=0"),
        ({"keep_content_days": "7"}, "a number of days"),
        ({"max_bytes": 10}, "a number of bytes"),
    ],
)
def test_arguments_are_checked(wrong, says):
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        UsageLog(**wrong)


def test_neither_a_message_nor_a_repr_shows_a_secret(path):
    secrets = {"secrets": ["correct horse"], "digest_key": "0123456789abcdefghij"}
    tags = {"note": "correct horse", "k": "sk-abcDEF0123456789abcd"}
    log = UsageLog(path, tags=tags, role="correct horse", **secrets)
    shown = repr(log) + str(log) + repr(log._recorder)
    wrong = [{**secrets, "tags": {**tags, "a": None}}, {**secrets, "secrets": ("correct horse", "x")}]
    for arguments in wrong:
        with pytest.raises(ConfigurationError) as caught:
            UsageLog(path, **arguments)
        shown += str(caught.value)
    for secret in ("correct horse", "0123456789abcdefghij", "sk-abcDEF0123456789abcd"):
        assert secret not in shown
    assert "UsageLog(path=" in shown


def test_a_copy_logs_on(path):
    log = UsageLog(path, digest_key=b"0123456789abcdef", secrets=["correct horse"])
    for twin in (copy.deepcopy(log), pickle.loads(pickle.dumps(log))):  # noqa: S301
        wrap(SyncModel(), twin).prompt("a").text()
    assert len(rows(path)) == 2
    assert twin == log


def test_without_a_path_the_file_is_looked_up_at_the_first_call(monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    log = UsageLog()
    assert log._writer is None
    wrap(SyncModel(), log).prompt("a").text()
    assert len(rows(tmp_path / "llmopt" / "usage.db")) == 1
    assert UsageLog().stats()["written"] == 1
