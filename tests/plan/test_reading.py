"""One answer read: rows in pieces, rows that are none, and answers that are no rows at all."""

from __future__ import annotations

import pytest

from llmopt.errors import PlanSyntaxError
from llmopt.plan import Tools
from llmopt.plan.handles import Handles
from llmopt.plan.reading import PlanReader


def wait(seconds: int) -> None:
    """Stay still."""


def reader() -> PlanReader:
    return PlanReader(Tools.of([wait]), Handles.of(["ann", "bob"]))


def test_rows_come_with_their_last_character() -> None:
    reading = reader()
    assert list(reading.feed('["ann",["wait",2]')) == []
    (found,) = reading.feed("]\n")
    assert (found.agent, str(found.steps[0]) if found.steps else "", found.text) == (
        "ann",
        "wait(seconds=2)",
        '["ann",["wait",2]]',
    )
    assert list(reading.close()) == []


def test_faults_name_the_agent_where_that_can_be_told() -> None:
    reading = reader()
    (found,) = reading.feed('["bob",["fly"]]')
    assert (found.agent, found.steps) == ("bob", None)
    assert 'no tool "fly"' in found.fault
    assert list(reading.feed('\n["ann",["wait",,')) == []
    (cut,) = reading.close()
    assert cut.agent == "ann"


def test_an_answer_without_a_row_says_so() -> None:
    reading = reader()
    assert list(reading.feed("I would rather not.")) == []
    (found,) = reading.close()
    assert (found.agent, found.fault) == (None, "the answer has no row in it")


@pytest.mark.parametrize("when", ["feed", "finalize"])
def test_an_answer_that_breaks_the_parser_is_one_fault(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise PlanSyntaxError("no JSON from here on", plans=(["ann", ["wait", 2]],) if when == "feed" else ())

    reading = reader()
    monkeypatch.setattr(reading._stream, when, broken)
    found = [*reading.feed("x"), *reading.feed("y"), *reading.close()]
    assert found[-1].fault == "no JSON from here on"
    assert [row.agent for row in found] == (["ann", None] if when == "feed" else [None])
