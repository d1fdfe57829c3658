"""What could be changed: each finding with its evidence, its worth and the line of code that does it.

A finding is made of figures of the log and of nothing else; where it takes a rule of thumb as well, it says
that it is assumed. Thresholds keep away what is not worth a line of code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from . import findings_calls, findings_prompts, findings_troubles
from .facts import Facts
from .types import Finding

__all__ = ["findings"]

_RULES: Final[Sequence[Callable[[Facts], Iterator[Finding]]]] = (
    *findings_prompts.RULES,
    *findings_calls.RULES,
    *findings_troubles.RULES,
)


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Return what could be changed: the dearest first, then by tokens, then what costs neither."""
    return tuple(sorted(chain.from_iterable(rule(facts) for rule in _RULES), key=_rank))


def _rank(finding: Finding) -> tuple[float, int, str]:
    return -(finding.usd_per_week or 0.0), -(finding.tokens_per_week or 0), finding.code
