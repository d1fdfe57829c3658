"""Keys: equal requests share one however they are spelled, and any change of what is sent changes it."""

from __future__ import annotations

import hashlib
from enum import Enum
from types import SimpleNamespace
from typing import Any

import llm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm.parts import AttachmentPart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from pydantic import BaseModel

import llmopt
from llmopt.cache import key as key_module
from llmopt.cache.canonical import Unkeyable
from llmopt.cache.key import ENDPOINT, Keys, reads_files
from llmopt.chain.clock import SystemClock
from llmopt.chain.compat import with_messages
from llmopt.testing import AsyncScriptedModel, ScriptedModel
from llmopt.types import Call, Trace

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def call_of(prompt=None, *, model=None, key=None, **given):
    model = model or ScriptedModel()
    return called(model, model.prompt(prompt, key=key, **given))


def called(model, response):
    return Call(model, response.prompt, response.stream, response, None, None, SystemClock(), Trace())


def key_of(prompt=None, *, namespace="", sample_id=None, **given):
    """The key of a call, the same on every way to it."""
    call = call_of(prompt, **given)
    for keys in (Keys(namespace, own=True), Keys(namespace)):
        whole = keys.whole(call, sample_id)
        for _ in range(2):  # the second time it is remembered
            assert keys.plain(call, sample_id) in (whole, None)
    return whole


# spelled differently


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4), st.text(max_size=3))
def test_fragments_are_their_text(pieces, system):
    text = "\n".join(pieces)
    spelled = [
        key_of(text, system=system),
        key_of(fragments=pieces, system=system),
        key_of(
            messages=[
                *([llm.system(system.strip())] if system.strip() else []),
                *([llm.user(text)] if text else []),
            ]
        ),
    ]
    if pieces[-1]:
        spelled.append(key_of(pieces[-1], fragments=pieces[:-1], system_fragments=[system]))
    assert len(set(spelled)) == 1


def test_a_conversation_is_its_messages():
    model = ScriptedModel(["one", "two"])
    conversation = model.conversation()
    conversation.prompt("first", system="Be short.").text()
    second = conversation.prompt("second")
    messages = [llm.system("Be short."), llm.user("first"), llm.assistant("one"), llm.user("second")]
    assert Keys().whole(called(model, second)) == key_of(messages=messages)


def test_sync_and_async_streamed_and_not_with_one_key_or_another():
    one = key_of("Hi")
    assert one == key_of("Hi", model=AsyncScriptedModel())
    assert one == key_of("Hi", stream=False)
    assert one == key_of("Hi", key="sk-1")
    assert one == key_of("Hi", model=llmopt.wrap(ScriptedModel(), default=False))
    assert one == key_of("Hi", model=llmopt.wrap(ScriptedModel(), default=False, pooled=False))


def test_options_in_any_order_set_to_nothing_or_not():
    assert key_of("Hi", seed=1, temperature=0) == key_of("Hi", options={"temperature": 0, "seed": 1})
    assert key_of("Hi", seed=None) == key_of("Hi")


class Answering(BaseModel):
    answer: str


def test_a_schema_as_a_class_or_a_dict():
    assert key_of("Hi", schema=Answering) == key_of("Hi", schema=Answering.model_json_schema())


def look(where: str) -> str:
    """Look somewhere."""
    return where


def look_again(where: str) -> str:
    """Look somewhere."""
    raise NotImplementedError


def test_a_tool_without_its_implementation():
    other = llm.Tool.function(look_again, name="look")
    assert key_of("Hi", tools=[look]) == key_of("Hi", tools=[other])


def test_what_is_empty_is_not_sent():
    plain = Message("assistant", [ToolCallPart("look", {"where": "there"}, "t1")])
    empty = Message("assistant", [ToolCallPart("look", {"where": "there"}, "t1", provider_metadata={})], {})
    assert key_of("Hi", messages=[plain]) == key_of("Hi", messages=[empty])


def test_secret_headers_do_not_count():
    def with_headers(**headers):
        model = ScriptedModel()
        model.headers = headers
        return key_of("Hi", model=model)

    assert with_headers(Authorization="Bearer 1", Tier="a") == with_headers(
        authorization="Bearer 2", tier="a"
    )
    assert with_headers(Tier="a") != with_headers(Tier="b")
    assert with_headers() == with_headers(cookie="1") == key_of("Hi")


