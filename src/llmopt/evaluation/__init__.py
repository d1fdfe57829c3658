"""Asks a model how well it understands an encoding: questions with exact answers, intervals, costs.

`compress` compares the profiles of `llmopt.compress` with JSON, `save` keeps the one that came out best for
`Compress("auto")`. On the command line: `llmopt eval compress -m MODEL`.
"""

from __future__ import annotations

from .exam import BASELINE, Answer, Exam, exam_of
from .judge import is_right
from .prices import Estimate, estimate_of
from .questions import KINDS, Question, questions
from .report import Report, Result
from .run import Asking, ask, compress
from .save import save
from .scoring import report_of
from .statistics import Interval, mcnemar_p, paired_interval, wilson_interval

__all__ = [
    "BASELINE",
    "KINDS",
    "Answer",
    "Asking",
    "Estimate",
    "Exam",
    "Interval",
    "Question",
    "Report",
    "Result",
    "ask",
    "compress",
    "estimate_of",
    "exam_of",
    "is_right",
    "mcnemar_p",
    "paired_interval",
    "questions",
    "report_of",
    "save",
    "wilson_interval",
]
