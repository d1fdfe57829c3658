"""How names and values are compared, and how they are shown in a sentence that a model is to understand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, TypeGuard

_BRIEF_CHARS: Final = 60
_FEW: Final = 12


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a JSON value is a list."""
    return isinstance(value, list)


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether a value is a string that is not empty."""
    return isinstance(value, str) and value != ""


def fold(name: str) -> str:
    """Return what names are alike by: `MoveTo`, `move_to` and `move-to` are the same word.

    Example:
        >>> fold("MoveTo") == fold("move_to") == fold(" move-to")
        True
    """
    return "".join(filter(str.isalnum, name)).casefold()


def folded(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is alike to `name`, or None if there is none, or more than one."""
    key = fold(name)
    alike = [other for other in names if fold(other) == key] if key else []
    return alike[0] if len(alike) == 1 else None


def suggest(name: str, names: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or what there is.

    Example:
        >>> suggest("mov_to", ["move_to", "attack"])
        'did you mean "move_to"?'
        >>> suggest("fly", ["move_to", "attack"])
        'there are only "move_to", "attack"'
    """
    from difflib import get_close_matches

    known = [*names]
    by_fold = {fold(other): other for other in known}
    nearest = get_close_matches(fold(name), by_fold, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean {brief(by_fold[nearest[0]])}?"
    if not known:
        return "there are none"
    return f"there are only {', '.join(map(brief, known[:_FEW]))}{', ...' if len(known) > _FEW else ''}"


def brief(value: object, limit_chars: int = _BRIEF_CHARS) -> str:
    """Return `value` as compact JSON, cut to `limit_chars` characters.

    Example:
        >>> brief({"x": [1, None]}), brief("a" * 99, 8)
        ('{"x":[1,null]}', '"aaaa...')
    """
    text = compact(value)
    return text if len(text) <= limit_chars else f"{text[: limit_chars - 3]}..."


def compact(value: Any) -> str:
    """Return `value` as compact JSON; what JSON cannot hold is shown as Python shows it."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        return object.__repr__(value)
