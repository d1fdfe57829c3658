"""PlanStream: what is handed out when, what is remembered, and how it fails."""

from __future__ import annotations

import gc
import json
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import (
    ConfigurationError,
    LimitExceeded,
    PlanStreamError,
    PlanSyntaxError,
    PlanValidationError,
    TruncatedStreamError,
)
from llmopt.stream import PlanStream

from . import fuzz, quirks

MODES = ("strict", "lenient", "repair")
PLANS = quirks.plans()
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def run(reply, size=4, **options):
    stream = PlanStream(**options)
    found = []
    for at in range(0, len(reply), size):
        found += stream.feed(reply[at : at + size])
    result = stream.finalize()
    return found + list(result.plans), result


# Lag


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("form", [str, str.encode])
@pytest.mark.parametrize("wrapper", ["@", '{"plans": @}'])
def test_a_plan_comes_with_its_last_character(form, indent, mode, wrapper):
    text = wrapper.replace("@", json.dumps(PLANS, indent=indent))
    reply, stream, ends = form(text), PlanStream(mode=mode), []
    for at in range(len(reply)):
        ends += [at] * len(stream.feed(reply[at : at + 1]))
    assert len(ends) == len(PLANS)
    for end, plan in zip(ends, PLANS, strict=True):
        begin = reply.rindex(form(f'"agent_id": {plan["agent_id"]},'), 0, end)
        assert json.loads(form("{") + reply[begin : end + 1]) == plan


@settings(max_examples=150)
@given(st.lists(json_values, max_size=6), st.integers(1, 40), st.booleans(), st.booleans())
def test_strict_streams_return_what_orjson_does(values, size, as_bytes, ascii_only):
    text = json.dumps(values, ensure_ascii=ascii_only)
    reply = text.encode("utf-8", "surrogatepass") if as_bytes else text
    chunks = [reply[at : at + size] for at in range(0, len(reply), size)]
    assert repr(fuzz.outcome(chunks, mode="strict", path="root")) == repr(fuzz.wanted(reply))


def test_fuzzed_replies_make_no_difference():
    assert list(fuzz.differences(seed=20, cases=2000)) == []


def test_the_fuzzer_tells_of_differences(monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "wanted", lambda text: "something else")
    monkeypatch.setattr("sys.argv", ["fuzz.py", "--cases", "3"])
    assert fuzz.main() == 1
    assert "3 cases, 3 differences" in capsys.readouterr().out


# Errors


def test_complete_plans_are_returned_before_the_error_is_raised():
    stream = PlanStream(mode="strict")
    assert stream.feed('[{"a":1},{"a":2},]') == [{"a": 1}, {"a": 2}]
    for _ in range(3):
        with pytest.raises(PlanSyntaxError, match="at offset 17"):
            stream.feed("x")
    with pytest.raises(PlanSyntaxError):
        stream.finalize()


def test_an_error_says_where_and_shows_it():
    reply = '[{"a": 1},\n {"a": 2},\n {"a": nil}]'
    for size in (1, 3, 100):
        for form in (str, str.encode):
            with pytest.raises(PlanSyntaxError) as raised:
                run(form(reply), size, mode="strict")
            error = raised.value
            assert (error.offset, error.line, error.column) == (29, 3, 8)
            assert "nil" in error.excerpt
            assert error.plans == ()


def test_a_reply_that_is_cut_off_is_told_from_one_that_is_wrong():
    for reply in ("", "[", "[1", '["a', '[{"a": 1}', '[{"a": 1},', '{"a', '{"plans": [{"a": 1}]', '"a\\'):
        with pytest.raises(TruncatedStreamError):
            run(reply, mode="strict")


def test_plans_that_only_the_end_shows_are_in_the_result_or_on_the_error():
    stream = PlanStream(mode="strict", path="root")
    assert stream.feed("12") == ()
    assert stream.finalize().plans == (12,)
    assert stream.finalize().plans == ()
    with pytest.raises(PlanStreamError, match="finalized"):
        stream.feed("3")


def test_a_chunk_of_another_kind_is_a_type_error():
    with pytest.raises(TypeError, match="str or bytes, not int"):
        PlanStream().feed(3)
    stream = PlanStream()
    stream.feed('[{"agent_id"')
    with pytest.raises(TypeError):
        stream.feed(b": 3}")
    with pytest.raises(TypeError):
        stream.feed(": 3}")


def test_bytearrays_are_bytes():
    assert run(bytearray(json.dumps(PLANS).encode()), 50)[0] == PLANS


@pytest.mark.parametrize("path", ["plans", "data.plans"])
def test_an_explicit_path_must_be_there(path):
    for reply in ("[1]", '{"other": []}', '{"plans": 3}', '{"data": {"plan": []}}', '{"a" 1}', '{"data": 1}'):
        with pytest.raises(PlanStreamError):
            run(reply, mode="strict", path=path)
        assert run(reply, mode="lenient", path=path)[0] == []


