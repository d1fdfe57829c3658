"""Takes the compact JSON of a table's rows apart by one regular expression, made once for the template.

It finds, at the speed of C, that rows have the shape, the types and the constants that the template was made
for, and what their columns hold. Rows that it does not match may fit all the same: `fill` can tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, repeat
from operator import contains
from typing import Any, Final, TypeAlias

import orjson

from .columns import ABSENT, Column, Digits, Values
from .exact import PASS, exact_key, present
from .fill import look_up
from .lexical import Whole, compact
from .match import NotRegularError, json_expression
from .nodes import (
    Array,
    Choice,
    Constant,
    Data,
    Each,
    Entries,
    Field,
    Hole,
    Json,
    Node,
    Object,
    Table,
    Text,
)

__all__ = ["Compiled", "compiled"]

_Found: TypeAlias = "Sequence[Sequence[str]]"
"""What each group of the expression has captured in each row."""
_Step: TypeAlias = "Callable[[_Found, Data], bool]"

_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_INTEGER: Final = "-?[0-9]++"
_DECIMAL: Final = rf"{_INTEGER}\.[0-9]++"
_NUMBER: Final = rf"{_INTEGER}(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
_SCALAR: Final = f"(?:{_STRING}|{_NUMBER}|true|false|null)"
_MAX_BRACKETS: Final = 6  # what is nested deeper in a value is left to `fill`


def _within(opening: str, closing: str) -> str:
    """Return an expression for what stands between two brackets of JSON; other brackets are text to it."""
    plain = rf'[^"\{opening}\{closing}]++|{_STRING}'
    inner = f"(?:{plain})*+"
    for _ in range(_MAX_BRACKETS):
        inner = rf"(?:{plain}|\{opening}{inner}\{closing})*+"
    return inner


_LIST: Final = _within("[", "]")
_OBJECT: Final = _within("{", "}")
_odd_float = re.compile(r"[0-9]e|0\.0000").search
_ANY: Final = rf"(?:{_SCALAR}|\[{_LIST}\]|\{{{_OBJECT}\}})"


@dataclass(frozen=True, slots=True)
class Compiled:
    """Takes rows of one template apart.

    Attributes:
        table: the template.
        apart: finds the rows in a text; the last group holds what follows the first that does not match.
        steps: put what the groups have captured into the data.
        constants: the constants that are part of the expression.
        varying: those that are not, as they have changed before, or that all rows may lack.
    """

    table: Table
    apart: Callable[[str], list[tuple[str, ...]]]
    steps: tuple[_Step, ...]
    constants: Data
    varying: tuple[Constant, ...]

    def fill(self, rows: list[tuple[str, ...]], data: Data) -> bool:
        """Store what `fill` does, and return whether these rows are of this template.

        Args:
            rows: what `apart` has found in the JSON of the rows.
            data: where it is stored.

        Raises:
            Changed: a column does not follow from what it followed from.
        """
        if not rows or rows[-1][-1]:
            return False
        data |= self.constants
        found = list(zip(*rows, strict=True))
        if not all(step(found, data) for step in self.steps):
            return False
        look_up(self.table, data)
        return True

    def outdated(self, data: Data) -> bool:
        """Return whether constants are others now; these are no longer taken for such."""
        changed = [
            node
            for node, values in self.constants.items()
            if isinstance(node, Constant) and exact_key(values[0]) != exact_key(data[node][0])
        ]
        for node in changed:
            node.varies = True
        return bool(changed)


def compiled(table: Table, data: Data, *, pair: bool = False) -> Compiled | None:
    """Return what takes rows like those in `data` apart, or None if no regular expression can.

    Args:
        table: the template.
        data: the values of its constants.
        pair: whether rows are members of an object.
    """
    builder = _Builder(data)
    try:
        row = builder.row(table.template, pair=pair)
    except (NotRegularError, TypeError):
        return None
    apart = re.compile(f"{row},?|(.+)", re.DOTALL).findall
    return Compiled(table, apart, tuple(builder.steps), builder.constants, tuple(builder.varying))


@dataclass(slots=True)
class _Builder:
    """Makes the expression for the rows of one table.

    Attributes:
        data: the values of constants.
        steps: what has to be done with the groups.
        count: how many groups there are.
        groups: column -> the group that captures it, counted from 1.
        constants: those that are part of the expression.
        varying: those that are not.
        inside: where the part at hand may be absent, the group that is empty then.
    """

    data: Data
    steps: list[_Step] = field(default_factory=list["_Step"])
    count: int = 0
    groups: dict[Column, int] = field(default_factory=dict[Column, int])
    constants: Data = field(default_factory=dict[object, "list[Any]"])
    varying: list[Constant] = field(default_factory=list[Constant])
    inside: int | None = None

    def row(self, node: Node, *, pair: bool = False) -> str:
        """Return the expression for an element, or for a member of an object whose keys are data."""
        if not pair:
            return self._node(node)
        if not isinstance(node, Array):
            raise NotRegularError
        return ":".join(map(self._node, node.items))

    def _node(self, node: Node) -> str:  # noqa: PLR0911
        match node:
            case Constant():
                return self._constant(node)
            case Hole(column):
                return self._hole(column)
            case Text(parts):
                return self._text(parts)
            case Object(fields):
                return r"\{" + "".join(map(self._field, fields)) + r"\}"
            case Array(items):
                return r"\[" + "".join(f"{self._node(item)},?" for item in items) + r"\]"
            case Each():
                return self._each(node)
            case Choice(tag, options):
                return self._choice(tag, options)
            case Json(style, inner):
                return rf"{style}\({self._node(inner)}\)"

    def _group(self) -> int:
        self.count += 1
        return self.count

    def _then(
        self, group: int, stored: Callable[[list[str], Data], Sequence[Any] | None], key: object
    ) -> None:
        """Add a step: what `stored` makes of the texts of a group, of the rows that have it, is of `key`."""
        inside = self.inside

        def step(found: _Found, data: Data) -> bool:
            texts = found[group - 1]
            there = found[inside - 1] if inside else None
            values = stored(list(compress(texts, there) if there else texts), data)
            if values is None:
                return False
            data[key] = _spread(values, there) if there else list(values)
            return True

        self.steps.append(step)

    def _constant(self, node: Constant) -> str:
        expression = _ANY
        if not node.varies:
            self.constants[node] = self.data[node]
            expression = re.escape(orjson.dumps(self.data[node][0], option=PASS).decode())
            if self.inside is None:
                return expression
        group = self._group()
        inside = self.inside

        def step(found: _Found, data: Data) -> bool:
            texts = set(compress(found[group - 1], found[inside - 1]) if inside else found[group - 1])
            data[node] = list(map(orjson.loads, texts)) or [None]
            return len(texts) <= 1

        self.steps.append(step)
        self.varying.append(node)
        return f"({expression})"

    def _hole(self, column: Column) -> str:
        kind = column.format
        self._then(self._group(), _wholes if isinstance(kind, Values) else _values, column)
        if isinstance(kind, Digits):
            return f"({_DECIMAL if kind.decimals else _INTEGER})"
        return f"({_ANY if isinstance(kind, Values) else _SCALAR})"

    def _field(self, each: Field) -> str:
        key = re.escape(compact(each.key)) + ":"
        if each.flag is None:
            return f"{key}{self._node(each.node)},?"
        outer = self.inside
        group = self._group()
        self._then(group, lambda texts, _: list(map(bool, texts)), each.flag)
        self.inside = group
        expression = f"((?:{key}{self._node(each.node)},?)?)"
        self.inside = outer
        return expression

    def _choice(self, tag: Column, options: Sequence[Node]) -> str:
        outer = self.inside
        found: list[tuple[int, str]] = []
        for option in options:
            self.inside = self._group()
            found.append((self.inside, f"({self._node(option)})"))
        self.inside = outer

        def step(columns: _Found, data: Data) -> bool:
            taken = zip(*(columns[group - 1] for group, _ in found), strict=True)
            numbers = [next((at for at, text in enumerate(texts) if text), ABSENT) for texts in taken]
            data[tag] = list(numbers)
            return True

        self.steps.append(step)
        return "(?:" + "|".join(expression for _, expression in found) + ")"

    def _each(self, node: Each) -> str:
        pair = isinstance(node, Entries)
        inner = compiled(node.table, self.data, pair=pair)
        if inner is None:
            raise NotRegularError
        self.varying += inner.varying
        self.constants |= inner.constants

        def counts(texts: list[str], data: Data) -> list[int] | None:
            lists = list(map(inner.apart, texts))
            numbers = list(map(len, lists))
            if any(rows and rows[-1][-1] for rows in lists) or (
                isinstance(node.count, int) and set(numbers) != {node.count}
            ):
                return None
            return numbers if inner.fill(list(chain.from_iterable(lists)), data) else None

        group = self._group()
        self._then(group, counts, node)
        if isinstance(node.count, Column):
            self._then(group, lambda _, data: present(data[node]), node.count)
        return rf"\{{({_OBJECT})\}}" if pair else rf"\[({_LIST})\]"

    def _text(self, parts: Sequence[str | Column]) -> str:
        expression, new = json_expression(parts, self.groups, self.count)
        for column in new:
            self._then(self._group(), _integers if isinstance(column.format, Digits) else _texts, column)
            self.groups[column] = self.count
        return f'"{expression}"'


def _spread(values: Sequence[Any], there: Sequence[str]) -> list[Any]:
    rest = iter(values)
    return [next(rest) if text else ABSENT for text in there]


def _values(texts: list[str], _: Data) -> list[Any]:
    found: list[Any] = orjson.loads(f"[{','.join(texts)}]")
    return found


def _wholes(texts: list[str], data: Data) -> list[Any]:
    """Return the values; objects and lists as `Whole` unless Python writes floats in them otherwise."""
    if _odd_float("".join(texts)):
        return _values(texts, data)
    return [Whole(text) if text.startswith(("{", "[")) else orjson.loads(text) for text in texts]


def _integers(texts: list[str], _: Data) -> list[int]:
    return list(map(int, texts))


def _texts(texts: list[str], _: Data) -> list[str]:
    if not any(map(contains, texts, repeat("\\"))):
        return texts
    return [orjson.loads(f'"{text}"') for text in texts]
