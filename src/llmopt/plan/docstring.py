"""Reads what a Google-style docstring says of a function and of its arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from inspect import cleandoc
from types import MappingProxyType
from typing import Final

__all__ = ["Docstring", "sentence"]

_SECTION: Final = re.compile(r"(Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments):\s*")
_ENTRY: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring in parts.

    Args:
        summary: its first paragraph, on one line.
        arguments: what it says of each argument, on one line each.

    Example:
        >>> doc = Docstring.parse('''Walk to a cell.
        ...
        ... Args:
        ...     x: column,
        ...         from the left
        ...     y (int): row
        ... ''')
        >>> doc.summary, dict(doc.arguments)
        ('Walk to a cell.', {'x': 'column, from the left', 'y': 'row'})
    """

    summary: str
    arguments: MappingProxyType[str, str]

    @classmethod
    def parse(cls, text: str | None) -> Docstring:
        """Return the parts of `text`; empty ones where it has none."""
        lines = cleandoc(text or "").splitlines()
        end = next((number for number, line in enumerate(lines) if not line.strip()), len(lines))
        summary = " ".join(line.strip() for line in lines[:end])
        return cls("" if _SECTION.match(summary) else summary, MappingProxyType(_arguments(lines)))


def sentence(text: str) -> str:
    """Return the first sentence of `text`, without its full stop.

    Example:
        >>> sentence("Walk to a cell. It takes 1.5 s.")
        'Walk to a cell'
    """
    line = " ".join(text.split())
    return re.split(r"(?<=[^.\s])\.(?:\s|$)", line, maxsplit=1)[0]


def _arguments(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name, margin = "", -1  # -1: outside of a section; 0: before its first entry
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if indent == 0:
            name, margin = "", 0 if _SECTION.fullmatch(line) else -1
        elif margin in (0, indent):
            entry = _ENTRY.fullmatch(line.strip())
            margin, name = indent, entry[1] if entry else ""
            if entry:
                found[name] = entry[2]
        elif margin > 0 and name and indent > margin:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
