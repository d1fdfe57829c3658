"""Plans while they arrive: an incremental parser for replies that hold JSON, and whatever else.

* `PlanStream`: chunks in, whole plans out. It does no I/O.
* `iter_plans`, `aiter_plans`: the plans of an llm response, a file or an iterable.
* `StreamResult`, `FailedRow`, `StreamStats`: what is known at the end.
* Errors are in `llmopt.errors`.

Only orjson is needed. msgspec (`typed`), json_repair (`repair`) and jiter (`partial`) are extras, found when
they are asked for.

    >>> from llmopt.stream import iter_plans
    >>> for plan in iter_plans(['Plans: [{"agent_id": 1, "do": "wa', 'it"}, {"agent_id": 2}]']):
    ...     print(plan)
    {'agent_id': 1, 'do': 'wait'}
    {'agent_id': 2}
"""

from __future__ import annotations

from .iterators import aiter_plans, iter_plans
from .planstream import PlanStream
from .result import FailedRow, StreamResult, StreamStats

__all__ = ["FailedRow", "PlanStream", "StreamResult", "StreamStats", "aiter_plans", "iter_plans"]
