"""`llm -m opt/MODEL`, typed as a person would, against a server that counts requests."""

from __future__ import annotations

import json

import llm
import pytest

import llmopt
from llmopt.errors import ConfigurationError
from llmopt.plugin import cli_stack, register_models
from llmopt.testing import AsyncScriptedModel, ScriptedModel
from llmopt.testing.server import Answer, ToolCall

pytestmark = pytest.mark.usefixtures("small_certificate_store", "one_request_a_connection")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)


def turns(run, *arguments):
    return json.loads(run("logs", "--json", "-n", "0", *arguments))


class TestSecondTime:
    @pytest.mark.parametrize("arguments", [(), ("--async",), ("--no-stream",)], ids=str)
    def test_is_answered_without_a_request(self, run, server, arguments):
        first = run("-m", "opt/local", "Hold fire", *arguments)
        second = run("-m", "opt/local", "Hold fire", *arguments)
        assert (first, second, len(server.requests)) == ("Echo: Hold fire\n", "Echo: Hold fire\n", 1)

    def test_sync_and_async_share_the_answer(self, run, server):
        assert run("-m", "opt/local", "Hold fire") == run("-m", "opt/local", "Hold fire", "--async")
        assert len(server.requests) == 1

    def test_another_prompt_or_option_is_asked(self, run, server):
        run("-m", "opt/local", "Hold fire")
        run("-m", "opt/local", "Open fire")
        run("-m", "opt/local", "Hold fire", "-o", "temperature", "1")
        assert len(server.requests) == 3

    def test_by_any_alias(self, run, server):
        assert run("-m", "opt/lo", "Hold fire") == run("-m", "opt/local", "Hold fire")
        assert len(server.requests) == 1

    @pytest.mark.parametrize("flags", [(), ("--async",)], ids=str)
    def test_with_tools_runs_the_tools_again(self, run, server, tmp_path, flags):
        ran = tmp_path / "ran"
        ran.write_text("")
        functions = f"""
def add(a: int, b: int) -> int:
    with open({str(ran)!r}, "a") as file:
        file.write("x")
    return a + b
"""
        server.script(Answer(tool_calls=[ToolCall("add", {"a": 2, "b": 3}, id="call-1")]))
        command = ("-m", "opt/local", "What is 2 + 3?", "--functions", functions, *flags)
        assert run(*command) == run(*command) == "Tool results: 5\n"
        assert len(server.requests) == 2
        assert ran.read_text() == "xx"

    def test_with_a_schema(self, run, server):
        command = ("-m", "opt/local", "A unit", "--schema", "unit, x int")
        first = run(*command)
        assert json.loads(first).keys() == {"unit", "x"}
        assert run(*command) == first
        run("-m", "opt/local", "A unit", "--schema", "unit, y int")
        assert len(server.requests) == 2

    def test_with_an_attachment_means_the_same_bytes(self, run, server, tmp_path):
        image = tmp_path / "map.png"
        command = ("-m", "opt/local", "Where am I?", "-a", str(image))
        image.write_bytes(PNG)
        assert run(*command) == run(*command)
        assert len(server.requests) == 1
        image.write_bytes(PNG + b"\0")
        run(*command)
        assert len(server.requests) == 2

    def test_a_conversation_goes_on(self, run, server):
        run("-m", "opt/local", "My name is Ada")
        run("-m", "opt/local", "-c", "Who am I?")
        asked = [message["content"] for message in server.requests[-1].body["messages"]]
        assert asked == ["My name is Ada", "Echo: My name is Ada", "Who am I?"]
        first, second = turns(run)
        assert first["conversation_id"] == second["conversation_id"]


class TestCacheVariable:
    def test_off_asks_every_time(self, run, server):
        for _ in range(2):
            run("-m", "opt/local", "Hold fire", LLMOPT_CACHE="off")
        assert len(server.requests) == 2

    def test_deterministic_wants_to_be_told(self, run, server):
        for _ in range(2):
            run("-m", "opt/local", "Hold fire", LLMOPT_CACHE="deterministic")
        assert len(server.requests) == 2
        for _ in range(2):
            run("-m", "opt/local", "Hold fire", "-o", "temperature", "0", LLMOPT_CACHE="deterministic")
        assert len(server.requests) == 3

    def test_a_typo_leaves_all_other_models_alone(self, run, server):
        with pytest.warns(UserWarning, match="LLMOPT_CACHE is 'of'; it may be 'on'"):
            assert run("-m", "local", "Hold fire", LLMOPT_CACHE="of") == "Echo: Hold fire\n"
        with pytest.warns(UserWarning, match="LLMOPT_CACHE"):
            assert "Unknown model: opt/local" in run("-m", "opt/local", "Hi", LLMOPT_CACHE="of", exit_code=1)

    def test_a_typo_is_named(self, tmp_path):
        with pytest.raises(ConfigurationError, match="'deterministic' or 'off'"):
            cli_stack("maybe", str(tmp_path))


