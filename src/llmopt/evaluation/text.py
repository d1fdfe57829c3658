"""A report as text of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from statistics import mean

from ..compress.notation.features import PROFILES
from .exam import BASELINE
from .questions import KINDS
from .report import UNDECIDED, Report, Result
from .statistics import Interval

__all__ = ["written"]

WIDTH = 80
HEAD = ("encoding", "right", "95 %", "diff.", "95 %", "p", "tokens", "$/1,000", "s")


def written(report: Report) -> str:
    """Return the tables of a report, what their columns mean, the rule, and the choice.

    Args:
        report: the report.
    """
    if not report.results:
        return f"{report.model_id}: no question was answered under all encodings."
    parts = (_title(report), _figures(report), _kinds(report), _legend(report), *_ending(report))
    return "\n\n".join(parts)


def _title(report: Report) -> str:
    planned, values = len(report.exam.questions), len({q.document for q in report.exam.questions})
    of_all = "" if report.is_complete else f" of {planned}"
    role = f", as the role {report.exam.role} sees them" if report.exam.role else ""
    plural = "s" if values > 1 else ""
    return _wrapped(
        f"{report.model_id}: {report.asked}{of_all} questions about {values} value{plural}{role}."
    )


def _figures(report: Report) -> str:
    return _aligned([HEAD, *(_row(result) for result in report.results)])


def _row(result: Result) -> tuple[str, ...]:
    compared = result.encoding != BASELINE
    return (
        result.encoding,
        f"{100 * result.accuracy:.1f}",
        f"{100 * result.interval.low:.0f}..{100 * result.interval.high:.0f}",
        f"{100 * result.difference:+.1f}" if compared else "",
        _signed(result.difference_interval) if compared else "",
        f"{result.p:.3f}" if compared else "",
        f"{result.data_tokens:.0f}",
        "-" if result.usd is None else f"{1000 * result.usd:.4g}",
        "-" if result.seconds is None else f"{result.seconds:.2f}",
    )


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


def _legend(report: Report) -> str:
    chance = mean(question.chance for question in report.exam.questions)
    counted = "counted exactly" if report.exam.exact else "estimated"
    price = "without discounts of prefix caches" if report.is_priced else "unknown for this model"
    return _wrapped(
        f"right: per cent; guesses would reach {100 * chance:.0f}. diff.: points, compared with compact JSON "
        f"question by question. p: McNemar, exact. tokens: of the data, {counted}. $/1,000: list price of "
        f"1,000 questions, {price}. s: median of a call; - where a cache has answered."
    )


def _ending(report: Report) -> Iterator[str]:
    rule = "lowest list price" if report.is_priced else "fewest tokens of data, as its price is unknown"
    yield _wrapped(
        f"Rule: of the profiles whose accuracy is not more than {100 * report.margin:g} points below that of "
        "compact "
        f"JSON, by the lower end of the 95 % interval of the difference, the one with the {rule}."
    )
    verdicts = ", ".join(f"{r.encoding} {r.verdict}" for r in report.results if r.encoding in PROFILES)
    yield _wrapped(f"{verdicts[:1].upper()}{verdicts[1:]}. {_choice(report)}")


def _choice(report: Report) -> str:
    if not report.is_complete:
        return "Choice: none, for not all questions were answered."
    if report.choice is not None:
        return f"Choice: {report.choice}."
    undecided = any(result.verdict == UNDECIDED for result in report.results if result.encoding in PROFILES)
    more = "more questions may tell" if undecided else "send this model JSON"
    return f"Choice: none; {more}."


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
