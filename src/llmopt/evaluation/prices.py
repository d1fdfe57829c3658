"""What calls cost, at list prices, and what an exam is going to cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from ..types import Usage
from ..usage.prices import Pricing
from ..usage.tokens import normalise
from .exam import Exam

__all__ = ["Estimate", "estimate_of", "usd_of"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an exam takes, as far as it can be known before.

    Attributes:
        calls: how many, without those that are made again.
        input_tokens: of all prompts, as the exam's counter has it.
        output_tokens: of the right answers alone; whatever else a model says or thinks comes on top.
        usd: list price of these tokens in dollars; None where it is not known.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None


def estimate_of(exam: Exam, model_id: str) -> Estimate:
    """Return what it takes to ask a model the questions of an exam.

    Args:
        exam: what is to be asked.
        model_id: the model.

    Example:
        >>> from llmopt.evaluation import exam_of
        >>> exam = exam_of([[{"id": n, "hp": n * n} for n in range(5, 9)]], count=5)
        >>> estimate = estimate_of(exam, "gpt-4o-mini")
        >>> estimate.calls, estimate.input_tokens > 20 * estimate.output_tokens, estimate.usd < 0.001
        (15, True, True)
    """
    calls = list(_calls(exam))
    return Estimate(
        len(calls),
        sum(tokens for tokens, _ in calls),
        sum(tokens for _, tokens in calls),
        usd_of(model_id, calls),
    )


def _calls(exam: Exam) -> Iterator[tuple[int, int]]:
    for job in exam.jobs:
        answer = json.dumps(exam.questions[job.question].answer, ensure_ascii=False)
        yield exam.input_tokens(job.question, job.encodings[0]), exam.counter.count(answer)


def usd_of(model_id: str, calls: Iterable[tuple[int, int]]) -> float | None:
    """Return the list price of calls in dollars, without discounts of prefix caches.

    Each call is priced by itself: some prices rise with the length of a prompt.

    Args:
        model_id: the model.
        calls: input and output tokens of each.

    Returns:
        Dollars, or None where the `genai-prices` package is missing or does not know the model.

    Example:
        >>> usd_of("gpt-4o-mini", [(1_000_000, 0)]), usd_of("a-model-of-mine", [(1_000_000, 0)])
        (0.15, None)
    """
    if find_spec("genai_prices") is None:
        return None
    pricing, nano_usd = Pricing(), 0
    for tokens in calls:
        priced = pricing.price_of(None, model_id, normalise(Usage(*tokens)))
        if priced is None or priced.nano_usd is None:
            return None
        nano_usd += priced.nano_usd
    return nano_usd / 1e9
