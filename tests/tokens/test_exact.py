from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
import regex
import tiktoken
from hypothesis import assume, given
from hypothesis import strategies as st

from llmopt.tokens import counter
from llmopt.tokens.exact import ExactCounter

ENCODINGS = ("o200k_base", "cl100k_base")

CODE = inspect.getsource(argparse) + inspect.getsource(textwrap)
VALUE = [
    {"id": f"{n:08x}", "pos": [n, -n / 7], "tags": ["a/b", "c d", "é\n"], "ok": n % 2 == 0} for n in range(40)
]
BATCH = "\n".join(
    f"a{n} {n * 7 % 101},{n * 13 % 97} hp {n % 101} ammo {n % 31} e{n % 9} low" for n in range(300)
)
CORPORA = {
    "code": CODE,
    "code with Windows line ends": CODE.replace("\n", "\r\n"),
    "code with tabs": CODE.replace("    ", "\t"),
    "prose": "\n\n".join(filter(None, (inspect.getdoc(module) for module in (argparse, json, re, textwrap)))),
    "pretty JSON": json.dumps(VALUE, indent=2),
    "compact JSON": json.dumps(VALUE, separators=(",", ":"), ensure_ascii=False),
    "JSON lines": "\n".join(map(json.dumps, VALUE)),
    "batch": BATCH,
    "paths": "/usr/lib\n/usr/share/\n//host\nfile:///x\n/\n\n/end",
    "languages": "\n".join(  # noqa: FLY002
        (
            "Żółć kość",
            "До дна",
            "日本語のテキスト。",
            "한국어 문장",
            "नमस्ते दुनिया",
            "สวัสดีชาวโลก",
            "שלום",
            "🙂👩‍👩‍👧🇩🇪",
        )
    ),
}

# What the patterns tell apart, and what lines are cut by or might be.
NASTY = (
    *("\n", "\n\n", "\r\n", "\r", "\t", " ", "   ", "/", "//", "\n/", "\n ", "{\n", "{\n/"),
    *(
        "'s",
        "'S",
        "'LL",
        "n't",
        "'",
        "d",
        "abc",
        "Abc",
        "ABC",
        "aBc",
        "ǅ",
        "ß",
        "İ",
        "ª",
        "é",
        "e\u0301",
        "\u0301",
    ),
    *("1", "23", "4567890", "٣٤", "½", "²", "Ⅷ", "_", "__", "-", "---", "...", "“x”", "—", "{", '"', "\\n"),
    *("日本", "アイ", "한", "नमस्ते", "ไทย", "😀", "👨‍👩‍👧", "<|endoftext|>", "<|endofprompt|>", "<|start|>"),
    *(
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1f",
        "\x85",
        "\xa0",
        "\u1680",
        "\u2000",
        "\u2028",
        "\u2029",
        "\u202f",
        "\u3000",
    ),
    *("\u180e", "\u200b", "\u200d", "\ufeff", "\x00", "\x7f", "\ud800", "\udc00", "\ud83d", "\ud83d\ude00"),
)
nasty_texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=3)), max_size=25).map("".join)


def counts_line_by_line(exact, text):
    """Counts of a text as a whole: new, with its lines met once, and with its lines remembered."""
    counts = []
    for _ in range(3):
        exact._texts.clear()
        exact._texts._old.clear()
        counts.append(exact.count(text))
    return counts


@pytest.mark.parametrize("text", CORPORA.values(), ids=CORPORA.keys())
def test_counts_are_those_of_tiktoken(exact, text):
    fresh = ExactCounter(exact.encoding, exact.source, (), exact.engine)
    expected = len(exact.engine.encode_ordinary(text))
    assert counts_line_by_line(fresh, text) == [expected] * 3


@given(nasty_texts, st.sampled_from(ENCODINGS))
def test_nasty_texts_count_as_in_tiktoken_new_met_and_remembered(text, encoding):
    exact = counter(encoding)  # one memo for all examples: what one leaves there must not mislead another
    expected = len(exact.engine.encode_ordinary(text))
    assert counts_line_by_line(exact, text) == [expected] * 3


@given(nasty_texts, nasty_texts, st.sampled_from(ENCODINGS))
def test_counts_add_up_where_lines_are_cut(first, second, encoding):
    assume(re.match(r"[^\s/]", second))
    encode = counter(encoding).engine.encode_ordinary
    assert encode(f"{first}\n{second}") == encode(f"{first}\n") + encode(second)


@pytest.mark.parametrize(
    ("first", "second"), [(";\n", "/"), ("}\n\n", "//"), ("{\n", "\n}"), ("a\n", "  \nb")]
)
def test_counts_do_not_add_up_elsewhere(first, second):
    encode = counter("o200k_base").engine.encode_ordinary
    assert len(encode(first + second)) < len(encode(first)) + len(encode(second))


def test_what_tiktoken_takes_for_white_space_is_white_space_here():
    characters = "".join(map(chr, range(sys.maxunicode + 1)))
    assert set(regex.findall(r"\s", characters)) <= set(re.findall(r"\s", characters))


