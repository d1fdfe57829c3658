"""Corners of lenient streams that the quirk matrix does not turn."""

from __future__ import annotations

import json
from typing import NotRequired, TypedDict

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.errors import LimitExceeded, PlanSyntaxError, PlanValidationError
from llmopt.stream import PlanStream, aiter_plans
from llmopt.stream.alphabet import alphabet_of
from llmopt.stream.decoders import decoder_of
from llmopt.stream.edits import one_edit
from llmopt.stream.ending import trimmed
from llmopt.stream.identity import Identity
from llmopt.stream.markers import broken_at
from llmopt.stream.mend import Mender
from llmopt.stream.shapes import follow

from . import quirks


class Noted(TypedDict):
    agent_id: int
    note: NotRequired[str]


def run(reply, size=4, **options):
    stream = PlanStream(**options)
    found = []
    for at in range(0, len(reply), size):
        found += stream.feed(reply[at : at + size])
    result = stream.finalize()
    return found + list(result.plans), result


def ids(found):
    return [plan["agent_id"] for plan in found]


def test_edits_are_not_tried_on_texts_without_end():
    assert one_edit("{" + " " * 70_000, ()) is None
    assert one_edit("[" * 50_000, ()) is None
    assert one_edit('{"a": {"b": 1}', ("a",)) == {"a": {"b": 1}}
    assert one_edit("{", ("a",)) is None


@pytest.mark.parametrize("form", [str, str.encode])
def test_where_a_text_stops_being_json(form):
    cases = (
        ("{", 1),
        ('{"a": 1', 7),
        ('{"a', 3),
        ('{"é": x}', 6),
        ('{"é" 1', 5),
        ("[" * 100_000, 100_000),
        ("[1]", 3),
    )
    for text, chars in cases:
        assert broken_at(form(text)) == len(form(text[:chars]))


def test_rows_are_trimmed_of_what_follows_them():
    assert trimmed('{"a": 1},\n```\nnext:\n') == '{"a": 1}'
    assert trimmed('{"a": "```"} , ') == '{"a": "```"}'


def test_a_damaged_plan_in_a_fence_of_its_own_is_repaired():
    reply = 'A:\n```json\n{"agent_id": 1, "do" "x"}\n```\nB:\n```json\n{"agent_id": 2}\n```'
    for size in (1, 4, 1000):
        found, result = run(reply, size, mode="repair")
        assert found == [{"agent_id": 1, "do": "x"}, {"agent_id": 2}]
        assert result.repaired == (1,)


def test_what_is_no_row_is_passed_by():
    found, result = run(
        'See [1], {x}, {"a" b} and {y: z}. [{"agent_id": 1}, [2], "x", {"n" 3}, {"agent_id": 4}]'
    )
    assert ids(found) == [1, 4]
    assert [row.raw for row in result.failed] == ['{"n" 3}']
    rows, result = run('{"note": [1]} See [1] and [[3]]. ["a1", 2] {"x": ["a2", 3]}', id_key=0)
    assert ["a1", 2] in rows


def test_objects_in_a_stream_of_rows_are_looked_into():
    assert run('{"rows": [["a1", 2], {"x": 1}, ["a2"]], "n": 2}', id_key=0)[0] == [["a1", 2], ["a2"]]


def test_values_that_are_no_plans_are_no_plans_in_lines_either():
    found, _ = run('{"agent_id": 1}\n3\n"x"\n{"agent_id": 2}', path="ndjson")
    assert ids(found) == [1, 2]


def test_a_plan_without_an_id_has_come_once():
    stream = PlanStream(on_duplicate="first", expected=2, mode="strict")
    assert len(stream.feed('[{"x": 1}, {"x": 1}]')) == 2
    assert stream.is_satisfied


def test_large_chunks_with_duplicates():
    plans = [{"agent_id": number % 50, "text": "x" * 40} for number in range(100)]
    for policy, count in (("first", 50), ("last", 100)):
        found, result = run(json.dumps(plans), 1 << 16, on_duplicate=policy)
        assert len(found) == count
        assert len(result.duplicates) == 50
    stream = PlanStream(on_duplicate="error")
    assert len(stream.feed(json.dumps(plans))) == 50
    assert stream.unexpected == stream.failed == ()


def test_large_chunks_that_cannot_be_taken_at_once():
    plans = [{"agent_id": number, "text": "x" * 80} for number in range(40)]
    text = json.dumps(plans)
    halves = text.replace('"agent_id": 33, "text": "x', '"agent_id": 33, "text": "\ud83d')
    found, result = run(halves, 1 << 16)
    assert len(found) == 39
    assert [row.agent_id for row in result.failed] == [33]
    listed = text.replace('"agent_id": 33,', '"agent_id": [33],')
    for policy in ("first", "keep"):
        assert len(run(listed, 1 << 16, on_duplicate=policy)[0]) >= 39
    deep = {
        "agent_id": 99,
        "text": "[" * 20,
        "a": json.loads('[{"a":' * 10 + "1" + "}]" * 10),
        "b": "x" * 500,
    }
    for place in (0, 1, 39):
        reply = json.dumps([*plans[:place], deep, *plans[place:]])
        for size in (1, 1 << 16):
            with pytest.raises(LimitExceeded, match="max_depth=12"):
                run(reply, size, max_depth=12)
            assert len(run(reply, size, max_depth=21)[0]) == 41


