"""Tool catalogues: one normal form for what means the same, its text, and the way back."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmopt import tokens
from llmopt.compress.tools.catalogue import encode_tools
from llmopt.compress.tools.json_schema import normal_schema
from llmopt.compress.tools.schema_text import decode_schema, encode_schema
from llmopt.compress.tools.tool_shapes import normal_tools
from llmopt.compress.tools.tool_text import decode_tools
from llmopt.errors import ConfigurationError, DecodingError, EncodingError

CASES = 100
"""How many cases hypothesis makes; `test_two_thousand_random_catalogues` has more, made faster."""

WORDS = (
    "low",
    "null",
    "any",
    "int",
    "1",
    "a b",
    "",
    '"',
    "a,b",
    "x.y",
    "über",
    "- ",
    "[",
    "{",
    "T1",
    "\ud800",
    "a\nb",
)

names = st.sampled_from(
    ["id", "limit", "issue_id", "a-b", "$ref", "type", "a b", '"', "é", "T1", "default", "enum"]
)
texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2)
)
whole = st.integers(0, 300)
bounds = st.one_of(st.integers(-9, 99), st.floats(-9, 99), st.just(1.0))


def some(needed, /, **optional):
    return st.fixed_dictionaries(needed, optional=optional)


def with_annotations(schemas):
    notes = some(
        {},
        description=texts,
        title=texts,
        default=values,
        examples=st.lists(values, max_size=2),
        deprecated=st.booleans(),
        nullable=st.booleans(),
        **{"x-more": values, "$comment": texts},
    )
    return st.builds(lambda schema, more: {**more, **schema}, schemas, notes)


def leaves():
    number = st.sampled_from(["integer", "number"])
    types = st.lists(
        st.sampled_from(["string", "null", "integer", "number", "boolean", "object"]), max_size=3
    )
    return st.one_of(
        some({"type": st.just("string")}, minLength=whole, maxLength=whole, format=texts, pattern=texts),
        some(
            {"type": number},
            minimum=bounds,
            maximum=bounds,
            multipleOf=whole,
            exclusiveMinimum=st.one_of(bounds, st.booleans()),
            exclusiveMaximum=bounds,
        ),
        some({"type": st.sampled_from(["null", "boolean", "file"])}),
        some({"enum": st.lists(values, max_size=3)}, type=st.sampled_from(["string", "integer", "number"])),
        some({"const": values}, type=st.sampled_from(["string", "null", "boolean"])),
        some({"type": types}, minLength=whole, minimum=bounds),
        some(
            {"$ref": st.sampled_from(["#/$defs/a", "#/$defs/b", "#", "#/nowhere", "https://example.org/x"])}
        ),
        st.just({}),
    )


def branches(inner):
    properties = st.dictionaries(names, inner, max_size=3)
    required = st.lists(names, max_size=2)
    others = st.one_of(st.booleans(), inner)
    several = st.lists(inner, min_size=1, max_size=3)
    return with_annotations(
        st.one_of(
            some(
                {"type": st.just("object"), "properties": properties},
                required=required,
                additionalProperties=others,
            ),
            some({"type": st.just("array")}, items=inner, minItems=whole, uniqueItems=st.booleans()),
            some(
                {"properties": properties},
                type=st.just(["object", "null"]),
                required=required,
                minProperties=whole,
            ),
            some({}, anyOf=several, type=st.just("string")),
            some({}, oneOf=several, allOf=several),
            some({"not": inner}),
            some({"type": st.just("object"), "patternProperties": st.dictionaries(texts, inner, max_size=1)}),
            some({"prefixItems": several, "type": st.just("array")}, items=st.booleans()),
        )
    )


schemas = st.recursive(with_annotations(leaves()), branches, max_leaves=6)
roots = st.builds(
    lambda schema, defs: {**schema, **defs},
    schemas,
    some({}, **{"$defs": st.fixed_dictionaries({"a": schemas, "b": schemas})}),
)
SHAPES = {
    "openai": lambda name, text, schema: {
        "type": "function",
        "function": {"name": name, "description": text, "parameters": schema, "strict": False},
    },
    "responses": lambda name, text, schema: {
        "type": "function",
        "name": name,
        "description": text,
        "parameters": schema,
        "strict": None,
    },
    "anthropic": lambda name, text, schema: {
        "type": "custom",
        "name": name,
        "description": text,
        "input_schema": schema,
        "cache_control": {"type": "ephemeral"},
    },
    "mcp": lambda name, text, schema: {
        "name": name,
        "title": name.title(),
        "description": text,
        "inputSchema": schema,
        "_meta": {"n": 1},
    },
    "llm": lambda name, text, schema: SimpleNamespace(name=name, description=text, input_schema=schema),
}
shapes = st.sampled_from(sorted(SHAPES))


@st.composite
def catalogues(draw):
    called = draw(st.lists(st.one_of(names, texts.filter(bool)), unique=True, max_size=4))
    tools = [SHAPES[draw(shapes)](name, draw(texts), draw(roots)) for name in called]
    for tool in tools:
        if isinstance(tool, dict) and draw(st.booleans()):
            tool["annotations"] = {"readOnlyHint": draw(st.booleans())}
    return tools


def same(one, other):
    """Equal, and of the same types: 1 is not 1.0 is not True."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@settings(max_examples=CASES)
