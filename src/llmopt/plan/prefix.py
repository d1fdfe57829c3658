"""How the part of a prompt that stays the same is written, so that a provider's cache can hold it.

A cache holds no prefix below its minimum. Where a dense encoding brings the static part of a prompt below
that, every call pays all of it, and a plainer one may be cheaper: 1,200 cached tokens cost as much as 120.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ..compress.prefix.cache_rules import CacheRules, rules_for
from ..compress.prefix.report import paid_tokens, worth_compressing

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Prefix", "Profile", "choose_prefix", "rules_of"]

Profile: TypeAlias = Literal["safe", "balanced", "dense"]

_PLAINER: Final[Mapping[Profile, tuple[Profile, ...]]] = {
    "dense": ("balanced", "safe"),
    "balanced": ("safe",),
    "safe": (),
}


@dataclass(frozen=True, slots=True)
class Prefix:
    """How the static part is written.

    Attributes:
        profile: its encoding.
        reason: why, in one sentence; "" where it is what was wanted.
    """

    profile: Profile
    reason: str = ""


def rules_of(model_id: str) -> CacheRules | None:
    """Return the prefix cache behind a model, if it is known and caches without being asked to.

    Example:
        >>> rules_of("gpt-4o-mini").name, rules_of("my-own"), rules_of("claude-sonnet-4-5")
        ('openai', None, None)
    """
    rules = rules_for(model_id)
    return rules if rules.automatic and rules.read_factor < 1 else None


def choose_prefix(
    wanted: Profile,
    tokens_as: Callable[[Profile], int],
    *,
    rules: CacheRules | None,
    before_tokens: int = 0,
    calls: float = math.inf,
) -> Prefix:
    """Return the encoding of a static part that costs fewest effective tokens.

    The one that is wanted, unless the cache cannot hold a prefix that is as short as that.

    Args:
        wanted: the encoding of all else.
        tokens_as: counts the tokens of the part in an encoding.
        rules: the provider's cache; None where it is not known.
        before_tokens: static tokens that stand before the part.
        calls: how many calls are expected to begin so.

    Example:
        >>> chosen = choose_prefix("dense", {"dense": 500, "balanced": 900, "safe": 1300}.get,
        ...                        rules=rules_of("gpt-4o"), before_tokens=200, calls=30)
        >>> chosen.profile, chosen.reason.rpartition(": ")[2]
        ('balanced', '209 effective tokens a call over 30 calls, not 700')
    """
    if rules is None:
        return Prefix(wanted)
    best, tokens = wanted, tokens_as(wanted)
    first = before_tokens + tokens
    if rules.cacheable(first) or calls <= 1:
        return Prefix(wanted)
    for plainer in _PLAINER[wanted]:
        more = tokens_as(plainer)
        worth = worth_compressing(more, tokens, rules=rules, before_tokens=before_tokens, calls=calls)
        if more > tokens and not worth:
            best, tokens = plainer, more
    if best == wanted:
        return Prefix(wanted)
    paid = [paid_tokens(each, rules=rules, calls=calls) for each in (before_tokens + tokens, first)]
    over = "many calls" if calls == math.inf else f"{calls:.0f} calls"
    reason = (
        f"static part as {best}, not {wanted}: {before_tokens + tokens:,} tokens that {rules.name} caches "
        f"from {rules.minimum_tokens:,} up, not {first:,} that it does not: {paid[0]:,.0f} effective tokens "
        f"a call over {over}, not {paid[1]:,.0f}"
    )
    return Prefix(best, reason)
