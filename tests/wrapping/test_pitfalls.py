"""The pitfalls of llm itself, by number: what wrapping does about each, or that it changes nothing.

P1 to P14 were found in llm 0.36. "As it is" means that a wrapped model does what the model does, good or
bad: llmopt repairs nothing behind anybody's back.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import logging
import pickle

import anyio
import anyio.lowlevel
import llm
import pytest
from llm.default_plugins.openai_models import AsyncChat

import llmopt
from llmopt.errors import Abandoned
from llmopt.testing import Answer, AsyncScriptedModel, ScriptedModel, openai_server

pytestmark = pytest.mark.anyio
ABC = Answer(chunks="abc")


def double(n: int) -> int:
    return 2 * n


async def both(lab, script, act):
    """What `act` gives for a model as it is, and for a wrapped one."""
    return await act(lab.kind(list(script), clock=lab.clock)), await act(lab.wrap(list(script)))


async def test_p1_the_trace_has_true_times_although_llm_resets_its_own(lab):
    response = lab.wrap([Answer(text="x", delay_s=2)]).prompt("x")
    await lab.ask(response)
    if lab.asynchronous:
        assert [chunk async for chunk in response] == ["x"]
    else:
        assert list(response) == ["x"]
    (attempt,) = response.llmopt.attempts
    assert (attempt.started_at, attempt.first_event_at, attempt.ended_at) == (0, 2, 2)


async def test_p2_text_after_a_broken_off_iteration_is_as_it_is_and_both_runs_are_seen(lab):
    async def act(model):
        response = model.prompt("x")
        if lab.asynchronous:
            async for _ in response:
                break
        else:
            next(iter(response))
        return await lab.ask(response), len(model.calls)

    unwrapped, wrapped = await both(lab, [ABC, ABC], act)
    assert unwrapped == wrapped == (("abc", 1) if lab.asynchronous else ("aabc", 2))
    gc.collect()
    errors = [type(seen.error) for seen in lab.watch.seen]
    assert errors == ([type(None)] if lab.asynchronous else [Abandoned, type(None)])


async def test_p3_nothing_runs_before_it_is_consumed(lab):
    response = lab.wrap().prompt("x")
    lab.wrap().conversation().prompt("x")
    lab.wrap().chain("x")
    assert lab.watch.seen == []
    assert not hasattr(response, "llmopt")


async def test_p4_p5_flows_see_what_on_done_does_not(lab):
    done = []

    async def adone(response):
        done.append(response)

    wrapped = lab.wrap([ABC, OSError("gone")])
    responses = [wrapped.prompt("x"), wrapped.prompt("x")]
    for response in responses:
        await lab.settle(response.on_done(adone if lab.asynchronous else done.append))
    if lab.asynchronous:
        async with contextlib.aclosing(responses[0].astream_events()) as events:
            await anext(events)
    else:
        with contextlib.closing(responses[0].stream_events()) as events:
            next(events)
    with pytest.raises(OSError, match="gone"):
        await lab.ask(responses[1])
    gc.collect()
    assert done == []
    assert [type(seen.error) for seen in lab.watch.seen] == [Abandoned, OSError]


async def test_p6_text_after_an_error_is_as_it_is_and_every_run_is_seen(lab):
    async def act(model):
        response = model.prompt("x")
        with pytest.raises(OSError, match="gone"):
            await lab.ask(response)
        try:
            return await lab.ask(response), len(model.calls)
        except Exception as error:
            return repr(error), len(model.calls)

    cut = Answer(chunks="ab", error=OSError("gone"), error_after=1)
    unwrapped, wrapped = await both(lab, [cut, ABC], act)
    assert unwrapped == wrapped
    assert len(lab.watch.seen) == wrapped[1]


async def test_p8_a_second_prompt_before_the_first_is_consumed_has_no_history_as_it_is(lab):
    async def act(model):
        conversation = model.conversation()
        first, second = conversation.prompt("a"), conversation.prompt("b")
        await lab.ask(first)
        await lab.ask(second)
        return [len(call.prompt.messages) for call in model.calls], len(conversation.responses)

    unwrapped, wrapped = await both(lab, [], act)
    assert unwrapped == wrapped == ([1, 1], 2)


async def test_p9_tools_of_a_conversation_are_passed_on_as_they_are(lab):
    async def act(model):
        conversation = model.conversation(tools=[llm.Tool.function(double)])
        await lab.ask(conversation.prompt("x"))
        return len(model.calls[0].prompt.tools)

    unwrapped, wrapped = await both(lab, [], act)
    assert unwrapped == wrapped


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_p11_a_closed_async_stream_closes_the_models_at_once():
    closed, seen = [], []

    class Model(llm.AsyncModel):
        model_id = "m"

        async def execute(self, prompt, stream, response, conversation):
            try:
                yield "a"
                yield "b"
            finally:
                closed.append("model")

    def watch(call):
        try:
            yield call
        except Abandoned:
            seen.append("abandoned")
            raise

    response = llmopt.wrap(Model(), watch).prompt("x")
    async with contextlib.aclosing(response.astream_events()) as events:
        await anext(events)
    assert (closed, seen) == (["model"], ["abandoned"])


async def test_p11_the_flows_of_a_stream_that_is_only_left_end_when_it_is_collected():
    ended = []

    def watch(call):
        try:
            yield call
        except (Abandoned, GeneratorExit) as signal:
            # The garbage collector closes the flows themselves, before anybody could throw Abandoned.
            ended.append(type(signal))
            raise

    async def leave():
        async for _ in llmopt.wrap(AsyncScriptedModel([ABC]), watch).prompt("x"):
            break

    await leave()
    gc.collect()
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert len(ended) == 1


async def test_p12_tools_are_passed_on_and_not_made_again(lab):
    tool = llm.Tool.function(double)
    await lab.ask(lab.wrap().prompt("x", tools=[tool]))
    assert lab.model.calls[0].prompt.tools[0] is tool


async def test_p13_llms_registry_is_not_asked(lab, monkeypatch):
    def refuse(*_, **__):
        pytest.fail("the registry was built")

    for name in ("get_model", "get_async_model", "get_models_with_aliases"):
        monkeypatch.setattr(llm, name, refuse)
    assert await lab.ask(lab.wrap([ABC]).prompt("x")) == "abc"


def test_p14_clients_of_an_event_loop_that_has_ended_do_no_harm(caplog):
    caplog.set_level(logging.ERROR, logger="asyncio")

    async def ask(model):
        texts = [model.prompt(text).text() for text in "ab"]
        return await asyncio.gather(*texts)

    with openai_server() as server:
        chat = AsyncChat("local", model_name="gpt-4o-mini", api_base=server.url, key="k")
        model = llmopt.wrap(chat, default=False)
        for _ in range(3):
            assert asyncio.run(ask(model)) == ["Echo: a", "Echo: b"]
        gc.collect()
    assert caplog.records == []


# Copies


def test_a_shallow_copy_is_wrapped_and_shares_its_attributes(lab):
    wrapped = lab.wrap()
    twin = copy.copy(wrapped)
    assert type(twin) is type(wrapped)
    assert twin.__llmopt__ is wrapped.__llmopt__
    assert twin.calls is wrapped.calls
    twin.key = "own"
    assert wrapped.key is None


async def test_a_deep_copy_is_wrapped_once_with_the_same_middlewares(lab):
    wrapped = lab.wrap(["one"])
    twin = copy.deepcopy(wrapped)
    assert await lab.ask(twin.prompt("x")) == "one"
    assert await lab.ask(wrapped.prompt("x")) == "one"
    assert len(lab.watch.seen) == 2
    assert (len(twin.calls), len(wrapped.calls)) == (1, 1)
    assert type(twin) is type(wrapped)


def test_a_pickled_model_comes_back_wrapped():
    wrapped = llmopt.wrap(ScriptedModel(["one"]), llmopt.Cache(max_entries=4))
    twin = pickle.loads(pickle.dumps(wrapped))  # noqa: S301 - our own
    assert [twin.prompt("x").text() for _ in range(2)] == ["one", "one"]
    assert len(twin.calls) == 1
    assert isinstance(twin, ScriptedModel)
    assert wrapped.calls == []


async def test_an_instance_that_is_made_of_a_wrapped_models_class_works(lab):
    fresh = type(lab.wrap(["one"]))(["two"])
    assert await lab.ask(fresh.prompt("x")) == "two"


# Wrapping again, and back


async def test_unwrap_gives_the_model_back(lab):
    wrapped = lab.wrap(["one"])
    assert llmopt.unwrap(wrapped) is lab.model
    assert llmopt.unwrap(lab.model) is lab.model
    assert "__llmopt__" not in vars(lab.model)
    assert type(lab.model) is lab.kind


async def test_wrapping_twice_runs_each_middleware_once_the_new_ones_outside(lab):
    order = []

    def named(name):
        def middleware(call):
            order.append(name)
            yield call

        return middleware

    once = lab.wrap(["a", "b"], named("inner"))
    twice = llmopt.wrap(once, named("outer"))
    assert await lab.ask(twice.prompt("x")) == "a"
    assert order == ["outer", "inner"]
    assert len(lab.watch.seen) == 1
    assert llmopt.unwrap(twice) is lab.model
    await lab.ask(once.prompt("x"))
    assert order == ["outer", "inner", "inner"]


async def test_wrapping_a_wrapped_model_without_middlewares_changes_nothing(lab):
    once = lab.wrap(["a"])
    again = llmopt.wrap(once)
    assert again.__llmopt__.middlewares == once.__llmopt__.middlewares
    assert await lab.ask(again.prompt("x")) == "a"
    assert len(lab.watch.seen) == 1


def test_models_that_refuse_assignment_can_be_wrapped():
    class Sealed(ScriptedModel):
        def __setattr__(self, name, value):
            if hasattr(self, "_prompter"):
                raise AttributeError(f"cannot assign to {name}")
            super().__setattr__(name, value)

    assert llmopt.wrap(Sealed(["one"]), default=False).prompt("x").text() == "one"


# Attributes

OWN = {
    "execute",
    "get_key",
    "__copy__",
    "__deepcopy__",
    "__reduce_ex__",
    "__class__",
    "__dict__",
    "__module__",
}
MADE_ANEW = {
    "_abc_impl",
    "__hash__",
    "__repr__",
    "__str__",
    "__weakref__",
    "__llmopt__",
    "__init_subclass__",
    "__subclasshook__",
}


def test_vars_are_the_models_and_one_more(lab):
    wrapped = lab.wrap(["one"])
    expected = vars(lab.model)
    assert {name: value for name, value in vars(wrapped).items() if name != "__llmopt__"} == expected
    assert set(vars(wrapped)) - set(expected) == {"__llmopt__"}


def test_dir_is_the_models_and_no_public_name_more(lab):
    wrapped = lab.wrap()
    assert set(dir(lab.model)) <= set(dir(wrapped))
    added = set(dir(wrapped)) - set(dir(lab.model))
    assert {name for name in added if not name.startswith("__")} == set()


def answer(model, name):
    """What `model` says to `name`; of a method, which function it is."""
    try:
        value = getattr(model, name)
    except AttributeError as error:
        return type(error)
    return getattr(value, "__func__", value)


def names():
    bases = (llm.Model, llm.KeyModel, llm.AsyncModel, llm.AsyncKeyModel)
    return sorted({name for base in bases for name in dir(base)} - OWN - MADE_ANEW)


@pytest.mark.parametrize("name", names())
def test_every_name_that_llms_classes_have_gives_the_models_answer(lab, name):
    wrapped, twin = lab.wrap(), lab.kind(clock=lab.clock)
    told, expected = answer(wrapped, name), answer(lab.model, name)
    if answer(twin, name) == expected:
        assert told == expected
    else:  # bound to the instance: a slot wrapper, or a new object each time
        assert type(told) is type(expected)


def test_attributes_set_later_are_the_wrapped_models_own(lab):
    wrapped = lab.wrap()
    wrapped.needs_key = "other"
    wrapped.extra = 1
    assert not hasattr(lab.model, "extra")
    assert lab.model.needs_key != "other"
    del wrapped.extra
    with pytest.raises(AttributeError):
        _ = wrapped.extra


def test_keys_are_looked_up_as_before(lab, monkeypatch):
    wrapped = lab.wrap()
    assert wrapped.get_key("given") == lab.model.get_key("given")
    monkeypatch.delenv("SCRIPTED_API_KEY")
    if lab.keyed:
        with pytest.raises(llm.NeedsKeyException):
            wrapped.get_key()
    else:
        assert wrapped.get_key() is None