@given(catalogues(), st.booleans(), st.sampled_from(["signatures", "dense", None]))
def test_the_text_says_what_the_tools_say(tools, descriptions, notation):
    encoded = encode_tools(tools, descriptions=descriptions, notation=notation)
    wanted = normal_tools(tools, descriptions=descriptions)
    assert same(decode_tools(encoded.text), wanted)
    assert encoded.tokens == tokens.counter("o200k_base").count(encoded.text)
    if notation is None:
        assert encoded.tokens <= encoded.tokens_before


@settings(max_examples=CASES)
@given(roots)
@example({"anyOf": [{"enum": [None]}, {"const": "a"}], "nullable": True})
@example({"type": ["null", "string"], "enum": ["null", None]})
def test_a_schema_comes_back_from_its_line(schema):
    line = encode_schema(schema)
    assert "\n" not in line
    assert same(decode_schema(line), normal_schema(schema))
    assert same(normal_schema(normal_schema(schema)), normal_schema(schema))


def random_schema(rng, depth=0):
    """A schema of the kind that tools have, with some that they should not have."""
    notes = {
        "description": rng.choice(WORDS),
        "title": rng.choice(WORDS),
        "default": rng.choice([1, None, "x", [], {}]),
        "nullable": rng.random() < 0.5,
        "examples": [1],
    }
    schema = {key: value for key, value in notes.items() if rng.random() < 0.15}
    kinds = ("string", "integer", "number", "boolean", "null", "enum", "const", "ref", "any")
    kinds += ("object", "object", "array", "anyOf", "oneOf", "allOf", "types") * (depth < 3)
    kind = rng.choice(kinds)
    parts = [random_schema(rng, depth + 1) for _ in range(rng.randint(1, 3))] if depth < 3 else []
    match kind:
        case "enum":
            schema["enum"] = rng.sample([*WORDS, 1, 1.0, True, None, [1], {"a": 1}], rng.randint(1, 4))
        case "const":
            schema["const"] = rng.choice([*WORDS, 1, None])
        case "ref":
            schema["$ref"] = rng.choice(["#/$defs/a", "#/$defs/b", "#", "#/properties/x", "other.json"])
        case "anyOf" | "oneOf" | "allOf":
            schema[kind] = parts
        case "types":
            schema["type"] = rng.sample(["string", "integer", "null", "array", "object"], 2)
            schema["items"] = parts[0]
        case "object":
            given = dict(zip(rng.sample(WORDS, len(parts)), parts, strict=True))
            schema |= {
                "type": "object",
                "properties": given,
                "required": rng.sample(WORDS, rng.randint(0, 2)),
            }
            schema["additionalProperties"] = rng.choice([True, False, False, parts[0]])
        case "array":
            schema |= {"type": "array", "items": parts[0], "minItems": rng.randint(0, 2)}
        case "any":
            pass
        case _:
            schema["type"] = kind
            for key in rng.sample(
                ["minimum", "maximum", "exclusiveMinimum", "minLength", "format", "x-y"], 2
            ):
                schema[key] = rng.choice([True, 0, 1.0, 2.5, -3, "date-time", "a b"])
    return schema