def test_explicit_paths_lead_to_lists_and_to_single_plans():
    data = '{"n": 1.5e3, "s": "\\"}", "t": true, "plans": @, "z": [[]]}'
    reply = '{"a": ["x", {"plans": [1]}], "data": ' + data + ', "e": {}}'
    for mode in MODES:
        for size in (1, 4, 1000):
            options = {"path": "data.plans", "mode": mode}
            assert run(reply.replace("@", json.dumps(PLANS)), size, **options)[0] == PLANS
            assert run(reply.replace("@", json.dumps(PLANS[0])), size, **options)[0] == PLANS[:1]


def test_what_stands_around_the_list_must_be_json_in_strict_streams():
    for reply in (
        '{"a": 1, "plans": [], "b": x}',
        '{"a": tru, "plans": [] }',
        '{"plans": [] "b": 1}',
        '{"plans": []} 1',
    ):
        with pytest.raises(PlanSyntaxError):
            run(reply, mode="strict")


def test_single_plans_and_objects_that_only_look_like_wrappers():
    for mode in MODES:
        for size in (1, 4, 1000):
            for plan in (
                PLANS[0],
                {"steps": [{"x": 1}]},
                {"a": {"b": [1]}, "plans": 3},
                {"k" * 3000: [1]},
                {},
            ):
                assert run(json.dumps(plan), size, mode=mode)[0] == [plan]
            inner = {"data": {"agent_id": 3, "steps": []}, "ok": True}
            assert run(json.dumps(inner), size, mode=mode)[0] == [inner["data"]]


# Rows


ROWS = [["a1", ["MoveTo", 10, 5], ["Say", "x [y]"]], ["a2"], ["a3", ["Wait", {"s": [2]}]]]


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("form", [str, str.encode])
def test_rows_in_a_list_and_in_lines(form, size):
    array, lines = form(json.dumps(ROWS)), form("\n".join(map(json.dumps, ROWS)))
    for mode in MODES:
        found, result = run(array, size, mode=mode, id_key=0, expected=["a1", "a2", "a4"])
        assert (found, result.missing, result.unexpected) == (ROWS, ("a4",), ("a3",))
        assert run(lines, size, mode=mode, id_key=0, path="ndjson")[0] == ROWS
    assert run(lines, size, id_key=0)[0] == ROWS
    assert run(form(json.dumps(ROWS[0])), size, mode="strict", id_key=0)[0] == ROWS[:1]
    assert run(form('{"plans": ') + array + form("}"), size, mode="strict", id_key=0)[0] == ROWS


def test_damaged_rows_are_named_with_their_text():
    reply = '["a1", ["Wait", 1]]\n["a2", ["Wait" 2]]\n["a3", ["Wait, 3]]\n["a4", ["Wait", 4]]\n'
    for size in (1, 4, 1000):
        found, result = run(reply, size, id_key=0, expected=["a1", "a2", "a3", "a4"])
        assert [row[0] for row in found] == ["a1", "a4"]
        assert result.missing == ("a2", "a3")
        assert [(row.agent_id, row.raw.strip()) for row in result.failed] == [
            ("a2", '["a2", ["Wait" 2]]'),
            ("a3", '["a3", ["Wait, 3]]'),
        ]


def test_large_chunks_of_rows():
    rows = [[f"a{n}", ["MoveTo", n, [1, 2]], ["Say", "hello"]] for n in range(500)]
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        assert run(text, 1 << 16, id_key=0, expected=500)[0] == rows


# Expectations


def test_what_is_missing_unexpected_and_there_twice():
    reply = json.dumps([{"agent_id": n} for n in (3, "2", 9, 3, 9)])
    found, result = run(reply, expected=[1, 2, 3])
    assert found == [{"agent_id": 3}, {"agent_id": "2"}, {"agent_id": 9}]
    assert (result.missing, result.unexpected, result.duplicates) == ((1,), (9,), (3, 9))
    assert (result.stats.plans, result.stats.dropped, result.stats.chars) == (3, 2, len(reply))


@pytest.mark.parametrize(("policy", "count"), [("first", 1), ("last", 2), ("keep", 2), (None, 2)])
def test_second_plans_without_expectations(policy, count):
    found, result = run('[{"agent_id": 1, "n": 1}, {"agent_id": 1, "n": 2}]', on_duplicate=policy)
    assert len(found) == count
    assert result.duplicates == ((1,) if policy in ("first", "last") else ())


def test_a_second_plan_can_be_an_error():
    stream = PlanStream(on_duplicate="error")
    assert stream.feed('[{"agent_id": 1}, {"agent_id": 1}]') == [{"agent_id": 1}]
    with pytest.raises(PlanValidationError, match="second plan of agent 1") as raised:
        stream.feed(" ")
    assert raised.value.agent_id == 1


