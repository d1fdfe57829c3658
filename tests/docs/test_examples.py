"""What the examples print is what their texts say."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run an example in an empty folder, and return its names and what it has printed."""

    def play(name, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__"), capsys.readouterr().out

    return play


class TestSquad:
    def test_plans_come_while_the_answer_is_under_way(self, run):
        _, said = run("squad.py")
        all_of_them = said.partition("All of them")[2].partition("The first two")[0]
        times = [float(found) for found in re.findall(r"([\d.]+) s  \w+  ok ", all_of_them)]
        end = float(re.findall(r"([\d.]+) s  1 call", all_of_them)[0])
        assert len(times) == 4
        assert times == sorted(times)
        assert times[0] < end

    def test_an_early_stop_ends_the_call(self, run):
        names, said = run("squad.py")
        early = said.partition("The first two")[2].partition("What was sent")[0]
        assert early.count(" ok ") == 2
        assert len(names["batch"].result()) == 2
        assert "4 agents in 1 request" in said
        assert said.index("Tools:\n") < said.index("World:\n") < said.index("Agents:\n")

    def test_a_model_of_ones_own_is_asked(self, run, server, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-reader")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        _, said = run("squad.py", "-m", "gpt-4o-mini")
        assert {request.body["model"] for request in server.requests} == {"gpt-4o-mini"}
        assert "ann  fallback" in said  # the server knows nothing of soldiers


class TestTiers:
    @pytest.fixture
    def names(self, run):
        names, said = run("tiers.py")
        assert "2 calls of full, 1 of simplified" in said
        return names

    def test_the_chain_starts_at_full_and_each_agent_goes_down_alone(self, names):
        result = names["batch"].result()
        tiers = {agent: (plan.tier, str(plan[0])) for agent, plan in result.items()}
        assert tiers == {
            "ann": (0, "attack(enemy=31)"),
            "bob": (1, "take_cover(x=4, y=4)"),
            "cid": (2, "attack(enemy=32)"),
            "dee": (2, "heal()"),
            "eve": (3, "scan(radius=10)"),
        }
        full, simplified = names["full"], names["simplified"]
        asked = [call.prompt.prompt.rpartition("Agents:\n")[2] for call in (*full.calls, *simplified.calls)]
        assert all("ann" not in text for text in asked[1:])  # who has a plan is not asked for again

    @pytest.mark.parametrize(
        ("me", "enemies", "step"),
        [
            ({"morale": 0.29}, [], ["heal"]),
            ({"morale": 0.3}, [], ["move_to", 20, 20]),  # morale goes from 0 to 1, not to 100
            ({"ammo": 0}, [(1, 1)], ["reload"]),
            ({}, [(9, 9), (1, 2)], ["attack", 1]),  # the nearest, not the first that is listed
            ({}, [(9, 9)], ["take_cover", 0, 0]),
        ],
    )
    def test_the_heuristic_goes_by_its_rules(self, names, me, enemies, step):
        seen = {
            "me": {"x": 0, "y": 0, "ammo": 5, "morale": 0.8, **me},
            "enemies": [{"id": n, "x": x, "y": y} for n, (x, y) in enumerate(enemies)],
            "objective": "reach the bridge",
            "goal": [20, 20],
        }
        assert names["heuristic"]("ann", seen) == [step]
        assert names["heuristic"]("ann", {**seen, "objective": "wait"})[0][0] in (step[0], "scan")

    def test_the_emergency_needs_to_know_nothing(self, names):
        assert names["emergency"](None) == [["scan", 10], ["wait", 1]]