# any change


TEXTS = st.sampled_from(["", "a", "b", "ab", "1:a", "M4:userT1:a", "\ud800", "ä"])
METADATA = st.sampled_from([None, {"a": 1}, {"a": {"b": [1, None]}}, {"a": float("nan")}, {"big": 2**70}])
IDS = st.sampled_from([None, "", "t1"])
ARGUMENTS = st.sampled_from([{}, {"a": 1}, {"a": "1"}])
TYPES = st.sampled_from(["image/png", "image/jpeg"])
CONTENTS = st.sampled_from([None, PNG, PNG + b"x"])
URLS = st.sampled_from([None, "http://x/1", "http://x/2"])
PARTS = st.one_of(
    st.tuples(st.just("text"), TEXTS, METADATA),
    st.tuples(st.just("reasoning"), TEXTS, st.booleans(), METADATA),
    st.tuples(st.just("call"), TEXTS, ARGUMENTS, IDS, st.booleans(), METADATA),
    st.tuples(st.just("result"), TEXTS, TEXTS, IDS, st.sampled_from([None, "Oh"]), METADATA),
    st.tuples(st.just("attachment"), TYPES, CONTENTS, URLS, METADATA),
)
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["system", "user", "assistant", "tool"]), st.lists(PARTS, max_size=2), METADATA
    ),
    max_size=2,
)
SCHEMAS = st.sampled_from(
    [None, {"type": "object"}, {"type": "array"}, {"a": {}, "b": {}}, {"b": {}, "a": {}}]
)
TOOLS = st.lists(
    st.tuples(
        st.sampled_from(["look", "go"]),
        st.sampled_from([None, "Look."]),
        st.sampled_from([{}, {"type": "object"}]),
    ),
    max_size=2,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.0, 0.5]),
        "seed": st.integers(0, 1),
        "max_tokens": st.integers(0, 1),
    },
)
MODELS = st.fixed_dictionaries(
    {"model_id": st.sampled_from(["m", "n"])},
    optional={name: st.sampled_from(["a", "b"]) for name in ENDPOINT if name != "headers"},
)
REQUESTS = st.fixed_dictionaries(
    {
        "messages": MESSAGES,
        "schema": SCHEMAS,
        "tools": TOOLS,
        "options": OPTIONS,
        "model": MODELS,
        "hide_reasoning": st.booleans(),
        "namespace": st.sampled_from(["", "a"]),
        "sample_id": st.sampled_from([None, 0, 1, "1", ""]),
    }
)


def part_of(kind, *values):
    if kind == "text":
        return TextPart(*values)
    if kind == "reasoning":
        return ReasoningPart(*values)
    if kind == "call":
        return ToolCallPart(*values)
    if kind == "result":
        name, output, tool_call_id, exception, metadata = values
        return ToolResultPart(name, output, tool_call_id, exception=exception, provider_metadata=metadata)
    type_, content, url, metadata = values
    return AttachmentPart(llm.Attachment(type=type_, content=content, url=url), metadata)


def key_of_request(request):
    model = ScriptedModel(model_id=request["model"]["model_id"])
    vars(model).update(request["model"])
    messages = [
        Message(role, [part_of(*part) for part in parts], metadata)
        for role, parts, metadata in request["messages"]
    ]
    tools = [llm.Tool(*tool) for tool in request["tools"]]
    given = {
        name: request[name] for name in ("schema", "options", "hide_reasoning", "namespace", "sample_id")
    }
    return key_of(messages=messages, tools=tools, model=model, **given)


def told(value):
    """The request in comparable form: with types, and the order that counts."""
    return repr(value)


@given(st.data(), REQUESTS)
def test_a_change_of_anything_changes_the_key(data, request):
    name = data.draw(st.sampled_from(sorted(request)))
    changed = {**request, name: data.draw(REQUESTS)[name]}
    if name in ("options", "model"):  # these are told apart by name, in any order
        same = changed[name] == request[name]
    else:
        same = told(changed[name]) == told(request[name])
    assert (key_of_request(request) == key_of_request(changed)) == same


