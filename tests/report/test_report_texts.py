from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.report import report_of
from llmopt.report.fragments import CHANGED_CALLS, MOST_RARE
from llmopt.report.log import opened
from llmopt.report.repeats import Repeats
from llmopt.report.sample import SAMPLE_CALLS, Sample, sampled
from llmopt.report.selection import ALL, period
from llmopt.report.tally import Cell, Counts
from llmopt.testing.usage import fill_log

from .conftest import NOW


def test_fragments_are_counted(made_up, ask):
    found = {use.digest: use for use in report_of(made_up, now=NOW).fragments}
    rows = ask(
        "SELECT digest, count(*) AS n, min(call_id), max(call_id) FROM call_fragments WHERE kind <> 'reply' "
        "GROUP BY 1 ORDER BY n DESC LIMIT 12"
    )
    assert [use.calls for use in found.values()] == sorted(
        (use.calls for use in found.values()), reverse=True
    )
    for digest, calls, first, last in rows:
        use = found[digest]
        assert use.calls == calls
        times = [ask("SELECT started_at FROM calls WHERE id = ?", call)[0][0] for call in (first, last)]
        assert [use.first_at, use.last_at] == times
        roles = ask(
            "SELECT role, count(*) AS n FROM call_fragments JOIN calls ON id = call_id WHERE digest = ? "
            "GROUP BY 1 ORDER BY n DESC",
            digest,
        )
        assert list(use.roles) == roles


def test_fragments_of_a_period_are_counted_in_it(made_up, ask):
    found = {use.digest: use for use in report_of(made_up, since="4d", now=NOW).fragments}
    rows = ask(
        "SELECT digest, count(*) FROM call_fragments JOIN calls ON id = call_id "
        "WHERE started_at >= '2026-11-17T09' GROUP BY 1"
    )
    for digest, calls in rows:
        if digest in found:
            assert abs(found[digest].calls - calls) <= 2  # ids of calls in the same millisecond
    assert found


def test_where_ids_do_not_tell_the_time_uses_are_counted_all_the_same(small_log):
    small_log.text("t")
    for second in (9, 5, 7, 3, 1):
        small_log.call(started_at=f"2026-11-20T10:00:0{second}.000000Z", texts=[("system", "t")])
    (use,) = report_of(small_log.path, now=NOW).fragments
    assert (use.calls, use.first_at, use.last_at) == (5, "2026-11-20T10:00:00.000000Z", None)
    (use,) = report_of(small_log.path, since="2026-11-20T10:00:04", now=NOW).fragments
    assert use.calls == 3


def test_tokens_are_estimated_where_nobody_counted(small_log):
    small_log.text("counted", 400, tokens=90, tokens_source="tokenizer")
    small_log.text("estimated", 400, tokens=95, tokens_source="estimate")
    small_log.text("neither", 400, content=" Rules:\n  hold ")
    for _ in range(2):
        small_log.call(texts=[("system", d) for d in ("counted", "estimated", "neither", "gone")])
    found = {use.digest: use for use in report_of(small_log.path, now=NOW).fragments}
    assert [(found[d].tokens, found[d].tokens_estimated) for d in ("counted", "estimated", "neither")] == [
        (90, False),
        (95, True),
        (100, True),
    ]
    assert (found["neither"].excerpt, found["counted"].excerpt) == ("Rules: hold", None)
    assert found["gone"].bytes == 0


def odd_ones(log):
    return {(odd.fragment.digest, odd.reason) for odd in report_of(log.path, now=NOW).odd_fragments}


def calls_of(log, role, texts, number=60, **given):
    for _ in range(number):
        log.call(role=role, texts=[("context", text) for text in texts], **given)


def test_a_text_that_one_role_alone_lacks_is_odd(small_log):
    for text in ("rules", "a", "b", "c"):
        small_log.text(text)
    for _ in range(60):
        calls_of(small_log, "a", ["a", "rules"], 1)
        calls_of(small_log, "b", ["b", "rules"], 1)
        calls_of(small_log, "c", ["c"], 1)
    assert odd_ones(small_log) == {("rules", "missing in one role")}


def test_a_text_that_one_role_alone_has_now_and_then_is_odd(small_log):
    small_log.text("dump")
    for round_ in range(30):
        calls_of(small_log, "a", ["dump"] if round_ in (10, 20) else [], 1)
        calls_of(small_log, "b", [], 2)
        calls_of(small_log, "a", [], 1)
    assert odd_ones(small_log) == {("dump", "in one role only")}


def test_texts_that_are_sent_hardly_ever_are_odd(made_up, ask):
    odd = report_of(made_up, now=NOW).odd_fragments
    rare = [one for one in odd if one.reason == "rare"]
    rows = ask("SELECT digest FROM call_fragments WHERE kind = 'context' GROUP BY 1 HAVING count(*) <= 3")
    assert {one.fragment.digest for one in rare} == {row[0] for row in rows}
    assert len(rare) >= 3
    assert all(1 <= one.fragment.calls <= 3 and one.fragment.kind == "context" for one in rare)
    assert all("of 3,000" in one.detail for one in rare)


def test_texts_that_are_made_anew_each_time_are_not_odd(small_log):
    for number in range(MOST_RARE + 1):
        small_log.text(f"t{number}")
        calls_of(small_log, "a", [f"t{number}"], 1)
        calls_of(small_log, "a", [], 5)
    assert odd_ones(small_log) == set()