@pytest.mark.parametrize("seed", range(20))
def test_two_thousand_random_catalogues(seed):
    rng = random.Random(seed)
    for _ in range(100):
        defs = {"a": random_schema(rng, 2), "b": random_schema(rng, 2)}
        called = rng.sample([*WORDS, "get", "set"], rng.randint(1, 4))
        tools = [
            SHAPES[rng.choice(sorted(SHAPES))](name, rng.choice(WORDS), {**random_schema(rng), "$defs": defs})
            for name in called
            if name
        ]
        notation, descriptions = rng.choice(["signatures", "dense", None]), rng.random() < 0.7
        text = encode_tools(tools, notation=notation, descriptions=descriptions).text
        assert same(decode_tools(text), normal_tools(tools, descriptions=descriptions))


EQUAL = {
    "noise": (
        {"$schema": "x", "$id": "y", "$comment": "z", "type": "string", "minLength": 0},
        {"type": "string"},
    ),
    "a constant": ({"const": "a"}, {"enum": ["a"], "type": "string"}),
    "numbers": ({"enum": [1, 2.0], "type": "integer"}, {"enum": [1, 2.0]}),
    "an optional value": ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": ["null", "integer"]}),
    "OpenAPI's optional value": ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    "an optional choice": ({"anyOf": [{"enum": ["a"]}, {"type": "null"}]}, {"enum": ["a", None]}),
    "a part by reference": (
        {"$ref": "#/definitions/A", "definitions": {"A": {"type": "null"}}},
        {"const": None},
    ),
    "pydantic's allOf": ({"allOf": [{"type": "string"}], "default": "x"}, {"type": "string", "default": "x"}),
    "draft 4's bounds": (
        {"type": "number", "minimum": 1.0, "exclusiveMinimum": True, "maximum": 2, "exclusiveMaximum": False},
        {"type": "number", "exclusiveMinimum": 1, "maximum": 2},
    ),
    "whole numbers are numbers": ({"type": ["integer", "number"]}, {"type": "number"}),
    "what is required, in any order": (
        {"type": "object", "required": ["b", "a", "a"], "properties": {}},
        {"required": ["a", "b"], "type": "object"},
    ),
    "closed by `not`": (
        {"type": "object", "additionalProperties": {"not": {}}},
        {"type": "object", "additionalProperties": False},
    ),
    "anything": ({"items": True, "additionalProperties": True}, {}),
    "the same twice": ({"anyOf": [{"type": "string"}, {"type": "string"}]}, {"type": "string"}),
}


@pytest.mark.parametrize("case", EQUAL)
def test_what_means_the_same_has_one_form(case):
    one, other = EQUAL[case]
    assert same(normal_schema(one), normal_schema(other))
    assert encode_schema(one) == encode_schema(other)


DIFFERENT = {
    "an exclusive choice": (
        {"oneOf": [{"type": "string"}, {"type": "null"}, {}]},
        {"anyOf": [{"type": "string"}, {}]},
    ),
    "types that overlap": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, {"type": "number"}),
    "a ranking": ({"enum": ["low", "high"]}, {"enum": ["high", "low"]}),
    "a title that says more": ({"title": "seconds"}, {}),
    "an open object": ({"type": "object"}, {"type": "object", "additionalProperties": False}),
    "a value of another type": ({"enum": ["a", 1], "type": "string"}, {"enum": ["a", 1]}),
    "one and true": ({"const": 1}, {"const": True}),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_means_something_else_does_not(case):
    one, other = DIFFERENT[case]
    assert not same(normal_schema(one), normal_schema(other))
    assert encode_schema(one) != encode_schema(other)


