"""The demo as a whole, on a clock that nobody waits for."""

from __future__ import annotations

import io
import json
import re
import threading
from pathlib import Path

import llm
import pytest

import llmopt
from llmopt.demo.model import SimulatedModel
from llmopt.demo.play import Demo
from llmopt.demo.run import MAX_AGENTS, masked, told
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
        model = model or SimulatedModel(mistakes=1, clock=clock)
        return Demo(model, tmp_path / "usage.db", clock=clock, **settings)

    return make


def heals(prompt):
    """Return the answer that everybody is to heal."""
    table = prompt.prompt.rpartition("Agents:\n")[2].partition("\n\n")[0]
    return "".join(f'[{row["agent"]},["heal"]]\n' for row in llmopt.compress.decode(table))


def scripted(clock, *said, kind=ScriptedModel):
    """A model that answers its first prompts as told, and the others with a plan for everybody."""
    left = list(said)
    return kind(lambda prompt: left.pop(0) if left else heals(prompt), clock=clock)


def statuses(tick):
    return {status: count for status, count in tick.batch.status().items() if count}


class TestSimulated:
    def test_ten_agents_take_one_call_and_one_repair_and_then_four_take_one(self, demo):
        first, second = demo().run(Silent()).ticks
        assert [tick.batch.usage.calls for tick in (first, second)] == [2, 1]
        assert [tick.requests for tick in (first, second)] == [2, 1]
        assert [tick.remembered for tick in (first, second)] == [0, 6]
        assert statuses(first) == {"ok": 9, "repaired": 1}
        assert statuses(second) == {"ok": 10}

    def test_who_sees_nothing_new_keeps_the_plan(self, demo):
        first, second = (tick.batch for tick in demo().run(Silent()).ticks)
        kept = [agent for agent, plan in second.items() if plan.provenance.source == "cache"]
        assert len(kept) == 6
        assert all(second[agent].steps == first[agent].steps for agent in kept)

    def test_the_repaired_plan_says_what_was_wrong(self, demo):
        first, _ = demo().run(Silent()).ticks
        (plan,) = (plan for plan in first.plans if plan.status == "repaired")
        assert plan.faults[0].startswith('step 1: there is no tool "teleport"')

    def test_tokens_are_those_of_the_log_and_far_fewer_than_one_by_one(self, demo):
        shown = demo()
        ticks = shown.run(Silent()).ticks
        query = "SELECT sum(input_tokens) AS asked, sum(output_tokens) AS said FROM calls"
        (logged,) = llmopt.usage.open(shown.log).query(query)
        usages = [tick.batch.usage for tick in ticks]
        assert logged["asked"] == sum(usage.input_tokens for usage in usages)
        assert logged["said"] == sum(usage.output_tokens for usage in usages)
        assert all(usage.exact for usage in usages)
        for tick in ticks:
            assert tick.batch.usage.input_tokens * 2 < tick.compact_tokens < tick.pretty_tokens

    def test_prompts_one_by_one_are_counted_as_they_would_be_sent(self, demo, clock):
        counter = llmopt.tokens.counter("o200k_base")
        shown = demo(agents=1)
        (request,) = shown.explain().requests
        system = "\n\n".join(part.text for part in request.system)
        tick, _ = shown.run(Silent()).ticks
        assert counter.count(system) + 50 < tick.compact_tokens < tick.pretty_tokens

    def test_times_are_those_of_the_stated_pace(self, demo):
        first, second = (tick.batch for tick in demo().run(Silent()).ticks)
        for batch in (first, second):
            pace_s = batch.usage.calls * (0.2 - 1 / 120) + batch.usage.output_tokens / 120
            assert batch.elapsed_s == pytest.approx(pace_s)
        assert first.elapsed_s + second.elapsed_s < 4  # of the eight seconds that the command may take

    @pytest.mark.parametrize("seed", [1, 2])
    def test_a_seed_gives_one_outcome(self, demo, seed):
        runs = [[tick.plans for tick in demo(seed=seed).run(Silent()).ticks] for _ in range(2)]
        outcomes = [[(plan.agent, plan.steps, plan.status) for plan in sum(run, ())] for run in runs]
        assert outcomes[0] == outcomes[1]

    def test_every_call_is_logged(self, demo):
        shown = demo()
        assert shown.run(Silent()).logged == 3
        rows = llmopt.usage.open(shown.log).query("SELECT role, status FROM calls")
        assert [tuple(row.values()) for row in rows] == [("demo", "ok")] * 3

    def test_more_agents_than_one_request_may_have_take_several(self, demo):
        first, _ = (
            demo(SimulatedModel(tokens_per_s=1e6, first_token_s=0), agents=MAX_AGENTS + 1).run(Silent()).ticks
        )
        assert first.batch.usage.calls == 2
        assert statuses(first) == {"ok": MAX_AGENTS + 1}

    def test_the_explanation_is_of_the_first_prompt_and_asks_nothing(self, demo, clock):
        model = ScriptedModel(clock=clock)
        explained = demo(model).explain()
        assert str(explained).startswith("10 agents in 1 request")
        assert "teleport" not in explained.prompt
        assert (
            explained.prompt.index("Tools:")
            < explained.prompt.index("World:")
            < explained.prompt.index("Agents:")
        )
        assert not model.calls

    def test_there_has_to_be_an_agent(self, demo):
        with pytest.raises(ConfigurationError, match="agents is 0"):
            demo(agents=0)


