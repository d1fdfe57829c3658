"""The demo as a whole, on a clock that nobody waits for."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import llm
import pytest

import llmopt
from llmopt.demo.model import SimulatedModel
from llmopt.demo.play import Demo
from llmopt.demo.run import told
from llmopt.demo.screen import Screen, Silent
from llmopt.demo.summary import closing, introduction, log_command, values
from llmopt.errors import ConfigurationError
from llmopt.testing import Answer, ScriptedKeyModel, ScriptedModel, VirtualClock
from llmopt.types import Usage


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def demo(tmp_path, clock):
    def make(model=None, **settings):
        model = model or SimulatedModel(clock=clock)
        return Demo(model, tmp_path / "usage.db", clock=clock, **settings)

    return make


def scripted(clock, *said, kind=ScriptedModel):
    """A model that answers its first prompts as told, and the others with a plan."""
    left = list(said)

    def answer(prompt):
        agent = prompt.prompt.split()[1]
        return left.pop(0) if left else json.dumps({"agent": int(agent), "steps": ["wait"]})

    return kind(answer, clock=clock)


class TestSimulated:
    def test_unchanged_agents_come_from_the_cache(self, demo):
        first, second = demo().run(Silent()).ticks
        assert [first.hits, second.hits] == [0, 6]
        assert [first.counts.requests, second.counts.requests] == [10, 4]
        old, new = ({p.agent: p.result for p in tick.plans} for tick in (first, second))
        from_cache = [p.agent for p in second.plans if p.source == "cache"]
        assert [new[agent] for agent in from_cache] == [old[agent] for agent in from_cache]
        assert all(planned.result.steps for tick in (first, second) for planned in tick.plans)

    def test_tokens_asked_and_sent_differ_by_what_was_cached(self, demo):
        for tick in demo().run(Silent()).ticks:
            sent = sum(p.counts.asked_tokens for p in tick.plans if p.source == "model")
            assert tick.counts.sent_tokens == sent
            assert tick.counts.asked_tokens - sent == sum(
                p.counts.asked_tokens for p in tick.plans if p.source == "cache"
            )
            assert not tick.counts.estimated

    def test_times_are_those_of_the_stated_pace(self, demo):
        first, second = demo().run(Silent()).ticks
        for tick in (first, second):
            pace_s = tick.counts.requests * (0.06 - 1 / 250) + tick.counts.output_tokens / 250
            assert tick.duration_s == pytest.approx(pace_s)
        assert first.first_plan_s == pytest.approx(first.plans[0].duration_s)
        assert first.duration_s + second.duration_s < 4  # of the eight seconds that the command may take

    @pytest.mark.parametrize("seed", [1, 2])
    def test_a_seed_gives_one_outcome(self, demo, seed):
        results = [
            [[p.result for p in tick.plans] for tick in demo(seed=seed).run(Silent()).ticks] for _ in range(2)
        ]
        assert results[0] == results[1]

    def test_every_call_is_logged_with_agent_and_role(self, demo):
        shown = demo(agents=4)
        assert shown.run(Silent()).logged == 8
        rows = llmopt.usage.open(shown.log).query("SELECT agent, role, cache_outcome FROM calls")
        rows = [tuple(row.values()) for row in rows]
        assert len(rows) == 8
        assert {row[:2] for row in rows} == {
            ("1", "tactical"),
            ("2", "stealth"),
            ("3", "support"),
            ("4", "exploration"),
        }
        assert [outcome for *_, outcome in rows].count("hit") == 2

    def test_there_has_to_be_an_agent(self, demo):
        with pytest.raises(ConfigurationError, match="agents is 0"):
            demo(agents=0)


class TestOtherModels:
    def test_a_malformed_plan_is_reported_and_the_others_come(self, demo, clock):
        tick, _ = demo(scripted(clock, "No idea.", '{"agent": 9, "steps": ["wait"]}')).run(Silent()).ticks
        problems = [planned.result.problem for planned in tick.plans]
        assert problems[:2] == ["no JSON object in 'No idea.'", '"agent" is 9, not 2']
        assert problems[2:] == [None] * 8
        assert tick.first_plan_s is not None

    def test_a_retried_call_counts_and_pays_for_each_request(self, demo, clock):
        model = scripted(clock, ConnectionError("reset"))
        tick, _ = demo(model, agents=1).run(Silent()).ticks
        (planned,) = tick.plans
        assert (planned.counts.requests, planned.result.problem) == (2, None)
        assert planned.counts.sent_tokens == 2 * planned.counts.asked_tokens > 0

    def test_a_failure_at_once_ends_it(self, demo, clock):
        with pytest.raises(PermissionError):
            demo(scripted(clock, PermissionError("no"))).run(Silent())

    def test_a_later_failure_is_the_agents_problem_and_the_key_in_it_is_masked(self, demo, clock):
        model = scripted(clock, "{}", PermissionError("sk-secret is not valid"), kind=ScriptedKeyModel)
        model.key = "sk-secret"
        tick, _ = demo(model).run(Silent()).ticks
        failed = tick.plans[1]
        assert (failed.source, failed.counts.requests) == ("error", 1)
        assert failed.result.problem == "PermissionError: *** is not valid"
        assert tick.plans[2].result.steps == ("wait",)

    def test_an_error_of_llm_speaks_for_itself(self, demo, clock):
        tick, _ = demo(scripted(clock, "{}", llm.ModelError("too long"))).run(Silent()).ticks
        assert tick.plans[1].result.problem == "too long"

    def test_a_missing_key_is_an_error_of_llm(self, demo, clock):
        with pytest.raises(llm.NeedsKeyException, match="llm keys set scripted"):
            demo(scripted(clock, kind=ScriptedKeyModel)).run(Silent())

    def test_an_error_is_told_without_a_key_too(self, clock):
        model = scripted(clock, kind=ScriptedKeyModel)
        assert told(ValueError("no"), model) == "ValueError: no"

    def test_tokens_that_no_provider_stated_are_marked(self, demo, clock):
        text = '{"agent": 1, "steps": ["wait"]}'
        shown = demo(scripted(clock, Answer(text=text, usage=Usage())), agents=1)
        played = shown.run(Silent())
        assert played.ticks[0].counts.estimated
        assert played.ticks[0].counts.output_tokens >= 8
        said = "\n".join(closing(shown, played))
        assert "~output tokens" in said
        assert "~ counted by llmopt" in said


class TestScreen:
    def shown(self, demo, *, live, width=79):
        out = io.StringIO()
        screen = Screen(out, live=live, width=width)
        played = demo.run(screen)
        return out.getvalue(), played

    def test_a_pipe_gets_one_line_for_each_plan(self, demo):
        text, played = self.shown(demo(), live=False)
        lines = [line for line in text.splitlines() if line and not line.startswith("Tick")]
        assert len(lines) == 20
        assert "\r" not in text
        assert all(len(line) < 80 for line in text.splitlines())
        assert [line.split()[2] for line in lines] == [p.source for t in played.ticks for p in t.plans]

    @pytest.mark.parametrize("width", [39, 79])
    def test_a_terminal_sees_each_plan_grow_in_its_line(self, demo, width):
        text, _ = self.shown(demo(agents=2), live=True, width=width)
        lines = [line for line in text.split("\n") if line.startswith("  ")]
        assert len(lines) == 4
        assert all(len(state) <= width for line in lines for state in line.split("\r"))
        states = lines[0].split("\r")
        assert len(states) > 10
        assert '{"agent":1' in states[5] or width < 79
        assert states[-1].split()[2] == "model"
        assert len(states[-1]) >= max(len(state.rstrip()) for state in states[:-1])  # nothing is left over

    def test_what_a_model_says_cannot_touch_the_terminal(self, demo, clock):
        said = Answer(chunks=['{"agent": 1, "steps": ["\\u001b[2J', "\x1b[31m", '\\r\\nhi"]}'])
        text, _ = self.shown(demo(scripted(clock, said), agents=1), live=True)
        assert "\x1b" not in text
        assert "\n  1" in text

    def test_malformed_and_failed_plans_are_told_apart(self, demo, clock):
        text, _ = self.shown(demo(scripted(clock, "No.", PermissionError("go away")), agents=3), live=False)
        assert "malformed: no JSON object in 'No.'" in text
        assert "error     0 ms  PermissionError: go away" in text

    def test_a_line_can_be_left_where_it_is(self):
        out = io.StringIO()
        screen = Screen(out, live=True)
        screen.arriving({"agent": 1, "role": "tactical"}, "{")
        screen.end_line()
        screen.end_line()
        assert out.getvalue().count("\n") == 1

    def test_an_old_terminal_gets_question_marks(self):
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        Screen(out, live=False).say("schön")
        assert out.buffer.getvalue() == b"sch?n\n"


class TestWords:
    def test_the_simulation_is_called_one(self, demo):
        shown = demo()
        said = "\n".join([*introduction(shown), *closing(shown, shown.run(Silent()))])
        assert "SIMULATION" in said
        assert "250 tokens/s after 60 ms (o200k_base)" in said
        assert "wall times of this simulation" in said
        assert all(len(line) <= 80 for line in said.splitlines() if "/" not in line)

    def test_estimated_tokens_of_the_simulation_are_called_so(self, demo, clock):
        shown = demo(SimulatedModel(clock=clock, counter=llmopt.tokens.Estimate()))
        assert "estimated)" in "\n".join(introduction(shown))

    def test_another_model_is_not(self, demo, clock):
        shown = demo(scripted(clock))
        said = "\n".join([*introduction(shown), *closing(shown, shown.run(Silent()))])
        assert "scripted" in said
        assert "simul" not in said.lower()

    def test_the_table_has_what_happened(self, demo):
        shown = demo()
        played = shown.run(Silent())
        lines = "\n".join(closing(shown, played)).splitlines()
        table = {label: cells for label, *cells in (re.split(r" {2,}", line) for line in lines)}
        assert table["calls"] == ["10", "10", "20"]
        assert table["answered from the cache"] == ["0", "6", "6"]
        assert table["requests that reached the model"] == ["10", "4", "14"]
        assert len(table["time to first plan"]) == 2
        assert len(table["time to last plan"]) == 3

    def test_without_a_plan_there_is_no_time_to_it(self, demo, clock):
        shown = demo(scripted(clock, *["No."] * 4), agents=2)
        played = shown.run(Silent())
        assert played.ticks[0].first_plan_s is None
        assert "none" in "\n".join(closing(shown, played))
        assert values(shown, played)["ticks"][0]["first_plan_ms"] is None

    def test_a_log_that_cannot_be_written_is_admitted(self, demo, clock, tmp_path):
        (tmp_path / "file").write_text("")
        shown = Demo(SimulatedModel(clock=clock), tmp_path / "file" / "usage.db", agents=1, clock=clock)
        said = "\n".join(closing(shown, shown.run(Silent())))
        assert "Only 0 of 2 calls could be written" in said
        assert "llmopt log" not in said

    def test_the_command_for_the_log_can_be_pasted(self, demo, clock, tmp_path, monkeypatch):
        assert log_command(demo(), 20) == f"llmopt log -n 20 --db {tmp_path / 'usage.db'}"
        spaced = Demo(None, Path("/a b/usage.db"))
        assert log_command(spaced, 20) == "llmopt log -n 20 --db '/a b/usage.db'"
        monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
        own = Demo(None, tmp_path / "llmopt" / "usage.db")
        assert log_command(own, 20) == "llmopt log -n 20"

    def test_json_says_the_same(self, demo):
        shown = demo()
        played = shown.run(Silent())
        plain = json.loads(json.dumps(values(shown, played)))
        assert (plain["simulated"], plain["logged"], plain["seed"]) == (True, 20, 7)
        assert [tick["cache_hits"] for tick in plain["ticks"]] == [0, 6]
        assert all(plan["steps"] and plan["problem"] is None for plan in plain["ticks"][0]["plans"])
