"""Writes tables as text: the template, the lookups, the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .again import fill_again
from .analyse import analyse
from .columns import Column, Digits, Picture
from .compiled import Compiled
from .exact import exact_key
from .features import Features
from .fill import Changed
from .lexical import compact, key_text, quoted, scalar_text, type_of
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
    Lookup,
    Node,
    Object,
    Table,
    Text,
    layout,
)
from .rows import lookup_rows, row_texts
from .shapes import Shapes, shape_of
from .unpack import JsonText

__all__ = ["CHANGES", "Writer"]

Count: TypeAlias = "Callable[[str], int]"

CHANGES: Final = "changes "
"""Stands before the changes to a value that the reader has."""

_MIN_SCALARS: Final = 6  # shorter lists of scalars are no tables
_CLEARLY: Final = 0.6  # a table of fewer characters than this share of JSON needs no comparison
_MAX_DEPTH: Final = 48
_ROWS_PER_LINE: Final = 20
_MARK: Final = "\0"  # no notation holds it


@dataclass(slots=True)
class Writer:
    """Writes values in one encoding.

    Attributes:
        features: what it may use.
        count: tells how many tokens a text has.
        shapes: the templates that are known.
        exact: whether the JSON that `orjson` makes of the values says all of them.
    """

    features: Features
    count: Count
    shapes: Shapes[Table]
    exact: bool = False

    def text(self, value: Any) -> str:
        """Return the text of a whole value; a string alone is JSON."""
        return self.value(value) if type_of(value) in {dict, list, JsonText} else compact(value)

    def value(self, value: Any, *, in_template: bool = False, depth: int = 0) -> str:
        """Return the text of any value."""
        kind = type_of(value)
        if kind is dict and depth < _MAX_DEPTH:
            inner = [
                f"{key_text(key)}:{self.value(item, in_template=in_template, depth=depth + 1)}"
                for key, item in value.items()
            ]
            return "{" + " ".join(inner) + "}"
        if kind is list and depth < _MAX_DEPTH:
            return self._list(value, in_template=in_template, depth=depth)
        if kind is JsonText:
            return f"{value.style}({self.value(value.value, in_template=in_template, depth=depth + 1)})"
        if kind is dict or kind is list:
            return quoted_json(value, in_template=in_template)
        return scalar_text(value, in_template=in_template)

    def _list(self, values: list[Any], *, in_template: bool, depth: int) -> str:
        if not _may_be_table(values):
            return self._plain_list(values, in_template=in_template, depth=depth)
        shape = shape_of(values, self.features)
        known, table = self.shapes.get(shape)
        if known:
            text = (
                self._filled(table, values, depth)
                if table
                else self._plain_list(values, in_template=in_template, depth=depth)
            )
            if text is not None:
                return text
        found = analyse(values, self.features)
        text = self.table(*found, depth=depth) if found else None
        if text is None or len(text) >= _CLEARLY * _json_chars(values):
            plain = self._plain_list(values, in_template=in_template, depth=depth)
            if text is None or self.count(plain) <= self.count(text):
                self.shapes.put(shape, None)
                return plain
        self.shapes.put(shape, found[0] if found else None)
        return text

    def _plain_list(self, values: list[Any], *, in_template: bool, depth: int) -> str:
        return (
            "["
            + " ".join([self.value(item, in_template=in_template, depth=depth + 1) for item in values])
            + "]"
        )

    def _filled(self, table: Table, values: list[Any], depth: int) -> str | None:
        """Return the text of a table whose template is known, or None if the values do not fit it."""
        data: Data = {}
        try:
            fitted = fill_again(table, values, data, exact=self.exact)
            return self.table(table, data, depth=depth, fitted=fitted)
        except (Changed, ValueError, TypeError, KeyError):
            return None

    def table(
        self, table: Table, data: Data, *, depth: int = 0, fitted: Compiled | None = None
    ) -> str | None:
        """Return the text of a table with its rows, or None if its rows would be empty.

        Args:
            table: the template.
            data: the values of its columns.
            depth: the levels that it stands in.
            fitted: what has found that the constants are those that it knows.
        """
        where = layout(table)
        if not where.digits and not where.words:
            return None
        head = self._filled_head(table, data, depth, fitted)
        rows = row_texts(table, data)
        if where.packed:
            rows = ["".join(rows[at : at + _ROWS_PER_LINE]) for at in range(0, len(rows), _ROWS_PER_LINE)]
        gap = "" if head.endswith("\n") else "\n"
        return f"[each {head}{gap}" + "\n".join(rows) + "\n]"

    def _pair(self, table: Table, data: Data, depth: int) -> str:
        if not isinstance(table.template, Array):
            raise TypeError("entries of an object are pairs")
        return ":".join(self._node(item, data, depth) for item in table.template.items)

    def _head(self, table: Table, data: Data, depth: int, *, pair: bool = False) -> str:
        """Return the template and the definitions that belong to it, with a mark where lookups go."""
        notation = self._pair(table, data, depth) if pair else self._node(table.template, data, depth)
        shared = {column for lookup in table.lookups for column in (lookup.key, *lookup.values)}
        lines = [
            _defined(column) for column in layout(table).uses if column not in shared and _is_defined(column)
        ]
        lines += [
            f"{_defined(lookup.key)}>{' '.join(map(_defined, lookup.values))}{_MARK}"
            for lookup in table.lookups
        ]
        return notation + "".join(f"\n{line}" for line in lines) + ("\n\n" if lines else "")

    def _filled_head(self, table: Table, data: Data, depth: int, fitted: Compiled | None) -> str:
        """Return the head with its lookups; it is only written anew where constants may have changed."""
        key = fitted and (fitted, depth, *(exact_key(data[each][0]) for each in fitted.varying))
        if table.written is None or key is None or table.written[0] != key:
            table.written = key, self._head(table, data, depth).split(_MARK)
        start, *pieces = table.written[1]
        for lookup, piece in zip(_lookups(table), pieces, strict=True):
            start += "".join(map("\n".__add__, lookup_rows(lookup, data))) + piece
        return start

    def _node(self, node: Node, data: Data, depth: int) -> str:  # noqa: PLR0911
        match node:
            case Constant():
                return self._constant(node, data[node][0], depth)
            case Hole(column):
                return _hole(column)
            case Text(parts):
                node.written = node.written or text_notation(parts)
                return node.written
            case Object(fields):
                return "{" + " ".join(self._field(each, data, depth) for each in fields) + "}"
            case Array(items):
                return "[" + " ".join(self._node(item, data, depth + 1) for item in items) + "]"
            case Each():
                return self._each(node, data, depth)
            case Choice(tag, options):
                return (
                    f"({_hole(tag)}:" + "|".join(self._node(each, data, depth + 1) for each in options) + ")"
                )
            case Json(style, inner):
                return f"{style}({self._node(inner, data, depth + 1)})"

    def _constant(self, node: Constant, value: Any, depth: int) -> str:
        key = exact_key(value)
        if node.written is None or node.written[0] != key:
            node.written = key, self.value(value, in_template=True, depth=depth + 1)
        return node.written[1]

    def _field(self, each: Field, data: Data, depth: int) -> str:
        if not each.written:
            mark = "" if each.flag is None else f"?${each.flag.name}" if each.flag.name else "?"
            each.written = key_text(each.key) + mark
        key = each.written
        if isinstance(each.node, Hole) and _hole(each.node.column) == "$":
            return key
        return f"{key}:{self._node(each.node, data, depth + 1)}"

    def _each(self, node: Each, data: Data, depth: int) -> str:
        number = (
            ""
            if node.count is None
            else f"{_hole(node.count) if isinstance(node.count, Column) else node.count} "
        )
        if isinstance(node, Entries):
            head = self._head(node.table, data, depth + 1, pair=True)
            return "{" + f"{number}each {head}" + "}"
        return f"[{number}each {self._head(node.table, data, depth + 1)}]"


def _lookups(table: Table) -> Iterator[Lookup]:
    """Yield the lookups of a table and of the tables in its template, in the order of the notation."""
    for each in layout(table).lists:
        yield from _lookups(each.table)
    yield from table.lookups


def _json_chars(value: Any) -> int:
    """Return about how long `value` is as compact JSON."""
    kind = type_of(value)
    if kind is dict:
        return sum(len(key) + 4 + _json_chars(item) for key, item in value.items()) + 2
    if kind is list:
        return sum(map(_json_chars, value)) + len(value) + 1
    if kind is JsonText:
        return _json_chars(value.value)
    return len(value) + 2 if kind is str else len(str(value))


def quoted_json(value: Any, *, in_template: bool) -> str:
    """Return JSON as it may stand in a template."""
    text = compact(value)
    return text.replace("$", "\\u0024").replace("#", "\\u0023") if in_template else text


def _may_be_table(values: list[Any]) -> bool:
    if len(values) <= 1:
        return False
    return len(values) >= _MIN_SCALARS or all(isinstance(value, dict | list | JsonText) for value in values)


def _hole(column: Column) -> str:
    if column.name:
        return f"${column.name}"
    return column.format.notation if isinstance(column.format, Digits) else "$"


def _is_defined(column: Column) -> bool:
    return bool(column.name) and isinstance(column.format, Digits | Picture)


def _defined(column: Column) -> str:
    """Return the name of a column, and the picture that it stands for."""
    name = f"${column.name}"
    if isinstance(column.format, Digits):
        return f"{name}={column.format.notation}"
    return f"{name}={text_notation((Column(column.format),))}" if _is_defined(column) else name


def text_notation(parts: Sequence[str | Column]) -> str:
    """Return a string with holes, in quotes.

    Example:
        >>> text_notation(("T", Column(Picture("##:##")), "Z"))
        '"T##:##Z"'
    """
    written = ""
    for at, part in enumerate(parts):
        if isinstance(part, str):
            piece = quoted(part, in_template=True)[1:-1]
        elif part.name or not part.format.width:
            rest = parts[at + 1] if at + 1 < len(parts) else ""
            follows = rest[:1] if isinstance(rest, str) else ""
            braced = follows == "{" or (
                follows.isascii() and follows.isalnum() and (follows.islower() or bool(part.name))
            )
            piece = f"${{{part.name}}}" if braced else f"${part.name}"
        elif isinstance(part.format, Picture):
            piece = quoted(part.format.pattern)[1:-1].replace("$", "\\u0024").replace("{#", "\\u007b#")
        else:
            piece = f"{{{'#' * part.format.width}}}"
        if piece.startswith("#") and written.endswith("{"):
            written = written[:-1] + "\\u007b"
        written += piece
    return f'"{written}"'
