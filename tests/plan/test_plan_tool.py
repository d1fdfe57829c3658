"""Tools: from functions and schemas, their signatures, and how arguments are bound and refused."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, Required, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from llmopt.errors import ConfigurationError, PlanValidationError
from llmopt.plan._text import brief, folded, suggest
from llmopt.plan.convert import convert
from llmopt.plan.docstring import Docstring, sentence
from llmopt.plan.from_signature import type_of_annotation
from llmopt.plan.limits import Limits
from llmopt.plan.parameter import Parameter, ValueType
from llmopt.plan.tool import Bound, Tool, Tools


class Stance(enum.Enum):
    CROUCH = 1
    PRONE = 2


class Side(enum.StrEnum):
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True)
class Cell:
    """A cell.

    Args:
        x: column.
    """

    x: int
    y: int
    z: int = 0

    def __post_init__(self):
        if self.x < 0:
            raise ValueError(f"x={self.x} lies outside")


class Spot(TypedDict):
    x: int
    y: int
    label: NotRequired[str]


class Loose(TypedDict, total=False):
    a: Required[int]
    b: str


class Pair(NamedTuple):
    a: int
    b: str = "b"


class Item(BaseModel):
    name: str
    count: int = Field(default=1, ge=1)


Ident = NewType("Ident", int)


def move_to(x: int, y: int, *, run: bool = False):
    """Walk to a cell. Takes a while.

    Args:
        x: column, from
            the left.
        y (int): row
        run: whether to hurry

    Returns:
        nothing: at all
    """


# signatures


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (float, "number"),
        (str, "string"),
        (bool, "boolean"),
        (Any, "any"),
        (Ident, "int"),
        (TypeAliasType("Alias", list[int]), "[int]"),
        (Optional[int], "int|null"),  # noqa: UP045
        (int | float, "number"),
        (int | str, "int|string"),
        (int | str | None, "int|string|null"),
        (Literal["a", "b c", 3], 'a|"b c"|3'),
        (Literal["a", None], "a|null"),  # noqa: PYI061
        (Literal[Side.LEFT], "left"),
        (Stance, "CROUCH|PRONE"),
        (Side, "left|right"),
        (list[int], "[int]"),
        (list, "[any]"),
        (set[str], "[string]"),
        (tuple[int, ...], "[int]"),
        (tuple[int, str], "[int,string]"),
        (dict[str, int], "{string:int}"),
        (dict, "{}"),
        (Cell, "[x:int,y:int,z:int=0]"),
        (Spot, "[x:int,y:int,label?:string]"),
        (Loose, "[a:int,b?:string]"),
        (Pair, "[a:int,b:string=b]"),
        (Item, "[name:string,count:int>=1=1]"),
        (Annotated[int, Field(ge=0, le=9)], "0..9"),
        (Annotated[float, Field(ge=0, le=1)], "number 0..1"),
        (Annotated[float, Field(gt=0, lt=1)], "number>0<1"),
    ],
)
def test_annotations_become_types(annotation, text):
    assert type_of_annotation(annotation).text() == text


def test_annotated_lengths_belong_to_strings_or_to_lists():
    assert type_of_annotation(Annotated[str, Field(min_length=2)]).limits == Limits(min_length=2)
    assert type_of_annotation(Annotated[list[int], Field(max_length=2)]).limits == Limits(max_items=2)


@dataclass
class Node:
    children: list[Node]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (complex, "annotation <class 'complex'>"),
        (dict[int, str], "keys of <class 'int'>"),
        (Literal[b"a"], "JSON has"),
        (Node, "refers to itself"),
        (enum.Enum("Empty", []), "has no members"),
        (Annotated[int, Field(multiple_of=-1)], "multiple_of=-1"),
    ],
)
def test_annotations_that_json_has_not_are_refused(annotation, message):
    with pytest.raises(ConfigurationError, match=message):
        type_of_annotation(annotation, "f: x")


def test_a_function_is_read():
    tool = Tool.of(move_to)
    assert tool.signature() == "move_to(x:int,y:int,run:boolean=false): Walk to a cell"
    assert tool.signature("types") == "move_to(x:int,y:int,run:boolean=false)"
    assert tool.signature("full").endswith(
        ": Walk to a cell; x: column, from the left; y: row; run: whether to hurry"
    )
    assert Tool.of(tool) is tool
    assert tool == Tool.of(move_to)
    assert hash(tool) == hash(Tool.of(move_to))


def test_equal_functions_make_equal_tools_whatever_their_types():
    def f(a: Cell, b: Stance, c: Side, d: Pair, e: list[int] = [1]): ...  # noqa: B006

    assert Tool.of(f) == Tool.of(f)
    assert len({Tool.of(f), Tool.of(f)}) == 1


def test_what_a_plan_cannot_give_is_left_out():
    def f(x: int, *rest: int, llm_tool_call: Any = None, y, **more: int): ...

    assert Tool.of(f).signature() == "f(x:int,y)"


def test_required_parameters_come_first():
    def f(*, a: int = 1, b: int, c: Stance = Stance.PRONE, d: Side = Side.LEFT): ...

    assert Tool.of(f).signature() == "f(b:int,a:int=1,c:CROUCH|PRONE=PRONE,d:left|right=left)"


def test_descriptions_of_annotated_parameters_count():
    def f(a: Annotated[int, "how far"], b: Annotated[int, Field(description="how fast")]): ...

    assert [parameter.description for parameter in Tool.of(f).parameters] == ["how far", "how fast"]


def test_bound_methods_are_tools():
    class Body:
        def jump(self, height: float = 1.5):
            """Jump."""

    assert Tool.of(Body().jump).signature() == "jump(height:number=1.5): Jump"
    with pytest.raises(ConfigurationError, match=r"thing\.jump"):
        Tool.of(Body.jump)


def positional(x, /): ...


def unresolved(x: Nowhere): ...  # noqa: F821


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (positional, "positional-only"),
        (unresolved, "signature cannot be read"),
        (lambda x: x, "name='<lambda>'"),
        (3, "it must be a function"),
        (Cell, "it must be a function"),
        ({"name": 3}, "it must be a function as"),
        ({"function": 3}, "it must be a function as"),
        ({"name": "f", "parameters": {"type": "array"}}, "parameters of a function are an object"),
        ({"name": "f", "parameters": {"properties": {"x": 3}}}, r"Tool.of\(f\).x: 3"),
        ({"name": "f", "parameters": {"properties": [3]}}, "properties="),
        ({"name": "f", "parameters": {"properties": {"x": {"type": "int"}}}}, "type='int'"),
        ({"name": "f", "parameters": {"properties": {"x": {"$ref": "#/$defs/no"}}}}, "no such place"),
        ({"name": "f", "parameters": {"properties": {"x": {"$ref": "http://else"}}}}, "no such place"),
        ({"name": "f", "parameters": {"properties": {"x": {"anyOf": 3}}}}, "anyOf=3"),
        ({"name": "f", "parameters": {"properties": {"x": {"allOf": [3]}}}}, "allOf"),
        ({"name": "f", "parameters": {"properties": {"x": {"minimum": "3"}}}}, "minimum='3'"),
    ],
)
def test_what_is_no_tool_is_refused(source, message):
    with pytest.raises(ConfigurationError, match=message):
        Tool.of(source)


def test_tools_are_checked_when_they_are_made():
    with pytest.raises(ConfigurationError, match="more than once"):
        Tool("f", (Parameter("x"), Parameter("x")))
    with pytest.raises(ConfigurationError, match="before optional"):
        Tool("f", (Parameter("x", required=False), Parameter("y")))
    for name in ("", "two words", "1st", None):
        with pytest.raises(ConfigurationError, match="Tool: name="):
            Tool(name)
    with pytest.raises(ConfigurationError, match="Parameter: name"):
        Parameter("")
    with pytest.raises(ConfigurationError, match="kind='int'"):
        ValueType("int")
    for wrong in (
        {"minimum": "1"},
        {"min_length": -1},
        {"maximum": True},
        {"multiple_of": 0},
        {"pattern": "("},
    ):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            Limits(**wrong)


# binding


def bound(*args, **kwargs):
    tool = Tool.of(move_to)
    return tool.bind(kwargs or [*args])


def test_arguments_are_bound_by_position_and_by_name():
    assert bound(3, 4) == {"x": 3, "y": 4}
    assert bound(3, 4, True) == {"x": 3, "y": 4, "run": True}
    assert bound(3, 4, None) == {"x": 3, "y": 4}
    assert bound(x=3, y=4, run=None) == bound(y=4, x=3)
    assert bound(3.0, 4).repairs == ()
    assert type(bound(3.0, 4)["x"]) is int


def test_repairs_are_never_silent():
    assert bound("3", 4).repairs == ('move_to.x: "3" taken for 3',)
    assert bound(X=3, y=4, Run="True").repairs == (
        'move_to: "X" taken for "x"',
        'move_to: "Run" taken for "run"',
        'move_to.run: "True" taken for true',
    )
    assert bound([3, 4]).repairs == ("move_to: arguments taken out of a list",)
    assert bound({"x": 3, "y": 4}) == {"x": 3, "y": 4}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([3], "move_to lacks y, an int"),
        ([3, 4, True, 5], "move_to takes at most 3 values (x, y, run), but 4 are given"),
        ([3, "four"], 'move_to.y is "four", but it must be an int'),
        ([3, True], "move_to.y is true, but it must be an int"),
        ([3, 4.5], "move_to.y is 4.5, but it must be an int"),
        ([3, 4, 1], "move_to.run is 1, but it must be a boolean"),
        ({"x": 3, "yy": 4}, 'move_to has no "yy", did you mean "y"?'),
        ({"x": 3, "y": 4, "speed": 2}, 'move_to has no "speed", there are only "x", "y", "run"'),
        ({"x": 3, "X": 4}, 'move_to has "x" more than once'),
        ("3 4", 'the arguments of move_to are "3 4", but must be a list'),
        (None, "the arguments of move_to are null, but must be a list"),
    ],
)
def test_faults_say_what_and_where_and_what_would_be_right(args, message):
    with pytest.raises(PlanValidationError) as caught:
        Tool.of(move_to).bind(args)
    assert str(caught.value) == message


def test_a_tool_without_parameters_takes_nothing():
    with pytest.raises(PlanValidationError, match=r"takes at most 0 values \(none\)"):
        Tool("wait").bind([1])
    with pytest.raises(PlanValidationError, match='has no "s", there are none'):
        Tool("wait").bind({"s": 1})
    assert Tool("wait").bind([{}]) == {}


def test_values_become_what_the_function_takes():
    def f(  # noqa: PLR0917
        a: Cell, b: Stance, c: Side, d: tuple[int, int], e: frozenset[str], g: Item, h: Spot | None
    ): ...

    args = Tool.of(f).bind([[1, 2], "Crouch", "right", [1, 2], ["x"], {"name": "n"}, [1, 2]])
    assert args == {
        "a": Cell(1, 2), "b": Stance.CROUCH, "c": Side.RIGHT, "d": (1, 2), "e": frozenset({"x"}),
        "g": Item(name="n"), "h": {"x": 1, "y": 2},
    }  # fmt: skip
    assert args.repairs == ('f.b: "Crouch" taken for "CROUCH"',)
    assert Tool.of(f).bind([{"y": 2, "x": 1}, "PRONE", "left", [1, 2], [], ["n"], None])["h"] is None


def test_what_a_type_itself_refuses_is_a_fault():
    def f(a: Cell): ...

    with pytest.raises(PlanValidationError, match="what its type takes: ValueError: x=-1 lies outside"):
        Tool.of(f).bind([[-1, 2]])


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (ValueType("number"), "x", "a number"),
        (ValueType("number"), float("inf"), "a number"),
        (ValueType("number"), True, "a number"),
        (ValueType("string"), 1.5, "a string"),
        (ValueType("string"), 10**40, "a string"),
        (ValueType("boolean"), "yes", "a boolean"),
        (ValueType("array"), {}, r"a \[\]"),
        (ValueType("object"), [], r"a \{\}"),
        (ValueType("integer", limits=Limits(minimum=0, maximum=9)), None, "an int, 0..9"),
        (ValueType("integer", limits=Limits(minimum=0)), -1, "at least 0"),
        (ValueType("integer", limits=Limits(maximum=0)), 1, "at most 0"),
        (ValueType("number", limits=Limits(above=0)), 0, "more than 0"),
        (ValueType("number", limits=Limits(below=0)), 0, "less than 0"),
        (ValueType("integer", limits=Limits(multiple_of=3)), 4, "a multiple of 3"),
        (ValueType("number", limits=Limits(multiple_of=0.1)), 10**400, "a multiple of 0.1"),
        (ValueType("string", limits=Limits(min_length=2)), "a", "at least 2 characters"),
        (ValueType("string", limits=Limits(max_length=2)), "abc", "at most 2 characters"),
        (ValueType("string", limits=Limits(pattern="^a")), "b", "of the form"),
        (ValueType("array", limits=Limits(min_items=1)), [], "at least 1 items"),
        (ValueType("array", limits=Limits(max_items=1)), [1, 2], "at most 1 items"),
        (ValueType("array", limits=Limits(unique=True)), [1, 1], "without duplicates"),
        (ValueType("array", fixed=(ValueType("integer"),)), [1, 2], r"a list of 1: \[int\]"),
        (ValueType("array", items=ValueType("integer")), [1, "a"], r"v\[1\] is"),
        (ValueType("string", choices=("low", "high")), "hi", r"one of low\|high"),
        (ValueType("string", choices=("low", "high")), "hihg", 'did you mean "high"'),
        (ValueType("integer", choices=(1, 2)), True, r"one of 1\|2"),
        (ValueType("integer", choices=(1, 2)), [1], r"one of 1\|2"),
        (ValueType(options=(ValueType("integer"), ValueType("boolean"))), "x", r"an int\|boolean"),
        (ValueType("object", fields=(Parameter("a"),)), {"b": 1}, 'has no "b"'),
    ],
)
def test_every_kind_refuses_what_it_is_not(kind, value, message):
    with pytest.raises(PlanValidationError, match=message):
        convert(value, kind, "v", [])


@pytest.mark.parametrize(
    ("kind", "value", "taken", "repairs"),
    [
        (ValueType("number"), "1.5", 1.5, 1),
        (ValueType("number"), "-2", -2, 1),
        (ValueType("number"), 3, 3, 0),
        (ValueType("string"), 7, "7", 1),
        (ValueType("integer", choices=(1, 2)), "2", 2, 1),
        (ValueType("boolean", choices=(True,)), True, True, 0),
        (ValueType("number", limits=Limits(multiple_of=0.1)), 0.3, 0.3, 0),
        (ValueType("integer", limits=Limits(multiple_of=3)), 9, 9, 0),
        (ValueType(options=(ValueType("integer"), ValueType("string"))), "3", "3", 0),
        (ValueType(options=(ValueType("integer"), ValueType("boolean"))), "3", 3, 1),
        (ValueType("object", extra=True), {"a": [1]}, {"a": [1]}, 0),
        (ValueType("object", extra=True, items=ValueType("integer")), {"a": "1"}, {"a": 1}, 1),
        (ValueType("array", items=ValueType("string", nullable=True)), [None, "a"], [None, "a"], 0),
    ],
)
def test_every_kind_takes_what_it_is(kind, value, taken, repairs):
    notes = []
    found = convert(value, kind, "v", notes)
    assert (found, type(found), len(notes)) == (taken, type(taken), repairs)


VALUES = {
    "integer": st.integers(-(10**9), 10**9),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(max_size=8),
    "boolean": st.booleans(),
    "array": st.lists(st.integers(), max_size=3),
    "object": st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
    "any": st.none() | st.integers() | st.text(max_size=3),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def tools_with_values(draw):
    kinds = draw(st.lists(st.sampled_from([kind for kind in VALUES if kind != "any"]), max_size=4))
    required = draw(st.integers(0, len(kinds)))
    parameters = tuple(
        Parameter(f"p{n}", ValueType(kind, extra=True), required=n < required) for n, kind in enumerate(kinds)
    )
    values = {p.name: draw(VALUES[p.type.kind]) for p in parameters}
    return Tool("f", parameters), values


@settings(max_examples=150)
@given(tools_with_values())
def test_valid_arguments_are_bound_unchanged_in_both_ways(case):
    tool, values = case
    for args in (values, [*values.values()]):
        if args == [*values.values()] and len(values) == 1 and isinstance(args[0], (list, dict)):
            continue
        found = tool.bind(args)
        assert (found, found.repairs) == (values, ())
        assert tool.bind(found) == found


def outcome(tool, args):
    try:
        return tool.bind(args)
    except PlanValidationError as error:
        return str(error)


@settings(max_examples=100)
@given(tools_with_values(), JSON | st.lists(JSON, max_size=4))
def test_whatever_comes_is_bound_or_refused_with_one_sentence(case, args):
    tool, _ = case
    found = outcome(tool, args)
    if isinstance(found, str):
        assert found.strip()
        assert "\n" not in found
    else:
        assert isinstance(found, Bound)
        assert (
            {p.name for p in tool.parameters if p.required} <= set(found) <= {p.name for p in tool.parameters}
        )


# the rest


def test_tools_are_found_by_name():
    tools = Tools.of([move_to, Tool("wait")])
    assert Tools.of(tools) is tools
    assert (len(tools), [tool.name for tool in tools]) == (2, ["move_to", "wait"])
    assert tools.find("wait", []).name == "wait"
    assert tools.find("MoveTo", notes := []) is tools.tools[0]
    assert notes == ['"MoveTo" taken for "move_to"']
    assert tools.knows("Move-To")
    assert not tools.knows("fly")
    assert not tools.knows(3)
    with pytest.raises(PlanValidationError, match='no tool "moveto2", did you mean "move_to"'):
        tools.find("moveto2", [])
    with pytest.raises(ConfigurationError, match="wait is there more than once"):
        Tools.of([Tool("wait"), Tool("wait")])
    assert tools.text("types") == "move_to(x:int,y:int,run:boolean=false)\nwait()"


def test_names_alike_are_told_apart_when_there_are_two():
    assert folded("ab", ["a_b", "A-B"]) is None
    assert folded("--", ["a"]) is None
    assert suggest("x", [f"name{n}" for n in range(20)]).endswith(", ...")


def test_anything_can_be_shown():
    assert brief(object()).startswith('"<object')
    assert "dict" in brief({(1, 2): 3})
    nested = []
    nested.append(nested)
    assert "list" in brief(nested)


def test_docstrings_of_other_shapes_do_no_harm():
    assert Docstring.parse(None).summary == ""
    assert Docstring.parse("Args:\n    x: y").summary == ""
    odd = Docstring.parse(
        "Does.\n\nArgs:\n    x: one\n      more\n    not an entry\n        its rest\n\nNote:\n    z: no"
    )
    assert dict(odd.arguments) == {"x": "one more"}
    assert sentence("About 1.5 m. Then more.") == "About 1.5 m"
    assert sentence("") == ""
