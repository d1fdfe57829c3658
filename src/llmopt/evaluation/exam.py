"""What a model is asked: questions, and the same data in every encoding; and what it has said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ..compress.alone import encode_alone
from ..compress.check import checked
from ..compress.legend import legend as legend_of
from ..compress.notation.features import PROFILES
from ..compress.notation.lexical import compact
from ..compress.roles import Role, role_of
from ..errors import ConfigurationError, EncodingError
from ..tokens import TokenCounter, counter
from ..types import Usage
from .questions import Question, questions

__all__ = ["BASELINE", "INSTRUCTION", "PRETTY", "Answer", "Exam", "Job", "exam_of"]

BASELINE: Final = "compact"
"""JSON without white space: what the profiles are compared with."""

PRETTY: Final = "pretty"
"""JSON with an indent of two."""

INSTRUCTION: Final = "Answer the question about the data."
"""The system prompt of all encodings."""

_PLAIN: Final = "safe"  # the profile that needs no legend

_MAX_LEVELS: Final = 64


@dataclass(frozen=True, slots=True)
class Job:
    """One call: a question about a text.

    Attributes:
        question: its number in the exam.
        encodings: those that have this very text; the answer counts for each.
        text: the data.
        system: the system prompt, with the legend of the notation if it needs one.
    """

    question: int
    encodings: tuple[str, ...]
    text: str = field(repr=False)
    system: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model has said to a question.

    Attributes:
        question: the number of the question.
        encodings: those that it counts for.
        reply: what the model has said.
        right: whether that is the answer.
        usage: its tokens by the provider's word.
        seconds: how long it took; None where a cache has answered.
    """

    question: int
    encodings: tuple[str, ...]
    reply: str = field(repr=False)
    right: bool
    usage: Usage
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Exam:
    """Questions, and the data that they are about in every encoding.

    Attributes:
        questions: what is asked.
        texts: encoding -> the text of each value.
        legends: encoding -> the legend that each text needs; empty for none.
        tokens: encoding -> the tokens of each text, and of its legend.
        counter: what has counted them.
        role: the role that has pruned the values, or None.
        seed: what the questions were drawn with.
    """

    questions: tuple[Question, ...]
    texts: Mapping[str, tuple[str, ...]] = field(repr=False)
    legends: Mapping[str, tuple[str, ...]] = field(repr=False)
    tokens: Mapping[str, tuple[int, ...]]
    counter: TokenCounter = field(repr=False, compare=False)
    role: str | None = None
    seed: int = 7

    @property
    def encodings(self) -> tuple[str, ...]:
        """Their names: pretty and compact JSON, and the profiles."""
        return tuple(self.texts)

    @property
    def exact(self) -> bool:
        """Whether tokens are counted with the model's own tokenizer."""
        return self.counter.exact

    @property
    def counted_by(self) -> str:
        """What has counted the tokens, in words."""
        if self.exact:
            return f"{self.counter.encoding} of {self.counter.source}"
        error = "" if self.counter.error is None else f" within {100 * self.counter.error:.0f} %"
        return f"an estimate{error}"

    @property
    def jobs(self) -> Iterator[Job]:
        """The calls, question by question, so that what has been answered so far can be compared."""
        for number, question in enumerate(self.questions):
            same: dict[tuple[str, str], tuple[str, ...]] = {}
            for encoding, texts in self.texts.items():
                prompt = texts[question.document], _system(self.legends[encoding][question.document])
                same[prompt] = (*same.get(prompt, ()), encoding)
            for (text, system), encodings in same.items():
                yield Job(number, encodings, text, system)

    def input_tokens(self, number: int, encoding: str) -> int:
        """Return the tokens of the prompt with a question, without what a provider puts round it."""
        question = self.questions[number]
        others = INSTRUCTION, f"\n{question.text}"
        return self.tokens[encoding][question.document] + sum(map(self.counter.count, others))

    def data_tokens(self, encoding: str) -> float:
        """Return the tokens of the data in an average question, and of their legend."""
        tokens = self.tokens[encoding]
        return sum(tokens[question.document] for question in self.questions) / len(self.questions)


def exam_of(
    values: Sequence[Any],
    model_id: str = "gpt-4o",
    *,
    profiles: Sequence[str] = tuple(PROFILES),
    count: int = 100,
    seed: int = 7,
    role: Role | str | None = None,
    legend: bool = True,
) -> Exam:
    """Return an exam; nothing is asked yet.

    The texts are those that `Compress` sends for `llmopt.Data`, and so is the system prompt, with its legend.
    Questions are about what the role has left of the values.

    Args:
        values: JSON as Python has it.
        model_id: whose tokens are counted.
        profiles: those to be compared with JSON.
        count: how many questions.
        seed: what they are drawn with.
        role: prunes and rounds the values first.
        legend: whether the model is told how to read what it has not seen, as for `Compress`.

    Raises:
        ConfigurationError: an argument is wrong, or there is nothing to ask about.
        EncodingError: a value is no JSON, or is nested deeper than 64 levels.

    Example:
        >>> exam = exam_of([[{"id": n, "hp": n * n} for n in range(5, 9)]], count=5)
        >>> exam.encodings, exam.tokens["dense"] < exam.tokens["compact"], len(list(exam.jobs))
        (('pretty', 'compact', 'safe', 'balanced', 'dense'), True, 15)
    """
    unknown = [profile for profile in profiles if profile not in PROFILES]
    if unknown or not profiles:
        raise ConfigurationError(f"profiles={tuple(profiles)!r}: give some of {', '.join(PROFILES)}")
    chosen = role_of(role)
    seen = [_seen(value, chosen) for value in values]
    of_model = counter(model_id)
    written: dict[str, list[_Written]] = {
        PRETTY: [_Written(json.dumps(value, indent=2, ensure_ascii=False)) for value in seen],
        BASELINE: [_Written(compact(value)) for value in seen],
    }
    for profile in (name for name in PROFILES if name in profiles):
        written[profile] = [_written(value, profile, of_model, legend=legend) for value in seen]
    return Exam(
        questions(seen, count, seed),
        {encoding: tuple(one.text for one in texts) for encoding, texts in written.items()},
        {encoding: tuple(one.legend for one in texts) for encoding, texts in written.items()},
        {encoding: tuple(one.tokens(of_model) for one in texts) for encoding, texts in written.items()},
        of_model,
        None if chosen is None else chosen.name,
        seed,
    )


def _seen(value: Any, role: Role | None) -> Any:
    value, levels = checked(value)
    if levels > _MAX_LEVELS:
        raise EncodingError(f"the value is nested deeper than {_MAX_LEVELS} levels: such data is not encoded")
    return value if role is None else role.apply(value)[0]


class _Written(NamedTuple):
    """How a value is sent."""

    text: str
    legend: str = ""

    def tokens(self, of_model: TokenCounter) -> int:
        return of_model.count(self.text) + of_model.count(_lead(self.legend))


def _written(value: Any, profile: str, of_model: TokenCounter, *, legend: bool) -> _Written:
    """Return how `Compress` sends a value: with a legend where it needs one, and only if that pays."""
    sent = _Written(encode_alone(value, profile, of_model)[0], legend_of(profile) if legend else "")
    plain = _Written(encode_alone(value, _PLAIN, of_model)[0])
    if not sent.legend:
        return sent
    is_worth_it = sent.text != plain.text and sent.tokens(of_model) < plain.tokens(of_model)
    return sent if is_worth_it else plain


def _system(legend: str) -> str:
    return _lead(legend) + INSTRUCTION


def _lead(legend: str) -> str:
    return f"{legend}\n\n" if legend else ""
