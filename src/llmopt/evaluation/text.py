"""A report as text of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from statistics import mean

from ..compress.choice import JSON
from ..compress.notation.features import PROFILES
from .exam import BASELINE, Exam
from .prices import estimate_of
from .questions import KINDS
from .report import NOT_WORSE, PROVIDER, Report, Result
from .statistics import Interval

__all__ = ["announced", "written"]

WIDTH = 80
_LEAST_P = 0.001
_RIGHT = ("encoding", "right", "95 %", "diff.", "95 %", "p", "verdict")
_COST = ("encoding", "data", "prompt", "reply", "$/1,000", "s")


def written(report: Report) -> str:
    """Return the tables of a report, what their columns mean, the rule, and the choice.

    Args:
        report: the report.
    """
    if not report.results:
        return f"{report.model_id}: no question was answered under all encodings."
    rights = _aligned([_RIGHT, *map(_right, report.results)])
    costs = _aligned([_COST, *map(_cost, report.results)])
    return "\n\n".join((_title(report), rights, _kinds(report), costs, *_legend(report), *_ending(report)))


def announced(exam: Exam, model_id: str, wanted: int) -> str:
    """Return what is going to be asked, and what it may cost.

    Args:
        exam: what is asked.
        model_id: the model.
        wanted: how many questions were wanted.
    """
    estimate, asked = estimate_of(exam, model_id), len(exam.questions)
    fewer = "" if asked == wanted else f" (the data give no more than {asked})"
    need = "" if find_spec("genai_prices") else ": pip install llmopt[cost]"
    price = f"price unknown{need}" if estimate.usd is None else f"${estimate.usd:.4f} at list prices"
    return _wrapped(
        f"{model_id}: {asked} questions{fewer} under {', '.join(exam.encodings)}. {estimate.calls:,} calls, "
        f"{estimate.input_tokens:,} input tokens by {exam.counted_by}, and {estimate.output_tokens:,} of "
        f"answers if the model says nothing else: {price}. Thinking costs extra."
    )


def _title(report: Report) -> str:
    planned, values = len(report.exam.questions), len({q.document for q in report.exam.questions})
    role = f", as the role {report.exam.role} sees them" if report.exam.role else ""
    about = f"questions about {values} value{'s' if values > 1 else ''}{role}."
    if report.is_complete:
        return _wrapped(f"{report.model_id}: {report.asked} {about}")
    return _wrapped(f"PARTIAL. {report.model_id}: {report.asked} of {planned} {about}")


def _right(result: Result) -> tuple[str, ...]:
    compared = result.encoding != BASELINE
    return (
        result.encoding,
        f"{100 * result.accuracy:.1f}",
        f"{100 * result.interval.low:.0f}..{100 * result.interval.high:.0f}",
        f"{100 * result.difference:+.1f}" if compared else "",
        _signed(result.difference_interval) if compared else "",
        _p(result.p) if compared else "",
        result.verdict if result.encoding in PROFILES else "",
    )


def _cost(result: Result) -> tuple[str, ...]:
    return (
        result.encoding,
        f"{result.data_tokens:.0f}",
        f"{result.input_tokens:.0f}",
        f"{result.output_tokens:.1f}",
        "-" if result.usd is None else f"{1000 * result.usd:.4f}",
        "-" if result.seconds is None else f"{result.seconds:.2f}",
    )


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= _LEAST_P else f"<{_LEAST_P}"


def _signed(interval: Interval) -> str:
    return f"{100 * interval.low:+.1f}..{100 * interval.high:+.1f}"


def _kinds(report: Report) -> str:
    kinds = [kind for kind in KINDS if kind in report.results[0].kinds]
    asked = ("asked", *(str(report.results[0].kinds[kind][1]) for kind in kinds))
    shares = (
        (result.encoding, *(f"{100 * _share(result, kind):.0f}" for kind in kinds))
        for result in report.results
    )
    return _aligned([("right", *kinds), asked, *shares])


def _share(result: Result, kind: str) -> float:
    right, asked = result.kinds[kind]
    return right / asked


def _legend(report: Report) -> Iterator[str]:
    chance = mean(question.chance for question in report.exam.questions)
    yield _wrapped(
        f"right: per cent; guesses would reach {100 * chance:.0f}. diff.: points, compared with compact JSON "
        "question by question. p: McNemar, exact."
    )
    said = "the provider" if report.tokens_from == PROVIDER else "the same"
    counted = f"data with the legend of its notation by {report.exam.counted_by}"
    price = "without discounts of prefix caches" if report.is_priced else "unknown"
    yield _wrapped(
        f"Tokens of a question, on average: {counted}, prompt and reply by {said}. $/1,000: list price of "
        f"1,000 questions, {price}. s: median of a call; - where a cache has answered."
    )


def _ending(report: Report) -> Iterator[str]:
    rule = "lowest list price" if report.is_priced else "fewest tokens of data, as no price is known"
    yield _wrapped(
        f"Rule: of the profiles whose accuracy is not more than {100 * report.margin:g} points below that of "
        f"compact JSON, by the lower end of the 95 % interval of the difference, the one with the {rule}, "
        "unless that is above JSON's."
    )
    yield _choice(report)


def _choice(report: Report) -> str:
    if not report.is_complete:
        return "Choice: none, for not all questions were answered."
    if report.choice is None:
        return "Choice: none; more questions may tell."
    if report.choice != JSON:
        return f"Choice: {report.choice}."
    verdicts = {result.verdict for result in report.results if result.encoding in PROFILES}
    why = "what is not worse costs no less" if NOT_WORSE in verdicts else "every profile is worse"
    return f"Choice: JSON; {why}."


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
