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
_digit = re.compile(r"\d").search
_BESIDE: Final = " \t\r\n*`\"'“”"
_TRUTH: Final = {"yes": "true", "no": "false"}


def is_right(reply: str, answer: Any) -> bool:
    r"""Return whether a reply says the answer, and nothing else.

    The reply is taken as a whole (of a fenced block, what is in it), or else its last line is, or the list
    that it ends with: a model may think aloud before. "Answer:" before it, quotes, emphasis and a full stop
    around it do not count. Numbers are compared by value, also with commas between thousands; "yes" means
    true. Texts are compared letter by letter, "007" is not 7, but case does not count where there is no digit
    in them. Lists are JSON, or items between commas or on lines of their own; their order is free, but each
    item counts.

    Args:
        reply: what the model has said.
        answer: the right answer: a text, a number, a truth value, or a list of these.

    Example:
        >>> is_right("The answer is **1,200.0**.", 1200), is_right("1,200 or so", 1200)
        (True, False)
        >>> is_right("Let me see.\n[8, 7]", [7, 8]), is_right("7", [7, 8]), is_right("7", "007")
        (True, False, False)
    """
    reply = reply.rpartition("</think>")[2]
    if not isinstance(answer, (list, tuple)):
        return any(_says(text, answer) for text in _texts(reply))
    wanted = cast("Sequence[Any]", answer)
    return any(_lists(_items(text), wanted) for text in _listed(reply))


def normal(value: Any) -> Normal:
    """Return what all spellings of a value have in common that anybody could take for the same.

    Example:
        >>> normal(" Grey. "), normal(7.0) == normal("7"), normal(True)
        ('grey', True, 'true')
    """
    text = _bare(_text(value)).casefold()
    if _number(text):
        return Decimal(text.replace(",", ""))
    return _TRUTH.get(text, text)


def _says(text: str, answer: Any) -> bool:
    return _as(answer, text) == _as(answer, _text(answer))


def _lists(items: list[str], wanted: Sequence[Any]) -> bool:
    """Return whether the items are those that are wanted; all of these are of one kind."""
    kind = wanted[0] if wanted else ""
    return Counter(_as(kind, item) for item in items) == Counter(_as(kind, _text(item)) for item in wanted)


def _as(kind: Any, text: str) -> Normal:
    """Return what is compared of a text that stands where a value like `kind` is wanted."""
    if not isinstance(kind, str):
        return normal(text)
    text = _bare(text)
    return text if _digit(text) else text.casefold()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(reply: str) -> Iterator[str]:
    """Yield the texts in a reply that may be the answer: all of it, its last block, its last line."""
    yield from _whole(reply)
    yield _unlabelled(reply.strip().rpartition("\n")[2])


def _listed(reply: str) -> Iterator[str]:
    """Yield the texts in a reply that may be a list; from a list over lines, the last one is not all."""
    yield from _whole(reply)
    lines = reply.strip().split("\n")
    for number in reversed(range(len(lines))):
        first = _unlabelled(lines[number])
        if first.startswith("["):
            yield "\n".join((first, *lines[number + 1 :]))
            return


def _whole(reply: str) -> Iterator[str]:
    yield _unlabelled(reply)
    blocks = _fence.findall(reply)
    if blocks:
        yield str(blocks[-1])


def _unlabelled(text: str) -> str:
    text = text.strip(_BESIDE)
    label = _label.match(text)
    return text[label.end() :].strip(_BESIDE) if label else text


def _bare(text: str) -> str:
    text = " ".join(text.split()).strip(_BESIDE)
    return text.removesuffix(".").strip(_BESIDE)


def _items(text: str) -> list[str]:
    text = text.strip().removesuffix(".").strip("*` ")
    try:
        found: Any = json.loads(text, parse_int=str, parse_float=str)  # as they were written
    except (ValueError, RecursionError):
        inner = _bullet.sub("", text.removeprefix("[").removesuffix("]"))
        return [item for item in _item.split(inner) if item]
    listed: list[Any] = found if isinstance(found, list) else [text]  # pyright: ignore[reportUnknownVariableType]
    return list(map(_text, listed))
