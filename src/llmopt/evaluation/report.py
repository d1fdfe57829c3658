"""What the answers say: shares with intervals, what each encoding costs, and the profile to be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Final

from ..compress.choice import JSON
from ..compress.notation.features import PROFILES
from .exam import BASELINE, Answer, Exam
from .statistics import Interval

__all__ = ["Report", "Result"]

PROVIDER: Final = "provider"
TOKENIZER: Final = "tokenizer"
NOT_WORSE: Final = "not worse"
WORSE: Final = "worse"
UNDECIDED: Final = "undecided"


@dataclass(frozen=True, slots=True)
class Result:
    """How a model did with one encoding. Shares and differences are fractions.

    Attributes:
        encoding: "pretty", "compact", or a profile.
        asked: how many questions.
        right: how many it got right.
        interval: 95 % interval of the share of right answers (Wilson).
        kinds: (right, asked) for each kind of question.
        gained: questions that it got right with this encoding, and with compact JSON not.
        lost: the reverse.
        difference_interval: 95 % interval of the paired difference to compact JSON (Bonett and Price).
        p: of McNemar's exact test against compact JSON.
        verdict: "not worse" than compact JSON by more than the margin, "worse", or "undecided".
        data_tokens: tokens of the data, on average, counted by the exam's counter.
        input_tokens: tokens of the prompts, on average; the report says who has counted them.
        output_tokens: tokens of the replies, likewise.
        usd: list price of a question in dollars, without discounts of prefix caches; None where the price is
            unknown, or the provider has not said how many tokens there were.
        seconds: median time of a call; None where all answers came from a cache.
    """

    encoding: str
    asked: int
    right: int
    interval: Interval
    kinds: Mapping[str, tuple[int, int]]
    gained: int
    lost: int
    difference_interval: Interval
    p: float
    verdict: str
    data_tokens: float
    input_tokens: float
    output_tokens: float
    usd: float | None
    seconds: float | None

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.asked

    @property
    def difference(self) -> float:
        """Accuracy minus that of compact JSON."""
        return (self.gained - self.lost) / self.asked


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an exam. `str(report)` is for people, 80 columns wide.

    Attributes:
        model_id: the model that was asked.
        results: one for each encoding; none where no question was answered under all of them.
        margin: by how much less accurate than compact JSON the chosen profile may be, as a fraction.
        exam: what was asked.
        answers: what was said, in the order of the questions.
        date: when, ISO 8601 in UTC.
        tokens_from: who has counted the tokens of prompts and replies: "provider", if it has said so of every
            call, else "tokenizer".
    """

    model_id: str
    results: tuple[Result, ...]
    margin: float
    exam: Exam = field(repr=False)
    answers: tuple[Answer, ...] = field(repr=False)
    date: str
    tokens_from: str = PROVIDER

    @property
    def asked(self) -> int:
        """How many questions were answered under all encodings; only they count."""
        return self.results[0].asked if self.results else 0

    @property
    def is_complete(self) -> bool:
        """Whether those are all questions of the exam."""
        return self.asked == len(self.exam.questions)

    @property
    def is_priced(self) -> bool:
        """Whether the price of every encoding is known."""
        return all(result.usd is not None for result in self.results)

    @property
    def choice(self) -> str | None:
        """The cheapest profile that is not worse than compact JSON by more than the margin, "json" or None.

        The cheapest is that with the lowest list price where it is known, else that with the fewest tokens of
        data; of equals the plainer. "json" is chosen where every profile is worse, or costs more than compact
        JSON; nothing where more questions may tell, and from an exam that was not completed.
        """
        if not self.is_complete:
            return None
        most = self._cost(self.result(BASELINE))
        allowed = [r for r in self._profiles if r.verdict == NOT_WORSE and self._cost(r) <= most]
        best = min(allowed, key=self._cost, default=None)
        if best is None:
            undecided = any(result.verdict == UNDECIDED for result in self._profiles)
            return None if undecided else JSON
        return best.encoding

    @property
    def _profiles(self) -> list[Result]:
        return [result for result in self.results if result.encoding in PROFILES]

    def __str__(self) -> str:
        from .text import written

        return written(self)

    def result(self, encoding: str) -> Result:
        """Return the result of an encoding.

        Raises:
            KeyError: there is none of that name.
        """
        return {result.encoding: result for result in self.results}[encoding]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, and all questions and replies, as JSON has it."""
        return {
            "model": self.model_id,
            "date": self.date,
            "choice": self.choice,
            "complete": self.is_complete,
            "margin": self.margin,
            "baseline": BASELINE,
            "role": self.exam.role,
            "seed": self.exam.seed,
            "questions": self.asked,
            "questions_planned": len(self.exam.questions),
            "chance": mean(question.chance for question in self.exam.questions),
            "tokenizer": self.exam.counted_by,
            "tokenizer_exact": self.exam.exact,
            "tokens_from": self.tokens_from,
            "results": [_result_dict(result) for result in self.results],
            "answers": [_answer_dict(self.exam, answer) for answer in self.answers],
        }

    def _cost(self, result: Result) -> float:
        return result.usd if result.usd is not None and self.is_priced else result.data_tokens


def _result_dict(result: Result) -> dict[str, Any]:
    names = (
        "encoding",
        "asked",
        "right",
        "accuracy",
        "interval",
        "difference",
        "difference_interval",
        "gained",
    )
    more = ("lost", "p", "verdict", "data_tokens", "input_tokens", "output_tokens", "usd", "seconds", "kinds")
    return {name: _plain(getattr(result, name)) for name in (*names, *more)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [*value]  # pyright: ignore[reportUnknownVariableType] - JSON
    return {**value} if isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownVariableType]


def _answer_dict(exam: Exam, answer: Answer) -> dict[str, Any]:
    question = exam.questions[answer.question]
    return {
        "question": answer.question,
        "document": question.document,
        "kind": question.kind,
        "text": question.text,
        "answer": question.answer,
        "encodings": list(answer.encodings),
        "reply": answer.reply,
        "right": answer.right,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "seconds": answer.seconds,
    }
