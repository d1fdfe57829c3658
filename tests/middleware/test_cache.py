"""Cache: what is answered from it, how faithfully, and what is not kept."""

from __future__ import annotations

import copy
import pickle

import llm
import pytest
from llm.models import ToolCall
from llm.parts import StreamEvent

import llmopt
from llmopt import Fallback, Retry, Timeout
from llmopt.cache.memory import MemoryStore
from llmopt.cache.sqlite import SQLiteStore
from llmopt.errors import ConfigurationError, StoreError
from llmopt.middleware.cache import Cache, cache_control, deterministic
from llmopt.testing import Answer, FaultPlan, FaultyStore, ScriptedModel
from llmopt.types import Reply, Usage


@pytest.fixture(params=["memory", "file"])
def make(request, tmp_path):
    """Makes caches in memory, or in a file of the test."""
    stores = []

    def make(**given):
        if request.param == "memory":
            return Cache(**given)
        stores.append(SQLiteStore(tmp_path / f"{len(stores)}.db"))
        return Cache(store=stores[-1], **given)

    yield make
    for store in stores:
        store.close()


# hits


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_the_second_call_is_answered_from_the_cache(world, make, keyed, stream):
    model = world.model([Answer(chunks=["HO", "LD"])], keyed=keyed)
    wrapped = world.wrap(model, cache := make())
    key = {"key": "k"} if keyed else {}
    first = world.ask(wrapped, stream=stream, **key)
    second = world.ask(wrapped)  # and no key is needed
    assert (first.text, second.text) == ("HOLD", "HOLD")
    assert (first.notes["cache"], second.notes["cache"]) == ("miss", "hit")
    assert (first.trace.source, second.trace.source) == ("model", "cache")
    assert len(model.calls) == 1
    stats = cache.stats()
    assert (stats["hits"], stats["misses"], stats["entries"], stats["errors"]) == (1, 1, 1, 0)
    assert (stats["input_tokens_saved"], stats["output_tokens_saved"]) == (1, 1)
    assert second.attempts == []


SIGNED = [
    StreamEvent("reasoning", "Hm, ", redacted=False),
    StreamEvent("reasoning", "", provider_metadata={"anthropic": {"signature": "s1"}}),
    StreamEvent("text", "Yes", part_index=7),
    StreamEvent("text", "."),
    StreamEvent("tool_call_name", "search", tool_call_id="s1", server_executed=True),
    StreamEvent("tool_result", "found", tool_call_id="s1", tool_name="search", server_executed=True),
    StreamEvent("text", "Second", message_index=1),
]
FULL = Answer(
    events=SIGNED,
    usage=Usage(10, 5, {"cached": 4, "deep": {"er": [1, None]}}),
    response_json={"id": "r1", "choices": [{"n": 1.5}]},
    resolved_model="scripted-2026",
    tool_calls=[ToolCall("look", {"where": ["there"]}, "t1")],
    attributes={"stop_reason": "end", "_count": 3},
)


def told(world, response):
    """All that a response can be asked, but for its id, its times and its mark."""

    async def later():
        texts = (await response.text(), await response.usage(), await response.json())
        events = [event async for event in response.astream_events()]
        return (*texts, await response.tool_calls(), events, await response.messages())

    def now():
        texts = (response.text(), response.usage(), response.json())
        return (*texts, response.tool_calls(), list(response.stream_events()), response.messages())

    said = world.run(later if world.is_async else now)
    changing = (
        "id",
        "_start",
        "_end",
        "_start_utcnow",
        "llmopt",
        "model",
        "prompt",
        "_generator",
        "_iter_chunks",
    )
    state = {name: value for name, value in vars(response).items() if name not in changing}
    logged = (
        {}
        if world.is_async
        else {**response.to_dict(), "id": None, "datetime_utc": None, "duration_ms": None}
    )
    return said, state, logged


def test_a_replay_cannot_be_told_from_the_answer(world, make):
    model = world.model([FULL])
    wrapped = llmopt.wrap(model, make())
    live, replay, again = (told(world, wrapped.prompt("Hi")) for _ in range(3))
    assert live == replay == again
    assert len(model.calls) == 1
    bare = told(world, world.model([FULL]).prompt("Hi"))
    assert bare == replay