LINES = {
    'str(1..20,format="a b")': {"type": "string", "minLength": 1, "maxLength": 20, "format": "a b"},
    "int(1..100)=20": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    "num(..0.5,exclusiveMinimum=0)": {"type": "number", "maximum": 0.5, "exclusiveMinimum": 0},
    "low|high|null=low": {"enum": ["low", "high", None], "default": "low"},
    "any<enum=[[1],{}]>": {"enum": [[1], {}]},
    "[{x:int,y?:int}](1..)": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
            "required": ["x"],
            "additionalProperties": False,
        },
    },
    "{...:str}": {"type": "object", "additionalProperties": {"type": "string"}},
    'str(date-time)|null "when"': {"type": ["string", "null"], "format": "date-time", "description": "when"},
    "anyOf(int,[int])": {
        "anyOf": [{"type": "integer", "title": "a"}, {"type": "array", "items": {"type": "integer"}}]
    },
    "never": False,
    "any": True,
}


@pytest.mark.parametrize("line", LINES)
def test_how_a_schema_is_written(line):
    schema = LINES[line]
    if line.startswith("anyOf"):
        schema["anyOf"][0].pop("title")
        line = "int|[int]"
    assert encode_schema(schema) == line
    assert same(decode_schema(line), normal_schema(schema))


def test_what_contains_itself_keeps_a_name():
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}, "v": {"type": "integer"}}}
    one = normal_schema({"$ref": "#/$defs/Tree", "$defs": {"Tree": tree}})
    assert one["$ref"] == "#/$defs/T1"
    assert one["$defs"]["T1"]["properties"]["left"] == {"$ref": "#/$defs/T1"}
    tool = {
        "name": "grow",
        "inputSchema": {"type": "object", "properties": {"t": tree}, "$defs": {"Tree": tree}},
    }
    assert same(decode_tools(encode_tools([tool], notation="signatures").text), normal_tools([tool]))


def test_references_that_double_do_not_explode():
    defs = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2, "title": f"t{n}"} for n in range(40)}
    defs["d40"] = {"type": "object", "properties": {"x": {"type": "string", "description": "an x"}}}
    pairs = {f"p{n}": {"prefixItems": [{"$ref": f"#/$defs/p{n + 1}"}] * 2} for n in range(40)}
    schema = {
        "prefixItems": [{"$ref": "#/$defs/d0"}, {"$ref": "#/$defs/p0"}],
        "$defs": {**defs, **pairs, "p40": {}},
    }
    line = encode_schema(schema)
    assert len(line) < 20_000
    assert same(decode_schema(line), normal_schema(schema))


def test_a_reference_into_a_list():
    schema = {"properties": {"a": {"$ref": "#/prefixItems/1"}, "b": {"$ref": "#/prefixItems/2"}}}
    found = normal_schema({**schema, "prefixItems": [{}, {"type": "string"}]})["properties"]
    assert found == {"a": {"type": "string"}, "b": {"$ref": "#/prefixItems/2"}}


def test_a_reference_with_more_beside_it():
    defs = {"$defs": {"A": {"type": "string", "description": "an A"}}}
    assert normal_schema({"$ref": "#/$defs/A", "description": "mine", **defs})["description"] == "mine"
    narrowed = normal_schema({"$ref": "#/$defs/A", "minLength": 3, **defs})
    assert narrowed == {"minLength": 3, "allOf": [{"type": "string", "description": "an A"}]}