class TestOtherModels:
    def test_who_gets_no_plan_from_the_model_gets_one_from_the_rules(self, demo, clock):
        model = scripted(clock, '[1,["heal"]]\n[9,["heal"]]', "No idea.", "Still none.")
        first, _ = demo(model, agents=2).run(Silent()).ticks
        assert statuses(first) == {"ok": 1, "fallback": 1}
        assert first.batch[2].provenance.source == "heuristic"
        assert first.batch[2].steps

    def test_a_retried_request_counts(self, demo, clock):
        tick, _ = demo(scripted(clock, ConnectionError("reset")), agents=1).run(Silent()).ticks
        assert (tick.batch.usage.calls, tick.requests, statuses(tick)) == (1, 2, {"ok": 1})

    def test_a_failure_at_once_ends_it(self, demo, clock):
        with pytest.raises(PermissionError):
            demo(scripted(clock, PermissionError("no"))).run(Silent())

    def test_a_later_failure_leaves_the_planning_to_the_rules_and_the_key_in_it_is_masked(self, demo, clock):
        model = scripted(
            clock, '[1,["heal"]]', PermissionError("sk-secret is not valid"), kind=ScriptedKeyModel
        )
        model.key = "sk-secret"
        shown, out = demo(model, agents=2), io.StringIO()
        played = shown.run(Screen(out, model))
        assert statuses(played.ticks[0]) == {"ok": 1, "fallback": 1}
        assert "^ PermissionError: *** is not valid" in out.getvalue()
        assert "sk-secret" not in out.getvalue() + json.dumps(values(shown, played))

    def test_a_missing_key_is_an_error_of_llm(self, demo, clock):
        with pytest.raises(llm.NeedsKeyException, match="llm keys set scripted"):
            demo(scripted(clock, kind=ScriptedKeyModel)).run(Silent())

    def test_an_error_is_told_without_a_key_too(self, clock):
        model = scripted(clock, kind=ScriptedKeyModel)
        assert told(ValueError("no"), model) == "ValueError: no"
        assert told(llm.ModelError("too long"), model) == "too long"
        assert masked("no key here", model) == "no key here"

    def test_tokens_that_no_provider_stated_are_marked(self, demo, clock):
        shown = demo(scripted(clock, Answer(text='[1,["heal"]]', usage=Usage())), agents=1)
        played = shown.run(Silent())
        assert not played.ticks[0].batch.usage.exact
        assert played.ticks[0].batch.usage.output_tokens >= 6
        said = "\n".join(closing(shown, played))
        assert "~output tokens" in said
        assert "~with compact JSON" in said
        assert "~ counted or estimated by llmopt" in said