def test_replays_share_nothing(world):
    wrapped = world.wrap([FULL], Cache())
    outcomes = [world.ask(wrapped) for _ in range(3)]
    one, other = outcomes[1].response, outcomes[2].response
    one.response_json["choices"].append("changed")
    one.token_details["deep"]["er"].append("changed")
    assert other.response_json == {"id": "r1", "choices": [{"n": 1.5}]}
    assert other.token_details == {"cached": 4, "deep": {"er": [1, None]}}
    assert {id(event) for event in outcomes[1].events}.isdisjoint(map(id, outcomes[2].events))


def look(where: str) -> str:
    """Look somewhere."""
    return f"nothing {where}"


def test_a_chain_of_tools_is_replayed(world, make):
    call = Answer(tool_calls=[ToolCall("look", {"where": "there"}, "t1")])
    model = world.model([call, "Nothing there."])
    wrapped = llmopt.wrap(model, make())

    async def later():
        return await wrapped.chain("Look there.", tools=[look]).text()

    def now():
        return wrapped.chain("Look there.", tools=[look]).text()

    assert [world.run(later if world.is_async else now) for _ in range(2)] == ["Nothing there."] * 2
    assert len(model.calls) == 2


def test_sync_and_async_share_entries(make_world, make):
    cache = make()
    models = {kind: make_world(kind).model(["HOLD"]) for kind in ("sync", "asyncio", "trio")}
    for kind, model in models.items():
        world = make_world(kind)
        assert world.ask(llmopt.wrap(model, cache)).text == "HOLD"
    assert [len(model.calls) for model in models.values()] == [1, 0, 0]


def test_a_conversation_hits_turn_by_turn(make):
    answers = ["one", "two"]
    model = llmopt.testing.ScriptedModel(answers)
    wrapped = llmopt.wrap(model, make())
    for _ in range(2):
        conversation = wrapped.conversation()
        assert [conversation.prompt(text).text() for text in ("first", "second")] == answers
    assert len(model.calls) == 2


def test_an_attached_file_is_read_in_the_world_of_the_call(world, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9))
    model = world.model(["one", "two", "three"])
    wrapped = world.wrap(model, cache := Cache())
    asked = {"attachments": [llm.Attachment(path=str(path), type="image/png")]}
    assert [world.ask(wrapped, **asked).text for _ in range(2)] == ["one", "one"]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(10))
    assert world.ask(wrapped, **asked).text == "two"
    path.unlink()
    assert world.ask(wrapped, **asked).notes["cache"] == "bypass"
    assert cache.stats()["unkeyable"] == 1


# settings


def test_namespaces_never_share(make):
    store = make()._shelf.store
    model = llmopt.testing.ScriptedModel(["one", "two"])
    one, two = (llmopt.wrap(model, Cache(store=store, namespace=name)) for name in ("a", "b"))
    assert [each.prompt("Hi").text() for each in (one, one, two, two)] == ["one", "one", "two", "two"]


@pytest.mark.parametrize(
    ("mode", "answers", "notes", "calls"),
    [
        ("read_write", "1122", ["miss", "hit", "miss", "hit"], 2),
        ("read_only", "1234", ["miss"] * 4, 4),
        ("write_only", "1234", ["miss"] * 4, 4),
        ("off", "1234", ["bypass"] * 4, 4),
    ],
)
def test_modes(world, mode, answers, notes, calls):
    model = world.model(list("1234"))
    wrapped = world.wrap(model, Cache(mode=mode))
    outcomes = [world.ask(wrapped, prompt) for prompt in ("a", "a", "b", "b")]
    assert "".join(outcome.text for outcome in outcomes) == answers
    assert [outcome.notes["cache"] for outcome in outcomes] == notes
    assert len(model.calls) == calls


def test_reading_and_writing_apart(world, make):
    model = world.model(list("123"))
    store = make()._shelf.store
    writer, reader = (
        world.wrap(model, Cache(store=store, mode=f"{mode}_only")) for mode in ("write", "read")
    )
    assert [world.ask(each).text for each in (writer, reader, writer, reader)] == ["1", "1", "2", "2"]
    assert [world.ask(reader, "b").text, len(list(store))] == ["3", 1]