def test_the_class_of_the_model_counts():
    class Other(ScriptedModel):
        pass

    assert key_of("Hi") != key_of("Hi", model=Other())


def test_a_system_prompt_beside_the_messages_counts_once():
    beside = key_of(messages=[llm.user("Hi")], system="Be short.")
    assert beside != key_of("Hi", system="Be short.")  # some plugins send it, some do not
    assert beside != key_of("Hi")
    within = key_of(messages=[llm.system("Be short."), llm.user("Hi")], system="Be short.")
    assert within == key_of("Hi", system="Be short.")


def test_a_changed_prompt_has_another_key():
    call = call_of("Hi")
    changed = call.replace(prompt=with_messages(call.prompt, [llm.user("Ho")]))
    assert Keys().plain(changed) is None
    assert Keys().whole(changed) == key_of("Ho")


def test_a_server_side_tool_counts_with_its_class_and_specs():
    class Search(llm.ServerSideTool):
        name = "search"

        def __init__(self, limit: int = 1):
            self.limit = limit

    class Browse(Search):
        pass

    def key_with(tool):
        call = call_of("Hi")
        call.prompt.tools = [tool]
        return Keys().whole(call)

    keys = {
        key_with(tool)
        for tool in (Search(), Search(2), Browse(), llm.ServerSideTool({"a": 1}), llm.ServerSideTool({}))
    }
    assert len(keys) == 5
    assert key_with(Search(1)) in keys


# attachments


def test_a_file_counts_by_its_content(tmp_path):
    one, same, other = tmp_path / "one.png", tmp_path / "same.png", tmp_path / "other.png"
    one.write_bytes(PNG)
    same.write_bytes(PNG)
    other.write_bytes(PNG + b"x")

    def key_with(**given):
        return key_of("Hi", attachments=[llm.Attachment(type="image/png", **given)])

    assert key_with(path=str(one)) == key_with(path=str(same)) == key_with(content=PNG)
    assert key_with(path=str(one)) != key_with(path=str(other))
    assert key_with(path=str(one)) == key_of("Hi", attachments=[llm.Attachment(path=str(one))])
    before = key_with(path=str(one))
    one.write_bytes(PNG + b"y")
    assert key_with(path=str(one)) != before


def test_a_url_counts_as_it_stands():
    def key_with(url):
        return key_of("Hi", attachments=[llm.Attachment(type="image/png", url=url)])

    assert key_with("http://x/1") == key_with("http://x/1")
    assert key_with("http://x/1") != key_with("http://x/2")


def test_the_type_counts():
    keys = {
        key_of("Hi", attachments=[llm.Attachment(type=kind, content=PNG)])
        for kind in ("image/png", "image/jpeg")
    }
    assert len(keys) == 2


def test_only_files_are_read(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    file = llm.Attachment(type="image/png", path=str(path))
    assert reads_files(call_of("Hi", attachments=[file]).prompt.messages)
    assert not reads_files(
        call_of("Hi", attachments=[llm.Attachment(type="image/png", content=PNG)]).prompt.messages
    )
    assert not reads_files(call_of("Hi").prompt.messages)
    result = Message("tool", [ToolResultPart("look", "there", "t1", attachments=[file])])
    assert reads_files([result])
    assert key_of(messages=[result]) != key_of(
        messages=[Message("tool", [ToolResultPart("look", "there", "t1")])]
    )


def test_a_file_that_is_gone_has_no_key(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    call = call_of("Hi", attachments=[llm.Attachment(type="image/png", path=str(path))])
    path.unlink()
    with pytest.raises(FileNotFoundError):
        Keys().whole(call)


# the plain way


class Style(Enum):
    DRY = "dry"


class StyledModel(ScriptedModel):
    class Options(llm.Options):
        stop: list[str] | None = None
        style: Style | None = None
        odd: Any = None


def test_keys_are_sha256():
    assert len(key_of("Hi")) == hashlib.sha256().digest_size


@given(TEXTS, TEXTS, st.sampled_from([None, 1, "1"]))
def test_plain_and_whole_agree(system, text, sample_id):
    call = call_of(text, system=system)
    keys = Keys("n")
    assert keys.plain(call, sample_id) == keys.whole(call, sample_id) == keys.plain(call, sample_id)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), min_size=2, max_size=2))
