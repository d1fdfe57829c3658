"""Ten agents over real HTTP: the server streams, reorders, corrupts and cuts; every agent gets a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from llm.default_plugins.openai_models import AsyncChat, Chat

import llmopt
from llmopt.testing.server import Answer

# A stream that breaks leaves generators of the SDK to the garbage collector, which trio remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator '(openai|httpx|httpcore):ResourceWarning")

AGENTS = range(1, 11)
ORDER = [3, 1, 2, 7, 4, 6, 5, 8, 9, 10]


def move_to(x: int, y: int) -> None:
    """Walk to a cell."""


def wait(seconds: int) -> None:
    """Stay still."""


def row(agent: int) -> str:
    return f'[{agent},["move_to",{agent},5],["wait",2]]\n'


def bad_day() -> Answer:
    """Rows in another order; 6 is no JSON, 5 names no tool, and the connection breaks in 9."""
    rows = [row(agent) for agent in ORDER]
    rows[ORDER.index(6)] = '[6,["move_to",6,,5]\n'
    rows[ORDER.index(5)] = '[5,["fly",3]]\n'
    text = "```json\n" + "".join(rows)
    chunks = [text[at : at + 7] for at in range(0, len(text), 7)]
    cut = next(n for n in range(len(chunks)) if '[9,["move' in "".join(chunks[: n + 1])) + 1
    return Answer(chunks=chunks, chunk_delay_s=0.005, cut_after_chunks=cut)


def repair() -> Answer:
    return Answer(chunks=[row(agent) for agent in (5, 6, 9, 10)])


def world(agent: int) -> dict[str, Any]:
    return {"t": 12, "walls": [[1, 1], [2, 2]], "hp": 10 * agent}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


def planner_at(server: Any, cls: Any, log: Path) -> Any:
    plain = cls("gpt-4o-mini", api_base=server.url)
    plain.needs_key = None
    model = llmopt.wrap(plain, llmopt.UsageLog(log))
    settings: dict[str, Any] = {"tools": [move_to, wait], "strategy": "one_call", "max_agents": 10}
    return llmopt.planner(model, **settings)(world)


def check(server: Any, log: Path, result: llmopt.plan.PlanBatch) -> None:
    assert {agent: plan.status for agent, plan in result.items()} == {
        agent: "repaired" if agent in (5, 6, 9, 10) else "ok" for agent in AGENTS
    }
    assert all(plan[0].args["x"] == agent for agent, plan in result.items())
    assert result[5].faults[0].startswith('step 1: there is no tool "fly"')
    first, second = server.requests
    assert [message["role"] for message in second.body["messages"]] == ["system", "user"]
    assert second.body["messages"][0] == first.body["messages"][0]
    llmopt.usage.flush()
    rows = list(llmopt.usage.open(log).query("select status, ttft_ms from calls order by started_at"))
    assert [found["status"] for found in rows] == ["error", "ok"]


def test_ten_agents_on_a_bad_day(server: Any, log: Path) -> None:
    server.script(bad_day(), repair())
    batch = planner_at(server, Chat, log).batch(AGENTS)
    assert next(batch).agent == 3
    assert server.in_flight == 1, "the answer has not ended"
    assert [plan.agent for plan in batch][:4] == [1, 2, 7, 4]
    check(server, log, batch.result())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ten_agents_on_a_bad_day_in_a_loop(server: Any, log: Path, backend: str) -> None:
    server.script(bad_day(), repair())

    async def main() -> llmopt.plan.PlanBatch:
        batch = planner_at(server, AsyncChat, log).abatch(AGENTS)
        async for plan in batch:
            assert plan.agent == 3
            assert server.in_flight == 1, "the answer has not ended"
            break
        return await batch.result()

    check(server, log, anyio.run(main, backend=backend))


def test_leaving_early_ends_the_request(server: Any, log: Path) -> None:
    server.script(Answer(chunks=[row(1), *[row(agent) for agent in range(2, 11)]], chunk_delay_s=0.5))
    with planner_at(server, Chat, log).batch(AGENTS) as batch:
        assert next(batch).agent == 1
    assert len(batch.result()) == 1
    llmopt.usage.flush()
    (found,) = llmopt.usage.open(log).query("select status from calls")
    assert found["status"] == "abandoned"