def many_tools():
    """Forty tools for ten actions on four things, in OpenAI's shape."""
    things = {
        "issue": "an issue in the tracker",
        "pull_request": "a pull request in the repository",
        "customer": "a customer account record",
        "invoice": "an invoice in the billing system",
    }
    shared = {
        "query": {"type": "string", "description": "Free text search query. Supports quoted phrases."},
        "limit": {
            "type": "integer",
            "description": "Maximum number of results",
            "minimum": 1,
            "maximum": 100,
            "default": 20,
        },
        "sort": {
            "type": "string",
            "enum": ["created", "updated"],
            "description": "Sort order of the results",
        },
    }
    tools = []
    for thing, words in things.items():
        for action in (
            "search",
            "list",
            "get",
            "delete",
            "assign",
            "close",
            "merge",
            "deploy",
            "update",
            "create",
        ):
            ident = {f"{thing}_id": {"type": "string", "description": f"The identifier of the {thing}"}}
            properties = shared if action in {"search", "list"} else ident
            schema = {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "title": f"{action}_{thing}_args",
                "type": "object",
                "properties": properties,
                "required": [next(iter(properties))],
                "additionalProperties": False,
            }
            text = f"{action.title()} {words}. Use this tool when the user asks to {action} {words}."
            tools.append(SHAPES["openai"](f"{action}_{thing}", text, schema))
    return tools


def test_how_many_tokens_are_saved():
    tools = many_tools()
    readable, cheapest = encode_tools(tools, notation="signatures"), encode_tools(tools)
    bare = encode_tools(tools, descriptions=False)
    assert str(readable) == readable.text
    assert encode_tools(tools, counter=tokens.counter("claude-3")).exact is False
    assert readable.ratio >= 3.6
    assert (cheapest.encoding, bare.encoding) == ("dense", "signatures")
    assert cheapest.ratio >= 7.5
    assert bare.ratio >= 20
    assert len(bare.dropped) == 40 + 8 * 3 + 32
    assert bare.dropped[0] == "/assign_customer/description"
    assert not cheapest.loss


def test_tools_with_the_same_parameters_stand_together():
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": False}
    tools = [
        SHAPES["mcp"](name, text, schema)
        for name, text in (("get", "Get it"), ("drop", ""), ("put", "Put\nit"))
    ]
    tools[1]["annotations"] = {"destructiveHint": True}
    assert encode_tools(tools, notation="signatures").text.split("\n") == [
        "tools",
        "id:int",
        "",
        '(id?) drop<annotations={"destructiveHint":true}>',
        "get - Get it",
        'put - "Put\\nit"',
    ]


def test_parameters_that_python_takes_for_equal_are_not_shared():
    tools = [
        SHAPES["mcp"](f"tool{number}", "", {"type": "object", "properties": {"x": {"default": default}}})
        for number, default in enumerate([1, 1.0, True, 1, True])
    ]
    assert same(decode_tools(encode_tools(tools, notation="signatures").text), normal_tools(tools))


def test_parameters_that_others_are_made_of_come_first():
    inner = {"type": "string", "description": "an id"}
    outer = {"type": "object", "additionalProperties": {"type": "object", "properties": {"id": inner}}}
    tool = SHAPES["mcp"](
        "get", "", {"type": "object", "properties": {"all": {**outer, "description": "all"}, "id": inner}}
    )
    text = encode_tools([tool], notation="signatures").text
    assert text.index("id:str") < text.index("all:")
    assert decode_tools(text) == normal_tools([tool])


def test_a_description_that_is_none_is_not_dropped():
    schema = {
        "type": "object",
        "properties": {"description": {"default": {"description": "x"}, "description": "y"}},
    }
    encoded = encode_tools([{"name": "a", "parameters": schema}], descriptions=False, notation="signatures")
    assert encoded.dropped == ("/a/parameters/properties/description/description",)
    assert decode_tools(encoded.text)[0]["parameters"]["properties"] == {
        "description": {"default": {"description": "x"}}
    }


def test_tools_that_call_themselves_are_no_longer_than_their_json():
    tool = SHAPES["openai"]("grow", "Grow", {"type": "array", "items": {"$ref": "#"}, "description": "x"})
    encoded = encode_tools([tool], descriptions=False)
    assert encoded.tokens <= encoded.tokens_before
    assert decode_tools(encoded.text) == normal_tools([tool], descriptions=False)