class TestPlainModel:
    def test_is_asked_every_time(self, run, server):
        for _ in range(2):
            run("-m", "local", "Hold fire")
        assert len(server.requests) == 2

    @pytest.mark.parametrize("name", ["local", "lo"])
    def test_is_what_its_names_mean(self, plugin, model, name):
        for plain in (llm.get_model(name), llm.get_async_model(name)):
            assert "__llmopt__" not in vars(plain)
        for wrapped in (llm.get_model(f"opt/{name}"), llm.get_async_model(f"opt/{name}")):
            assert "__llmopt__" in vars(wrapped)
            assert wrapped.model_id == "local"


class TestLogs:
    def test_llm_keeps_each_turn_under_the_models_own_id(self, run):
        run("-m", "opt/local", "Hold fire")
        run("-m", "opt/local", "Hold fire")
        assert [turn["model"] for turn in turns(run, "-m", "local")] == ["local", "local"]
        assert {turn["response"] for turn in turns(run)} == {"Echo: Hold fire"}

    def test_llmopt_keeps_each_call(self, run):
        run("-m", "opt/local", "Hold fire")
        run("-m", "opt/local", "Hold fire", "--async")
        calls = json.loads(run("opt", "log", "--json"))
        assert [(call["model_requested"], call["cache_outcome"]) for call in calls] == [
            ("local", "miss"),
            ("local", "hit"),
        ]
        assert {call["llm_turn_id"] for call in calls} == {turn["id"] for turn in turns(run)}


class TestCommands:
    def test_are_those_of_llmopt(self, run):
        shown = run("opt", "--help")
        assert all(f"  {command} " in shown for command in ("demo", "log", "cache"))

    def test_the_cache_is_looked_at_and_emptied(self, run, server, user_dir):
        assert "not there yet" in run("opt", "cache", "stats") or (user_dir / "llmopt/cache.db").exists()
        run("-m", "opt/local", "Hold fire")
        stats = json.loads(run("opt", "cache", "stats", "--json"))
        assert (stats["path"], stats["entries"]) == (str(user_dir / "llmopt" / "cache.db"), 1)
        assert run("opt", "cache", "clear") == f"1 entries removed from {user_dir / 'llmopt' / 'cache.db'}\n"
        run("-m", "opt/local", "Hold fire")
        assert len(server.requests) == 2


class TestRegistry:
    """What the hook does with the list of models, whoever has put them there."""

    class Entry:
        def __init__(self, model, async_model, aliases):
            self.model, self.async_model, self.aliases = model, async_model, aliases

    @pytest.fixture
    def register(self, user_dir):
        def register(*pairs):
            entries = [self.Entry(*pair) for pair in pairs]

            def add(model, async_model=None, aliases=()):
                entries.append(self.Entry(model, async_model, aliases))

            register_models(add, entries)
            return entries

        return register

    def test_a_plain_model_comes_after_its_wrapped_one(self, register):
        plain = ScriptedModel(model_id="a")
        wrapped, last = register((plain, None, ["b"]))
        assert wrapped.aliases == ["opt/a", "opt/b"]
        assert llmopt.unwrap(wrapped.model) is plain
        assert last.model is plain

    def test_an_async_model_may_stand_alone(self, register):
        plain = AsyncScriptedModel(model_id="a")
        wrapped, _ = register((None, plain, []))
        assert wrapped.model is None
        assert llmopt.unwrap(wrapped.async_model) is plain

    def test_a_model_that_somebody_has_wrapped_stays_and_is_not_wrapped_again(self, register):
        theirs = llmopt.wrap(ScriptedModel(model_id="a"), default=False)
        (entry,) = register((theirs, None, ["fast"]))
        assert (entry.model, entry.aliases) == (theirs, ["fast"])

    def test_a_folder_that_cannot_be_made_costs_the_cache_only(self, monkeypatch, tmp_path):
        (tmp_path / "llmopt").write_text("a file, not a folder")
        model = llmopt.wrap(ScriptedModel(["HOLD", "GO"]), *cli_stack("on", str(tmp_path))[1:])
        assert [model.prompt("What now?").text() for _ in range(2)] == ["HOLD", "GO"]
