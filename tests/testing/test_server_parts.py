"""The test server's parts without I/O: schema-conforming values, the prefix cache, pieces, masking."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.testing.server import PrefixCache
from llmopt.testing.server.conforming import conforming
from llmopt.testing.server.echo import pieces
from llmopt.testing.server.prefix import LOOK_BACK
from llmopt.testing.server.query import Segment, as_text, format_schema, tool_choice


@given(st.text("ab1_ .,{}\n\té"))
def test_pieces_are_the_text_again(text):
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


@given(
    st.recursive(
        st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
        ),
    )
)
def test_json_without_spaces_is_cut_finely(value):
    text = json.dumps(value, separators=(",", ":"))
    assert "".join(pieces(text)) == text
    assert len(pieces(text)) >= text.count(":")


NUMBERS = st.integers(-50, 50)
SCHEMAS = st.recursive(
    st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.builds(
            lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
            *[st.integers(0, 9)] * 2,
        ),
        st.builds(
            lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
            NUMBERS,
            st.integers(0, 9),
        ),
        st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low, "multipleOf": 5}, NUMBERS),
        st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, NUMBERS),
        st.builds(
            lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1}, NUMBERS
        ),
        st.builds(lambda values: {"enum": values}, st.lists(NUMBERS, min_size=1, max_size=3)),
        st.builds(lambda value: {"const": value}, st.text(max_size=3)),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least},
            inner,
            st.integers(0, 3),
        ),
        st.builds(lambda items: {"type": "array", "prefixItems": items}, st.lists(inner, max_size=3)),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda properties: {"type": "object", "properties": properties, "required": list(properties)},
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
        ),
    ),
    max_leaves=8,
)


def accepts(schema, value):  # noqa: PLR0911 - one for each type
    """Say whether a value conforms to one of the schemas above."""
    if "anyOf" in schema:
        return any(accepts(option, value) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    match schema["type"]:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str) and schema["minLength"] <= len(value) <= schema["maxLength"]
        case "array":
            items = schema.get("prefixItems") or [schema.get("items")] * len(value)
            return len(value) >= schema.get("minItems", 0) and all(map(accepts, items, value))
        case "object":
            return set(value) == set(schema["required"]) and all(
                accepts(schema["properties"][name], value[name]) for name in value
            )
    return (
        isinstance(value, int if schema["type"] == "integer" else (int, float))
        and schema.get("minimum", -99) <= value <= schema.get("maximum", 99)
        and schema.get("exclusiveMinimum", -99) < value < schema.get("exclusiveMaximum", 99)
        and value % schema.get("multipleOf", 1 if schema["type"] == "integer" else value or 1) == 0
    )


@given(SCHEMAS)
def test_a_conforming_value_conforms(schema):
    assert accepts(schema, conforming(schema))
    assert conforming(schema) == conforming(schema)


PLAN = {
    "$defs": {
        "Node/1": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "next": {"anyOf": [{"$ref": "#/$defs/Node~11"}, {"type": "null"}]},
            },
            "required": ["name", "next"],
        }
    },
    "$ref": "#/$defs/Node~11",
}


def test_a_recursive_schema_comes_to_an_end():
    node, depth = conforming(PLAN), 0
    while node is not None:
        assert node["name"] == "name"
        node, depth = node["next"], depth + 1
    assert 2 < depth < 12


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "value"),
        ({"type": ["integer", "null"]}, 0),
        ({"properties": {"a": True, "b": {"default": 7}}}, {"a": "a", "b": 7}),
        ({"required": ["only"]}, {"only": "only"}),
        ({"items": {"type": "boolean"}}, [True]),
        ({"items": {"type": "boolean"}, "maxItems": 0, "minItems": 0}, []),
        ({"prefixItems": [{"type": "null"}], "items": {"type": "integer"}, "minItems": 3}, [None, 0, 0]),
        ({"multipleOf": 3, "minimum": 4}, 6),
        ({"type": "integer", "minimum": 3, "maximum": 2}, 0),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "null"}}, "required": ["b", "a"]},
                ]
            },
            {"a": 0, "b": None},
        ),
        ({"$ref": "#"}, "value"),
    ],
)
def test_conforming_values(schema, value):
    assert conforming(schema) == value


def prompt(*texts, at=()):
    return [Segment(text, index in at) for index, text in enumerate(texts)]


def tokens(cache, segments, *, explicit=False, model="m"):
    lookup = cache.look_up(segments, explicit=explicit, model=model)
    cache.store(lookup)
    return lookup[:3]


class TestPrefixCache:
    def test_whole_blocks_of_a_common_prefix_are_read(self):
        cache = PrefixCache(block_tokens=4)
        assert tokens(cache, prompt("a b c d e f")) == (6, 0, 4)
        assert tokens(cache, prompt("a b c d", "x y z w q")) == (9, 4, 4)
        assert tokens(cache, prompt("z b c d e f")) == (6, 0, 4)

    def test_short_prefixes_are_not_cached(self):
        cache = PrefixCache(block_tokens=2, minimum_tokens=6)
        assert [tokens(cache, prompt("a b c d")) for _ in range(2)] == [(4, 0, 0)] * 2

    def test_models_share_nothing(self):
        cache = PrefixCache(block_tokens=2)
        assert [tokens(cache, prompt("a b"), model=model) for model in ("m", "n", "m")] == [
            (2, 0, 2),
            (2, 0, 2),
            (2, 2, 0),
        ]

    def test_clear_forgets(self):
        cache = PrefixCache(block_tokens=2)
        tokens(cache, prompt("a b"))
        cache.clear()
        assert tokens(cache, prompt("a b")) == (2, 0, 2)

    def test_only_breakpoints_are_stored_where_they_are_explicit(self):
        cache = PrefixCache()
        assert tokens(cache, prompt("a b", "c"), explicit=True) == (3, 0, 0)
        assert tokens(cache, prompt("a b", "c", at=[0]), explicit=True) == (3, 0, 2)
        assert tokens(cache, prompt("a b", "d", at=[0]), explicit=True) == (3, 2, 0)
        assert tokens(cache, prompt("a b", "d", "e f", at=[0, 2]), explicit=True) == (5, 2, 3)
        assert tokens(cache, [], explicit=True) == (0, 0, 0)

    def test_an_entry_far_before_the_breakpoint_is_not_found(self):
        cache = PrefixCache()
        long = ["a", *("b" for _ in range(LOOK_BACK + 1))]
        tokens(cache, prompt("a", at=[0]), explicit=True)
        assert tokens(cache, prompt(*long, at=[len(long) - 1]), explicit=True)[1] == 0
        assert tokens(PrefixCache(), prompt(*long, at=[len(long) - 1]), explicit=True)[2] == len(long)

    @given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
    def test_what_is_read_is_common_and_never_more_than_asked(self, one, other):
        cache = PrefixCache(block_tokens=3)
        tokens(cache, prompt(*one))
        total, read, written = tokens(cache, prompt(*other))
        assert total == len(other)
        assert other[:read] == one[:read]
        assert read + written == total - total % 3

    @pytest.mark.parametrize("options", [{"block_tokens": 0}, {"minimum_tokens": -1}])
    def test_wrong_sizes_are_refused(self, options):
        with pytest.raises(ConfigurationError):
            PrefixCache(**options)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hold", "Hold"),
        (None, ""),
        ([{"type": "image"}, {"type": "text", "text": "fire"}], "fire"),
        (["a", "b"], "a b"),
    ],
)
def test_text_of_a_content(content, text):
    assert as_text(content) == text


def test_formats_and_choices():
    assert format_schema({"type": "text"}) is None
    assert format_schema({"type": "json_schema", "schema": {"type": "null"}}) == {"type": "null"}
    assert tool_choice("required") == "required"
    assert tool_choice({"type": "function", "name": "add"}) == "add"
