"""Batches over scripted models: in turn, in threads, in tasks; early ends, deadlines, late plans."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from contextlib import aclosing, nullcontext
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from llmopt.chain.clock import SystemClock
from llmopt.plan import arequests, requests
from llmopt.plan.desk import Desk
from llmopt.plan.drive import adrive, drive
from llmopt.plan.events import Callback, Found, Office
from llmopt.plan.session import Ask, Schedule, Session, Tier
from llmopt.plan.types import Plan, Step
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel

BACKENDS = ["asyncio", "trio"]


class Lines:
    """Reads `agent: step` lines, and JSON lists of steps; what has no colon is a fault."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterable[Found]:
        *lines, self._rest = (self._rest + text).split("\n")
        return [self._found(line) for line in lines if line]

    def close(self) -> Iterable[Found]:
        return []

    def _found(self, line: str) -> Found:
        agent, colon, step = line.partition(":")
        if not colon:
            return Found(None, None, "no colon", line)
        return Found(agent, (Step(step),) if step else None, "" if step else "no step", line)


class Stage:
    """All that a batch needs, over one scripted model."""

    def __init__(
        self, model: Any, schedule: Schedule, tiers: dict[str, Any] | None = None, **known: Plan
    ) -> None:
        self.model = model
        self.kept: list[Plan] = []
        self.asked: list[Ask] = []
        names = list(tiers or {})
        session = Session([schedule], tiers=[Tier(name) for name in names])
        callbacks = {
            index: Callback(name, (tiers or {})[name], lambda _, made: (Step(made),))
            for index, name in enumerate(names)
        }
        office = Office(
            lambda _: Lines(), len, lambda ask: json.dumps(ask.agents), self.kept.append, callbacks
        )
        agents = [agent for wave in schedule.waves for ask in wave for agent in ask]
        self.desk = Desk(session, office, SystemClock(), [*known, *agents], known)

    def prompt(self, ask: Ask) -> Any:
        self.asked.append(ask)
        return self.model.prompt(" ".join(map(str, ask.agents)))

    def labels(self, ask: Ask) -> Any:
        return nullcontext()

    def enough(self, ask: Ask) -> bool:
        return not self.desk.wants_more(ask)

    def threads(self, limit: int = 4, deadline_s: float | None = None) -> requests.InThreads:
        return requests.InThreads(
            partial(requests.listen, self.prompt, self.enough, self.labels), limit, deadline_s, self.desk.take
        )

    def in_turn(self) -> requests.InTurn:
        return requests.InTurn(partial(requests.listen, self.prompt, self.enough, self.labels))

    def tasks(self, limit: int = 4, deadline_s: float | None = None) -> arequests.InTasks:
        return arequests.InTasks(
            partial(arequests.alisten, self.prompt, self.enough, self.labels),
            limit,
            deadline_s,
            self.desk.take,
        )

    def atasks_in_turn(self) -> arequests.InTurn:
        return arequests.InTurn(partial(arequests.alisten, self.prompt, self.enough, self.labels))


def one_call(*agents: str) -> Schedule:
    return Schedule(((agents,),))


def singly(*agents: str) -> Schedule:
    return Schedule((tuple((agent,) for agent in agents),))


def echo(prompt: Any) -> Answer:
    """A plan for every agent, a character at a time."""
    text = "".join(f"{agent}:go\n" for agent in prompt.prompt.split())
    return Answer(chunks=list(text))


SOURCES = ["in_turn", "threads"]
ASOURCES = ["atasks_in_turn", "tasks"]


@pytest.mark.parametrize("source", SOURCES)
def test_each_plan_comes_with_its_last_byte(source: str) -> None:
    stage = Stage(ScriptedModel(echo), one_call("a", "b"))
    plans = list(drive(stage.desk.course(), getattr(stage, source)()))
    assert [(plan.agent, plan.status, str(plan[0])) for plan in plans] == [
        ("a", "ok", "go()"),
        ("b", "ok", "go()"),
    ]
    batch = stage.desk.result()
    assert dict(batch) == {plan.agent: plan for plan in plans}
    assert (batch.usage.calls, batch.usage.exact) == (1, True)
    assert stage.kept == plans
    assert plans[0].provenance.call_id is not None
    assert plans[0].provenance.attempt == 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", ASOURCES)
def test_each_plan_comes_with_its_last_byte_in_a_loop(source: str, backend: str) -> None:
    stage = Stage(AsyncScriptedModel(echo), one_call("a", "b"))

    async def main() -> list[Plan]:
        return [plan async for plan in adrive(stage.desk.course(), getattr(stage, source)())]

    plans = anyio.run(main, backend=backend)
    assert [(plan.agent, plan.status) for plan in plans] == [("a", "ok"), ("b", "ok")]


def test_a_plan_is_there_before_the_next_is_said() -> None:
    stage = Stage(ScriptedModel(echo), one_call("a", "b"))
    plans = drive(stage.desk.course(), stage.in_turn())
    assert next(plans).agent == "a"
    (call,) = stage.model.calls
    assert "".join(call.response._chunks) == "a:go\n"


def test_what_is_known_is_handed_out_first_and_not_asked_for() -> None:
    known = Plan("k", (Step("stay"),))
    stage = Stage(ScriptedModel(echo), one_call("a"), k=known)
    assert [plan.agent for plan in drive(stage.desk.course(), stage.in_turn())] == ["k", "a"]
    assert stage.asked[0].agents == ("a",)
    assert list(stage.desk.result()) == ["k", "a"]