def test_large_chunks_of_plans_without_ids():
    plans = [{"text": "x" * 80} for _ in range(100)]
    assert run(json.dumps(plans), 1 << 16)[0] == plans
    plans[50] = {"agent_id": 1, "text": "x"}
    assert len(run(json.dumps(plans), 1 << 16, mode="strict")[0]) == 100


def test_on_error_raise_counts_for_damage_too():
    stream = PlanStream(on_error="raise")
    assert ids(stream.feed('[{"agent_id": 1}, {"n" 3}]')) == [1]
    with pytest.raises(PlanSyntaxError):
        stream.feed(" ")


def test_a_damaged_plan_must_end_within_the_limit():
    for mode in ("lenient", "repair"):
        with pytest.raises(LimitExceeded):
            run('[{"agent_id": 1, "a" 2}' + " word" * 500, mode=mode, max_element_bytes=1000)


def test_limits_hold_at_the_end_of_an_element_that_came_in_pieces():
    stream = PlanStream(mode="strict", max_plans=1)
    assert ids(stream.feed('[{"agent_id": 1}, {"agent')) == [1]
    with pytest.raises(LimitExceeded):
        stream.feed('_id": 2}')
    with pytest.raises(LimitExceeded):
        stream.finalize()
    lenient = PlanStream(max_plans=1)
    assert ids(lenient.feed('[{"agent_id": 1}, {"agent_id": 2}')) == [1]
    with pytest.raises(LimitExceeded):
        lenient.finalize()


def test_an_object_that_never_ends_is_truncated():
    for reply in ('{"thoughts": "many', '{"plans', '{"a": [1, 2'):
        found, result = run(reply)
        assert (found, result.truncated, len(result.failed)) == ([], True, 1)
    assert run("[{")[1].truncated


def test_plans_with_plans_inside_are_not_taken_apart():
    plan = {
        "agent_id": 1,
        "allies": [{"agent_id": 2, "allies": []}, {"agent_id": 3, "allies": []}],
        "note": "x" * 900,
    }
    text = json.dumps([plan, {**plan, "agent_id": 9}])
    for size in (1, 64, 5000):
        assert run(text, size)[0] == [plan, {**plan, "agent_id": 9}]
        cut, result = run(text[:-300], size)
        assert ids(cut) == [1]
        assert result.truncated


def test_a_list_that_swallows_what_follows_it():
    texts = quirks.rows(quirks.plans())
    texts[3] = texts[3].split("}}], ")[0] + "}}"
    found, result = run("[" + ", ".join(texts) + "]", expected=range(1, 11), mode="repair")
    assert ids(found)[:3] == [1, 2, 3]
    assert set(range(5, 11)) <= set(ids(found))
    rows = [json.dumps([f"a{n}", ["Say", "x"], ["Go", 1]]) for n in range(6)]
    rows[2] = rows[2][:-2]
    found, result = run("\n".join(rows), id_key=0, expected=[f"a{n}" for n in range(6)])
    assert [row[0] for row in found] == ["a0", "a1", "a3", "a4", "a5"]
    assert result.missing == ("a2",)
    rows[2] = rows[2].replace('"Say"', '"Say')
    assert [row[0] for row in run("\n".join(rows), id_key=0)[0]] == ["a0", "a1", "a3", "a4", "a5"]


def arrivals(reply, **options):
    """Each plan's id, with how much of the reply had been fed when it came."""
    stream, found = PlanStream(**options), []
    for at, char in enumerate(reply, 1):
        for plan in stream.feed(char):
            found.append((plan[0] if isinstance(plan, list) else plan["agent_id"], at))
    result = stream.finalize()
    assert result.plans == ()
    return found, [row.agent_id for row in result.failed]


def test_an_unclosed_row_delays_none_that_begins_a_line():
    rows = [json.dumps([f"a{n}", ["Say", "x"], ["Go", n]]) for n in range(6)]
    rows[2] = rows[2][:-1]
    plans = [json.dumps({"agent_id": n, "steps": [{"do": "x"}], "n": n}) for n in range(6)]
    plans[2] = plans[2][:-1]
    ids = [f"a{n}" for n in range(6)]
    for texts, options in ((rows, {"id_key": 0}), (rows, {"id_key": 0, "expected": ids}), (plans, {})):
        reply = "\n".join(texts)
        found, failed = arrivals(reply, **options)
        wanted = [json.loads(text) for at, text in enumerate(texts) if at != 2]
        ends = [reply.index(text) + len(text) for at, text in enumerate(texts) if at != 2]
        names = [plan[0] if isinstance(plan, list) else plan["agent_id"] for plan in wanted]
        assert found == list(zip(names, ends, strict=True))
        assert len(failed) == 1
    reply = "[" + ",\n".join(rows) + "]"
    found, failed = arrivals(reply, id_key=0, expected=ids)
    assert [agent_id for agent_id, _ in found] == ["a0", "a1", "a3", "a4", "a5"]
    assert failed == ["a2"]


