"""Measure the factors of `FAMILIES` in `src/llmopt/tokens/models.py`: other tokenizers against the estimate.

    python benchmarks/tokens_families.py llama=tokenizer.model mistral=tekken.json claude=tokenizer.json ...

Each argument names a family and a public tokenizer of it: `cl100k_base`, a rank file in tiktoken's format, a
tekken file of Mistral, or a file of the `tokenizers` library. The factors were measured with the files that
litellm 1.109 (claude, deepseek), mistral-common 1.13 (tekken_240911), llama-models 0.3 (llama3 as llama,
llama4) and dashscope 2.0 (qwen) carry. Of Claude only the second generation's tokenizer was published.
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiktoken
from tokens_table import by_language, samples, summary

import llmopt.tokens
from llmopt.tokens.encodings import definition_of
from llmopt.tokens.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable


def pattern_of(family: str) -> str:
    """Give the pattern by which a family cuts text: cl100k_base's, with a small change for some."""
    name = "o200k_base" if family == "llama4" else "cl100k_base"
    pattern: str = definition_of(name).arguments["pat_str"]
    return pattern.replace("{1,3}+", "") if family == "qwen" else pattern


def counter_of(family: str, source: str) -> Callable[[str], int]:
    """Load a tokenizer and return the function that counts with it."""
    if source == "cl100k_base":
        return llmopt.tokens.counter(source).count
    if not source.endswith(".json"):
        lines = (line.split() for line in Path(source).read_bytes().splitlines())
        return of_ranks({base64.b64decode(token): int(rank) for token, rank in lines}, pattern_of(family))
    content: dict[str, Any] = json.loads(Path(source).read_bytes())
    if "config" in content:
        size = content["config"]["default_vocab_size"] - content["config"]["default_num_special_tokens"]
        ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in content["vocab"][:size]}
        return of_ranks(ranks, content["config"]["pattern"])
    from tokenizers import Tokenizer  # type: ignore[import-not-found]

    tokenizer = Tokenizer.from_file(source)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def of_ranks(ranks: dict[bytes, int], pattern: str) -> Callable[[str], int]:
    """Count with tiktoken by another vocabulary."""
    encoding = tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))


def main() -> None:
    """Print factor and errors per family."""
    texts = samples()[1::2]
    estimated = [Estimate().count(text.text) for text in texts]
    for argument in sys.argv[1:]:
        family, _, source = argument.partition("=")
        count = counter_of(family, source)
        pairs = [(text, count(text.text) / guess) for text, guess in zip(texts, estimated, strict=True)]
        factor = round(statistics.median(ratio for _, ratio in pairs), 2)
        for name, part in by_language(texts).items():
            found = [factor / ratio - 1 for text, ratio in pairs if text in part]
            print(summary(f"{family} * {factor:.2f}, {name}", found))


if __name__ == "__main__":
    main()
