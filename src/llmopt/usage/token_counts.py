"""Tokens of calls whose provider does not say how many there were."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..tokens import Estimate, TokenCounter


def counter_of(model_id: str) -> TokenCounter:
    """Return the exact counter of a model if that is loaded already, and else the estimate.

    Loading a vocabulary takes half a second, and a call waits for this.

    Args:
        model_id: the model.

    Example:
        >>> counter_of("claude-sonnet-4").exact
        False
    """
    from ..tokens.counters import _COUNTERS  # pyright: ignore[reportPrivateUsage]

    exact = _COUNTERS._exact  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if exact:
        from ..tokens.models import encoding_for

        loaded = exact.get(encoding_for(model_id) or "")
        if loaded is not None:
            return loaded
    return _estimate(model_id)


@lru_cache(256)
def _estimate(model_id: str) -> Estimate:
    from ..tokens.counters import _COUNTERS  # pyright: ignore[reportPrivateUsage]
    from ..tokens.models import family_of

    return _COUNTERS.of_family(family_of(model_id))
