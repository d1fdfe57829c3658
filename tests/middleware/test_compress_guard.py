"""Compress and its profile: what the guard makes of judgements, and what "auto" goes by."""

from __future__ import annotations

import json

from llmopt.compress.data import Data
from llmopt.compress.guard import Guard
from llmopt.compress.roles import Role
from llmopt.compress.roles.relevance import Drop
from llmopt.compress.verdict import judge
from llmopt.middleware.compress import Compress

SQUAD = [
    {"id": n, "kind": "wolf", "hp": n * 7, "at": {"x": n, "y": -n}, "hidden": n % 2 == 0} for n in range(12)
]
SCOUT = Role("scout", "Look.", relevance=(Drop("hp"),))


def test_the_guard_steps_down(world):
    wrapped = world.wrap(
        world.model(lambda prompt: "HOLD"), compress := Compress("dense", guard=Guard(min_calls=3))
    )
    profiles = []
    for _ in range(9):
        outcome = world.ask(wrapped, fragments=[Data(SQUAD)])
        profiles.append(outcome.notes["compressor"])
        judge(outcome.response, valid=profiles[-1] != "dense")
    assert profiles == ["dense"] * 3 + ["balanced"] * 6
    assert compress.stats()["stepped_down"] == {("scripted", ""): "balanced"}


def test_a_middleware_outside_judges(world):
    def judging(call):
        call.trace.notes["role"] = "scout"
        yield call
        call.trace.notes.update(rows=10, valid_rows=9 if call.trace.notes["compressor"] == "dense" else 10)

    model = world.model(lambda prompt: "HOLD")
    wrapped = world.wrap(model, judging, compress := Compress("dense", guard=Guard(min_calls=3), role=SCOUT))
    for _ in range(9):
        world.ask(wrapped, fragments=[Data(SQUAD)])
    assert compress.stats()["stepped_down"] == {("scripted", "scout"): "balanced"}


def test_without_a_guard_nothing_steps_down(world):
    wrapped = world.wrap(world.model(lambda prompt: "bad"), compress := Compress("dense", guard=False))
    for _ in range(60):
        outcome = world.ask(wrapped, fragments=[Data(SQUAD)])
        judge(outcome.response, valid=False)
    assert (outcome.notes["compressor"], compress.stats()["stepped_down"]) == ("dense", {})


def test_failed_calls_are_not_judged(world):
    wrapped = world.wrap([ConnectionError("no")] * 3, compress := Compress("dense", guard=Guard(min_calls=1)))
    for _ in range(3):
        outcome = world.ask(wrapped, fragments=[Data(SQUAD)])
        outcome.notes.update(rows=1, valid_rows=0)
    assert (outcome.told, compress.stats()["stepped_down"]) == ("ConnectionError", {})


def test_auto_goes_by_what_was_evaluated(world, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    before = Compress("auto")
    (tmp_path / "llmopt").mkdir()
    entries = {"scripted": {"profile": "dense", "accuracy": 0.99, "date": "2026-11-20"}}
    (tmp_path / "llmopt" / "eval_compress.json").write_text(json.dumps(entries))
    after = Compress("auto")
    profiles = []
    for compress, model_id in ((before, "scripted"), (after, "scripted"), (after, "other")):
        model = world.model(["HOLD"], model_id=model_id)
        outcome = world.ask(world.wrap(model, compress), fragments=[Data(SQUAD)])
        profiles.append(outcome.notes["compressor"])
    assert profiles == ["balanced", "dense", "balanced"]


def test_a_model_that_understands_no_profile_is_sent_json(world, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    (tmp_path / "llmopt").mkdir()
    (tmp_path / "llmopt" / "eval_compress.json").write_text(json.dumps({"scripted": {"profile": "json"}}))
    compress = Compress("auto", role=SCOUT)
    model = world.model(lambda prompt: prompt.prompt)
    outcome = world.ask(world.wrap(model, compress), fragments=[Data(SQUAD)])
    assert (outcome.notes["compressor"], compress.stats()["stepped_down"]) == ("json", {})
    seen = [{name: value for name, value in unit.items() if name != "hp"} for unit in SQUAD]
    assert json.loads(outcome.told.splitlines()[0]) == seen
