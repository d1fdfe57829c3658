"""What the usage log says: costs, savings, times, troubles, and what to change.

    >>> import llmopt
    >>> print(llmopt.report.report_of("usage.db", since="7d"))  # doctest: +SKIP

On the command line: `llmopt report`. `llmopt.analyze_usage` returns the findings alone.
"""

from __future__ import annotations

from .build import BY, analyze_usage, compare_usage, report_of
from .types import (
    BatchStats,
    CacheCandidate,
    Change,
    Comparison,
    DropCount,
    ErrorCount,
    Figures,
    Finding,
    FragmentUse,
    Latency,
    OddFragment,
    Period,
    Report,
    RetryCount,
    Saving,
    Throughput,
    TierCount,
)

__all__ = [
    "BY",
    "BatchStats",
    "CacheCandidate",
    "Change",
    "Comparison",
    "DropCount",
    "ErrorCount",
    "Figures",
    "Finding",
    "FragmentUse",
    "Latency",
    "OddFragment",
    "Period",
    "Report",
    "RetryCount",
    "Saving",
    "Throughput",
    "TierCount",
    "analyze_usage",
    "compare_usage",
    "report_of",
]
