"""What requests cost an engine, in seconds and money: a few numbers per kind of engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from ..errors import ConfigurationError
from ..resilience._common import is_count, is_number, require

__all__ = ["PRESETS", "CostModel", "Reuse"]

Reuse: TypeAlias = Literal["none", "same_slot", "when_finished", "when_read"]
"""What a request finds of a prefix that another has brought.

"none": nothing. "same_slot": what the request before it on the same slot has left, so that requests in turn
reuse it and requests at once do not (llama.cpp's server). "when_finished": what any finished request has left
(legacy TensorRT-LLM). "when_read": what any request has left that is past its first token (vLLM, current
TensorRT-LLM, hosted APIs).
"""

CACHED_WEIGHT: Final = 0.1
"""What a cached input token counts beside one that is not, where the prices do not say."""


@dataclass(frozen=True, slots=True)
class CostModel:
    """What an engine needs for a request.

    Reading n tokens after c that are there already takes `prefill_s_per_token * (n + prefill_growth *
    ((c + n)**2 - c**2))` seconds, writing m tokens after a context of c `decode_s_per_token * m *
    (1 + decode_growth * (c + m / 2))`: both have a part that is the same for each token, and attention, which
    grows with what stands before it.

    Args:
        name: what it is called.
        prefill_s_per_token: seconds for a token of input at the start of a prompt.
        decode_s_per_token: seconds for a token of output after an empty prompt, when nothing else runs.
        overhead_s: seconds that each request takes beside; requests at once take them at once.
        concurrency: requests that run at once; more of them wait.
        prefill_growth: how prefill slows down, per token of context.
        decode_growth: how decoding slows down, per token of context.
        prefill_contention: how much of its own time one more request at once takes from the prefill of the
            others: 1 for one machine, 0 for a service with machines to spare.
        decode_contention: likewise for a step of decoding, which reads the weights once for all of them.
        unified: whether requests at once also read each other's keys in prefill (llama.cpp's unified cache).
        shares_running: whether requests at once have the blocks of their common prefix but once.
        reuse: what they find of the prefix of earlier ones.
        cache_min_tokens: prefixes that are shorter are not cached.
        cache_block_tokens: prefixes are cached in whole blocks of this size.
        input_nano_usd: price of a token of input, in nano-dollars.
        cached_nano_usd: price of one that is cached.
        output_nano_usd: price of a token of output.
        source: where the numbers come from; "assumed" where nobody has measured them.

    Raises:
        ConfigurationError: an argument is out of its range.

    Example:
        >>> model = CostModel("mine", prefill_s_per_token=0.001, decode_s_per_token=0.01)
        >>> model.prefill_s(100), model.decode_s(20)
        (0.1, 0.2)
    """

    name: str
    prefill_s_per_token: float
    decode_s_per_token: float
    overhead_s: float = 0.0
    concurrency: int = 1
    prefill_growth: float = 0.0
    decode_growth: float = 0.0
    prefill_contention: float = 1.0
    decode_contention: float = 1.0
    unified: bool = False
    shares_running: bool = False
    reuse: Reuse = "none"
    cache_min_tokens: int = 0
    cache_block_tokens: int = 1
    input_nano_usd: int = 0
    cached_nano_usd: int = 0
    output_nano_usd: int = 0
    source: str = "assumed"

    def __post_init__(self) -> None:
        for name in (
            "prefill_s_per_token",
            "decode_s_per_token",
            "overhead_s",
            "prefill_growth",
            "decode_growth",
        ):
            value = getattr(self, name)
            require(is_number(value, above=-1e-300), f"CostModel: {name}", value, "a number from 0 up")
        for name in ("prefill_contention", "decode_contention"):
            value = getattr(self, name)
            right = is_number(value, above=-1e-300) and value <= 1
            require(right, f"CostModel: {name}", value, "a fraction from 0 to 1")
        for name in ("concurrency", "cache_block_tokens"):
            value = getattr(self, name)
            require(is_count(value, least=1), f"CostModel: {name}", value, "a whole number from 1 up")
        for name in ("cache_min_tokens", "input_nano_usd", "cached_nano_usd", "output_nano_usd"):
            value = getattr(self, name)
            require(is_count(value, least=0), f"CostModel: {name}", value, "a whole number from 0 up")
        kinds = Reuse.__args__  # type: ignore[attr-defined]
        require(self.reuse in kinds, "CostModel: reuse", self.reuse, f"one of {', '.join(kinds)}")

    @classmethod
    def preset(cls, name: str) -> CostModel:
        """Return one of `PRESETS`.

        Raises:
            ConfigurationError: there is none of this name.

        Example:
            >>> CostModel.preset("paged").shares_running
            True
        """
        found = PRESETS.get(name)
        if found is None:
            raise ConfigurationError(f"CostModel.preset({name!r}): it must be one of {', '.join(PRESETS)}")
        return found

    def prefill_s(self, tokens: int, cached_tokens: int = 0) -> float:
        """Return the seconds to read `tokens` after `cached_tokens` that need not be read again."""
        return self.prefill_s_per_token * self.prefill_work(tokens, cached_tokens)

    def decode_s(self, tokens: int, context_tokens: int = 0, at_once: int = 1) -> float:
        """Return the seconds to write `tokens` after a context, while `at_once` requests do."""
        steps = tokens * (1 + self.decode_contention * (at_once - 1))
        # Attention is each request's own, as prefill is: running them at once saves nothing of it.
        attention = (self.decode_work(tokens, context_tokens) - tokens) * self.contended(at_once)
        return self.decode_s_per_token * (steps + attention)

    def contended(self, at_once: int) -> float:
        """Return how many times as long prefill takes for each of `at_once` requests than for one alone."""
        return 1 + self.prefill_contention * (at_once - 1)

    def prefill_work(self, tokens: int, cached_tokens: int = 0) -> float:
        """Return how many tokens without context are as much work as reading these."""
        return tokens + self.prefill_growth * ((cached_tokens + tokens) ** 2 - cached_tokens**2)

    def decode_work(self, tokens: int, context_tokens: int) -> float:
        """Return how many tokens without context are as much work as writing these."""
        return tokens * (1 + self.decode_growth * (context_tokens + tokens / 2))

    def cacheable(self, prefix_tokens: int) -> int:
        """Return how much of a prefix is cached: whole blocks, and nothing below the minimum."""
        if prefix_tokens < self.cache_min_tokens:
            return 0
        return prefix_tokens - prefix_tokens % self.cache_block_tokens

    def cost_nano_usd(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        """Return the price of a request, in nano-dollars; `cached_tokens` are part of `input_tokens`."""
        fresh = (input_tokens - cached_tokens) * self.input_nano_usd
        return fresh + cached_tokens * self.cached_nano_usd + output_tokens * self.output_nano_usd

    def effective_tokens(self, input_tokens: int, cached_tokens: int) -> float:
        """Return the tokens of input, cached ones counted as they are priced beside the others."""
        priced = self.cached_nano_usd / self.input_nano_usd if self.input_nano_usd else CACHED_WEIGHT
        return input_tokens - cached_tokens * (1 - priced)


_CPU: Final = CostModel(
    # Fitted to prefill of 32 to 1,024 tokens (22 to 644 ms), decoding at contexts of 64 and 1,024 (6.1 and
    # 13.1 ms), and steps of 1, 2 and 4 sequences (5.9, 7.1, 10.0 ms).
    "cpu",
    prefill_s_per_token=0.418e-3,
    decode_s_per_token=5.63e-3,
    prefill_growth=0.493e-3,
    decode_growth=1.295e-3,
    decode_contention=0.232,
    source="measured: llama.cpp, 27 M parameters, F16, one CPU thread",
)


def _cpu(name: str, **changes: object) -> CostModel:
    return replace(_CPU, name=name, **changes)  # type: ignore[arg-type]


PRESETS: Final[Mapping[str, CostModel]] = MappingProxyType(
    {
        # Time to first token and pace as they are usually seen with small hosted models. The caching rules
        # (from 1,024 tokens in steps of 128, at a tenth of the price) are those that OpenAI publishes.
        "hosted": CostModel(
            "hosted",
            prefill_s_per_token=0.1e-3,
            decode_s_per_token=0.012,
            overhead_s=0.4,
            concurrency=32,
            prefill_contention=0.0,
            decode_contention=0.0,
            reuse="when_read",
            cache_min_tokens=1024,
            cache_block_tokens=128,
            input_nano_usd=250,
            cached_nano_usd=25,
            output_nano_usd=2000,
        ),
        # One request at a time, which finds the prefix of the one before it: `python -m llama_cpp.server`.
        "single_slot": _cpu("single_slot", reuse="same_slot"),
        # llama.cpp's server with a cache per slot. That steps of several slots save nothing is inferred from
        # its totals.
        "slots": _cpu("slots", concurrency=8, decode_contention=1.0, reuse="same_slot"),
        # The same with one cache for all slots (--kv-unified), which each of them has to look through.
        "slots_unified": _cpu("slots_unified", concurrency=8, unified=True, reuse="same_slot"),
        # Requests at once share the blocks of their prefix, as in vLLM, SGLang and TensorRT-LLM; measured
        # with copied sequences in llama.cpp.
        "paged": _cpu("paged", concurrency=64, shares_running=True, reuse="when_read", cache_block_tokens=16),
    }
)
"""Cost models of kinds of engines, to start from. What decides between strategies is the ratio of their
numbers; `calibrate` replaces the seconds by those of an engine."""