def test_lines_within_a_plan_are_not_plans():
    rows = [["a1", ["Wait"]], ["a2", ["Follow", "a1"], ["Go", 1], ["a1"]], ["a3"]]
    reply = json.dumps(rows[:1])[:-1] + ',\n["a2",\n["Follow", "a1"],\n["Go", 1],\n["a1"]\n],\n["a3"]]'
    for size in (1, 3, 1000):
        assert run(reply, size, id_key=0)[0] == rows
    plan = {"agent_id": 1, "steps": [{"do": "x", "with": [{"n": n} for n in range(9)]}] * 9}
    text = json.dumps([plan] * 3, indent=0)
    for size in (1, 7, 1000):
        assert run(text, size)[0] == [plan] * 3


@pytest.mark.parametrize("form", [str, str.encode])
def test_a_missing_bracket_of_the_other_kind_is_noticed_at_the_end(form):
    for reply in ('[{"a": [1}', '[{"a": [1}, {"b": 2}', '[{"a": [1}]'):
        with pytest.raises(PlanSyntaxError, match="at offset"):
            run(form(reply), 1, mode="strict")
    assert run(form('{"agent_id": 1, "a": [1}'), 1)[1].failed[0].agent_id == 1


def test_escapes_may_be_cut_anywhere():
    plan = {"agent_id": 1, "t": 'a\\" }]{[ \\\\" \n\\', "u": ["\\", '"'], "v": '"}'}
    text = json.dumps([plan, {**plan, "agent_id": 2}])
    for size in range(1, 9):
        for form in (str, str.encode):
            assert run(form(text), size, mode="strict")[0] == [plan, {**plan, "agent_id": 2}]


@settings(max_examples=200)
@given(st.text('{}[]"\\\\a\xff', max_size=40), st.integers(0, 40), st.booleans(), st.booleans())
def test_shapes_lead_where_the_text_does(rest, cut, as_rows, as_bytes):
    alphabet = alphabet_of(bytes if as_bytes else str)
    brackets = alphabet.squares if as_rows else alphabet.braces
    text = alphabet.of(("[" if as_rows else "{") + rest)
    first, second = text[: cut + 1], text[cut + 1 :]
    if any(part[-1:] == alphabet.of("\\") for part in (first, second)):
        return
    reached = follow(alphabet.shape(first))
    if reached.depth:
        reached = follow(reached.stack + alphabet.shape(second))
    end, depth, inside = brackets.walk(text, 1, 1, False)
    assert reached.depth == depth
    if depth:
        assert (reached.stack[-1:] == b'"') == inside
        assert end == len(text)


def test_a_guess_that_fails_is_none(monkeypatch):
    def fail(text):
        raise RuntimeError(text)

    monkeypatch.setattr("json_repair.loads", fail)
    found, result = run('[{"agent_id": 1, "a" 2 "b"}, {"agent_id": 3}]', mode="repair")
    assert ids(found) == [3]
    assert [row.agent_id for row in result.failed] == [1]


def test_a_mended_plan_may_be_the_second_of_its_agent():
    found, result = run('[{"agent_id": 1}, {"agent_id": 1, "a": "b\nc"}]', on_duplicate="first")
    assert (ids(found), result.duplicates, result.repaired) == ([1], (1,), ())


def test_async_iterators_hand_out_what_the_end_makes_certain():
    async def main():
        return [plan async for plan in aiter_plans([b"1", b"2"], mode="strict", path="root")]

    assert anyio.run(main) == [12]


def test_typed_dicts_keep_what_is_optional():
    assert run('[{"agent_id": 1}, {"note": "x"}]', kind=Noted)[0] == [{"agent_id": 1}]


def test_a_second_plan_that_came_in_pieces_can_be_an_error():
    stream = PlanStream(on_duplicate="error")
    stream.feed('[{"agent_id": 1}, {"agent_id"')
    with pytest.raises(PlanValidationError):
        stream.feed(": 1}, ")


def test_rows_are_alike_if_both_are_json_of_one_shape():
    mender = Mender(decoder_of(None), Identity("agent_id"), repair=False)
    assert mender.alike('{"a": 1}', '{"a": 2}')
    assert mender.alike("[1]", "[2, 3]")
    assert not mender.alike('{"a": 1}', "[1]")
    assert not mender.alike('{"a": 1', '{"a": 1}')


def test_an_async_iterator_need_not_be_closable():
    class Bare:
        def __init__(self):
            self.left = ["[1,", "2]"]

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    async def main():
        return [plan async for plan in aiter_plans(Bare(), mode="strict", path="root")]

    assert anyio.run(main) == [1, 2]


def test_members_may_stand_on_lines_of_their_own():
    reply = '{"a": [1]\n ,\n "b": "x"\n ,\n "plans": [{"agent_id": 1}]\n }'
    for size in (1, 3, 100):
        assert ids(run(reply, size, mode="strict")[0]) == [1]