def test_the_missing_are_repaired_and_the_hopeless_fall_back() -> None:
    script = ["a:go\nb:\nnonsense\n", "b:run\n", "c:\n"]
    stage = Stage(ScriptedModel(script), one_call("a", "b", "c"), {"rules": lambda agent: f"wait {agent}"})
    plans = list(drive(stage.desk.course(), stage.in_turn()))
    assert [(plan.agent, plan.status, plan.tier) for plan in plans] == [
        ("a", "ok", 0),
        ("b", "repaired", 0),
        ("c", "fallback", 1),
    ]
    assert plans[1].faults == ("no step",)
    assert plans[2].provenance.source == "rules"
    assert [(ask.agents, ask.attempt) for ask in stage.asked] == [
        (("a", "b", "c"), 1),
        (("b", "c"), 2),
        (("c",), 3),
    ]
    assert stage.desk.result().status() == {"ok": 1, "repaired": 1, "fallback": 1, "missing": 0}


def test_a_fallback_that_fails_leaves_the_plan_missing() -> None:
    def broken(agent: object) -> str:
        raise LookupError(agent)

    stage = Stage(ScriptedModel([RuntimeError("down")]), one_call("a"), {"rules": broken})
    (plan,) = drive(stage.desk.course(), stage.in_turn())
    assert (plan.status, bool(plan)) == ("missing", False)
    assert plan.faults == ("RuntimeError: down", "LookupError: a")


def test_an_async_fallback_is_refused_in_threads_and_awaited_in_a_loop() -> None:
    async def rules(agent: object) -> str:
        await anyio.lowlevel.checkpoint()
        return f"wait {agent}"

    stage = Stage(ScriptedModel([RuntimeError("down")]), one_call("a"), {"rules": rules})
    (plan,) = drive(stage.desk.course(), stage.in_turn())
    assert "async" in plan.faults[-1]
    astage = Stage(AsyncScriptedModel([RuntimeError("down")]), one_call("a"), {"rules": rules})

    async def main() -> list[Plan]:
        return [plan async for plan in adrive(astage.desk.course(), astage.tasks())]

    assert anyio.run(main)[0].status == "fallback"


def test_requests_run_together_up_to_the_limit() -> None:
    together, most, lock = 0, 0, threading.Lock()
    meet = threading.Barrier(2, timeout=10)

    def answer(prompt: Any) -> Answer:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        meet.wait()
        with lock:
            together -= 1
        return echo(prompt)

    stage = Stage(ScriptedModel(answer), singly("a", "b", "c", "d"))
    plans = list(drive(stage.desk.course(), stage.threads(limit=2)))
    assert sorted(str(plan.agent) for plan in plans) == ["a", "b", "c", "d"]
    assert most == 2


@pytest.mark.parametrize("source", SOURCES)
def test_closing_the_batch_early_abandons_the_call(source: str) -> None:
    stage = Stage(
        ScriptedModel(lambda prompt: Answer(chunks=list(echo(prompt).said or ""), chunk_delay_s=0.01)),
        one_call(*"abcdefgh"),
    )
    plans = drive(stage.desk.course(), getattr(stage, source)())
    assert next(plans).agent == "a"
    plans.close()
    time.sleep(0.05)
    (call,) = stage.model.calls
    assert not call.response._done
    assert len(stage.desk.result()) < 4


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", ASOURCES)
def test_closing_the_batch_early_abandons_the_call_in_a_loop(source: str, backend: str) -> None:
    model = AsyncScriptedModel(
        lambda prompt: Answer(chunks=list(echo(prompt).said or ""), chunk_delay_s=0.01)
    )
    stage = Stage(model, one_call(*"abcdefgh"))

    async def main() -> None:
        async with aclosing(adrive(stage.desk.course(), getattr(stage, source)())) as plans:
            async for plan in plans:
                assert plan.agent == "a"
                break
        await anyio.sleep(0.05)

    anyio.run(main, backend=backend)
    (call,) = model.calls
    assert not call.response._done


def slow(prompt: Any) -> Answer:
    """The first plan at once; the others after half a second."""
    lines = [f"{agent}:go\n" for agent in prompt.prompt.split()]
    return Answer(chunks=["\n", lines[0], *lines[1:]], chunk_delay_s=0.25)


def test_who_is_late_gets_a_fallback_in_time_and_the_plan_is_kept() -> None:
    stage = Stage(ScriptedModel(slow), one_call("a", "b"), {"rules": lambda _: "wait"})
    began_s = time.monotonic()
    plans = list(drive(stage.desk.course(), stage.threads(deadline_s=0.4)))
    assert time.monotonic() - began_s < 0.6
    assert [(plan.agent, plan.status) for plan in plans] == [("a", "ok"), ("b", "fallback")]
    for _ in range(100):
        if stage.desk.result().late:
            break
        time.sleep(0.02)
    (late,) = stage.desk.result().late
    assert (late.agent, str(late[0]), late.provenance.late) == ("b", "go()", True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_is_late_gets_a_fallback_in_time_in_a_loop(backend: str) -> None:
    stage = Stage(AsyncScriptedModel(slow), one_call("a", "b"), {"rules": lambda _: "wait"})

    async def main() -> list[Plan]:
        plans = [plan async for plan in adrive(stage.desk.course(), stage.tasks(deadline_s=0.4))]
        await anyio.sleep(0.6)
        return plans

    plans = anyio.run(main, backend=backend)
    assert [(plan.agent, plan.status) for plan in plans] == [("a", "ok"), ("b", "fallback")]
    assert [plan.agent for plan in stage.desk.result().late] == ["b"]


def test_a_model_that_rambles_on_is_cut_off_after_the_last_plan() -> None:
    said = ["a:go\n", *["and so on\n"] * 1000]
    stage = Stage(ScriptedModel([Answer(chunks=said)]), one_call("a"))
    assert len(list(drive(stage.desk.course(), stage.in_turn()))) == 1
    (call,) = stage.model.calls
    assert len(call.response._chunks) < 50