def test_older_patterns_are_not_cut_into_lines():
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"  ": 256, b"  \n": 257}
    pattern = vars(__import__("tiktoken_ext.openai_public", fromlist=["*"]))["r50k_pat_str"]
    engine = tiktoken.Encoding("p50k_base", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    text = "a  \nb"
    added = len(engine.encode_ordinary("a  \n")) + len(engine.encode_ordinary("b"))
    assert len(engine.encode_ordinary(text)) != added
    exact = ExactCounter("p50k_base", "", (), engine)
    assert [exact.count(text) for _ in range(3)] == [len(engine.encode_ordinary(text))] * 3


@pytest.fixture
def asked(monkeypatch):
    """The texts that have been given to tiktoken."""
    texts = []

    def encode(self, text):
        texts.append(text)
        return self.engine.encode_ordinary(text)

    monkeypatch.setattr(ExactCounter, "encode", encode)
    return texts


def test_a_text_is_counted_once(exact, asked):
    fresh = ExactCounter(exact.encoding, "", (), exact.engine)
    assert fresh.count("one line") == fresh.count("one line")
    assert asked == ["one line"]
    assert fresh.count(BATCH) == fresh.count(BATCH)
    assert len(asked) == 3  # the last line, which has no line end, and all others in one go


def test_lines_that_came_twice_are_not_counted_again(exact, asked):
    fresh = ExactCounter(exact.encoding, "", (), exact.engine)
    for tick in range(2):
        fresh.count(f"{BATCH}\ntick {tick}")
    asked.clear()
    fresh.count(f"{BATCH}\ntick 2")
    assert asked == ["tick 2"]
    fresh.count(f"{BATCH}\ntick 2".replace("a7 ", "b7 ", 1))
    assert len(asked) == 2
    assert asked[1].startswith("b7 ")


def test_what_has_been_seen_is_forgotten_in_the_end(exact, monkeypatch):
    monkeypatch.setattr("llmopt.tokens.exact._MAX_SEEN", 10)
    fresh = ExactCounter(exact.encoding, "", (), exact.engine)
    fresh.count(BATCH)
    fresh.count("x\ny\nz")
    assert len(fresh._seen) == 2
    assert counts_line_by_line(fresh, BATCH) == [exact.count(BATCH)] * 3


def test_threads_count_alike(exact):
    fresh = ExactCounter(exact.encoding, "", (), exact.engine)
    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(counts_line_by_line, fresh, BATCH) for _ in range(8)]
    assert {number for count in counts for number in count.result()} == {
        len(exact.engine.encode_ordinary(BATCH))
    }


def test_special_tokens_are_ordinary_text(exact):
    assert exact.count("<|endoftext|>") > 1


def test_encode_gives_tokens_that_say_the_text(exact):
    assert exact.engine.decode(exact.encode(CODE)) == CODE
    assert exact.count("") == 0


def test_a_million_blanks_are_counted():
    exact = counter("o200k_base")
    tokens = exact.encode(" " * 1_000_000 + "\ud800x")
    assert exact.engine.decode(tokens) == " " * 1_000_000 + "\ufffdx"


class Failing:
    """An engine that fails in the way it is told to."""

    def __init__(self, error):
        self.error = error

    def encode_ordinary(self, text):
        raise self.error

    def _encode_only_native_bpe(self, text):
        return [len(text)]


def test_a_panic_of_the_engine_leads_to_its_slower_one():
    panic = type("PanicException", (BaseException,), {})
    exact = ExactCounter("o200k_base", "", (), Failing(panic()))
    assert exact.encode("a\ud800b") == [3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_other_failures_pass_through(error):
    with pytest.raises(error):
        ExactCounter("o200k_base", "", (), Failing(error())).encode("x")


@given(nasty_texts, st.integers(0, 12), st.sampled_from(ENCODINGS))
def test_truncated_texts_are_starts_and_fit(text, max_tokens, encoding):
    exact = counter(encoding)
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    start = exact.truncate(clean, max_tokens)
    assert clean.startswith(start)
    assert exact.count(start) <= max_tokens
    assert start == clean or len(start) < len(clean)


def test_truncate_takes_what_fits(exact):
    assert exact.truncate("one two three four", 3) == "one two three"
    assert exact.truncate("one two", 3) == "one two"
    assert exact.truncate("one two", 0) == ""
    assert exact.truncate("👨‍👩‍👧" * 9, 1) in {"", "👨"}


def test_truncate_makes_sure_that_the_start_fits():
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256, b"bc": 257}
    engine = tiktoken.Encoding("any", pat_str="ab+c|.", mergeable_ranks=ranks, special_tokens={})
    exact = ExactCounter("any", "", (), engine)
    assert exact.count("abbc") == 2
    assert exact.count("ab") == 2  # the first token of "abbc", which takes two where it stands alone
    assert exact.truncate("abbc", 1) == ""
