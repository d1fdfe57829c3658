"""What calls have taken: from the log, and by a probe."""

from __future__ import annotations

import pytest

import llmopt
from llmopt import usage
from llmopt.errors import ConfigurationError, StoreError
from llmopt.plan import CostModel, calibrate, logged, probe
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel, VirtualClock
from llmopt.types import Usage

OVERHEAD_S, READ_S, WRITE_S = 0.3, 0.001, 0.02


def engine(clock, answer=None):
    """A model as slow as an engine: it reads and writes words at a stated speed, and does as it is told."""

    def said(prompt):
        write = int(prompt.prompt.rpartition(" to ")[2].partition(",")[0])
        chunks = [f"{n} " for n in range(1, write + 1)]
        read = len(prompt.prompt.split())
        options = {"usage": Usage(read, write)} | (answer or {})
        return Answer(chunks=chunks, delay_s=OVERHEAD_S + READ_S * read, chunk_delay_s=WRITE_S, **options)

    return ScriptedModel(said, clock=clock)


def speeds(observations):
    model = calibrate(observations, CostModel("plain", 1.0, 1.0)).model
    return model.overhead_s, model.prefill_s_per_token, model.decode_s_per_token


def test_a_probe_finds_out_how_fast_an_engine_is():
    clock = VirtualClock()
    found = speeds(probe(engine(clock), rounds=1, clock=clock))
    assert found == pytest.approx((OVERHEAD_S, READ_S, WRITE_S), rel=0.05)


def test_tokens_are_counted_where_the_model_does_not_say():
    clock = VirtualClock()
    counter = llmopt.tokens.counter("o200k_base")
    short, long, *_ = probe(engine(clock, {"usage": Usage()}), rounds=1, counter=counter, clock=clock)
    assert 50 < short.input_tokens < 150
    assert 1700 < long.input_tokens < 2000
    assert 16 <= short.output_tokens <= 33


def test_no_two_prompts_begin_alike():
    prompts = []
    model = llmopt.wrap(ScriptedModel(lambda p: prompts.append(p.prompt) or "1"), cache := llmopt.Cache())
    assert len(probe(model, rounds=3)) == 12
    assert len({prompt[:16] for prompt in prompts}) == 12
    assert cache.stats()["hits"] == 0


def test_what_does_not_stream_tells_no_time_of_a_first_token():
    class Whole(ScriptedModel):
        can_stream = False

    assert {row.ttft_s for row in probe(Whole(["1"]), rounds=1)} == {None}


@pytest.mark.parametrize(
    ("model", "rounds", "message"),
    [
        (AsyncScriptedModel(), 1, "not async"),
        ("gpt-4o", 1, "probe: model='gpt-4o' is wrong"),
        (ScriptedModel(), 0, "probe: rounds=0 is wrong"),
    ],
)
def test_what_cannot_be_probed_is_refused(model, rounds, message):
    with pytest.raises(ConfigurationError, match=message):
        probe(model, rounds=rounds)


# the log


def test_the_log_tells_how_fast_an_engine_is(tmp_path):
    clock, path = VirtualClock(), tmp_path / "usage.db"
    model = llmopt.wrap(engine(clock), llmopt.UsageLog(path, role="tactical"), clock=clock)
    probe(model, rounds=2, clock=clock)
    found = logged("scripted", log=path)
    assert len(found) == 8
    assert speeds(found) == pytest.approx((OVERHEAD_S, READ_S, WRITE_S), rel=0.05)
    assert len(logged("scripted", log=path, last=3)) == 3
    assert len(logged("scripted", log=path, role="tactical")) == 8
    assert logged("scripted", log=path, role="stealth") == logged("other", log=path) == []


def test_what_says_nothing_about_the_engine_is_left_out(tmp_path):
    """Answers out of a cache, runs that failed, and those whose tokens nobody has counted."""
    path = tmp_path / "usage.db"
    answers = [Answer(text="1", delay_s=1.0), Answer(text="2", usage=Usage()), Answer(error=OSError("down"))]
    clock = VirtualClock()
    log, cache = llmopt.UsageLog(path), llmopt.Cache()
    model = llmopt.wrap(ScriptedModel(answers, clock=clock), log, cache, clock=clock)
    assert [model.prompt(text).text() for text in ("a", "a", "b")] == ["1", "1", "2"]
    with pytest.raises(OSError, match="down"):
        model.prompt("c").text()
    assert usage.flush()
    (found,) = logged("scripted", log=path)
    assert (found.duration_s, found.output_tokens) == (1.0, 1)


def test_a_log_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(StoreError, match="there is no usage log"):
        logged("scripted", log=tmp_path / "usage.db")
    with pytest.raises(ConfigurationError, match="logged: last=0 is wrong"):
        logged("scripted", last=0, log=tmp_path / "usage.db")
