"""One query over llmopt's log and llm's own: calls meet turns by their ids, fragments by their hashes."""

from __future__ import annotations

import asyncio

import llm
import pytest
import sqlite_utils
from llm.migrations import migrate

import llmopt
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel, VirtualClock

TURNS = """
    SELECT turn_search.response, calls.role, calls.attempts, turns.output_tokens = calls.output_tokens
    FROM calls JOIN llm.turns ON turns.id = calls.llm_turn_id
        JOIN llm.turn_search ON turn_search.turn_id = turns.id ORDER BY calls.id
"""
FRAGMENTS = """
    SELECT llm_fragments.content, calls, roles FROM fragment_usage
        JOIN llm.fragments AS llm_fragments ON llm_fragments.hash = fragment_usage.digest
    ORDER BY calls DESC, content
"""


@pytest.fixture
def logs(tmp_path):
    logs = sqlite_utils.Database(tmp_path / "logs.db")
    migrate(logs)
    return logs


@pytest.fixture
def log(tmp_path):
    return llmopt.UsageLog(tmp_path / "usage.db", role="tactical")


@pytest.fixture
def ask(tmp_path):
    def ask(sql):
        database = llmopt.usage.open(tmp_path / "usage.db")
        database.attach("llm", tmp_path / "logs.db")
        found = [tuple(row.values()) for row in database.query(sql)]
        database.close()
        return found

    return ask


def test_a_conversation(logs, log, ask):
    answers = [Answer(error=ConnectionError("reset")), "HOLD the line", "GO"]
    model = llmopt.wrap(ScriptedModel(answers), log, llmopt.Retry(), clock=VirtualClock())
    conversation = model.conversation()
    parts = {"fragments": ["The rules.", "The map."], "system_fragments": ["Be terse."]}
    for prompt, given in (("What now?", parts), ("And then?", {"fragments": ["The rules."]})):
        response = conversation.prompt(prompt, **given)
        response.text()
        response.log_to_db(logs)
    model.prompt("This one llm does not log").text()
    assert ask(TURNS) == [("HOLD the line", "tactical", 2, 1), ("GO", "tactical", 1, 1)]
    assert ask(FRAGMENTS) == [
        ("The rules.", 2, "tactical"),
        ("Be terse.", 1, "tactical"),
        ("The map.", 1, "tactical"),
    ]
    threads = (
        "SELECT DISTINCT thread_id = conversation_id FROM calls JOIN llm.turns ON turns.id = llm_turn_id"
    )
    assert ask(threads) == [(1,)]


def test_an_asynchronous_answer(logs, log, ask):
    async def main():
        response = llmopt.wrap(AsyncScriptedModel(["GO"]), log).prompt("What now?", fragments=["The rules."])
        await response.text()
        return await response.to_sync_response()

    asyncio.run(main()).log_to_db(logs)
    assert ask(TURNS) == [("GO", "tactical", 1, 1)]
    assert ask(FRAGMENTS) == [("The rules.", 1, "tactical")]


def test_a_tool_loop_is_a_chain(logs, log, ask):
    def look() -> str:
        """Look around."""
        return "two tanks"

    call = llm.ToolCall(name="look", arguments={}, tool_call_id="t1")
    model = llmopt.wrap(ScriptedModel([Answer("Let me see. ", tool_calls=[call]), "HOLD"]), log)
    chain = model.chain("What now?", tools=[look])
    assert chain.text() == "Let me see. HOLD"
    chain.log_to_db(logs)
    joined = "SELECT chain_id = min(turns.id), chains.calls, count(*) FROM chains CROSS JOIN llm.turns"
    assert ask(joined) == [(1, 2, 2)]
