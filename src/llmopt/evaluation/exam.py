"""What a model is asked: questions, and the same data in every encoding; and what it has said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..compress.alone import encode_alone
from ..compress.check import checked
from ..compress.notation.features import PROFILES
from ..compress.notation.lexical import compact
from ..compress.roles import Role, role_of
from ..errors import ConfigurationError, EncodingError
from ..tokens import TokenCounter, counter
from ..types import Usage
from .questions import Question, questions

__all__ = ["BASELINE", "PRETTY", "Answer", "Exam", "Job", "exam_of"]

BASELINE: Final = "compact"
"""JSON without white space: what the profiles are compared with."""

PRETTY: Final = "pretty"
"""JSON with an indent of two."""

_MAX_LEVELS: Final = 64


@dataclass(frozen=True, slots=True)
class Job:
    """One call: a question about a text.

    Attributes:
        question: its number in the exam.
        encodings: those that have this very text; the answer counts for each.
        text: the data.
    """

    question: int
    encodings: tuple[str, ...]
    text: str = field(repr=False)


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
        tokens: encoding -> the tokens of each text.
        exact: whether these are counted with the model's own tokenizer.
        role: the role that has pruned the values, or None.
        seed: what the questions were drawn with.
    """

    questions: tuple[Question, ...]
    texts: Mapping[str, tuple[str, ...]] = field(repr=False)
    tokens: Mapping[str, tuple[int, ...]]
    exact: bool
    role: str | None = None
    seed: int = 7

    @property
    def encodings(self) -> tuple[str, ...]:
        """Their names: pretty and compact JSON, and the profiles."""
        return tuple(self.texts)

    @property
    def jobs(self) -> Iterator[Job]:
        """The calls, question by question, so that what has been answered so far can be compared."""
        for number, question in enumerate(self.questions):
            same: dict[str, tuple[str, ...]] = {}
            for encoding, texts in self.texts.items():
                text = texts[question.document]
                same[text] = (*same.get(text, ()), encoding)
            for text, encodings in same.items():
                yield Job(number, encodings, text)

    def data_tokens(self, encoding: str) -> float:
        """Return the tokens of the data in an average question."""
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
) -> Exam:
    """Return an exam; nothing is asked yet.

    The texts are those that `Compress` sends for `llmopt.Data`. Questions are about what the role
    has left of the values.

    Args:
        values: JSON as Python has it.
        model_id: whose tokens are counted.
        profiles: those to be compared with JSON.
        count: how many questions.
        seed: what they are drawn with.
        role: prunes and rounds the values first.

    Raises:
        ConfigurationError: an argument is wrong, or there is nothing to ask about.
        EncodingError: a value is no JSON, or is nested deeper than 64 levels.

    Example:
        >>> exam = exam_of([[{"id": n, "hp": n * n} for n in range(5, 9)]], count=5)
        >>> exam.encodings, exam.tokens["dense"] < exam.tokens["compact"], len(list(exam.jobs))
        (('pretty', 'compact', 'safe', 'balanced', 'dense'), True, 20)
    """
    unknown = [profile for profile in profiles if profile not in PROFILES]
    if unknown or not profiles:
        raise ConfigurationError(f"profiles={tuple(profiles)!r}: give some of {', '.join(PROFILES)}")
    chosen = role_of(role)
    seen = [_seen(value, chosen) for value in values]
    of_model = counter(model_id)
    texts = {
        PRETTY: tuple(json.dumps(value, indent=2, ensure_ascii=False) for value in seen),
        BASELINE: tuple(map(compact, seen)),
    }
    for profile in (name for name in PROFILES if name in profiles):
        texts[profile] = tuple(encode_alone(value, profile, of_model)[0] for value in seen)
    return Exam(
        questions(seen, count, seed),
        texts,
        _counted(texts, of_model),
        of_model.exact,
        None if chosen is None else chosen.name,
        seed,
    )


def _seen(value: Any, role: Role | None) -> Any:
    value, levels = checked(value)
    if levels > _MAX_LEVELS:
        raise EncodingError(f"the value is nested deeper than {_MAX_LEVELS} levels: such data is not encoded")
    return value if role is None else role.apply(value)[0]


def _counted(texts: Mapping[str, tuple[str, ...]], of_model: TokenCounter) -> dict[str, tuple[int, ...]]:
    return {encoding: tuple(map(of_model.count, written)) for encoding, written in texts.items()}
