from __future__ import annotations

import pytest
from tiktoken.model import MODEL_TO_ENCODING

from llmopt.tokens.models import FAMILIES, encoding_for, family_of

O200K, CL100K = "o200k_base", "cl100k_base"


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", O200K),
        ("gpt-4o-mini", O200K),
        ("gpt-4o-2024-08-06", O200K),
        ("chatgpt-4o-latest", O200K),
        ("gpt-4.1", O200K),
        ("gpt-4.1-nano-2025-04-14", O200K),
        ("gpt-4.5", O200K),
        ("gpt-4.5-preview", O200K),
        ("gpt-5", O200K),
        ("gpt-5.1-mini", O200K),
        ("o1", O200K),
        ("o1-preview", O200K),
        ("o3-mini-2025-01-31", O200K),
        ("o4", O200K),
        ("o4-mini", O200K),
        ("gpt-oss-120b", O200K),
        ("gpt-oss:20b", O200K),
        ("ft:gpt-4o-mini-2024-07-18:acme::7p4lURel", O200K),
        ("ft:gpt-4.1-mini-2025-04-14:acme::7p4lURel", O200K),
        ("gpt-4", CL100K),
        ("gpt-4-0613", CL100K),
        ("gpt-4-turbo-2024-04-09", CL100K),
        ("gpt-4-32k", CL100K),
        ("gpt-3.5-turbo", CL100K),
        ("gpt-3.5-turbo-0125", CL100K),
        ("gpt-35-turbo-16k", CL100K),
        ("ft:gpt-3.5-turbo:acme::7p4lURel", CL100K),
        ("ft:davinci-002:acme", CL100K),
        ("text-embedding-3-small", CL100K),
        ("text-davinci-003", "p50k_base"),
        ("openai/gpt-4o", O200K),
        ("opt/gpt-4o-mini", O200K),
        ("opt/openrouter/openai/gpt-4o", O200K),
        ("azure/gpt-4", CL100K),
        (" GPT-4o ", O200K),
        ("gpt-4o@2024-08-06", O200K),
        (O200K, O200K),
        (CL100K, CL100K),
        ("o200k_harmony", O200K),
        ("p50k_edit", "p50k_base"),
        ("r50k_base", "r50k_base"),
    ],
)
def test_models_with_a_public_encoding(model, encoding):
    assert encoding_for(model) == encoding


@pytest.mark.parametrize(
    "model",
    [
        "claude-sonnet-4",
        "anthropic/claude-opus-4",
        "opt/gemini/gemini-2.5-pro",
        "meta-llama/llama-3.1-8b",
        "someone/gpt-4-distilled",
        "gpt4all",
        "gpt-6",
        "o2",
        "o1000",
        "o3x",
        "gpt-ossify",
        "my-gpt-4o",
        "echo",
        "",
    ],
)
def test_models_without_one(model):
    assert encoding_for(model) is None


def test_tiktokens_own_table_holds():
    assert {model: encoding_for(model) for model in MODEL_TO_ENCODING} == {
        model: {"p50k_edit": "p50k_base"}.get(encoding, encoding)
        for model, encoding in MODEL_TO_ENCODING.items()
    }


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-sonnet-4", "claude"),
        ("anthropic/Claude-3-haiku", "claude"),
        ("llama3.2:latest", "llama"),
        ("deepseek-chat", "deepseek"),
        ("mistral-large", "mistral"),
        ("Qwen/Qwen3-8B", "qwen"),
        ("gemini-2.5-pro", ""),
    ],
)
def test_families(model, family):
    assert family_of(model) == family


def test_what_is_not_known_is_not_better_than_what_is():
    unknown, known = FAMILIES[""], [family for name, family in FAMILIES.items() if name]
    assert unknown.error == max(family.error for family in known)
    assert unknown.error_other == max(family.error_other for family in known)
