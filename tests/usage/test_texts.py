"""Digests, lengths and contents of texts, and which texts a call has."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3

import llm
import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st
from llm.migrations import migrate

from llmopt import tokens
from llmopt.testing import ScriptedModel
from llmopt.tokens import Estimate
from llmopt.tokens.counters import Counters
from llmopt.usage import texts as module
from llmopt.usage import token_counts
from llmopt.usage.known_secrets import KnownSecrets
from llmopt.usage.redact import Redactor
from llmopt.usage.texts import AGAIN_S, Texts, without_contents
from llmopt.usage.token_counts import counter_of
from llmopt.usage.wording import has_history, parts_of, texts_sent, tool_text

KEY = b"0123456789abcdef"


class Model(ScriptedModel):
    supports_schema = supports_tools = True
    attachment_types = {"image/png"}  # noqa: RUF012 - llm's own way


@pytest.fixture
def model():
    return Model(["HOLD"])


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def row_of(texts, text, now_s=0.0, **more):
    (row,) = texts.rows([("prompt", 0, text)], now_s, **more)
    return row


# digests


@given(st.text())
def test_a_digest_is_sha256_in_hex(text):
    encoded = text.encode(errors="surrogatepass")
    row = row_of(Texts(), text)
    assert row == ("prompt", 0, hashlib.sha256(encoded).hexdigest(), len(encoded), None, None, None, 0)


def test_a_digest_is_the_one_of_llms_own_log(model):
    database = sqlite_utils.Database(memory=True)
    response = model.prompt("Q", fragments=["A fragment of é"])
    response.text()
    migrate(database)
    response.log_to_db(database)
    (fragment,) = database["fragments"].rows
    assert row_of(Texts(), "A fragment of é")[2] == fragment["hash"]


def test_with_a_key_digests_join_nothing_else():
    row = row_of(Texts(digest_key=KEY), "What now?")
    assert row[2] == hmac.new(KEY, b"What now?", hashlib.sha256).hexdigest()


def test_the_same_text_is_hashed_once(monkeypatch):
    texts, text = Texts(), "x" * 1000
    first = row_of(texts, text)
    monkeypatch.setattr(texts, "_hash", None)
    assert row_of(texts, "x" * 1000)[:4] == first[:4]


@given(st.lists(st.text(max_size=300), max_size=60))
def test_what_is_remembered_is_bounded_and_right(given_texts):
    texts = Texts(max_chars=2000)
    for text in given_texts:
        assert row_of(texts, text)[2] == hashlib.sha256(text.encode()).hexdigest()
        memo = texts._memo
        for held in (memo, memo._old):
            assert sum(len(each) + 200 for each in held) <= 2000


def test_a_text_that_is_very_long_is_not_remembered():
    texts = Texts(max_chars=800)
    row_of(texts, "x" * 101)
    assert len(texts._memo) == 0


def test_where_two_threads_come_at_once_one_does_not_remember():
    texts = Texts()
    texts._memo._lock.acquire()
    assert row_of(texts, "a") == row_of(Texts(), "a")
    assert len(texts._memo) == 0


# tokens


def test_a_text_that_comes_again_is_counted():
    texts, counter = Texts(), Estimate()
    assert row_of(texts, "What now, again?", counter=lambda: counter)[4:6] == (None, None)
    for _ in range(2):
        counted = row_of(texts, "What now, again?", counter=lambda: counter)[4:6]
        assert counted == (counter.count("What now, again?"), "estimate")
    assert row_of(texts, "What now, again?")[4:6] == counted


def test_a_count_is_exact_only_where_the_vocabulary_is_loaded(monkeypatch):
    monkeypatch.setattr("llmopt.tokens.counters._COUNTERS", Counters())
    token_counts._estimate.cache_clear()
    assert not counter_of("gpt-4o").exact
    tokens.counter("gpt-4o").count("a")
    assert counter_of("gpt-4o").exact
    assert not counter_of("claude-sonnet-4").exact
    texts = Texts()
    for _ in range(2):
        assert texts.tokens(["one two three", "four"], counter_of("gpt-4o")) == 4


# contents


def contents(texts, text, now_s):
    row = row_of(texts, text, now_s)
    return row[6], row[7]


def test_a_content_is_written_once_in_an_hour():
    texts = Texts(Redactor())
    assert contents(texts, "a", 100.0) == ("a", 0)
    assert contents(texts, "a", 100.0 + AGAIN_S - 1) == (None, 0)
    assert contents(texts, "a", 100.0 + AGAIN_S) == ("a", 0)
    assert contents(texts, "a", 50.0) == ("a", 0)  # the clock was set back


def test_a_content_is_told_to_lack_something():
    texts = Texts(Redactor(KnownSecrets(["correct horse"])))
    assert contents(texts, "say correct horse", 0.0) == ("say [redacted:secret]", 1)


def test_contents_are_what_utf8_can_hold():
    texts = Texts(Redactor())
    assert contents(texts, "a\ud800", 0.0) == ("a?", 0)
    assert contents(texts, llm.Fragment("f", "file.txt"), 0.0)[0] == "f"


def test_what_was_written_is_forgotten_in_time(monkeypatch):
    monkeypatch.setattr(module, "_SENT", 2)
    texts = Texts(Redactor())
    for text in ("a", "b", "c"):
        contents(texts, text, 0.0)
    assert contents(texts, "a", 0.0) == ("a", 0)


def test_a_lighter_record_has_the_same_rows():
    texts = Texts(Redactor())
    rows = texts.rows([("prompt", 0, "a"), ("reply", 0, "b")], 0.0)
    bare = Texts().rows([("prompt", 0, "a"), ("reply", 0, "b")], 0.0)
    assert without_contents(rows) == bare
    assert without_contents(bare) is None
    assert without_contents([]) is None
    assert without_contents(None) is None


# which texts there are


def test_the_parts_of_a_prompt(model):
    prompt = model.prompt(
        "Q",
        system=" S\n",
        fragments=["one", "", "two"],
        system_fragments=["base"],
        tools=[add],
        schema={"type": "object"},
        tool_results=[llm.ToolResult("add", "3"), llm.ToolResult("add", {"sum": 3})],
    ).prompt
    *parts, tool, schema = parts_of(prompt, tool_text)
    assert parts == [
        ("system", 0, "base"),
        ("system", 1, "S"),
        ("context", 0, "one"),
        ("context", 2, "two"),
        ("context", 3, "3"),
        ("context", 4, '{"sum":3}'),
        ("prompt", 0, "Q"),
    ]
    assert tool[:2] == ("tool", 0)
    assert '"name":"add","description":"Add two numbers."' in tool[2]
    assert schema == ("schema", 0, '{"type":"object"}')


def test_a_tool_that_the_provider_runs_is_told_apart_by_its_settings():
    from llm.models import ServerSideTool

    one, other = (tool_text(ServerSideTool({"domains": [name]})) for name in ("a", "b"))
    assert one != other


def test_all_texts_that_are_sent(model):
    conversation = model.conversation()
    conversation.prompt("first", system="S").text()
    prompt = conversation.prompt("second", tools=[add], schema={"type": "object"}).prompt
    assert texts_sent(prompt, lambda tool: tool.name) == [
        "S",
        "first",
        "HOLD",
        "second",
        "add",
        '{"type":"object"}',
    ]
    results = model.prompt(tool_results=[llm.ToolResult("add", "3", "1")]).prompt
    assert texts_sent(results, tool_text) == ["3"]


def test_a_history_is_what_the_prompt_itself_does_not_say(model):
    conversation = model.conversation()
    assert not has_history(model.prompt("Q", system="S").prompt)
    assert not has_history(conversation.prompt("Q", system="S").prompt)
    assert not has_history(next(model.chain("Q", system="S", tools=[add]).responses()).prompt)
    assert has_history(model.prompt(messages=[llm.user("Q")]).prompt)
    assert has_history(conversation.prompt("Q", system="S", messages=[llm.system("T")]).prompt)


# the digest of a prompt


def digest_of(model, *args, texts=None, **kwargs):
    texts = texts or Texts()
    prompt = model.prompt(*args, **kwargs).prompt
    plain = texts.of_plain(prompt, model.model_id, 0.0)
    rows = texts.rows(parts_of(prompt, tool_text), 0.0)
    whole = texts.digest_of(model.model_id, prompt, rows)
    assert plain is None or plain == (whole, rows)
    return whole


class Options(llm.Options):
    temperature: float | None = None
    prefill: str | None = None


def test_prompts_that_ask_the_same_share_a_digest(model):
    model.Options = Options
    schema = {"type": "object"}
    attached = [llm.Attachment(type="image/png", content=b"image")]
    calls = [
        {},
        {"system": "S"},
        {"fragments": ["S"]},
        {"temperature": 0.5},
        {"prefill": "a"},
        {"prefill": "b"},
        {"tools": [add]},
        {"schema": schema},
        {"attachments": attached},
        {"tool_results": [llm.ToolResult("add", "S")]},
    ]
    digests = [digest_of(model, "Q", **call) for call in calls]
    assert len(set(digests)) == len(calls)
    assert digests == [digest_of(model, "Q", **call) for call in calls]
    assert digest_of(model, "Q", system="T") == digest_of(
        model, "Q", system_fragments=["T"]
    )  # llm sends the same
    model.model_id = "another"
    assert digest_of(model, "Q") not in digests


def test_with_a_key_the_digest_of_a_prompt_is_another(model):
    assert digest_of(model, "Q", texts=Texts(digest_key=KEY)) != digest_of(model, "Q")


def test_a_plain_prompt_that_comes_often_is_looked_up(model, monkeypatch):
    texts = Texts()
    prompt = model.prompt("Q", system="S").prompt
    first, second, third = (texts.of_plain(prompt, "m-1", 0.0) for _ in range(3))
    assert first[0] == second[0] == third[0]
    assert second is third
    assert [row[5] for row in first[1]] == [None, None]
    assert [row[5] for row in second[1]] == ["estimate", "estimate"]
    monkeypatch.setattr(module, "_PLAIN", 1)
    for _ in range(2):
        texts.of_plain(model.prompt("R").prompt, "m-1", 0.0)
    assert len(texts._plain) == 1


def test_plain_prompts_are_not_looked_up_where_their_contents_are_told(model):
    texts = Texts(Redactor())
    prompt = model.prompt("Q").prompt
    found = [texts.of_plain(prompt, "m-1", now_s)[1][0][6] for now_s in (0.0, 1.0, 2.0, 3600.0)]
    assert found == ["Q", None, None, "Q"]


def test_an_attached_file_that_is_gone_is_an_error(model, tmp_path):
    prompt = model.prompt(
        "Q", attachments=[llm.Attachment(type="image/png", path=str(tmp_path / "gone"))]
    ).prompt
    with pytest.raises(OSError, match="gone"):
        Texts().digest_of("m-1", prompt, [])


def test_sqlite_takes_a_row():
    connection = sqlite3.connect(":memory:")
    assert connection.execute("SELECT ?, ?, ?, ?, ?, ?, ?, ?", row_of(Texts(), "a")).fetchone()[3] == 1
    connection.close()
