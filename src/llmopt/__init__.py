"""llmopt makes every call of the `llm` library cheaper, faster and visible.

    >>> import llm, llmopt
    >>> model = llmopt.wrap(llm.get_model("gpt-4o-mini"), llmopt.Retry(attempts=4))  # doctest: +SKIP
    >>> print(model.prompt("Ten names for a pelican").text())  # doctest: +SKIP

Names are loaded when they are first used: importing llmopt starts nothing and costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import compress as compress
    from . import errors as errors
    from . import evaluation as evaluation
    from . import plan as plan
    from . import report as report
    from . import stream as stream
    from . import testing as testing
    from . import tokens as tokens
    from . import types as types
    from . import usage as usage
    from .cache.sqlite import SQLiteStore as SQLiteStore
    from .chain.compat import with_messages as with_messages
    from .compress.data import Data as Data
    from .compress.prefix.report import prefix_report as prefix_report
    from .middleware.budget import Budget as Budget
    from .middleware.cache import Cache as Cache
    from .middleware.cache import cache_control as cache_control
    from .middleware.circuit_breaker import CircuitBreaker as CircuitBreaker
    from .middleware.compress import Compress as Compress
    from .middleware.fallback import Fallback as Fallback
    from .middleware.prompt_cache import PromptCache as PromptCache
    from .middleware.rate_limit import RateLimit as RateLimit
    from .middleware.retry import Retry as Retry
    from .middleware.timeout import Timeout as Timeout
    from .middleware.usage_log import UsageLog as UsageLog
    from .plan.decorator import planner as planner
    from .report import analyze_usage as analyze_usage
    from .types import Call as Call
    from .types import Reply as Reply
    from .types import Run as Run
    from .types import Sleep as Sleep
    from .types import Wait as Wait
    from .wrapping import unwrap as unwrap
    from .wrapping import wrap as wrap
    from .wrapping.default import default_stack as default_stack

_NAMES = {
    "Budget": "middleware.budget",
    "Cache": "middleware.cache",
    "Call": "types",
    "CircuitBreaker": "middleware.circuit_breaker",
    "Compress": "middleware.compress",
    "Data": "compress.data",
    "Fallback": "middleware.fallback",
    "PromptCache": "middleware.prompt_cache",
    "RateLimit": "middleware.rate_limit",
    "Reply": "types",
    "Retry": "middleware.retry",
    "Run": "types",
    "SQLiteStore": "cache.sqlite",
    "Sleep": "types",
    "Timeout": "middleware.timeout",
    "UsageLog": "middleware.usage_log",
    "Wait": "types",
    "analyze_usage": "report",
    "default_stack": "wrapping.default",
    "cache_control": "middleware.cache",
    "planner": "plan.decorator",
    "prefix_report": "compress.prefix",
    "unwrap": "wrapping",
    "with_messages": "chain.compat",
    "wrap": "wrapping",
}
_ROOMS = (
    "compress",
    "errors",
    "evaluation",
    "plan",
    "report",
    "stream",
    "testing",
    "tokens",
    "types",
    "usage",
)

__all__ = [
    "Budget",
    "Cache",
    "Call",
    "CircuitBreaker",
    "Compress",
    "Data",
    "Fallback",
    "PromptCache",
    "RateLimit",
    "Reply",
    "Retry",
    "Run",
    "SQLiteStore",
    "Sleep",
    "Timeout",
    "UsageLog",
    "Wait",
    "analyze_usage",
    "cache_control",
    "compress",
    "default_stack",
    "errors",
    "evaluation",
    "plan",
    "planner",
    "prefix_report",
    "report",
    "stream",
    "testing",
    "tokens",
    "types",
    "unwrap",
    "usage",
    "with_messages",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("llmopt")
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name not in _NAMES:
        msg = f"module 'llmopt' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
