"""Reads the rows of a table and puts their values into the template's holes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .columns import ABSENT, Column, Flag, Texts
from .exact import exact_key
from .lexical import Scanner, type_of
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
    is_nested,
    layout,
)
from .unpack import JsonText

__all__ = ["Reading", "read_lookup", "read_rows"]

_cell = re.compile(r"[^ \n]+")
_run = re.compile(r"[0-9-]+")

Record: TypeAlias = "dict[object, Any]"
"""Column -> value, `Each` -> records of its rows: what one row says."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to read rows.

    Attributes:
        scanner: the text and the place in it.
        data: the constants of the template, and the lookups.
    """

    scanner: Scanner
    data: Data


def read_rows(reading: Reading, table: Table) -> list[Any]:
    """Read the rows of a table up to the line that closes it."""
    scanner = reading.scanner
    rows: list[Any] = []
    packed = layout(table).packed
    while not scanner.text.startswith("]", scanner.at):
        if scanner.at >= len(scanner.text):
            scanner.fail("']'")
        records = _packed(reading, table) if packed else [_record(reading, table)]
        rows += [_build(reading, table.template, record, table) for record in records]
        if packed:
            scanner.expect("\n")
    return rows


def _packed(reading: Reading, table: Table) -> list[Record]:
    """Read rows of digits alone, as many as a line or a cell holds."""
    scanner = reading.scanner
    if scanner.skips("[]"):
        return []
    run = _run.match(scanner.text, scanner.at)
    if run is None:
        scanner.fail("digits")
    end = run.end()
    records: list[Record] = []
    while scanner.at < end:
        record: Record = {}
        _digits(reading, table, record)
        records.append(record)
    return records


def _digits(reading: Reading, table: Table, record: Record) -> None:
    for column in layout(table).digits:
        record[column] = _field(reading.scanner, column)


def _field(scanner: Scanner, column: Column) -> Any:
    text = scanner.text[scanner.at : scanner.at + column.format.width]
    if len(text) < column.format.width:
        scanner.fail("more digits")
    try:
        value = column.format.read(text)
    except ValueError:
        scanner.fail(f"{column.format.width} digits")
    scanner.at += column.format.width
    return value


@dataclass(slots=True)
class _Line:
    """The cells of one row; the first of them has no blank before it."""

    reading: Reading
    table: Table
    record: Record
    first: bool
    nested: list[tuple[Each, int]] = field(default_factory=list["tuple[Each, int]"])

    def cell(self) -> None:
        """Step over the blank before a cell."""
        if self.first:
            self.first = False
        else:
            self.reading.scanner.expect(" ")

    def pull(self, column: Column) -> Any:
        """Return a column's value in this row, from its cell if that has not been read."""
        if column in self.record:
            value = self.record[column]
        else:
            value = self.record[column] = self._new(column)
        if value is ABSENT:
            self.reading.scanner.fail("a value that is there")
        return value

    def _new(self, column: Column) -> Any:
        for lookup in self.table.lookups:
            if column in lookup.values:
                return self._looked_up(lookup, column)
        self.cell()
        return read_cell(self.reading.scanner, column)

    def _looked_up(self, lookup: Lookup, column: Column) -> Any:
        key = self.pull(lookup.key)
        found = self.reading.data[lookup][0].get(exact_key(key))
        if found is None:
            self.reading.scanner.fail(f"a value of ${lookup.key.name} that is in its lookup, before this")
        return found[column]


def read_cell(scanner: Scanner, column: Column) -> Any:
    """Read the cell of a column."""
    if column.format.width:
        return _field(scanner, column)
    char = scanner.peek()
    if char == '"':
        return scanner.string()
    if char in {"{", "["} and not isinstance(column.format, Texts):
        return _json(scanner)
    word = scanner.take(_cell)
    if not word:
        scanner.fail("a cell")
    if isinstance(column.format, Flag):
        if word not in {"+", "-"}:
            scanner.fail("+ or -")
        return word == "+"
    if word == "-":
        return ABSENT
    return word if isinstance(column.format, Texts) else scanner.word(word)


def _json(scanner: Scanner) -> Any:
    try:
        value, scanner.at = _decode(scanner.text, scanner.at)
    except (ValueError, RecursionError):
        scanner.fail("JSON")
    return value


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _decode(text: str, at: int) -> tuple[Any, int]:
    import json

    return json.JSONDecoder(parse_constant=_refuse).raw_decode(text, at)


