"""What the answers say: shares with intervals, what each encoding costs, and the profile to be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from statistics import mean, median
from typing import Any, Final

from ..compress.notation.features import PROFILES
from ..errors import ConfigurationError
from ..middleware._prices import NANO, nano_usd_of
from ..types import Usage
from ..usage.tokens import normalise
from .exam import BASELINE, Answer, Exam
from .questions import KINDS
from .statistics import Interval, mcnemar_p, paired_interval, wilson_interval

__all__ = ["Report", "Result", "report_of"]

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
        data_tokens: tokens of the data, on average; the exam says whether they are exact.
        input_tokens: tokens of the prompts by the provider's word, on average; None where it says nothing.
        output_tokens: tokens of the replies, likewise.
        usd: list price of a question in dollars, without discounts of prefix caches; None where unknown.
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
    input_tokens: float | None
    output_tokens: float | None
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
        answers: what was said.
        date: when, ISO 8601 in UTC.
    """

    model_id: str
    results: tuple[Result, ...]
    margin: float
    exam: Exam = field(repr=False)
    answers: tuple[Answer, ...] = field(repr=False)
    date: str

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
        """The cheapest profile that is not worse than compact JSON by more than the margin; None for none.

        The cheapest is that with the lowest list price where it is known, else that with the fewest tokens of
        data; of equals the plainer. Nothing is chosen from an exam that was not completed.
        """
        if not self.is_complete:
            return None
        allowed = [r for r in self.results if r.encoding in PROFILES and r.verdict == NOT_WORSE]
        best = min(allowed, key=self._cost, default=None)
        return None if best is None else best.encoding

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
            "data_tokens_exact": self.exam.exact,
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


def check_margin(margin: object) -> None:
    """Raise ConfigurationError unless `margin` is a fraction."""
    if not isinstance(margin, (int, float)) or not 0 < margin < 1:
        raise ConfigurationError(f"margin={margin!r}: give a fraction between 0 and 1, 0.05 for 5 points")


def report_of(exam: Exam, answers: Sequence[Answer], model_id: str, *, margin: float = 0.05) -> Report:
    """Return the report on the answers that there are, be it all or some.

    Args:
        exam: what was asked.
        answers: what was said.
        model_id: the model.
        margin: by how much less accurate than compact JSON the chosen profile may be, as a fraction.

    Raises:
        ConfigurationError: `margin` is none between 0 and 1.

    Example:
        >>> from llmopt.evaluation import ask, exam_of
        >>> from llmopt.testing import ScriptedModel
        >>> exam = exam_of([[{"id": n, "hp": n * n} for n in range(5, 9)]], profiles=["safe"], count=4)
        >>> report = report_of(exam, list(ask(ScriptedModel(), exam))[:5], "scripted")
        >>> report.asked, report.is_complete, report.choice
        (1, False, None)
    """
    check_margin(margin)
    said: dict[str, dict[int, Answer]] = {encoding: {} for encoding in exam.encodings}
    for answer in answers:
        for encoding in answer.encodings:
            said[encoding][answer.question] = answer
    complete = [number for number in range(len(exam.questions)) if all(number in of for of in said.values())]
    columns = {encoding: [of[number] for number in complete] for encoding, of in said.items()}
    result = partial(_result, exam=exam, base=columns[BASELINE], model_id=model_id, margin=margin)
    results = tuple(result(encoding, column) for encoding, column in columns.items() if column)
    return Report(
        model_id, results, margin, exam, tuple(answers), datetime.now(UTC).isoformat("T", "seconds")
    )


def _result(
    encoding: str, column: list[Answer], *, exam: Exam, base: list[Answer], model_id: str, margin: float
) -> Result:
    right, asked = sum(answer.right for answer in column), len(column)
    gained = sum(a.right > b.right for a, b in zip(column, base, strict=True))
    lost = sum(a.right < b.right for a, b in zip(column, base, strict=True))
    difference = paired_interval(gained, lost, asked)
    texts = exam.tokens[encoding]
    counts = [normalise(answer.usage) for answer in column]
    inputs, outputs = _mean([c.input_total for c in counts]), _mean([c.output for c in counts])
    return Result(
        encoding,
        asked,
        right,
        wilson_interval(right, asked),
        {kind: share for kind in KINDS if (share := _share(exam, column, kind))[1]},
        gained,
        lost,
        difference,
        mcnemar_p(gained, lost),
        _verdict(difference, margin),
        mean(texts[exam.questions[answer.question].document] for answer in column),
        inputs,
        outputs,
        _usd(model_id, inputs, outputs, asked),
        median(times) if (times := [a.seconds for a in column if a.seconds is not None]) else None,
    )


def _verdict(difference: Interval, margin: float) -> str:
    if difference.low > -margin:
        return NOT_WORSE
    return WORSE if difference.high < 0 else UNDECIDED


def _share(exam: Exam, column: list[Answer], kind: str) -> tuple[int, int]:
    of_kind = [answer.right for answer in column if exam.questions[answer.question].kind == kind]
    return sum(of_kind), len(of_kind)


def _mean(counts: list[int | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return mean(known) if len(known) == len(counts) else None


def _usd(model_id: str, inputs: float | None, outputs: float | None, asked: int) -> float | None:
    """Return the list price of a question, or None where it is not known."""
    if inputs is None or outputs is None or find_spec("genai_prices") is None:
        return None
    try:
        whole = nano_usd_of(model_id, Usage(round(inputs * asked), round(outputs * asked)), None)
    except ConfigurationError:
        return None
    return whole / NANO / asked