def test_control_of_single_calls(world):
    model = world.model(list("12345"))
    wrapped = world.wrap(model, Cache())
    texts = [world.ask(wrapped).text]
    with cache_control(mode="off"):
        texts.append(world.ask(wrapped).text)
        with cache_control(sample_id=3):  # the mode outside still holds
            texts.append(world.ask(wrapped).text)
        with cache_control(mode="read_write", sample_id=3):
            texts += (world.ask(wrapped).text, world.ask(wrapped).text)
            with cache_control():
                texts.append(world.ask(wrapped).text)
    with cache_control(mode="write_only"):
        texts.append(world.ask(wrapped).text)
    texts.append(world.ask(wrapped).text)
    assert "".join(texts) == "12344455"


def test_samples_of_one_call(world):
    model = world.model(list("123"))
    caches = [Cache(store=MemoryStore(), sample_id=name) for name in (None, 1, "1")]
    shared = caches[0].store
    wrapped = [world.wrap(model, Cache(store=shared, sample_id=cache.sample_id)) for cache in caches]
    assert "".join(world.ask(each).text for each in wrapped * 2) == "123123"


def test_when(world):
    model = world.model(list("123"))
    wrapped = world.wrap(model, cache := Cache(when=lambda call: "cache" in call.prompt.prompt))
    texts = [world.ask(wrapped, prompt).text for prompt in ("cache me", "cache me", "not me", "not me")]
    assert texts == ["1", "1", "2", "3"]
    assert cache.stats()["bypasses"] == 2


@pytest.mark.parametrize(
    ("options", "is_deterministic"),
    [({}, False), ({"temperature": 0}, True), ({"temperature": 0.0, "max_tokens": 3}, True),
     ({"temperature": 0.5}, False), ({"seed": 0}, True), ({"temperature": 1, "seed": 7}, True)],
)  # fmt: skip
def test_what_is_deterministic(world, options, is_deterministic):
    wrapped = world.wrap(["1", "2"], Cache(when=deterministic))
    texts = [world.ask(wrapped, options=options).text for _ in range(2)]
    assert texts == (["1", "1"] if is_deterministic else ["1", "2"])


def test_a_model_without_such_options_is_not_deterministic():
    class Plain(llm.Model):
        model_id = "plain"

        def execute(self, prompt, stream, response, conversation):
            yield "Hi"

    wrapped = llmopt.wrap(Plain(), cache := Cache(when=deterministic))
    assert wrapped.prompt("Hi").text() == "Hi"
    assert cache.stats()["bypasses"] == 1


# time


def test_entries_expire(world, make):
    wrapped = world.wrap(list("123"), cache := make(ttl=10))
    texts = []
    for seconds in (0, 10, 0.1, 10):
        world.clock.advance(seconds)
        texts.append(world.ask(wrapped).text)
    assert "".join(texts) == "1122"
    assert (cache.stats()["expired"], cache.stats()["entries"]) == (1, 1)


def test_entries_without_an_end(world):
    wrapped = world.wrap(list("12"), Cache(ttl=None))
    texts = []
    for seconds in (0, 10**9):
        world.clock.advance(seconds)
        texts.append(world.ask(wrapped).text)
    assert texts == ["1", "1"]


def test_a_reader_leaves_expired_entries_alone(world):
    store = MemoryStore()
    world.ask(world.wrap(["1"], Cache(store=store)))
    world.clock.advance(7200)
    assert world.ask(world.wrap(["2"], Cache(store=store, mode="read_only"))).text == "2"
    assert store.stats()["entries"] == 1


@pytest.mark.parametrize(
    ("after_s", "told_", "note"), [(10, "1", "hit"), (15, "1", "stale"), (31, "ConnectionError", "miss")]
)
def test_an_expired_entry_stands_in_for_a_failed_call(world, make, after_s, told_, note):
    down = Answer(error=ConnectionError("down"))
    wrapped = world.wrap(["1", down, down], cache := make(ttl=10, stale_if_error=20))
    world.ask(wrapped)
    world.clock.advance(after_s)
    second = world.ask(wrapped)
    assert (second.told, second.notes["cache"]) == (told_, note)
    assert cache.stats()["stale"] == (note == "stale")
    assert cache.stats()["expired"] == (note == "miss")
    third = world.ask(wrapped)
    assert third.told == {"hit": "1", "stale": "1", "miss": "ConnectionError"}[note]