def _record(reading: Reading, table: Table) -> Record:
    """Read one row and the rows that stand below it for it."""
    scanner = reading.scanner
    where = layout(table)
    record: Record = {}
    _digits(reading, table, record)
    line = _Line(reading, table, record, first=not where.digits)
    for column in where.words:
        line.cell()
        record[column] = read_cell(scanner, column)
    for part in where.tail:
        if isinstance(part, Field):
            _optional(line, part)
        else:
            _tail(line, part)
    scanner.expect("\n")
    for each, number in line.nested:
        record[each] = [_record(reading, each.table) for _ in range(number)]
    return record


def _optional(line: _Line, part: Field) -> None:
    if part.flag is None or line.pull(part.flag):
        _tail(line, part.node)


def _tail(line: _Line, node: Node) -> None:  # noqa: C901
    """Read what comes after the words of a row, in the order of the template."""
    match node:
        case Hole(column):
            line.pull(column)
        case Text(parts):
            for part in parts:
                if isinstance(part, Column):
                    line.pull(part)
        case Object(fields):
            for each in fields:
                _optional(line, each)
        case Array(items):
            for item in items:
                _tail(line, item)
        case Each():
            _list(line, node)
        case Choice(tag, options):
            _tail(line, options[_option(line, tag, len(options))])
        case Json():
            _tail(line, node.node)
        case Constant():
            pass


def _option(line: _Line, tag: Column, options: int) -> int:
    number = line.pull(tag)
    if not isinstance(number, int) or not 0 <= number < options:
        line.reading.scanner.fail("the number of an option")
    return number


def _list(line: _Line, node: Each) -> None:
    number = line.pull(node.count) if isinstance(node.count, Column) else node.count
    scanner = line.reading.scanner
    if layout(node.table).packed:
        line.cell()
        line.record[node] = _packed(line.reading, node.table)
        if number is not None and number != len(line.record[node]):
            scanner.fail(f"{number} elements")
        return
    if not isinstance(number, int) or not 0 <= number <= len(scanner.text) - scanner.at:
        scanner.fail("no more rows than there is text")
    if is_nested(node):
        line.nested.append((node, number))
        return
    column = layout(node.table).words[0]
    records: list[Record] = []
    for _ in range(number):
        line.cell()
        records.append({column: read_cell(scanner, column)})
    line.record[node] = records


def _build(reading: Reading, node: Node, record: Record, table: Table) -> Any:  # noqa: PLR0911
    """Return the value of a node in one row."""
    line = _Line(reading, table, record, first=False)
    match node:
        case Constant():
            return _copy(reading.data[node][0])
        case Hole(column):
            return line.pull(column)
        case Text(parts):
            return "".join(part if isinstance(part, str) else str(line.pull(part)) for part in parts)
        case Object(fields):
            return {
                each.key: _build(reading, each.node, record, table)
                for each in fields
                if each.flag is None or line.pull(each.flag)
            }
        case Array(items):
            return [_build(reading, item, record, table) for item in items]
        case Entries():
            return _entries(
                reading, [_build(reading, node.table.template, row, node.table) for row in record[node]]
            )
        case Each():
            return [_build(reading, node.table.template, row, node.table) for row in record[node]]
        case Choice(tag, options):
            return _build(reading, options[_option(line, tag, len(options))], record, table)
        case Json(style, inner):
            return JsonText(style, _build(reading, inner, record, table))


def _entries(reading: Reading, pairs: list[list[Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if type_of(key) is not str or key in found:
            reading.scanner.fail("keys that are strings, each once")
        found[key] = value
    return found


def _copy(value: Any) -> Any:
    """Return a constant anew, so that no two rows share what can be changed."""
    kind = type_of(value)
    if kind is dict:
        return {key: _copy(item) for key, item in value.items()}
    if kind is JsonText:
        return JsonText(value.style, _copy(value.value))
    return [_copy(item) for item in value] if kind is list else value


def read_lookup(reading: Reading, lookup: Lookup) -> dict[Any, dict[Column, Any]]:
    """Read the lines of a lookup, up to an empty line or the next lookup."""
    scanner = reading.scanner
    columns = (lookup.key, *lookup.values)
    digits = [column for column in columns if column.format.width]
    words = [column for column in columns if not column.format.width]
    found: dict[Any, dict[Column, Any]] = {}
    while scanner.peek() not in {"\n", "$", ""}:
        row: dict[Column, Any] = {}
        for column in digits:
            row[column] = _maybe_field(scanner, column)
        for number, column in enumerate(words):
            if digits or number:
                scanner.expect(" ")
            row[column] = read_cell(scanner, column)
        scanner.expect("\n")
        found[exact_key(row[lookup.key])] = row
    return found


def _maybe_field(scanner: Scanner, column: Column) -> Any:
    return ABSENT if scanner.skips("-" * column.format.width) else _field(scanner, column)