class TestScreen:
    def shown(self, demo, width=79):
        out = io.StringIO()
        played = demo.run(Screen(out, demo.model, width))
        return out.getvalue(), played

    @pytest.mark.parametrize("width", [40, 79])
    def test_there_is_one_line_for_each_plan_in_the_order_of_arrival(self, demo, width):
        text, played = self.shown(demo(), width)
        lines = [line.split() for line in text.splitlines() if re.match(r" *\d+ ", line)]
        plans = [plan for tick in played.ticks for plan in tick.plans]
        assert [int(line[0]) for line in lines] == [plan.agent for plan in plans]
        assert [line[2] for line in lines].count("remembered") == 6
        assert max(map(len, text.splitlines())) <= width or width < 79

    def test_a_plan_is_shown_before_the_answer_has_ended(self, demo, clock):
        shown = threading.Event()

        class Out(io.StringIO):
            def write(self, text):
                if " 1 tactical " in text:
                    shown.set()
                return super().write(text)

        def patient(prompt):
            first, *others = heals(prompt).splitlines(keepends=True)
            yield first
            assert shown.wait(10), "the first plan is held back"
            yield from others

        class Patient(ScriptedModel):
            def execute(self, prompt, stream, response, conversation=None):
                yield from patient(prompt)

        tick, _ = demo(Patient(clock=clock)).run(Screen(Out())).ticks
        assert statuses(tick) == {"ok": 10}

    def test_a_repair_says_what_was_refused(self, demo):
        text, _ = self.shown(demo())
        repaired = next(n for n, line in enumerate(text.splitlines()) if " repaired " in line)
        assert text.splitlines()[repaired + 1].startswith(" " * 16 + '^ step 1: there is no tool "teleport"')

    def test_what_a_model_says_cannot_touch_the_terminal(self, demo, clock):
        said = Answer(chunks=['[1,["\x1b[2J', "\x1b[31m", '\\r\\nhi"]]\n'])
        text, _ = self.shown(demo(scripted(clock, said), agents=1))
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\n  1" in text

    def test_an_old_terminal_gets_question_marks(self):
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        Screen(out).say("schön")
        assert out.buffer.getvalue() == b"sch?n\n"


class TestWords:
    def test_the_simulation_is_called_one_and_its_mistake_is_announced(self, demo):
        shown = demo()
        said = "\n".join([*introduction(shown), *closing(shown, shown.run(Silent()))])
        assert "SIMULATION" in said
        assert "120 tokens/s after 200 ms (o200k_base)" in said
        assert "one row is wrong on purpose" in said
        assert "wall times of this simulation" in said
        assert all(len(line) <= 80 for line in said.splitlines() if "/" not in line)

    def test_without_a_mistake_none_is_announced(self, demo, clock):
        assert "on purpose" not in "\n".join(introduction(demo(SimulatedModel(clock=clock))))

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
        table = {label: cells for label, *cells in (re.split(r" {2,}", line.strip()) for line in lines)}
        assert table["plans"] == ["10", "10", "20"]
        assert table["remembered, not asked for"] == ["0", "6", "6"]
        assert table["right at once"] == ["9", "4", "13"]
        assert table["repaired"] == ["1", "0", "1"]
        assert table["calls of the model"] == ["2", "1", "3"]
        assert table["with indented JSON"][0] == f"{played.ticks[0].pretty_tokens:,}"
        assert table["input tokens that were sent"][1] == f"{played.ticks[1].batch.usage.input_tokens:,}"
        assert len(table["time to first plan from the model"]) == 2
        assert len(table["time to last plan"]) == 3

    def test_without_a_plan_of_the_models_there_is_no_time_to_it(self, demo, clock):
        shown = demo(scripted(clock, *["No."] * 8), agents=2)
        played = shown.run(Silent())
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
        assert (plain["simulated"], plain["logged"], plain["seed"]) == (True, 3, 7)
        assert [tick["remembered"] for tick in plain["ticks"]] == [0, 6]
        assert plain["ticks"][0]["status"] == {"ok": 9, "repaired": 1, "fallback": 0, "missing": 0}
        assert all(plan["steps"] for tick in plain["ticks"] for plan in tick["plans"])