def test_an_expired_entry_does_not_continue_an_answer(world):
    script = ["1", Answer(chunks=["2", "2"], error=ConnectionError("down"), error_after=1)]
    wrapped = world.wrap(script, Cache(ttl=1, stale_if_error=20))
    world.ask(wrapped)
    world.clock.advance(2)
    second = world.ask(wrapped)
    assert ([event.chunk for event in second.events], type(second.error)) == (["2"], ConnectionError)


# what is not kept


@pytest.mark.parametrize(
    "answer",
    [
        Answer(text=""),
        Answer(error=ConnectionError("down")),
        Answer(chunks=["1", "1"], error=ConnectionError("down"), error_after=1),
        Answer(text="1", attributes={"client": object()}),
        Answer(text="1", response_json={"pair": (1, 2)}),
    ],
)
def test_what_is_not_kept(world, answer):
    model = world.model([answer, answer, "2"])
    wrapped = world.wrap(model, cache := Cache())
    for _ in range(2):
        assert world.ask(wrapped).notes["cache"] == "miss"
    assert len(model.calls) == 2
    assert cache.stats()["entries"] == 0
    assert cache.stats()["unkept"] == (2 if answer.attributes or answer.response_json else 0)


def test_a_call_for_tools_without_a_word_is_kept(world):
    asked = []

    class Silent(llm.Model if not world.is_async else llm.AsyncModel):
        model_id = "silent"
        supports_tools = True

        def execute(self, prompt, stream, response, conversation):
            asked.append(prompt)
            response.add_tool_call(ToolCall("look", {}, "t1"))
            return nothing() if world.is_async else iter(())

    async def nothing():
        for event in ():
            yield event

    wrapped = world.wrap(Silent(), Cache())
    assert [world.ask(wrapped).response._tool_calls for _ in range(2)] == [[ToolCall("look", {}, "t1")]] * 2
    assert len(asked) == 1


def test_an_abandoned_answer_is_not_kept(world):
    model = world.model([Answer(chunks=["1", "1"]), "2"])
    wrapped = world.wrap(model, cache := Cache())
    assert len(world.ask(wrapped, take=1).events) == 1
    assert world.ask(wrapped).text == "2"
    assert cache._flights.stats().open == 0


def test_the_answers_of_fallbacks_are_not_kept(world):
    down = Answer(error=ConnectionError("down"))
    model, other = world.model([down] * 3), world.model(["other"], model_id="other")
    wrapped = world.wrap(model, cache := Cache(), Fallback(other, lambda call: "heuristic"))
    assert [world.ask(wrapped).text for _ in range(2)] == ["other", "Hi"]  # the script has ended: it echoes
    assert world.ask(world.wrap(model, cache, Fallback(lambda call: "heuristic"))).text == "heuristic"
    assert cache.stats()["entries"] == 0


def test_a_stale_answer_of_a_cache_inside_is_not_kept_as_fresh(world):
    script = ["1", Answer(error=ConnectionError("down"))]
    outer, inner = Cache(ttl=10), Cache(ttl=1, stale_if_error=60, namespace="inner")
    wrapped = world.wrap(script, outer, inner)
    world.ask(wrapped)
    world.clock.advance(11)
    outer.clear()
    assert world.ask(wrapped).notes["cache"] == "stale"
    assert list(outer._shelf.store) == []


def test_a_fast_cache_in_front_of_a_slow_one(world, make):
    model = world.model(["1"])
    slow = make(namespace="slow")
    assert world.ask(world.wrap(model, Cache(), slow)).text == "1"
    fast = Cache()
    wrapped = world.wrap(model, fast, slow)
    assert [world.ask(wrapped).text for _ in range(2)] == ["1", "1"]
    assert (len(model.calls), slow.stats()["hits"], fast.stats()["hits"]) == (1, 1, 1)


def test_an_answer_of_another_middleware_is_not_kept(world):
    def canned(call):
        yield Reply.of_text("canned", source="canned")

    outcome = world.ask(world.wrap(["1"], cache := Cache(), canned))
    assert (outcome.text, outcome.trace.source, cache.stats()["entries"]) == ("canned", "canned", 0)


def test_a_retried_answer_is_kept(world):
    model = world.model(FaultPlan.of("503", answer="1"))
    wrapped = world.wrap(model, Cache(), Retry())
    assert [world.ask(wrapped).text for _ in range(2)] == ["1", "1"]
    assert len(model.calls) == 2


