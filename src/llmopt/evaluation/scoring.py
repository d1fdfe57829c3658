"""Makes the report on the answers that there are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from statistics import mean, median

from ..errors import ConfigurationError
from ..usage.tokens import normalise
from .exam import BASELINE, Answer, Exam
from .prices import usd_of
from .questions import KINDS
from .report import NOT_WORSE, PROVIDER, TOKENIZER, UNDECIDED, WORSE, Report, Result
from .statistics import Interval, mcnemar_p, paired_interval, wilson_interval

__all__ = ["check_margin", "report_of"]


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
    tokens_from = PROVIDER if all(map(_counted, itertools.chain(*columns.values()))) else TOKENIZER
    result = partial(
        _result, exam=exam, base=columns[BASELINE], model_id=model_id, margin=margin, tokens_from=tokens_from
    )
    results = tuple(result(encoding, column) for encoding, column in columns.items() if column)
    now = datetime.now(UTC).isoformat("T", "seconds")
    order = exam.encodings.index
    as_asked = tuple(sorted(answers, key=lambda answer: (answer.question, order(answer.encodings[0]))))
    return Report(model_id, results, margin, exam, as_asked, now, tokens_from)


def _result(
    encoding: str,
    column: list[Answer],
    *,
    exam: Exam,
    base: list[Answer],
    model_id: str,
    margin: float,
    tokens_from: str,
) -> Result:
    right, asked = sum(answer.right for answer in column), len(column)
    gained = sum(a.right > b.right for a, b in zip(column, base, strict=True))
    lost = sum(a.right < b.right for a, b in zip(column, base, strict=True))
    difference = paired_interval(gained, lost, asked)
    texts = exam.tokens[encoding]
    is_said = tokens_from == PROVIDER
    counts = [(_counted(a) if is_said else None) or _tokenized(exam, a, encoding) for a in column]
    usd = usd_of(model_id, counts) if is_said else None
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
        mean(tokens for tokens, _ in counts),
        mean(tokens for _, tokens in counts),
        None if usd is None else usd / asked,
        median(times) if (times := [a.seconds for a in column if a.seconds is not None]) else None,
    )


def _counted(answer: Answer) -> tuple[int, int] | None:
    """Return the tokens of a call as the provider has it; some say 0 for want of a count."""
    counts = normalise(answer.usage)
    return (counts.input_total, counts.output) if counts.input_total and counts.output is not None else None


def _tokenized(exam: Exam, answer: Answer, encoding: str) -> tuple[int, int]:
    return exam.input_tokens(answer.question, encoding), exam.counter.count(answer.reply)


def _verdict(difference: Interval, margin: float) -> str:
    if difference.low > -margin:
        return NOT_WORSE
    return WORSE if difference.high < 0 else UNDECIDED


def _share(exam: Exam, column: list[Answer], kind: str) -> tuple[int, int]:
    of_kind = [answer.right for answer in column if exam.questions[answer.question].kind == kind]
    return sum(of_kind), len(of_kind)
