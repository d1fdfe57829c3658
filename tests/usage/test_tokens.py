"""The wire formats of the providers, and what no usage may ever lead to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.types import Usage
from llmopt.usage.tokens import NormalisedUsage, normalise, normalise_all

CASES = {
    "OpenAI chat": (
        Usage(
            100,
            50,
            {
                "prompt_tokens_details": {"cached_tokens": 64},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
        ),
        "openai",
        NormalisedUsage(100, 36, 64, 0, 50, 30),
    ),
    "OpenAI chat, zeros left out": (Usage(100, 50, {}), "openai", NormalisedUsage(100, 100, 0, 0, 50, 0)),
    "OpenAI chat, reasoning alone": (
        Usage(100, 50, {"completion_tokens_details": {"reasoning_tokens": 30}}),
        "openai",
        NormalisedUsage(100, 100, 0, 0, 50, 30),
    ),
    "OpenAI responses": (
        Usage(
            100,
            50,
            {
                "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 6},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        ),
        "openai",
        NormalisedUsage(100, 30, 64, 6, 50, 0),
    ),
    "Anthropic, cache read": (
        Usage(10, 50, {"cache_read_input_tokens": 2048, "cache_creation_input_tokens": 0}),
        "anthropic",
        NormalisedUsage(2058, 10, 2048, 0, 50, None),
    ),
    "Anthropic, cache written, with thinking": (
        Usage(
            10,
            50,
            {
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 2048,
                "output_tokens_details": {"thinking_tokens": 7},
                "service_tier": "priority",
            },
        ),
        "anthropic",
        NormalisedUsage(2058, 10, 0, 2048, 50, 7),
    ),
    "Anthropic, thinking alone": (
        Usage(10, 50, {"output_tokens_details": {"thinking_tokens": 7}}),
        "anthropic",
        NormalisedUsage(10, 10, None, None, 50, 7),
    ),
    "Anthropic, nothing": (Usage(10, 50), "anthropic", NormalisedUsage(10, None, None, None, 50, None)),
    "Gemini": (
        Usage(100, 50, {"candidatesTokenCount": 20, "cachedContentTokenCount": 64, "thoughtsTokenCount": 30}),
        "gemini",
        NormalisedUsage(100, 36, 64, None, 50, 30),
    ),
    "Gemini, zeros left out": (
        Usage(100, 50, {"candidatesTokenCount": 50}),
        "gemini",
        NormalisedUsage(100, 100, 0, None, 50, 0),
    ),
    "another": (Usage(100, 50, {"latency": 3}), "mistral", NormalisedUsage(100, None, None, None, 50, None)),
    "nothing": (Usage(), "openai", NormalisedUsage()),
    "no input": (
        Usage(None, 5, {"prompt_tokens_details": {"cached_tokens": 1}}),
        "openai",
        NormalisedUsage(None, None, 1, 0, 5, 0),
    ),
    "nonsense": (
        Usage("many", -1, {"prompt_tokens_details": "none", "cache_read_input_tokens": 2**70}),
        None,
        NormalisedUsage(),
    ),
    "more cached than there is": (
        Usage(5, 5, {"prompt_tokens_details": {"cached_tokens": 9}}),
        "openai",
        NormalisedUsage(5, 0, 9, 0, 5, 0),
    ),
    "whole floats": (Usage(5.0, 5.5), None, NormalisedUsage(5, None, None, None, None, None)),
}


@pytest.mark.parametrize(("usage", "provider", "expected"), CASES.values(), ids=CASES)
def test_wire_formats(usage, provider, expected):
    assert normalise(usage, provider) == expected


KEYS = st.sampled_from(
    [
        "prompt_tokens_details",
        "input_tokens_details",
        "completion_tokens_details",
        "output_tokens_details",
        "cached_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "thinking_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cachedContentTokenCount",
        "thoughtsTokenCount",
        "candidatesTokenCount",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
DETAILS = st.dictionaries(
    KEYS, LEAVES | st.dictionaries(KEYS, LEAVES, max_size=3) | st.lists(LEAVES, max_size=2)
)
PROVIDERS = st.sampled_from([None, "openai", "anthropic", "gemini"])


@given(LEAVES, LEAVES, st.none() | DETAILS, PROVIDERS)
def test_whatever_a_provider_says_becomes_counts(given_input, given_output, details, provider):
    used = normalise(Usage(given_input, given_output, details), provider)
    assert all(value is None or (type(value) is int and 0 <= value <= 3 * 2**53) for value in used)
    if used.input_uncached is not None:
        assert used.input_uncached <= used.input_total


COUNTS = st.none() | st.integers(0, 100) | st.sampled_from([-1, 2**53 + 1, 1.0, True])
USAGES = st.none() | st.builds(Usage, COUNTS, COUNTS, st.none() | st.just({}) | DETAILS)
PLAIN = st.builds(Usage, st.integers(0, 100), st.integers(0, 100), st.none())


@given(st.lists(st.tuples(USAGES, PROVIDERS), min_size=1) | st.lists(st.tuples(PLAIN, PROVIDERS), min_size=1))
def test_many_are_normalised_as_each_one_is(told):
    usages, providers = zip(*told, strict=True)
    expected = [normalise(usage, provider) if usage else NormalisedUsage() for usage, provider in told]
    assert list(zip(*normalise_all(usages, providers), strict=True)) == expected