def test_a_hit_needs_no_time(world):
    model = world.model(["1"])
    cache = Cache()
    world.ask(world.wrap(model, cache))
    assert world.ask(world.wrap(model, Timeout(5), cache)).text == "1"
    assert world.ask(world.wrap(model, cache, Timeout(5))).text == "1"


# what goes wrong


@pytest.mark.parametrize(
    "faults", [("disk_full",), ("ok", "disk_full"), ("ok", "ok", "disk_full"), ("disk_full",) * 9]
)
def test_a_store_that_fails_is_counted_and_nothing_more(world, faults):
    store = FaultyStore(MemoryStore(), FaultPlan.of(*faults))
    wrapped = world.wrap(["1", "1"], cache := Cache(store=store))
    outcomes = [world.ask(wrapped) for _ in range(2)]
    assert [outcome.text for outcome in outcomes] == ["1", "1"]
    stats = cache.stats()
    assert stats["errors"] == min(len([name for name in faults if name != "ok"]), 6)
    assert stats["hits"] + stats["misses"] == 2


@pytest.mark.parametrize("damage", ["the file", "the folder"])
def test_a_file_that_cannot_be_used_is_no_trouble(world, tmp_path, damage):
    path = tmp_path / ("cache.db" if damage == "the file" else "none/cache.db")
    if damage == "the file":
        path.write_bytes(b"no database at all " * 100)
    wrapped = world.wrap(["1", "2"], cache := Cache(store=SQLiteStore(path)))
    assert [world.ask(wrapped).text for _ in range(2)] == ["1", "2"]
    assert cache.stats()["errors"] >= 4
    assert "entries" not in cache.stats()
    with pytest.raises(StoreError):
        cache.clear()


@pytest.mark.parametrize("entry", [b"", b"\x01{", b"\x09[]"])
def test_what_is_no_entry_is_forgotten_and_asked_for(world, make, entry):
    wrapped = world.wrap(["1", "2"], cache := make())
    world.ask(wrapped)
    store = cache._shelf.store
    (key,) = store
    store.put(key, entry, world.clock.time())
    assert [world.ask(wrapped).text for _ in range(2)] == ["2", "2"]
    assert cache.stats()["errors"] == 1


def test_a_call_without_a_key_passes(world):
    options = {"schema": {"a": object()}}
    model = world.model(["1", "2"])
    wrapped = world.wrap(model, cache := Cache())
    assert [world.ask(wrapped, **options).text for _ in range(2)] == ["1", "2"]
    stats = cache.stats()
    assert (stats["unkeyable"], stats["bypasses"], stats["entries"]) == (2, 2, 0)


def test_a_plain_call_without_a_key_passes(world):
    model = world.model(["1"])
    model.headers = {1: object()}
    outcome = world.ask(world.wrap(model, Cache()))
    assert (outcome.text, outcome.notes["cache"]) == ("1", "bypass")


def test_a_reader_leaves_what_is_no_entry_alone(world):
    store = MemoryStore()
    world.ask(world.wrap(["1"], Cache(store=store)))
    (key,) = store
    store.put(key, b"odd", world.clock.time())
    assert world.ask(world.wrap(["2"], Cache(store=store, mode="read_only"))).text == "2"
    assert store.get(key) == (b"odd", world.clock.time())


# leases


class LeasedStore(MemoryStore):
    """Says, in turn, who is to answer."""

    blocking = True

    def __init__(self, *turns):
        super().__init__()
        self.turns = list(turns)
        self.claims = []
        self.released = []

    def claim(self, key, owner, now, oldest):
        self.claims.append((owner, now, oldest))
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return (turn, now) if isinstance(turn, bytes) else turn

    def release(self, key, owner):
        self.released.append(owner)


def test_who_has_the_lease_asks_and_gives_it_up(world):
    store = LeasedStore(True)
    assert world.ask(world.wrap(["1"], Cache(ttl=60, store=store))).text == "1"
    ((owner, now, oldest),) = store.claims
    assert (store.released, oldest) == ([owner], now - 60)
    assert len(list(store)) == 1


def test_who_has_not_waits_for_the_answer(world):
    store = LeasedStore(False, False, False, b"\x021\x1f1\x1f\x1ftheirs")
    model = world.model(["mine"])
    outcome = world.ask(world.wrap(model, cache := Cache(store=store)))
    assert (outcome.text, outcome.notes["cache"]) == ("theirs", "hit")
    assert (model.calls, store.released) == ([], [])
    assert world.clock.sleeps == [0.005, 0.01, 0.02]
    assert (cache.stats()["hits"], cache.stats()["misses"]) == (1, 0)


