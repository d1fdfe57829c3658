"""Says whether an answer is right: exactly, after what does not matter is taken off."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

__all__ = ["is_right", "normal"]

Normal: TypeAlias = "str | Decimal"

_number = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?(?:e[+-]?\d{1,3})?").fullmatch
_fence = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
_label = re.compile(r"(?:the )?(?:final )?answer(?: is)?:?\s+", re.IGNORECASE)
_item = re.compile(r"\s*(?:[,;\n]|\band\b)\s*")
_bullet = re.compile(r"^\s*[-*•]\s+", re.MULTILINE)
_BESIDE: Final = " \t\r\n*`\"'“”"
_TRUTH: Final = {"yes": "true", "no": "false"}


def is_right(reply: str, answer: Any) -> bool:
    r"""Return whether a reply says the answer, and nothing else.

    The reply is taken as a whole (of a fenced block, what is in it), or else its last line is: a model may
    think aloud before. "Answer:" before it, quotes, emphasis and a full stop around it do not count, nor does
    case. Numbers are compared by value, also with commas between thousands; "yes" means true. Lists are JSON,
    or items between commas or on lines of their own; their order is free, but each item counts.

    Args:
        reply: what the model has said.
        answer: the right answer: a text, a number, a truth value, or a list of these.

    Example:
        >>> is_right("The answer is **1,200.0**.", 1200), is_right("1,200 or so", 1200)
        (True, False)
        >>> is_right("Let me see.\n[8, 7]", [7, 8]), is_right("7", [7, 8])
        (True, False)
    """
    wanted = _wanted(answer)
    many = isinstance(answer, (list, tuple))
    return any(wanted == Counter(_items(text) if many else [normal(text)]) for text in _texts(reply))


def normal(value: Any) -> Normal:
    """Return what two spellings of the same value have in common.

    Example:
        >>> normal(" Grey. "), normal(7.0) == normal("7"), normal(True)
        ('grey', True, 'true')
    """
    text = value if isinstance(value, str) else json.dumps(value)
    text = _bare(text).casefold()
    if _number(text):
        return Decimal(text.replace(",", ""))
    return _TRUTH.get(text, text)


def _wanted(answer: Any) -> Counter[Normal]:
    return Counter(
        map(normal, cast("Sequence[Any]", answer) if isinstance(answer, (list, tuple)) else [answer])
    )


def _texts(reply: str) -> Iterator[str]:
    """Yield the texts in a reply that may be the answer: all of it, its last block, its last line."""
    yield _unlabelled(reply)
    blocks = _fence.findall(reply)
    if blocks:
        yield str(blocks[-1])
    yield _unlabelled(reply.strip().rpartition("\n")[2])


def _unlabelled(text: str) -> str:
    text = text.strip(_BESIDE)
    label = _label.match(text)
    return text[label.end() :] if label else text


def _bare(text: str) -> str:
    text = " ".join(text.split()).strip(_BESIDE)
    return text.removesuffix(".").strip(_BESIDE)


def _items(text: str) -> list[Normal]:
    text = text.strip().removesuffix(".").strip("*` ")
    try:
        found: Any = json.loads(text)
    except ValueError:
        inner = _bullet.sub("", text.removeprefix("[").removesuffix("]"))
        return [normal(item) for item in _item.split(inner) if item]
    listed: list[Any] = found if isinstance(found, list) else [text]  # pyright: ignore[reportUnknownVariableType]
    return [normal(item) for item in listed]