def test_texts_appear_and_disappear(small_log):
    for text in ("old", "new"):
        small_log.text(text)
    calls_of(small_log, "a", ["old"], CHANGED_CALLS)
    calls_of(small_log, "a", [], CHANGED_CALLS)
    calls_of(small_log, "a", ["new"], CHANGED_CALLS)
    assert odd_ones(small_log) == {("old", "disappeared"), ("new", "appeared")}


# Prompts that came again


def test_candidates_are_the_prompts_that_cost_most_again(made_up, ask):
    rows = ask(
        "SELECT prompt_digest, count(*) AS n, sum(input_tokens + output_tokens), sum(cost_usd_nano) "
        "FROM calls WHERE status = 'ok' AND attempts > 0 AND cache_outcome IS NOT 'stale' "
        "AND prompt_digest IS NOT NULL "
        "GROUP BY 1 HAVING n > 1"
    )
    known = {digest: row for digest, *row in rows}
    found = report_of(made_up, now=NOW).candidates
    assert len(found) == 20
    costs = [candidate.repeated_usd for candidate in found]
    assert costs == sorted(costs, reverse=True)
    for candidate in found:
        calls, tokens, cost = known[candidate.prompt_digest]
        assert candidate.calls == calls
        assert candidate.repeated_tokens < tokens
        assert candidate.repeated_usd < cost / 1e9
    assert max(cost * (n - 1) / n for n, _, cost in known.values() if cost) / 1e9 == pytest.approx(
        costs[0], rel=0.2
    )


def test_the_first_time_is_not_a_repetition(small_log):
    small_log.price()
    own = {
        "price_id": 1,
        "cost_usd_nano": 500,
        "prompt_digest": "d" * 64,
        "input_tokens": 90,
        "output_tokens": 10,
    }
    for role in ("a", "a", "b"):
        small_log.call(role=role, **own)
    small_log.served(prompt_digest="d" * 64)
    small_log.refused(retried=False, prompt_digest="d" * 64)
    small_log.call(prompt_digest="e" * 64)
    (candidate,) = report_of(small_log.path, now=NOW).candidates
    assert (candidate.calls, candidate.role) == (4, None)  # the one that was refused was sent as well
    assert candidate.repeated_tokens in (200, 300)
    assert (candidate.input_tokens, candidate.output_tokens, candidate.last_at) == (90, 10, "2026-11-20")
    assert candidate.repeated_usd == pytest.approx(candidate.repeated_tokens * 5e-9)


def test_repetitions_without_tokens_or_price_are_told_of(small_log):
    for _ in range(2):
        small_log.call(
            prompt_digest="d" * 64, role="a", input_tokens=None, output_tokens=None, tokens_source=None
        )
    (candidate,) = report_of(small_log.path, now=NOW).candidates
    assert (candidate.repeated_tokens, candidate.repeated_usd, candidate.input_tokens) == (None, None, None)
    assert candidate.role is None
    (candidate,) = report_of(small_log.path, now=NOW, by="role").candidates
    assert candidate.role == "a"


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=6))
def test_each_time_but_the_first_is_a_repetition(slices):
    repeats = Repeats()
    for digests in slices:
        ones = [1] * len(digests)
        repeats.add(Cell("2026-11-20", "", "m", None, Counts(1)), "r", digests, ones, ones, ones)
    calls = Counter(digest for digests in slices for digest in digests)
    assert {digest: repeat.calls for digest, repeat in repeats.found.items()} == {
        digest: number - 1 for digest, number in calls.items() if number > 1
    }
    assert all(repeat.cost_nano == repeat.input_tokens == repeat.calls for repeat in repeats.found.values())


def test_no_more_prompts_are_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("llmopt.report.repeats.MOST_PROMPTS", 3)
    repeats, cell = Repeats(), Cell("2026-11-20", "", "m", None, Counts(1))
    for digests in (["a", "b"], ["a", "c", "d"], ["b"]):
        columns = [[None] * len(digests)] * 3
        repeats.add(cell, "", digests, *columns)
    assert not repeats.is_complete
    assert set(repeats.found) == {"a", "b"}


# Samples


def test_a_sample_is_of_all_calls_where_they_are_few(made_up):
    with opened(made_up) as log:
        sample = sampled(log, ALL, 3000)
    assert len(sample.calls) == sample.of == 3000
    assert sample.ids_tell_time
    assert len(sample.recent) == 750


def test_a_sample_is_taken_at_random_where_they_are_many(tmp_path):
    fill_log(tmp_path / "many.db", SAMPLE_CALLS + 2000, now=NOW)
    with opened(tmp_path / "many.db") as log:
        sample, again = (sampled(log, ALL, SAMPLE_CALLS + 2000) for _ in range(2))
        some = sampled(log, period("7d", NOW), SAMPLE_CALLS + 1)
    assert len(sample.calls) == len({call.id for call in sample.calls}) == SAMPLE_CALLS
    assert sample.calls == again.calls
    assert {call.started_at >= "2026-11-14T09" for call in some.calls} == {True}
    report = report_of(tmp_path / "many.db", now=NOW)
    rules = report.fragments[0]
    assert sum(calls for _, calls in rules.roles) == pytest.approx(rules.calls, abs=4)


def test_an_empty_sample_has_nothing(small_log):
    with opened(small_log.path) as log:
        sample = sampled(log, ALL, 0)
    assert sample == Sample([], 0)
    assert sample.ids_tell_time
    assert sample.recent == []
