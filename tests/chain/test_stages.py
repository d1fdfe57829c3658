"""Taps see and change events; holds keep them until their flow has made up its mind."""

from __future__ import annotations

from typing import Any

from llmopt.types import Call, Reply


def model(*events: str, error: Exception | None = None) -> Any:
    def run(_response: Any) -> Any:
        yield from events
        if error is not None:
            raise error

    return run


def test_a_tap_that_returns_nothing_only_sees(world: Any) -> None:
    seen: list[Any] = []

    def watching(call: Call) -> Any:
        yield call.tap(seen.append)

    got, outcome, _ = world.run([watching], [model("a", "b")])
    assert (got, outcome, seen) == (["a", "b"], "ok", ["a", "b"])


def test_taps_change_drop_and_add_events_innermost_first(world: Any) -> None:
    def upper(call: Call) -> Any:
        yield call.tap(lambda event: [event.upper()], flush=lambda: ["END"])

    def twice(call: Call) -> Any:
        yield call.tap(lambda event: [] if event == "x" else [event, event], flush=lambda: ["rest"])

    got, _, _ = world.run([upper, twice], [model("a", "x", "b")])
    assert got == ["A", "A", "B", "B", "REST", "END"]


def test_a_flow_is_resumed_after_its_flushed_events_have_gone_out(world: Any) -> None:
    order: list[str] = []

    def outer(call: Call) -> Any:
        yield call.tap(lambda event: order.append(f"out {event}"))

    def inner(call: Call) -> Any:
        yield call.tap(lambda event: None, flush=lambda: ["late"])
        order.append("resumed")

    world.run([outer, inner], [model("a")])
    assert order == ["out a", "out late", "resumed"]


def test_a_replay_passes_the_taps_outside_of_it_only(world: Any) -> None:
    seen: list[Any] = []

    def outside(call: Call) -> Any:
        yield call.tap(lambda event: [f"<{event}>"])

    def answering(call: Call) -> Any:
        yield Reply(events=("r",), source="cache")

    def inside(call: Call) -> Any:  # pragma: no cover - nothing below a reply runs
        yield call.tap(seen.append)

    got, _, response = world.run([outside, answering, inside], [])
    assert (got, seen) == (["<r>"], [])
    assert response.llmopt.source == "cache"


def test_a_hold_lets_its_flow_judge_and_ask_again(world: Any) -> None:
    def picky(call: Call) -> Any:
        reply = yield call.buffered()
        while "good" not in reply.text:
            reply = yield call.buffered()

    runs = [model("bad", "!"), model("worse"), model("good", "."), model("unused")]
    got, outcome, _ = world.run([picky], runs)
    assert (got, outcome) == (["good", "."], "ok")


def test_the_same_held_call_can_be_yielded_again(world: Any) -> None:
    def patient(call: Call) -> Any:
        held = call.buffered()
        try:
            yield held
        except OSError:
            yield held

    got, outcome, _ = world.run([patient], [model("half", error=OSError("cut")), model("whole")])
    assert (got, outcome) == (["whole"], "ok")


def test_a_holding_flow_may_answer_in_the_models_place(world: Any) -> None:
    def doubting(call: Call) -> Any:
        yield call.buffered()
        yield Reply.of_text("instead", source="fallback")

    got, _, response = world.run([doubting], [model("secret")])
    assert got == ["instead"]
    assert response.llmopt.source == "fallback"


def test_what_an_outer_flow_holds_counts_as_started_for_the_inner_ones(world: Any) -> None:
    outcomes: list[str] = []

    def holding(call: Call) -> Any:
        yield call.buffered()

    def retrying(call: Call) -> Any:
        try:
            yield call
        except OSError:
            outcomes.append(f"started {call.started}")
            yield call

    got, outcome, _ = world.run([holding, retrying], [model("a", error=OSError("cut")), model("b")])
    assert outcomes == ["started True"]
    assert (got, outcome.split(":")[0]) == ([], "StreamStarted")


def test_holds_and_taps_nest(world: Any) -> None:
    def shout(call: Call) -> Any:
        yield call.tap(lambda event: [event.upper()])

    def hold(call: Call) -> Any:
        reply = yield call.buffered()
        assert reply.events == ["a-", "b-"]

    def mark(call: Call) -> Any:
        yield call.tap(lambda event: [f"{event}-"])

    got, _, _ = world.run([shout, hold, mark], [model("a", "b")])
    assert got == ["A-", "B-"]


def test_a_resuming_flow_may_run_the_call_again_after_the_start(world: Any) -> None:
    def resuming(call: Call) -> Any:
        delivered: list[str] = []
        try:
            yield call.tap(delivered.append)
        except OSError:
            skip = iter(delivered[:])
            yield call.tap(lambda event: [] if next(skip, None) == event else None, resumes=True)

    def inner(call: Call) -> Any:
        assert not call.resumes
        yield call

    runs = [model("a", "b", error=OSError("cut")), model("a", "b", "c")]
    got, outcome, _ = world.run([resuming, inner], runs)
    assert (got, outcome) == (["a", "b", "c"], "ok")


def test_a_repeated_run_gets_a_response_of_its_own_and_the_last_one_counts(world: Any) -> None:
    def first(response: Any) -> Any:
        response.set_usage(input=1, output=1)
        response._tool_calls.append("half a call")
        raise OSError("cut")
        yield  # pragma: no cover

    def second(response: Any) -> Any:
        response.set_usage(input=7, output=2, details={"cached": 3})
        response.plugin_data = {"signature": "s"}
        response._tool_calls.append("call")
        yield "done"

    def retrying(call: Call) -> Any:
        call.trace.record()
        try:
            yield call
        except OSError:
            reply = yield call
            assert reply.usage.output_tokens == 2

    _, outcome, response = world.run([retrying], [first, second])
    assert outcome == "ok"
    assert (response.input_tokens, response.output_tokens, response.token_details) == (7, 2, {"cached": 3})
    assert response._tool_calls == ["call"]
    assert response.plugin_data == {"signature": "s"}
    attempts = response.llmopt.attempts
    assert [type(attempt.error) for attempt in attempts] == [OSError, type(None)]
    assert attempts[1].usage.input_tokens == 7


def test_a_changed_prompt_is_run_with_a_response_that_has_it(world: Any) -> None:
    prompts: list[Any] = []

    def run(response: Any) -> Any:
        prompts.append(response.prompt)
        yield "a"

    def changing(call: Call) -> Any:
        yield call.replace(prompt="short")

    _, _, response = world.run([changing], [run])
    assert prompts == ["short"]
    assert response.prompt == "prompt"


def test_flows_inside_a_resumed_call_may_tap_as_ever(world: Any) -> None:
    def resuming(call: Call) -> Any:
        delivered: list[str] = []
        try:
            yield call.tap(delivered.append)
        except OSError:
            skip = iter(delivered[:])
            yield call.tap(lambda event: [] if next(skip, None) == event else None, resumes=True)

    def tapping(call: Call) -> Any:
        yield call.tap(lambda event: [event.upper()])

    runs = [model("a", error=OSError("cut")), model("a", "b")]
    got, outcome, _ = world.run([resuming, tapping], runs)
    assert (got, outcome) == (["A", "B"], "ok")
