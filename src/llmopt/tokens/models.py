"""Model name -> encoding, and model name -> family."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Final, NamedTuple

from ._table import P95_ERROR, P95_ERROR_OTHER

__all__ = ["FAMILIES", "Family", "encoding_for", "family_of"]


class Family(NamedTuple):
    """How the tokenizers of a family of models compare to the estimate made for o200k_base.

    Attributes:
        factor: median of their tokens over the estimated ones.
        error: relative error that 95 in 100 texts stay below: English, code and data.
        error_other: the same for texts in other languages.
    """

    factor: float
    error: float
    error_other: float


# Measured by `benchmarks/tokens_families.py` on the samples that the table was not made from. Claude: its
# second generation, the only one whose tokenizer was published; Llama: the third. The last is for what could
# not be measured (Gemini, Grok, newer ones of the above): the middle of the factors, the worst of the errors.
FAMILIES: Final = {
    "o200k_base": Family(1.0, P95_ERROR, P95_ERROR_OTHER),
    "cl100k_base": Family(1.01, 0.14, 0.72),
    "claude": Family(1.09, 0.18, 0.72),
    "deepseek": Family(1.05, 0.13, 0.39),
    "llama": Family(0.99, 0.13, 0.73),
    "mistral": Family(1.07, 0.34, 0.28),
    "qwen": Family(1.05, 0.35, 0.58),
    "": Family(1.05, 0.35, 0.73),
}

# Hosts that serve OpenAI's models under OpenAI's names. A name behind any other prefix says nothing about
# the tokenizer: better a marked estimate than a count that is wrong and called exact.
_HOSTS = frozenset(
    ("opt", "openai", "azure", "azure_ai", "openrouter", "github", "litellm", "groq", "ollama", "vllm")
)

# What tiktoken's own table lacks. Its prefixes all end in "-", which misses bare names such as `gpt-4.5`
# and `o4`, and tags such as `gpt-oss:20b`.
_O200K = re.compile(r"(gpt-4\.\d|gpt-4o|o[134])(?![a-z0-9])")
_HARMONY = re.compile(r"gpt-oss(?![a-z0-9])")

# Encodings that differ in special tokens only, of which counting ordinary text knows nothing.
_SAME_TEXT = {"o200k_harmony": "o200k_base", "p50k_edit": "p50k_base"}


@lru_cache(maxsize=1024)
def encoding_for(model_or_encoding: str) -> str | None:
    """Return the name of the encoding that counts a model's ordinary text, None where it is not public.

    Args:
        model_or_encoding: a model as OpenAI names it, dated, fine-tuned (`ft:...`), behind a host's prefix
            (`openai/...`, `opt/...`) or with a tag (`...:20b`); or the name of an encoding.

    Example:
        >>> encoding_for("opt/gpt-4o-mini-2024-07-18"), encoding_for("ft:gpt-3.5-turbo:acme::7p4")
        ('o200k_base', 'cl100k_base')
        >>> encoding_for("claude-sonnet-4") is None
        True
    """
    *hosts, name = model_or_encoding.strip().lower().split("/")
    if not _HOSTS.issuperset(hosts):
        return None
    encoding = _encoding_of(re.split("[:@]", name.removeprefix("ft:"), maxsplit=1)[0])
    return _SAME_TEXT.get(encoding or "", encoding)


def _encoding_of(name: str) -> str | None:
    from tiktoken.model import encoding_name_for_model

    if name in vars(import_module("tiktoken_ext.openai_public"))["ENCODING_CONSTRUCTORS"]:
        return name
    if _O200K.match(name):
        return "o200k_base"
    if _HARMONY.match(name):
        return "o200k_harmony"
    try:
        return encoding_name_for_model(name)
    except KeyError:
        return None


def family_of(model: str) -> str:
    """Return the family whose tokenizer has been measured, "" for all others.

    Example:
        >>> family_of("openrouter/meta-llama/llama-3.1-8b-instruct"), family_of("grok-4")
        ('llama', '')
    """
    name = model.lower()
    return next((family for family in FAMILIES if family and family in name), "")
