"""Prefix reports: the four figures, what breaks prefixes off, and when compression does harm."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt import tokens
from llmopt.compress.data import Data
from llmopt.compress.prefix import prefix_report, worth_compressing
from llmopt.compress.prefix.breaks import common_bytes
from llmopt.compress.prefix.cache_rules import RULES, CacheRules, rules_for
from llmopt.errors import ConfigurationError

O200K = tokens.counter("o200k_base")
RULE = "Never leave an agent without an order. "


def calls(number, state=lambda n: f'{{"t":{n},"hp":{100 - n}}}', rules=RULE * 200):
    return [[("rules", rules), ("state", state(n))] for n in range(number)]


class TestFigures:
    def test_by_the_definition(self):
        report = prefix_report(calls(6))
        ids = [O200K.encode("\n".join(text for _, text in call)) for call in calls(6)]
        shared = [max((_common(one, other) for other in ids[:n]), default=0) for n, one in enumerate(ids)]
        assert [call.shared_tokens for call in report.calls] == shared
        assert report.tokens == sum(map(len, ids))
        assert report.shared_prefix_share == sum(shared) / report.tokens
        cacheable = [n // 128 * 128 if n >= 1024 else 0 for n in shared]
        assert report.provider_cacheable_share == sum(cacheable) / report.tokens
        assert report.effective_tokens == pytest.approx(report.tokens - 0.9 * sum(cacheable))
        assert report.effective_tokens_per_call == pytest.approx(report.effective_tokens / 6)
        assert report.engine_share == sum(n // 16 * 16 for n in shared) / report.tokens
        assert report.common_tokens == min(_common(ids[0], other) for other in ids[1:])
        assert report.exact

    def test_short_prefixes_are_not_cacheable(self):
        report = prefix_report(calls(6, rules=RULE * 20))
        assert report.shared_prefix_share > 0.7
        assert (report.provider_cacheable_share, report.effective_tokens) == (0, report.tokens)

    def test_the_earlier_call_that_shares_most_is_found(self):
        report = prefix_report(["a b c d e f", "x y z", "a b c q", "a b c q r", "x y w"])
        assert [call.earlier for call in report.calls] == [None, 0, 0, 2, 1]

    def test_of_equal_ones_the_first(self):
        assert [call.earlier for call in prefix_report(["same"] * 4).calls] == [None, 0, 0, 0]

    @settings(max_examples=200)
    @given(st.lists(st.text("abé \n1", max_size=12), max_size=8))
    def test_shared_tokens_are_those_of_the_best_pair(self, prompts):
        report = prefix_report(prompts, rules=CacheRules("all", minimum_tokens=0, step_tokens=1))
        ids = [O200K.encode(prompt) for prompt in prompts]
        wanted = [max((_common(one, other) for other in ids[:n]), default=0) for n, one in enumerate(ids)]
        assert [call.shared_tokens for call in report.calls] == wanted
        assert [call.cacheable_tokens for call in report.calls] == wanted
        assert all(len(line) <= 80 for line in str(report).splitlines())

    def test_estimates_are_marked(self):
        report = prefix_report(calls(3), rules="claude-sonnet-4", counter=tokens.counter("claude-sonnet-4"))
        assert not report.exact
        assert "about" in str(report)
        assert report.rules is RULES["anthropic"]
        assert report.calls[1].shared_tokens / report.calls[1].tokens == pytest.approx(0.995, abs=0.01)
        assert prefix_report(["", ""], counter=tokens.counter("claude-3")).tokens == 0

    def test_of_no_prompts(self):
        report = prefix_report([])
        assert (report.tokens, report.shared_prefix_share, report.effective_tokens_per_call) == (0, 0, 0)
        assert report.common_tokens == 0
        assert str(report).startswith("0 calls, 0 tokens")

    def test_to_dict_is_json(self):
        import json

        found = json.loads(json.dumps(prefix_report(calls(4)).to_dict()))
        assert (found["calls"], found["rules"], found["exact"]) == (4, "openai", True)
        assert [entry["part"] for entry in found["breaks"]] == ["state"]

    def test_time_is_linear(self):
        rng = random.Random(1)
        text = " ".join(str(rng.random()) for _ in range(3000))
        few = [f"{text} {n}" for n in range(4)]
        prefix_report(few)
        started = time.process_time()
        prefix_report(few)
        one = time.process_time() - started
        started = time.process_time()
        prefix_report(few * 8)
        assert time.process_time() - started < 8 * one * 3


def _common(one, other):
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


@settings(max_examples=300)
@given(st.binary(max_size=300), st.binary(max_size=9), st.binary(max_size=9))
def test_common_bytes(start, one, other):
    assert common_bytes(start + one, start + other) == _common(start + one, start + other)


BREAKS = {
    "number": (['{"hp":90,"x":1}', '{"hp":75,"x":1}'], "number", ("90", "75"), 6),
    "a number that grows": (["x is 1 now", "x is 10 now"], "number", ("1", "10"), 6),
    "a decimal": (["t 0.5 s", "t 0.75 s"], "number", ("0.5", "0.75"), 4),
    "a count before its noun": (
        ["Plan for 10 agents.", "Plan for 9 agents."],
        "count",
        ("10 agents", "9 agents"),
        9,
    ),
    "a count behind its name": (["agents, count: 3\n", "agents, count: 4\n"], "count", ("3", "4"), 15),
    "a date": (["at 2026-01-02T10:00:00Z", "at 2026-01-03T10:00:00Z"], "timestamp", None, 12),
    "a clock": (["now 10:31:07", "now 10:32:09"], "timestamp", ("10:31:07", "10:32:09"), 8),
    "an epoch": (["ts=1767225600", "ts=1767225661"], "timestamp", ("1767225600", "1767225661"), 11),
    "a UUID": (
        ["id 123e4567-e89b-12d3-a456-426614174000.", "id 923e4567-e89b-12d3-a456-426614174000."],
        "uuid",
        None,
        3,
    ),
    "an id": (
        ["call_a9f7e97965d6", "call_b9f7e97965d6"],
        "id",
        ("call_a9f7e97965d6", "call_b9f7e97965d6"),
        5,
    ),
    "an order of keys": (['{"b":1,"a":2}', '{"a":2,"b":1}'], "ordering", None, 2),
    "an order of lines": (["- 1 wolf\n- 2 bear\n", "- 2 bear\n- 1 wolf\n"], "ordering", None, 2),
    "words": (["You are a scout.", "You are a medic."], "text", ("scout.", "medic."), 10),
    "signs": (["a ???", "a !!!"], "text", ("'?'", "'!'"), 2),
    "within a character": (["aä", "aö"], "text", ("aä", "aö"), 2),
}


@pytest.mark.parametrize("case", BREAKS)
def test_what_breaks_a_prefix_off(case):
    prompts, kind, words, byte = BREAKS[case]
    found = prefix_report(prompts).calls[1].parts_at
    assert (found.kind, found.byte) == (kind, byte)
    assert found.hint
    if words:
        assert (found.earlier, found.now) == words


def test_the_part_is_named_and_the_place_in_it():
    parts = [("rules", "Äb."), ("state", "hp 7")], [("rules", "Äb."), ("state", "hp 8")]
    found = prefix_report(parts).calls[1].parts_at
    assert (found.part, found.byte, found.byte_in_part, found.lead) == ("state", 8, 3, "hp ")
    assert str(found) == "byte 8, in `state`: a number, 7 and then 8"


def test_parts_of_every_kind():
    fragments = [Data({"a": 1}, name="world"), "text", ("named", "x")]
    for prompts, names in (
        (([*fragments, "p"], [*fragments, "q"]), "part 4"),
        (([Data({"a": 1}, name="world")], [Data({"a": 2}, name="world")]), "world"),
        (({"rules": "a", "state": "b"}, {"rules": "a", "state": "c"}), "state"),
        (("abc d", "abc e"), "prompt"),
        ((["a", "b"], ["c", "b"]), "part 1"),
    ):
        assert prefix_report(prompts).calls[1].parts_at.part == names


def test_what_grows_is_not_broken_off():
    report = prefix_report(["a", "a\nb", "a\nb\nc", "a"])
    assert [call.parts_at for call in report.calls] == [None] * 4
    assert report.breaks == ()


def test_breaks_are_grouped_the_dearest_first():
    prompts = [f"{RULE}{'tick ' + str(n) if n % 3 else 'x'}\n{'state ' * 50}{n}" for n in range(9)]
    groups = prefix_report([p.split("\n") for p in prompts]).breaks
    assert groups[0][0].part == "part 1"
    assert [tokens for _, _, tokens in groups] == sorted((tokens for _, _, tokens in groups), reverse=True)


def test_it_reads_well():
    report = prefix_report(calls(10))
    assert str(report).splitlines() == [
        "10 calls, 16,100 tokens, 1,610 a call",
        "  shared with an earlier call                                       89.7%",
        "  cacheable (openai: from 1,024 in steps of 128)                    85.9%",
        "  in whole blocks of 16 (engines)                                   89.4%",
        "  effective tokens a call                                             366",
        "  tokens that all calls begin with                                  1,604",
        "broken off in 9 calls, 54 tokens behind it: `state`, byte 7,806",
        '  a number, 0 and then 1, after "{"t":"',
        "  put what changes behind what stays the same",
    ]


def test_many_kinds_of_breaks_are_cut():
    prompts = [[(f"p{n}", f"word{n} {n}" * 9)] for n in range(12)]
    text = str(prefix_report(prompts))
    assert text.endswith("more kinds of breaks")
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (("text",), "takes a list of prompts"),
        (({"a": "b"},), "takes a list of prompts"),
        (([7],), "a prompt has to be a text or its parts"),
        (([b"abc"],), "a prompt has to be a text or its parts"),
        (([[("a", 1)]],), "a part of a prompt has to be"),
    ],
)
def test_what_is_no_prompt(given_, message):
    with pytest.raises(ConfigurationError, match=message):
        prefix_report(*given_)


def test_wrong_figures():
    with pytest.raises(ConfigurationError, match="block_tokens"):
        prefix_report([], block_tokens=0)
    for wrong in ({"step_tokens": 0}, {"minimum_tokens": -1}, {"read_factor": 2}, {"write_factor": 0.5}):
        with pytest.raises(ConfigurationError, match="CacheRules takes"):
            CacheRules("mine", **wrong)


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("gpt-5-mini", "openai"),
        ("openrouter/openai/gpt-4o", "openai"),
        ("o3", "openai"),
        ("chatgpt-4o", "openai"),
        ("claude-opus-4.5", "anthropic"),
        ("anthropic/claude-echo", "anthropic"),
        ("gemini/gemini-2.5-flash", "gemini-2.5"),
        ("gemini-3-pro", "gemini"),
        ("vllm", "vllm"),
        ("llama-3", "none"),
        ("foo1", "none"),
    ],
)
def test_rules_by_model(model_id, name):
    assert rules_for(model_id).name == name


def test_every_table_says_where_it_is_from():
    assert all(rules.source and rules.date for rules in RULES.values())


class TestWorthCompressing:
    def test_never_from_above_the_minimum_to_below_unless_it_pays(self):
        assert not worth_compressing(1746, 569)
        assert worth_compressing(1746, 150)
        assert worth_compressing(900, 600)
        assert worth_compressing(8000, 1100)

    @settings(max_examples=200)
    @given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 3000), st.sampled_from(sorted(RULES)))
    def test_it_pays_when_effective_tokens_fall(self, before, after, lead, name):
        rules = RULES[name]
        one, other = (rules.effective(lead + n, cached=rules.cacheable(lead + n)) for n in (before, after))
        assert worth_compressing(before, after, rules=rules, before_tokens=lead) == (other < one)

    def test_static_tokens_before_it_keep_the_prefix_long_enough(self):
        assert not worth_compressing(1200, 600)
        assert worth_compressing(1200, 600, before_tokens=1000)

    def test_a_prompt_that_is_sent_once_or_not_cached(self):
        assert worth_compressing(1200, 600, calls=1)
        assert not worth_compressing(1200, 600, calls=10)
        assert worth_compressing(1200, 600, rules="llama")