def test_prompts_that_are_their_own_keys_are_as_different_as_their_digests(asked):
    own, digests = Keys(own=True), Keys()
    calls = []
    for system, text, spelled in asked:
        messages = [*([llm.system(system)] if system else []), llm.user(text)]
        calls.append(call_of(messages=messages) if spelled else call_of(text, system=system))
    one, other = ([keys.whole(call) for call in calls] for keys in (own, digests))
    assert (one[0] == one[1]) == (other[0] == other[1])


def test_only_short_plain_prompts_are_their_own_keys():
    keys = Keys(own=True)
    assert keys.plain(call_of("a" * 4096))[1:] == ("", "a" * 4096)
    assert keys.plain(call_of("a" * 4096, system="b")) == key_of("a" * 4096, system="b")
    assert keys.whole(call_of(messages=[llm.user("Hi")])) == keys.plain(call_of("Hi"))
    for messages in ([llm.user("a"), llm.user("b")], [llm.assistant("a")], [llm.user("a"), llm.system("b")]):
        assert keys.whole(call_of(messages=messages)) == key_of(messages=messages)


@pytest.mark.parametrize(
    "given_",
    [
        {"stop": ["a"]},
        {"style": Style.DRY},
        {"schema": Answering},
        {"tools": [look]},
        {"messages": [llm.user("a")]},
    ],
)
def test_what_is_not_plain(given_):
    call = call_of("Hi", model=StyledModel(), **given_)
    keys = Keys()
    assert keys.plain(call) is None
    assert keys.whole(call) == keys.whole(call) == Keys().whole(call)


@given(st.permutations([0, 0.0, False, 1, 1.0, True, "1", None]))
def test_options_that_are_equal_to_a_dict_are_not_to_a_model(values):
    keys = Keys()
    told = {}
    for value in values:
        call = call_of("Hi", model=StyledModel(), odd=value)
        told[repr(value)] = keys.plain(call)
        assert told[repr(value)] == Keys().whole(call)
    assert len(set(told.values())) == len(values)


@pytest.mark.parametrize("where", ["a", {"X-A": "1"}])
def test_a_model_that_is_changed_is_not_remembered(where):
    model = ScriptedModel()
    call, keys = call_of("Hi", model=model), Keys()
    name = "headers" if isinstance(where, dict) else "api_base"
    told = [keys.plain(call)]
    setattr(model, name, where)
    told += (keys.plain(call), keys.plain(call), keys.whole(call))
    assert told[0] != told[1] == told[2] == told[3]


def test_a_class_that_says_where_is_asked_every_time():
    class Moving(ScriptedModel):
        moves = 0

        @property
        def base_url(self):
            self.moves += 1
            return f"http://{self.moves // 100}"

    model = Moving()
    call, keys = call_of("Hi", model=model), Keys()
    before = keys.plain(call)
    model.moves = 1000
    assert keys.plain(call) != before


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(key_module, "_MEMO_TEXTS", 3)
    keys = Keys()
    told = [keys.plain(call_of(str(number))) for number in range(9)]
    assert len(keys._known) <= 3
    assert told == [key_of(str(number)) for number in range(9)]


def test_memory_of_what_is_sent_beside_the_texts_is_bounded(monkeypatch):
    monkeypatch.setattr(key_module, "_MEMO_HEADS", 2)
    keys = Keys()
    told = [keys.plain(call_of("Hi", seed=number)) for number in range(5)]
    assert len(keys._heads) <= 2
    assert told == [key_of("Hi", seed=number) for number in range(5)]


def test_memory_of_long_prompts_is_bounded(monkeypatch):
    monkeypatch.setattr(key_module, "_MEMO_CHARS", 10)
    keys = Keys()
    for number in range(9):
        keys.plain(call_of(f"123456{number}"))
    assert sum(len(text) for _, _, text in keys._known) <= 10 + 7


def test_other_objects_have_no_key():
    call = call_of("Hi")
    call.prompt.schema = {"a": object()}
    with pytest.raises(Unkeyable):
        Keys().whole(call)
    part = SimpleNamespace(text="a", provider_metadata={"a": object()})
    with pytest.raises(Unkeyable):
        Keys().whole(call_of(messages=[Message("user", [part])]))
