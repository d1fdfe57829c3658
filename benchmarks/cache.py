"""A cache hit as a whole call, with a 2 kB prompt; beside it the caches of langchain, DSPy and litellm."""

from __future__ import annotations

import os
import statistics
import tempfile
from typing import Any

from _measure import ANSWER, SYSTEM, USER, in_units, measure, save, summary
from _peers import litellm_figures

folder = tempfile.TemporaryDirectory()
os.environ |= {"LLM_USER_PATH": folder.name, "DSPY_CACHEDIR": f"{folder.name}/dspy"}

from overhead import InProcess  # noqa: E402

import llmopt  # noqa: E402


def our_cases() -> dict[str, Any]:
    bare = InProcess((ANSWER,))
    models = {
        "llm, no cache": bare,
        "memory hit": llmopt.wrap(bare, llmopt.Cache()),
        "SQLite hit": llmopt.wrap(bare, llmopt.Cache(store=llmopt.SQLiteStore(f"{folder.name}/cache.db"))),
    }
    return {
        name: ((lambda model=model: model.prompt(USER, system=SYSTEM).text()), 1000)
        for name, model in models.items()
    }


def langchain_cases() -> dict[str, Any]:
    try:
        from langchain_community.cache import SQLiteCache
        from langchain_core.caches import InMemoryCache
        from langchain_core.language_models import FakeListChatModel
    except ImportError:
        return {}
    messages = [("system", SYSTEM), ("user", USER)]
    caches = {
        "langchain-core memory hit": InMemoryCache(),
        "langchain SQLite hit": SQLiteCache(f"{folder.name}/langchain.db"),
    }
    models = {name: FakeListChatModel(responses=[ANSWER], cache=cache) for name, cache in caches.items()}
    return {name: ((lambda model=model: model.invoke(messages)), 100) for name, model in models.items()}


def dspy_cases() -> dict[str, Any]:
    try:
        import dspy
    except ImportError:
        return {}
    asked = dspy.LM("openai/gpt-4o-mini", api_key="sk-none", mock_response=ANSWER)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    return {"DSPy hit": (lambda: asked(messages=messages), 200)}


def main() -> None:
    cases = our_cases() | langchain_cases() | dspy_cases()
    taken = measure(cases)
    figures = {
        name: {**summary(values), "b": round(statistics.median(in_units(values, taken["llm, no cache"])), 2)}
        for name, values in taken.items()
    }
    content = {
        "unit": "b: the CPU time of the same call without a cache, to an in-process model, in the same run",
        "hits": figures,
        "litellm": litellm_figures("cache"),
    }
    save("cache", content, ("llm", "langchain-core", "langchain-community", "dspy"))


if __name__ == "__main__":
    main()
