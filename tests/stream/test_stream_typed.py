"""Typed plans: decoded from the slice, and refused where they do not fit."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TypedDict

import msgspec
import orjson
import pydantic
import pytest

from llmopt.errors import ConfigurationError, PlanSyntaxError, PlanValidationError
from llmopt.stream import PlanStream


class Model(pydantic.BaseModel):
    agent_id: int
    steps: list[str] = []
    note: str = pydantic.Field(default="", alias="remark")


class Struct(msgspec.Struct):
    agent_id: int
    steps: list[str] = []


class Row(msgspec.Struct, array_like=True):
    agent_id: str
    step: list[object]


@dataclasses.dataclass
class Data:
    agent_id: int
    steps: list[str] = dataclasses.field(default_factory=list)


class Typed(TypedDict):
    agent_id: int
    steps: list[str]


def function(raw):
    return ("mine", orjson.loads(raw)["agent_id"])


REPLY = '[{"agent_id": 1, "steps": ["a"]}, {"agent_id": 2, "steps": []}]'
KINDS = {
    "pydantic": (Model, Model(agent_id=1, steps=["a"])),
    "adapter": (pydantic.TypeAdapter(Model), Model(agent_id=1, steps=["a"])),
    "msgspec": (Struct, Struct(1, ["a"])),
    "dataclass": (Data, Data(1, ["a"])),
    "TypedDict": (Typed, {"agent_id": 1, "steps": ["a"]}),
    "annotation": (dict[str, object], {"agent_id": 1, "steps": ["a"]}),
    "function": (function, ("mine", 1)),
    "dict": (dict, {"agent_id": 1, "steps": ["a"]}),
}


def run(reply, kind, size=4, **options):
    stream = PlanStream(kind, **options)
    found = []
    for at in range(0, len(reply), size):
        found += stream.feed(reply[at : at + size])
    return found, stream.finalize()


@pytest.mark.parametrize("mode", ["strict", "lenient", "repair"])
@pytest.mark.parametrize("size", [1, 4, 10_000])
@pytest.mark.parametrize("form", [str, str.encode])
@pytest.mark.parametrize(("kind", "first"), KINDS.values(), ids=KINDS)
def test_plans_are_of_the_type_that_was_asked_for(kind, first, form, size, mode):
    found, result = run(form(REPLY), kind, size, mode=mode, expected=[1, 2, 3])
    assert found[0] == first
    assert type(found[0]) is type(first)
    assert len(found) == 2
    assert result.missing == (3,)


@pytest.mark.parametrize("kind", [Model, Struct, Data, Typed], ids=lambda kind: kind.__name__)
def test_a_plan_that_does_not_fit_is_refused_and_named(kind):
    reply = REPLY.replace('"agent_id": 2', '"agent_id": "b"')
    found, result = run(reply, kind, mode="strict")
    assert len(found) == 1
    (row,) = result.failed
    assert (row.agent_id, row.raw, row.offset) == ("b", '{"agent_id": "b", "steps": []}', 34)
    assert isinstance(row.error, PlanValidationError)
    assert row.error.raw == row.raw
    assert result.errors == (row.error,)


def test_on_error_raise_ends_the_stream_after_the_plans_before():
    stream = PlanStream(Model, on_error="raise")
    found = stream.feed(REPLY.replace('"agent_id": 2', '"agent_id": "b"'))
    assert [plan.agent_id for plan in found] == [1]
    with pytest.raises(PlanValidationError, match="agent 'b' at offset 34 is refused"):
        stream.feed(" ")


def test_no_json_is_a_syntax_error_whatever_the_type():
    for kind, _ in KINDS.values():
        with pytest.raises(PlanSyntaxError):
            run('[{"agent_id": 1, }]', kind, mode="strict")


def test_large_chunks_are_decoded_at_once_and_refused_one_by_one():
    plans = [{"agent_id": number, "steps": ["x" * 30]} for number in range(200)]
    plans[77]["agent_id"] = "seventy-seven"
    for kind in (Model, Struct):
        found, result = run(json.dumps(plans), kind, 1 << 16)
        assert [plan.agent_id for plan in found] == [n for n in range(200) if n != 77]
        assert [row.agent_id for row in result.failed] == ["seventy-seven"]


def test_rows_are_typed_too():
    reply = '["a1", ["Wait", 2]]\n["a2", ["Wait", 3]]\n'
    found, result = run(reply, Row, id_key=0, expected=["a1", "a2", "a3"])
    assert found == [Row("a1", ["Wait", 2]), Row("a2", ["Wait", 3])]
    assert result.missing == ("a3",)


def test_mended_plans_are_typed_and_refused_like_all_others():
    damaged = (
        '[{"agent_id": 1, "steps": ["a\nb"]}, {"agent_id": 2, "steps": ["c"],}, {"agent_id": 3, "steps": 4,}]'
    )
    found, result = run(damaged, Model, mode="repair")
    assert [(plan.agent_id, plan.steps) for plan in found + list(result.plans)] == [(1, ["a\nb"]), (2, ["c"])]
    assert result.repaired == (1, 2)
    assert [row.agent_id for row in result.failed] == [3]


def test_fields_tell_a_plan_from_a_wrapper():
    class Quest(pydantic.BaseModel):
        name: str
        tasks: list[dict[str, int]]

    assert run('{"name": "q", "tasks": [{"x": 1}]}', Quest)[0] == [Quest(name="q", tasks=[{"x": 1}])]


@pytest.mark.parametrize("kind", [3, "Plan", object()])
def test_what_is_no_type_is_refused(kind):
    with pytest.raises(ConfigurationError, match="a type of plans is"):
        PlanStream(kind)


def test_what_pydantic_does_not_know_is_refused():
    with pytest.raises(ConfigurationError, match="pydantic makes no decoder"):
        PlanStream(dict[str, type("Unknown", (), {})])


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [("json_repair", {"mode": "repair"}, "repair"), ("jiter", {"partial": True}, "partial")],
)
def test_an_absent_package_is_named_with_its_extra(monkeypatch, module, options, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ConfigurationError, match=rf'{module} is not installed: pip install "llmopt\[{extra}\]"'
    ):
        PlanStream(**options)
