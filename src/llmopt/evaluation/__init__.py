"""Asks a model how well it understands an encoding: questions with exact answers, intervals, costs.

`compress` compares the profiles of `llmopt.compress` with JSON.
"""

from __future__ import annotations

from .exam import BASELINE, Answer, Exam, exam_of
from .judge import is_right
from .questions import KINDS, Question, questions
from .report import Report, Result, report_of
from .run import ask, compress
from .save import save
from .statistics import Interval, mcnemar_p, paired_interval, wilson_interval

__all__ = [
    "BASELINE",
    "KINDS",
    "Answer",
    "Exam",
    "Interval",
    "Question",
    "Report",
    "Result",
    "ask",
    "compress",
    "exam_of",
    "is_right",
    "mcnemar_p",
    "paired_interval",
    "questions",
    "report_of",
    "save",
    "wilson_interval",
]
