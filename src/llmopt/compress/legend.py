"""The legend of the notation: what a model that never saw it needs to know before it reads data in it."""

from __future__ import annotations

from typing import Final

from ..errors import ConfigurationError

__all__ = ["legend"]

_TEMPLATES: Final = """\
Rows fill the gaps of "each", ? with + or -: [each {id n:9 at:{x}}
a 3
] is [{id:a n:9 at:{x:3}}]"""

_DIGITS: Final = """\
Rows fill the gaps of "each": all # as undivided digits, then words for $ and bare keys, + or - for ?. \
$a repeats a column; $a>$b lists b by a.
[each {id x:9 t:##.# n:###}
125040 a
] is [{id:a x:9 t:12.5 n:40}]"""

_LEGENDS: Final = {"safe": "", "balanced": _TEMPLATES, "dense": _DIGITS}


def legend(profile: str) -> str:
    """Return the legend of the signs that a profile may use: rules in a line, and a tiny example.

    It is always the same for a profile, so that it can stand in the part of a prompt that a provider's cache
    keeps. It has 44 tokens for "balanced" and 80 for "dense" (o200k_base). JSON and the plain tables of
    "safe" need none. What is rarer than the signs in it is left to be understood from names and context;
    `docs/compress-format.md` has all of the notation.

    Args:
        profile: "safe", "balanced" or "dense", as for `encode`.

    Raises:
        ConfigurationError: there is no such profile.

    Example:
        >>> print(legend("balanced"))
        Rows fill the gaps of "each", ? with + or -: [each {id n:9 at:{x}}
        a 3
        ] is [{id:a n:9 at:{x:3}}]
    """
    if profile not in _LEGENDS:
        raise ConfigurationError(f"profile={profile!r}: give one of {', '.join(_LEGENDS)}")
    return _LEGENDS[profile]