def test_satisfied_by_ids_and_by_number():
    stream = PlanStream(expected=2)
    assert (stream.is_satisfied, stream.missing) == (False, ())
    stream.feed('[{"x": 1},')
    assert not stream.is_satisfied
    stream.feed('{"x": 2}')
    assert stream.is_satisfied
    assert PlanStream(expected=0).is_satisfied
    assert not PlanStream().is_satisfied
    twice = PlanStream(expected=2, on_duplicate="first")
    twice.feed('[{"agent_id": 1},{"agent_id": 1}')
    assert not twice.is_satisfied


def test_objects_without_an_id_are_no_plans_where_plans_have_ids():
    found, result = run('{"note": 1} [{"agent_id": 1}] {"status": "done"}', mode="lenient", expected=[1])
    assert found == [{"agent_id": 1}]
    assert [row.agent_id for row in result.failed] == [None, None]


# Limits


def test_limits_are_enforced_at_every_size():
    deep = '[{"agent_id": 1}, {"a": ' + "[" * 200 + "]" * 200 + "}]"
    large = '[{"agent_id": 1}, {"a": "' + "x" * 5000 + '"}]'
    many = json.dumps([{"agent_id": n, "text": "x" * 40} for n in range(50)])
    for mode in MODES:
        for size in (1, 64, 1 << 16):
            for reply, options in (
                (deep, {"max_depth": 100}),
                (large, {"max_element_bytes": 1000}),
                (many, {"max_plans": 10}),
            ):
                stream, found = PlanStream(mode=mode, **options), []
                with pytest.raises(LimitExceeded, match=next(iter(options))):  # noqa: PT012
                    for at in range(0, len(reply) + size, size):
                        found += stream.feed(reply[at : at + size] or " ")
                assert len(found) == options.get("max_plans", 1)


def test_brackets_in_strings_are_not_depth():
    plan = {"agent_id": 1, "text": "{[" * 500}
    assert run(json.dumps([plan] * 40), 1 << 16, max_depth=5)[0] == [plan] * 40


def test_the_preamble_is_limited():
    for mode, reply in (
        ("lenient", "word " * 100),
        ("strict", '{"thoughts": "' + "x" * 500 + '"}'),
        ("strict", '{"plans": [], "x": "' + "x" * 500),
    ):
        with pytest.raises(LimitExceeded, match="max_preamble_bytes=100"):
            run(reply, mode=mode, max_preamble_bytes=100)


def test_long_scalars_are_limited_too():
    with pytest.raises(LimitExceeded):
        run('["' + "x" * 500, mode="strict", path="root", max_element_bytes=100)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "sloppy"}, {"on_error": "ignore"}, {"on_duplicate": "both"}, {"path": ""}, {"path": "a..b"},
        {"path": None}, {"id_key": ""}, {"id_key": 1}, {"id_key": True}, {"expected": -1}, {"expected": "a1"},
        {"expected": True}, {"expected": [1.5]}, {"max_depth": 0}, {"max_plans": 0},
        {"max_element_bytes": 1.5},
        {"max_preamble_bytes": True},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ConfigurationError):
        PlanStream(**options)


# Thoughts, prose and partial plans


def test_nothing_is_taken_from_a_thought_that_does_not_end():
    found, result = run('<think>[{"agent_id": 1}]')
    assert (found, result.truncated) == ([], True)


def test_a_cut_surrogate_pair_is_one_character():
    found, result = run('[{"agent_id": 1, "t": "\ud83d\ude00"}]')
    assert found == [{"agent_id": 1, "t": "\U0001f600"}]
    assert result.repaired == (1,)


def test_the_plan_that_is_arriving():
    stream = PlanStream(partial=True)
    seen = []
    for char in 'Plans: [{"agent_id": 7, "do": "wait", "n": [1, 22]}]':
        stream.feed(char)
        seen.append(stream.partial)
    assert seen[0] is None
    assert {"agent_id": 7, "do": "wa"} in seen
    assert seen[-1] is None
    shown = [len(str(look)) for look in seen if look is not None]
    assert shown == sorted(shown)
    damaged = PlanStream(partial=True)
    damaged.feed('[{"a" 1')
    assert damaged.partial is None
    with pytest.raises(ConfigurationError, match="partial=True"):
        _ = PlanStream().partial


def test_streams_leave_no_cycle_behind():
    gc.disable()
    try:
        stream = PlanStream(mode="repair")
        stream.feed('[{"agent_id": 1}')
        gone = weakref.ref(stream._setup)
        del stream
        assert gone() is None
    finally:
        gc.enable()


def test_feed_works_without_its_stream():
    feed = PlanStream(mode="strict").feed
    assert feed('[{"a": 1},') == [{"a": 1}]
    with pytest.raises(PlanSyntaxError):
        feed("x,")


def test_a_missing_bracket_does_not_swallow_what_follows():
    texts = [json.dumps(plan) for plan in PLANS]
    texts[2] = texts[2].replace("}}], ", "}}, ").split(', "priority"')[0]
    reply = "[" + ", ".join(texts) + "]"
    found, result = run(reply, expected=[plan["agent_id"] for plan in PLANS])
    assert found == [*PLANS[:2], *PLANS[3:]]
    assert result.missing == (3,)
