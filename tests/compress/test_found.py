"""Finding JSON in texts: what is found, what is passed over, and how long hostile texts take."""

from __future__ import annotations

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.compress.found import MAX_LEVELS, find, json_in, places


def values(text, **given):
    return [found.value for found in find(text, **given)]


FOUND = {
    "an object in prose": ('Of {"id": 7} we know.', [{"id": 7}]),
    "a list in prose": ("Take [1, 2, 3], or so.", [[1, 2, 3]]),
    "in parentheses": ('(see {"a": 1})', [{"a": 1}]),
    "at both ends": ('{"a":1} and {"b":2}', [{"a": 1}, {"b": 2}]),
    "after a colon, before a full stop": ('state:{"a":1}.', [{"a": 1}]),
    "pretty-printed": (json.dumps({"a": [1, {"b": None}]}, indent=2), [{"a": [1, {"b": None}]}]),
    "brackets and quotes in strings": (r'{"a": "]}\"{[", "b": "\\"}', [{"a": ']}"{[', "b": "\\"}]),
    "all words": ("[true, false, null]", [[True, False, None]]),
    "escapes": (r'{"a": "caf\u00e9 \/"}', [{"a": "café /"}]),
    "a lone surrogate": (r'["\ud800"]', [["\ud800"]]),
    "large integers": ("[123456789012345678901234567890]", [[123456789012345678901234567890]]),
    "exponents as Python writes them": ("[1e+16, 1e-07]", [[1e16, 1e-7]]),
    "exponents as orjson writes them": (orjson.dumps([1e16, 1e-7]).decode(), [[1e16, 1e-7]]),
    "after a bracket of prose": ('see [the note] {"a": 1}', [{"a": 1}]),
    "inside of a bracket of prose": ('[see {"a": 1}]', [{"a": 1}]),
    "a block that says json": ('So:\n```json\n{"a": 1}\n```\nand on', [{"a": 1}]),
    "a block of tildes": ('~~~ JSON title\n{"a": 1}\n~~~', [{"a": 1}]),
    "an indented block": ('- so:\n   ```json\n   {"a": 1}\n   ```', [{"a": 1}]),
    "a block in a quote": ('> ```json\n> {"a": 1}\n> ```', [{"a": 1}]),
    "several in a block": ('```jsonl\n{"a": 1}\n{"b": 2}\n```', [{"a": 1}, {"b": 2}]),
    "a block with prose in it": ('```json\nso: {"a": 1}\n```', [{"a": 1}]),
    "a block that never ends": ('```json\n{"a": 1}\n', [{"a": 1}]),
    "a bare block that is JSON": ('```\n\n{"a": 1}\n\n```', [{"a": 1}]),
    "after a closed block": ('```python\nx = [1]\n```\n{"a": 1}', [{"a": 1}]),
    "backticks within a line are no fence": ('use ```x``` for {"a": 1}', [{"a": 1}]),
    "a fence far to the right is none": (" " * 40 + '```python\n{"a": 1}', [{"a": 1}]),
    "a row of inline code is no fence": ('```json {"b": 1} ```\n{"a": 1}', [{"b": 1}, {"a": 1}]),
}
NOT_FOUND = {
    "nothing": "",
    "prose": "Nothing here but words.",
    "cut off": '{"agents": [{"id": 1}, {"id": 2}',
    "a comma too many": "[1, 2, 3,]",
    "a literal of another language": "[True, None, {'a': 1}]",
    "no commas": "[1 2 3]",
    "no quotes": "{a: 1}",
    "an ellipsis": '[{"a": 1}, {"b": 2}, ...]',
    "the wrong bracket": '{"a": [1, 2}]',
    "a raw line break in a string": '{"a": "b\nc"}',
    "a key twice": '{"a": 1, "a": 2}',
    "a price": '{"price": 1.50}',
    "too many digits": "[0.1000000000000000055]",
    "minus nothing": "[-0]",
    "no number": "[NaN, Infinity, 01, 1e999]",
    "an index": "rows[1], f(x)[1, 2], d['a'][1]",
    "a method": "[1, 2].map(double)",
    "a call": "[1, 2](3)",
    "another list behind it": "[1, 2][0]",
    "a quoted literal": """curl -d '{"a": 1}' and "[1, 2]" """,
    "inline code": 'Say `{"a": 1}` to it.',
    "a template": '{{"a": 1}} and ${"a"}',
    "a link": "[1](https://example.org) and [text](x)",
    "a block of another language": '```python\nrows = [\n  1,\n  2,\n]\n[1, 2]\n{"a": 1}\n```',
    "a block of another language that never ends": '~~~yaml\n{"a": 1}\n```\n[1, 2]',
    "a longer fence": '````markdown\n```json\n{"a": 1}\n```\n````',
    "a bare block with more in it": '```\n$ show\n{"a": 1}\n```',
    "two in a bare block": '```\n{"a": 1}\n{"b": 2}\n```',
    "too deep": "[" * (MAX_LEVELS + 1) + "]" * (MAX_LEVELS + 1),
}


