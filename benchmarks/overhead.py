"""What llmopt adds to a call of an in-process model; beside it the wrappers of langchain and litellm."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from _measure import ANSWER, QUICK, SYSTEM, USER, added, in_units, measure, save, summary
from _peers import litellm_figures

folder = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = folder.name

import llm  # noqa: E402

import llmopt  # noqa: E402

ROUNDS = 3 if QUICK else 41


class InProcess(llm.Model):
    """Answers at once, in as many events as it is told."""

    model_id = "in-process"
    can_stream = True

    class Options(llm.Options):
        temperature: float | None = None

    def __init__(self, events: tuple[str, ...]) -> None:
        self.events = events

    def execute(self, prompt: Any, stream: Any, response: Any, conversation: Any = None) -> Any:
        yield from self.events
        response.set_usage(input=500, output=80)


def pass_through(call: Any) -> Any:
    yield call


def per_call() -> dict[str, Any]:
    """Return CPU microseconds per call, and what each case adds in units of the bare call."""
    bare = InProcess((ANSWER,))
    models = {
        "llm": bare,
        "wrap alone": llmopt.wrap(bare, default=False),
        "six pass-through flows": llmopt.wrap(bare, *[pass_through] * 6),
        "default stack, cache miss, log included": llmopt.wrap(bare),
    }
    count = iter(range(10**9))

    def asking(model: Any) -> Any:
        # A temperature of 0 is what the default stack caches; each prompt is new, so all of them miss.
        return lambda: model.prompt(f"{next(count)} {USER}", system=SYSTEM, temperature=0.0).text()

    cases = {name: (asking(model), 1000) for name, model in models.items()}
    cases |= langchain_cases()
    taken = measure(cases, rounds=ROUNDS, finish=llmopt.usage.flush)
    in_b = {name: in_units(values, taken["llm"]) for name, values in taken.items()}
    found: dict[str, Any] = {}
    for name, values in taken.items():
        base = "langchain-core invoke" if name.startswith("langchain-core with") else "llm"
        added_b, margin_b = added(in_b[name], in_b[base])
        found[name] = {**summary(values), "added_b": added_b, "margin_b": margin_b}
    return found


def langchain_cases() -> dict[str, Any]:
    """Return langchain's fake model, alone and with its retry and fallback wrappers."""
    try:
        from langchain_core.language_models import FakeListChatModel
    except ImportError:
        return {}
    fake = FakeListChatModel(responses=[ANSWER])
    messages = [("system", SYSTEM), ("user", USER)]
    both = fake.with_retry(stop_after_attempt=3).with_fallbacks([fake])
    return {
        "langchain-core invoke": (lambda: fake.invoke(messages), 200),
        "langchain-core with_retry + with_fallbacks": (lambda: both.invoke(messages), 100),
    }


def per_event() -> dict[str, Any]:
    """Return CPU microseconds per streamed event: llm alone, one `yield from` more, and six flows."""
    events = tuple(f"token {number} " for number in range(4000))
    bare = InProcess(events)

    class Relaying(InProcess):
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            yield from super().execute(*args, **kwargs)

    models = {
        "llm": bare,
        "llm, one `yield from` more": Relaying(events),
        "six pass-through flows": llmopt.wrap(bare, *[pass_through] * 6),
    }
    cases = {name: ((lambda model=model: model.prompt("stream").text()), 1) for name, model in models.items()}
    per_stream = measure(cases, rounds=ROUNDS)
    taken = {name: [value / len(events) for value in values] for name, values in per_stream.items()}
    found: dict[str, Any] = {}
    for name, values in taken.items():
        added_us, margin_us = added(values, taken["llm"])
        found[name] = {**summary(values), "added_us": added_us, "margin_us": margin_us}
    return found


def main() -> None:
    content = {
        "unit": "b: the CPU time of a bare llm call to the same model in the same run",
        "rounds": ROUNDS,
        "per_call": per_call(),
        "per_event": per_event(),
        "litellm": litellm_figures("overhead"),
    }
    save("overhead", content, ("llm", "langchain-core"))


if __name__ == "__main__":
    main()
