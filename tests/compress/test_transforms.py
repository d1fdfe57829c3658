"""What the dense encoding finds, one thing at a time: the text shows it, and the values come back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llmopt.compress import decode, encode
from llmopt.compress.delta import apply, difference
from llmopt.compress.notation.columns import Column, Digits, Picture, Texts
from llmopt.compress.notation.match import Changed, match_texts
from llmopt.compress.notation.unpack import STYLES, JsonText, pack, unpack


def dense(value):
    encoded = encode(value, "dense")
    assert json.dumps(decode(encoded.text)) == json.dumps(value)
    assert encoded.tokens <= encoded.tokens_before
    return encoded.text


def test_constants_stand_in_the_template():
    text = dense([{"kind": "wolf", "at": {"zone": "north", "level": 3}, "hp": hp} for hp in (7, 80, 900)])
    assert text == "[each {kind:wolf at:{zone:north level:3} hp:###}\n007080900\n]"


def test_numbers_are_fields_of_three_digits_or_more():
    rows = [{"a": 1, "b": 2000, "c": 0.5, "d": -12.25} for _ in range(2)] + [
        {"a": 2, "b": 3, "c": 0.25, "d": 1.0}
    ]
    text = dense(rows)
    assert text.startswith("[each {a:### b:###### c:#.## d:####.##}\n001002000050-01225001002000050")


def test_dates_are_pictures():
    text = dense([{"at": f"2026-11-20T10:{minute:02}:39Z"} for minute in (5, 17, 59, 23)])
    assert text == '[each {at:"2026-11-20T10:##:39Z"}\n005017059023\n]'


def test_strings_are_made_of_other_strings():
    rows = [
        {"app": app, "image": f"registry/{app}:v1", "host": f"{app}-db.prod"}
        for app in ("cart", "auth", "shop")
    ]
    assert '{app:"$a" image:"registry/$a:v1" host:"$a-db.prod"}' in dense(rows)


def test_numbers_in_strings_are_fields_of_digits():
    rows = [{"ip": f"10.1.{n * 7}.{n * 31 % 256}", "tag": f"v{n}.{n + 9}"} for n in range(1, 7)]
    text = dense(rows)
    assert 'ip:"10.1.{###}.{###}"' in text
    assert 'tag:"v#.1#"' in text


def test_affixes_stand_in_the_template():
    assert 'id:"svc/$/main"' in dense(
        [{"id": f"svc/{word}/main"} for word in ("cart", "auth", "shop", "pay")]
    )


def test_what_follows_from_another_column_is_looked_up():
    owners = {"cart": "alice from accounts", "auth": "bob from the platform team", "shop": "carol"}
    rows = [{"app": app, "owner": owners[app], "n": n} for n in range(4) for app in owners]
    text = dense(rows)
    assert "$a>$b\n" in text
    assert text.count("alice from accounts") == 1


def test_long_values_that_come_again_are_numbered():
    notes = ["The database host cannot be resolved by any pod.", "All is well, and nothing has to be done."]
    text = dense([{"n": n * 31 % 17, "note": notes[n * n % 3 % 2]} for n in range(12)])
    assert text.count("The database host") == 1


def test_optional_keys_and_what_decides_on_them():
    rows = [
        {"level": "error" if n % 3 else "info"} | ({"why": f"code {n}"} if n % 3 else {}) for n in range(12)
    ]
    text = dense(rows)
    assert "why?" in text
    assert json.dumps(decode(text)) == json.dumps(rows)


def test_maps_have_their_keys_in_the_rows():
    about = {
        key: {"type": "string", "description": f"The {key} of the thing that is asked for"}
        for key in "abcdefgh"
    }
    rows = [
        {"name": f"tool{n}", "args": {f"argument_{key}": about[key] for key in keys}}
        for n, keys in enumerate(("ab", "bcd", "h", "ae", "fg", "bh"))
    ]
    text = dense(rows)
    assert "{### each " in text
    assert text.count("The") == 1


def test_lists_of_different_lengths_are_rows_of_their_own():
    rows = [{"id": n, "seen": [{"x": m, "name": f"wolf{m}"} for m in range(n)]} for n in range(5)]
    assert "each {x:###" in dense(rows)


def test_lists_of_digits_are_one_cell():
    text = dense([{"id": n, "near": list(range(100, 100 + n))} for n in range(6)])
    assert text.splitlines()[1:4] == ["000 []", "001 100", "002 100101"]


def test_values_of_several_kinds():
    rows = [
        {"v": value, "n": n} for n, value in enumerate([None, "x", [1, 2], {"a": 1}, 5, [3], {"a": 2}, "y"])
    ]
    assert json.dumps(decode(dense(rows))) == json.dumps(rows)


@pytest.mark.parametrize("layout", [{}, {"separators": (",", ":")}, {"indent": 2}, {"indent": 4}])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_in_strings_is_opened_in_any_layout(layout, ascii_only):
    inner = [{"name": f"café {n}", "n": n} for n in range(3)]
    value = {"content": json.dumps(inner, ensure_ascii=ascii_only, **layout)}
    opened = unpack(value)
    assert isinstance(opened["content"], JsonText)
    assert pack(opened) == value
    assert "json" in dense([value | {"id": n} for n in range(4)])


@pytest.mark.parametrize(
    "text",
    ['{"a": 1 }', "[1,  2, 3]", '{"a":1,"a":2}', "[1e2, 333]", "[NaN, 1111]", "{x", "[1.0e5,1]", "[" * 5000],
)
def test_json_that_would_not_come_back_stays_a_string(text):
    assert unpack(text) == text


def test_every_style_of_json_text_is_written_by_one_name():
    assert all(pack(JsonText(style, {"a": [1]})) == STYLES[style]({"a": [1]}) for style in STYLES)


def test_texts_are_taken_apart_by_what_is_known():
    name, rest, number = Column(Texts()), Column(Texts()), Column(Digits(3))
    known = {name: ["pull_request", "issue"]}
    found = match_texts([name, "_", rest], ["pull_request_args", "issue_x"], known)
    assert found == {rest: ["args", "x"]}
    assert match_texts([name], ["pull_request", "issue"], known) == {}
    assert match_texts(["a", rest, "-", number, "-", rest], ["ab-7-b", "ac-12-c"], {}) == {
        rest: ["b", "c"],
        number: [7, 12],
    }
    picture = Column(Picture("##:##"))
    assert match_texts(["at ", picture], ["at 10:39"], {}) == {picture: ["10:39"]}


@pytest.mark.parametrize("values", [["b-1"], ["a1"], ["a-01"], ["a-x"], [7]])
def test_texts_of_another_make_are_refused(values):
    with pytest.raises(Changed):
        match_texts(["a-", Column(Digits(3))], values, {})


def test_two_words_side_by_side_cannot_be_told_apart():
    with pytest.raises(Changed):
        match_texts([Column(Texts()), Column(Texts())], ["ab"], {})


CHANGES = [
    ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
    ({"a": 1, "b": 2}, {"a": 1}, {"-": ["b"]}),
    ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 5}}, {"a": {"y": 5}}),
    ({"a": 1}, {"a": {"x": 1}}, {"a": {"=": {"x": 1}}}),
    ({"a": {"x": 1}}, {"a": 1}, {"a": 1}),
    ({"a": 1}, {"a": 1}, {}),
    ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"=": {"b": 2, "a": 1}}),
    ({"-": 1}, {"-": 2}, {"=": {"-": 2}}),
    (
        [{"id": 1, "v": 1}, {"id": 2, "v": 1}],
        [{"id": 1, "v": 1}, {"id": 2, "v": 7}],
        {"changed": [{"id": 2, "v": 7}]},
    ),
    ([{"id": 1}, {"id": 2}], [{"id": 2}, {"id": 3}], {"removed": [1], "added": [{"id": 3}]}),
    ([{"id": 1}, {"id": 2}], [{"id": 2}, {"id": 1}], [{"id": 2}, {"id": 1}]),
    ([1, 2], [1, 3], [1, 3]),
    ([{"id": 1}, {"id": 1}], [{"id": 1}], [{"id": 1}]),
    ("a", {"x": 1}, {"=": {"x": 1}}),
    ([], [{"id": 1}], [{"id": 1}]),
]


@pytest.mark.parametrize(("old", "new", "changes"), CHANGES)
def test_changes(old, new, changes):
    assert difference(old, new) == changes
    assert json.dumps(apply(old, changes)) == json.dumps(new)


@pytest.mark.parametrize(
    "changes",
    [
        {"a": 1},
        {"changed": [{"id": 9}], "x": 1},
        {"changed": [1]},
        {"changed": 1},
        {"removed": [[]], "added": [{"no": 1}]},
    ],
)
def test_changes_of_something_else_are_refused(changes):
    with pytest.raises((ValueError, TypeError, KeyError)):
        apply([{"id": 1}, 2], changes)
    with pytest.raises((ValueError, TypeError, KeyError)):
        apply(5, changes)


def test_removing_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="not there"):
        apply({"a": 1}, {"-": ["b"]})


def test_the_examples_of_the_documentation_are_read():
    page = Path(__file__).parents[2] / "docs/compress-format.md"
    blocks = re.findall(r"```text\n(.*?)\n```", page.read_text(encoding="utf-8"), re.DOTALL)
    one, two, three = map(decode, blocks[:3])
    assert one["zip"] == "04109"
    assert two[1] == {"name": "white", "kind": "wolf", "at": {"x": 140, "y": 22}}
    assert three[1] == {"app": "auth", "host": "auth-db", "owner": "bob", "since": "2026-09-20"}
