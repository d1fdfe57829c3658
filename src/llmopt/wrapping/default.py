"""The stack that `wrap(model)` uses when it is given none."""

from __future__ import annotations

from ..middleware.cache import Cache, deterministic
from ..middleware.circuit_breaker import CircuitBreaker
from ..middleware.retry import Retry
from ..middleware.usage_log import UsageLog
from ..types import Middleware


def default_stack() -> tuple[Middleware, ...]:
    """Return a new default stack, outermost first.

    ==================  ====================================================================
    `UsageLog()`        a row for every call and attempt in `usage.db` in llm's user folder
    `Cache(when=...)`   in memory, for calls whose answer is meant to be the same every time
    `Retry()`           in place of the SDK's own, unseen retries
    `CircuitBreaker()`  stops asking a provider that is down
    ==================  ====================================================================

    Returns:
        Middlewares with a state of their own: give one stack to several models to share it.

    Example:
        >>> [type(middleware).__name__ for middleware in default_stack()]
        ['UsageLog', 'Cache', 'Retry', 'CircuitBreaker']
    """
    return (UsageLog(), Cache(when=deterministic), Retry(), CircuitBreaker())