@pytest.mark.parametrize("end", [True, StoreError("down"), b"no entry"])
def test_the_wait_has_an_end(world, end):
    store = LeasedStore(*[False] * 9, end)
    assert world.ask(world.wrap(["mine"], Cache(store=store))).text == "mine"
    assert world.clock.sleeps[-1] == 0.2
    assert len(store.released) == (end is True)


def test_the_wait_ends_with_the_time_of_the_call(world):
    store = LeasedStore(*[False] * 99)
    outcome = world.ask(world.wrap(["mine"], Timeout(1), Cache(store=store)))
    assert outcome.told in ("mine", "CallTimeout")
    assert 1 <= sum(world.clock.sleeps) <= 1.2


@pytest.mark.parametrize("script", [[Answer(error=ConnectionError("down"))], [Answer(chunks=["1", "2"])]])
def test_a_lease_is_given_up_whatever_happens(world, script):
    store = LeasedStore(True)
    world.ask(world.wrap(script, Cache(store=store)), take=1)
    assert store.released == [store.claims[0][0]]


# the instance


def test_it_is_bounded(world):
    wrapped = world.wrap(None, cache := Cache(max_entries=2))
    for prompt in "abcabc":
        assert world.ask(wrapped, prompt).text == prompt
    stats = cache.stats()
    assert (stats["entries"], stats["evictions"], stats["hits"]) == (2, 4, 0)
    cache.clear()
    assert cache.stats()["entries"] == 0


def test_many_hits_are_counted(world):
    wrapped = world.wrap(["a b c"], cache := Cache())
    for _ in range(300):
        world.ask(wrapped, "one two")
    stats = cache.stats()
    assert (stats["hits"], stats["input_tokens_saved"], stats["output_tokens_saved"]) == (299, 598, 897)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))])  # noqa: S301
def test_a_copy_has_the_settings_and_no_entries(twin):
    cache = Cache(7, 60, namespace="n", sample_id=3)
    llmopt.wrap(llmopt.testing.ScriptedModel(), cache).prompt("Hi").text()
    other = twin(cache)
    assert other == cache
    assert (other.stats()["entries"], cache.stats()["entries"]) == (0, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_entries": 0}, "max_entries=0 is wrong"),
        ({"max_bytes": 0}, "max_bytes=0 is wrong"),
        ({"ttl": -1}, "ttl=-1 is wrong"),
        ({"ttl": "1"}, "ttl='1' is wrong"),
        ({"ttl": True}, "ttl=True is wrong"),
        ({"stale_if_error": float("nan")}, "stale_if_error=nan is wrong"),
        ({"patience_s": float("inf")}, "patience_s=inf is wrong"),
        ({"mode": "on"}, "mode='on' is wrong: it must be one of"),
        ({"sample_id": 1.5}, "sample_id=1.5 is wrong"),
        ({"sample_id": True}, "sample_id=True is wrong"),
        ({"namespace": 3}, "namespace=3 is wrong"),
    ],
)
def test_arguments_are_checked(given, message):
    with pytest.raises(ConfigurationError, match=message):
        Cache(**given)


@pytest.mark.parametrize("given", [{"mode": "on"}, {"sample_id": 1.5}, {"mode": "off", "sample_id": []}])
def test_arguments_of_the_control_are_checked(given):
    with pytest.raises(ConfigurationError, match="cache_control"), cache_control(**given):
        pass


def test_a_store_that_answers_at_once_and_fails_does_not_fail_the_call():
    class Broken(MemoryStore):
        def get(self, key):
            raise OSError("gone")

    model = llmopt.wrap(ScriptedModel(["HOLD"]), cache := llmopt.Cache(store=Broken()))
    assert model.prompt("Hi").text() == "HOLD"
    assert cache.stats()["errors"] == 2  # before and after it leads


def test_a_store_of_the_user_is_given_bytes():
    model = llmopt.wrap(ScriptedModel(["HOLD"]), llmopt.Cache(store=(store := MemoryStore())))
    assert [model.prompt("Hi").text() for _ in range(2)] == ["HOLD", "HOLD"]
    (key,) = store
    assert type(store.get(key)[0]) is bytes