@pytest.mark.parametrize("case", FOUND)
def test_found(case):
    text, expected = FOUND[case]
    assert values(text) == expected


@pytest.mark.parametrize("case", NOT_FOUND)
def test_passed_over(case):
    assert values(NOT_FOUND[case]) == []


def test_places_name_what_they_stand_for():
    text = 'a\n```json\n{"a": 1}\n```\n[1, 2]'
    first, second = find(text)
    assert text[slice(*first.place.label)] == "json"
    assert text[first.place.start : first.place.end] == '{"a": 1}'
    assert (second.place.label, text[second.place.start : second.place.end]) == (None, "[1, 2]")


def test_small_ones_are_passed_over():
    assert values('{"a":1} [1,2,3,4,5]', min_chars=8) == [[1, 2, 3, 4, 5]]
    assert values("[1]", min_chars=4) == []


def test_what_is_deep_but_not_too_deep():
    assert values("[" * MAX_LEVELS + "]" * MAX_LEVELS) == [json.loads("[" * MAX_LEVELS + "]" * MAX_LEVELS)]


def test_what_no_parser_takes_is_no_json():
    for text in ("[" * 200_000 + "]" * 200_000, "[1", "[" + "1" * 5000 + "]", ""):
        with pytest.raises(ValueError, match="no JSON"):
            json_in(text)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number) < 1e15),
    st.text(max_size=12),
    st.sampled_from(['"', "\\", "[", "}", "```json", "\n", "@1"]),
)
data = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
).filter(lambda value: isinstance(value, (dict, list)) and value not in ([], {}))
prose = st.text(alphabet="abc .,\n", max_size=30)
layouts = st.sampled_from(
    [
        json.dumps,
        lambda value: json.dumps(value, indent=2),
        lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
        lambda value: json.dumps(value, indent=4, sort_keys=True),
        lambda value: json.dumps(value, indent="\t"),
    ]
)


def same(one, other):
    """Equal, with the types and the order of keys."""
    return json.dumps(one) == json.dumps(other)


@given(prose, data, prose, layouts)
def test_all_json_in_prose_is_found(before, value, after, dump):
    found = find(f"{before} {dump(value)} {after}")
    assert len(found) == 1
    assert same(found[0].value, json.loads(dump(value)))


@given(prose, data, prose, layouts)
def test_all_json_in_its_block_is_found(before, value, after, dump):
    found = find(f"{before}\n```json\n{dump(value)}\n```\n{after}")
    assert len(found) == 1
    assert same(found[0].value, json.loads(dump(value)))


@given(prose, data, prose, st.sampled_from(["python", "yaml", "text", "js"]), layouts)
def test_blocks_of_other_languages_are_left_alone(before, value, after, language, dump):
    assert find(f"{before}\n```{language}\n{dump(value)}\n```\n{after}") == []


@given(data, layouts, st.data())
def test_what_is_cut_off_is_left_alone(value, dump, draw):
    text = dump(value)
    assert find(text[: draw.draw(st.integers(0, len(text) - 1))]) == []


pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [*list('[]{}",:\\`~> \n'), "```", "```json\n", "~~~\n", '"a":', "true", "1.5", "[1]", '{"a":1}']
        ),
        st.text(max_size=3),
    ),
    max_size=40,
).map("".join)


@given(pieces)
def test_whatever_the_text_is(text):
    at = 0
    for found in find(text):
        place = found.place
        assert at <= place.start < place.end <= len(text)
        at = place.end
        json_text = text[place.start : place.end]
        assert same(found.value, json.loads(json_text))
        assert isinstance(found.value, (dict, list))
        if place.label is not None:
            assert text[slice(*place.label)].lower().startswith("json")
    assert [place for place in places(text) if place in {found.place for found in find(text)}] == [
        found.place for found in find(text)
    ]


@given(data, layouts)
def test_what_it_says_can_be_written_again(value, dump):
    text = dump(value)
    assert same(json_in(text), json.loads(text))


HOSTILE = {
    "lists": "[",
    "objects": "{",
    "keys": '{"',
    "strings that never end": '["a" ',
    "escaped quotes": '["\\"[',
    "prose in brackets": "[x",
    "blanks": "[ ",
    "no commas": "[1 2 ",
    "small lists": "[1] ",
    "fences that never end": "```json\n",
    "fences": "```\n",
    "growing fences": "````\n```json\n",
    "one long line of backticks": "x```",
    "tildes": "~",
    "broken lists in lists": '["',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_texts_take_linear_time(case):
    """100,000 characters: what is quadratic takes minutes."""
    text = HOSTILE[case]
    text *= 100_000 // len(text)
    for hostile in (text, text + "]" * 50_000, "```\n" + text + "\n```"):
        began = time.thread_time()
        find(hostile)
        assert time.thread_time() - began < 3


def test_a_long_text_is_found_whole():
    rows = [{"id": n, "name": f"agent {n}", "pos": [n, -n]} for n in range(5000)]
    assert values(f"Rows: {orjson.dumps(rows).decode()} end") == [rows]