def test_a_catalogue_as_mcp_lists_it_and_none_at_all():
    tool = SHAPES["mcp"]("look", "Look around", {"type": "object"})
    assert normal_tools({"tools": [tool]}) == normal_tools([tool])
    assert decode_tools(encode_tools([]).text) == []
    assert decode_tools(json.dumps([tool])) == normal_tools([tool])


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ("get", "is no list of tools"),
        ([7], "is no tool"),
        ([{"description": "x"}], "a tool has no name"),
        ([{"name": "a"}, {"name": "a"}], "more than one tool is called 'a'"),
        ([{"name": "a", "parameters": 7}], "the schema of a is 7"),
        ([{"name": "a", "x": {1}}], "no JSON"),
        (
            [{"name": "a", "parameters": {"type": "object", "properties": {"b": {"default": float("nan")}}}}],
            "JSON",
        ),
    ],
)
def test_what_is_no_catalogue(tools, message):
    with pytest.raises(EncodingError, match=message):
        encode_tools(tools)


def test_what_is_nested_beyond_measure():
    schema = {"type": "string"}
    for _ in range(3000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(EncodingError, match="nested too deeply"):
        encode_schema(schema)
    with pytest.raises(EncodingError):
        encode_tools([{"name": "a", "parameters": schema}])
    with pytest.raises(DecodingError, match="nested too deeply"):
        decode_schema("[" * 3000 + "int" + "]" * 3000)
    with pytest.raises(DecodingError, match="nested too deeply"):
        decode_tools("tools\na(x:" + "[" * 3000 + "int" + "]" * 3000 + ")")


@pytest.mark.parametrize("depth", range(60, 400, 20))
def test_whatever_the_depth_it_is_encoded_or_refused(depth):
    schema = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    tool = {"name": "a", "parameters": {"type": "object", "properties": {"x": schema}}}
    for encode, decode, normal, value in (
        (encode_schema, decode_schema, normal_schema, schema),
        (encode_tools, decode_tools, normal_tools, [tool]),
    ):
        try:
            text = str(encode(value))
        except EncodingError:
            continue
        with suppress(DecodingError):  # which needs more of the stack
            assert same(decode(text), normal(value))


def test_keywords_that_are_of_no_use_are_kept():
    line = encode_schema({"description": 7, "type": "file", "required": "x"})
    assert same(decode_schema(line), {"description": 7, "type": "file", "required": "x"})
    with pytest.raises(EncodingError, match="no JSON"):
        encode_schema({"default": {1}})


def test_there_is_no_such_notation():
    with pytest.raises(ConfigurationError, match="give one of signatures, dense"):
        encode_tools([], notation="toon")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tools\nget(id)", "line 2, column 7: the type of 'id' should stand here, not '\\)'"),
        ("tools\n\nget(", "line 3, column 5: a name should stand here, not 'the end of the line'"),
        ("tools\nget(id:low|int)", "line 2, .*: a type"),
        ("tools\nget() put", "line 2, .*: the end of the line"),
        ("tools\nget(a:int(x=)", "line 2, .*: JSON"),
        ("tools\nget(a:int(1..2 ", "line 2, .*: ','"),
        ('tools\nget()\n[["put","Put"]]', "line 3: .* describes no tool"),
        ("tools\nget()\n[7]", "line 3: 7 describes no tool"),
        ("[7]", "no catalogue"),
        ("[[[", None),
    ],
)
def test_what_is_no_text_of_ours(text, message):
    with pytest.raises(DecodingError, match=message):
        decode_tools(text)


@pytest.mark.parametrize("text", ["int)", "{a:int", "int(1..2", "anyOf(int", "", "int<a>", "bool(1..2)"])
def test_what_is_no_line_of_ours(text):
    with pytest.raises(DecodingError) as caught:
        decode_schema(text)
    assert caught.value.line == 1
