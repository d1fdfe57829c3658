"""Tools from schemas: every way to describe a function, and what is read of JSON Schema."""

from __future__ import annotations

import llm
import pytest

from llmopt.plan.from_schema import function_of_schema, type_of_schema
from llmopt.plan.tool import Tool


def move_to(x: int, y: int, *, run: bool = False):
    """Walk to a cell."""


SCHEMA = {
    "type": "object",
    "properties": {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        "query": {"type": "string", "description": "Free text."},
        "sort": {"enum": ["new", "old"]},
        "where": {"$ref": "#/$defs/place"},
        "tags": {"type": ["array", "null"], "items": {"type": "string"}},
    },
    "required": ["query"],
    "$defs": {
        "place": {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": False}
    },
}
SEARCH = "search(query:string,limit:1..100=20,sort?:new|old,where?:[x?:int],tags?:[string]|null): Find it"


@pytest.mark.parametrize(
    "source",
    [
        {"type": "function", "function": {"name": "search", "description": "Find it.", "parameters": SCHEMA}},
        {"type": "function", "name": "search", "description": "Find it.", "parameters": SCHEMA},
        {"name": "search", "description": "Find it.", "input_schema": SCHEMA},
        {"name": "search", "description": "Find it.", "inputSchema": SCHEMA},
        {"title": "search", "description": "Find it.", **SCHEMA},
        llm.Tool("search", "Find it.", SCHEMA),
    ],
)
def test_all_usual_ways_to_describe_a_function_are_read(source):
    assert Tool.of(source).signature() == SEARCH


def test_an_llm_tool_made_from_a_function_is_read():
    assert Tool.of(llm.Tool.function(move_to)).signature() == Tool.of(move_to).signature()


def test_a_function_without_parameters_is_read():
    assert Tool.of({"name": "wait"}).signature() == "wait()"
    assert Tool.of({"name": "wait", "parameters": None}).bind([]) == {}
    assert function_of_schema({"name": "wait", "parameters": {}}) == ("wait", "", {})


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (True, "any"),
        ({}, "any"),
        ({"const": 3}, "3"),
        ({"enum": ["a", None]}, "a|null"),
        ({"enum": [1, "a"]}, "1|a"),
        ({"type": "string", "nullable": True}, "string|null"),
        ({"type": ["string", "integer"]}, "string|int"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int|null"),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, "int|string"),
        ({"allOf": [{"type": "integer"}, {"minimum": 1}]}, "int>=1"),
        ({"allOf": [{"$ref": "#/x"}], "x": {"type": "integer"}}, "int"),
        ({"minimum": 1, "exclusiveMinimum": True, "type": "number"}, "number>1"),
        ({"minimum": 1, "exclusiveMinimum": False, "type": "number"}, "number>=1"),
        ({"properties": {"a": {}}}, "[a?]"),
        ({"items": {"type": "string"}}, "[string]"),
        ({"prefixItems": [{"type": "string"}, {}], "items": False}, "[string,any]"),
        ({"type": "array", "items": [{"type": "string"}], "maxItems": 1}, "[string]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "{string:int}"),
        ({"enum": [*range(30)]}, "|".join(map(str, range(24))) + "|..."),
    ],
)
def test_schemas_become_types(schema, text):
    assert type_of_schema(schema).text() == text


def test_what_is_not_checked_is_named():
    tool = Tool.of(
        {
            "name": "f",
            "parameters": {
                "properties": {
                    "a": {"type": "string", "pattern": r"\p{L}+"},
                    "b": {"not": {"type": "null"}},
                    "c": {"enum": [[1], [2]]},
                    "d": {"prefixItems": [{"type": "integer"}]},
                    "e": {"type": "array", "items": {"anyOf": [{"contains": 1}, {"type": "integer"}]}},
                    "g": {"type": "object", "properties": {"h": {"$ref": "#/properties/g"}}},
                }
            },
        }
    )
    assert tool.unchecked == (
        "a: pattern", "b: not", "c: enum", "d: prefixItems", "e[][0]: contains", "g.h.h: $ref",
    )  # fmt: skip
    assert Tool.of(move_to).unchecked == ()


def test_merged_schemas_add_up():
    both = {
        "allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]
    }
    assert type_of_schema(both).text() == "[a,b]"
