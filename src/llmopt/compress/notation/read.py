"""Reads the notation: values, templates and lookups. Rows are read by `read_rows`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from .build import Reading, read_lookup, read_rows
from .columns import Column, Digits, Flag, Picture, Texts, Words
from .lexical import Scanner
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
from .unpack import STYLES, JsonText

__all__ = ["read"]

_MAX_DEPTH: Final = 200
_OPENINGS: Final = ("{", "[", "json")
_blank = re.compile(r"[ \t\r\n,]*")
_word = re.compile(r"[^\s\x00-\x20\"{}\[\]()|,]+")
_key = re.compile(r"[^\s\x00-\x20\"{}\[\]()|,:$#?]+")
_each = re.compile(r"(?:(?P<count>[0-9]{1,9}|\$[a-z]*|#+) )?each ")
_name = re.compile(r"[a-z]+")
_hashes = re.compile(r"#+(?:\.#+)?|\.#+")
_hole_in_text = re.compile(r"\$\{[a-z]*\}|\$[a-z]*|\{#+\}|#")
_heading = re.compile(r"\n\$[a-z]+[=>]")


def read(text: str) -> Any:
    """Return the value that `text` is an encoding of, with `JsonText` for strings of JSON.

    Raises:
        DecodingError: it is none.
    """
    try:  # JSON means here what it means elsewhere, and is read faster there
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        pass
    scanner = Scanner(text)
    if not text.startswith(_OPENINGS):
        scanner.fail("an encoded value")
    try:
        value = _Reader(scanner).value(0)
    except RecursionError:
        scanner.fail("fewer levels")
    if scanner.at != len(text):
        scanner.fail("the end")
    return value


def _refuse(name: str) -> Any:
    raise ValueError(name)


@dataclass(slots=True)
class _Scope:
    """The columns of the table whose template is being read."""

    named: dict[str, Column] = field(default_factory=dict[str, Column])
    typed: set[Column] = field(default_factory=set[Column])
    data: Data = field(default_factory=dict[object, "list[Any]"])

    def column(self, name: str) -> Column:
        """Return the column of a name, a new one for "" and for a name not seen before."""
        if not name:
            return Column(Texts())
        return self.named.setdefault(name, Column(Texts(), name))


@dataclass(slots=True)
class _Reader:
    scanner: Scanner

    # Values outside of templates

    def value(self, depth: int) -> Any:
        """Read a value."""
        return self.node(depth, None)

    def node(self, depth: int, scope: _Scope | None) -> Any:
        """Read a value, or in a template (where there is a scope) a node."""
        if depth > _MAX_DEPTH:
            self.scanner.fail("fewer levels")
        char = self.scanner.peek()
        if char == "{":
            return self._object(depth, scope)
        if char == "[":
            return self._list(depth, scope)
        if char == '"':
            return self.scanner.string() if scope is None else self._text(scope)
        if scope is not None and (
            char in {"$", "#", "("} or self.scanner.text.startswith(".#", self.scanner.at)
        ):
            return self._choice(depth, scope) if char == "(" else Hole(self._hole(scope))
        word = self.scanner.take(_word)
        if word in STYLES and self.scanner.skips("("):
            return self._json(word, depth, scope)
        if not word:
            self.scanner.fail("a value")
        return self._constant(self.scanner.word(word), scope)

    def _constant(self, value: Any, scope: _Scope | None) -> Any:
        if scope is None:
            return value
        node = Constant()
        scope.data[node] = [value]
        return node

    def _folded(self, nodes: list[Any], scope: _Scope) -> list[Any] | None:
        """Return the values of nodes if all of them are constants."""
        if all(isinstance(node, Constant) for node in nodes):
            return [scope.data.pop(node)[0] for node in nodes]
        return None

    def _object(self, depth: int, scope: _Scope | None) -> Any:
        scanner = self.scanner
        scanner.expect("{")
        match = _each.match(scanner.text, scanner.at)
        if match is not None and scope is not None:
            return self._rows_of(Entries, match, depth, scope, "}")
        members: dict[str, Any] = {}
        flags: dict[str, Column | None] = {}
        scanner.take(_blank)
        while not scanner.skips("}"):
            key = scanner.string() if scanner.peek() == '"' else scanner.take(_key)
            if key in members or (not key and scanner.text[scanner.at - 2 : scanner.at] != '""'):
                scanner.fail("a key that is not there yet")
            flags[key] = self._flag(scope) if scope is not None and scanner.skips("?") else None
            members[key] = self._member(depth, scope)
            scanner.take(_blank)
        if scope is None:
            return members
        if not any(flags.values()):
            values = self._folded(list(members.values()), scope)
            if values is not None:
                return self._constant(dict(zip(members, values, strict=True)), scope)
        return Object(tuple(Field(key, node, flags[key]) for key, node in members.items()))

    def _flag(self, scope: _Scope) -> Column:
        column = scope.column(self.scanner.take(_name) if self.scanner.skips("$") else "")
        column.format = Flag()
        return column

    def _member(self, depth: int, scope: _Scope | None) -> Any:
        scanner = self.scanner
        at = scanner.at
        if scope is None:
            scanner.take(_blank)
        if scanner.skips(":"):
            scanner.take(_blank)
            return self.node(depth + 1, scope)
        scanner.at = at
        if scope is None:
            scanner.fail("':'")
        return Hole(Column(Words()))

    def _list(self, depth: int, scope: _Scope | None) -> Any:
        scanner = self.scanner
        scanner.expect("[")
        match = _each.match(scanner.text, scanner.at)
        if match is not None:
            return self._rows_of(Each, match, depth, scope, "]")
        items: list[Any] = []
        scanner.take(_blank)
        while not scanner.skips("]"):
            items.append(self.node(depth + 1, scope))
            scanner.take(_blank)
        if scope is None:
            return items
        values = self._folded(items, scope)
        return Array(tuple(items)) if values is None else self._constant(values, scope)

    # Templates

    def _hole(self, scope: _Scope) -> Column:
        """Read a hole that stands where a value may."""
        scanner = self.scanner
        if scanner.skips("$"):
            name = scanner.take(_name)
            column = scope.column(name)
            scope.typed.add(column)
            if not name:
                column.format = Words()
            return column
        return Column(self._digits(scanner.take(_hashes)))

    def _digits(self, hashes: str) -> Digits:
        if not hashes:
            self.scanner.fail("a hole")
        whole, _, decimals = hashes.partition(".")
        return Digits(len(whole) + len(decimals), len(decimals))

    def _text(self, scope: _Scope) -> Any:
        raw = self.scanner.raw_string()
        parts: list[str | Column] = []
        at = 0
        for match in _hole_in_text.finditer(raw):
            literal = self._unescaped(raw[at : match.start()])
            at = match.end()
            self._add(parts, literal, match[0], scope)
        parts += [last] if (last := self._unescaped(raw[at:])) else []
        if not any(isinstance(part, Column) for part in parts):
            return self._constant("".join(map(str, parts)), scope)
        return Text(tuple(parts))

    def _unescaped(self, raw: str) -> str:
        text: str = json.loads(f'"{raw}"')
        return text

    def _add(self, parts: list[str | Column], literal: str, hole: str, scope: _Scope) -> None:
        last = parts[-1] if parts else None
        if hole == "#" and isinstance(last, Column) and isinstance(last.format, Picture):
            last.format = Picture(last.format.pattern + literal + "#")
            return
        parts += [literal] if literal else []
        if hole == "#":
            parts.append(Column(Picture("#")))
        elif hole.startswith("{"):
            parts.append(Column(Digits(len(hole) - 2)))
        else:
            parts.append(scope.column(hole.strip("${}")))

    def _choice(self, depth: int, scope: _Scope) -> Choice:
        scanner = self.scanner
        scanner.expect("(")
        tag = self._hole(scope)
        scanner.expect(":")
        options = [self.node(depth + 1, scope)]
        while scanner.skips("|"):
            options.append(self.node(depth + 1, scope))
        scanner.expect(")")
        return Choice(tag, tuple(options))

    def _json(self, style: str, depth: int, scope: _Scope | None) -> Any:
        inner = self.node(depth + 1, scope)
        self.scanner.expect(")")
        if scope is None or isinstance(inner, Constant):
            value = inner if scope is None else scope.data.pop(inner)[0]
            return self._constant(JsonText(style, value), scope)
        return Json(style, inner)

    # Tables

    def _rows_of(
        self, kind: type[Each], match: re.Match[str], depth: int, outer: _Scope | None, closing: str
    ) -> Any:
        """Read a table, or in a template the head of one whose rows stand with those of the outer table."""
        scanner = self.scanner
        scope = _Scope()
        counted = match["count"]
        count = None if counted is None else self._count(counted, outer)
        scanner.at = match.end()
        table, ended = self._head(kind, depth + 1, scope)
        where = layout(table)
        if not where.digits and not where.words:
            scanner.fail("a table with columns")
        if outer is not None and scanner.skips(closing):
            if counted is None and not where.packed:
                scanner.fail("a count")
            outer.data.update(scope.data)
            return kind(table, count)
        if not ended:
            scanner.expect("\n")
        rows = read_rows(Reading(scanner, scope.data), table)
        scanner.expect(closing)
        return self._constant(rows, outer)

    def _count(self, counted: str, outer: _Scope | None) -> int | Column:
        if outer is None:
            self.scanner.fail("a table without a count")
        if counted.isdigit():
            return int(counted)
        return self._hole(outer)

    def _head(self, kind: type[Each], depth: int, scope: _Scope) -> tuple[Table, bool]:
        scanner = self.scanner
        if kind is Entries:
            key = self.node(depth, scope)
            scanner.expect(":")
            template: Node = Array((key, self.node(depth, scope)))
        else:
            template = self.node(depth, scope)
        table = Table(template)
        ended = _heading.match(scanner.text, scanner.at) is not None
        if ended:
            scanner.expect("\n")
            table.lookups = self._lookups(scope)
            scanner.expect("\n")
        self._settle(scope)
        return table, ended

    def _lookups(self, scope: _Scope) -> tuple[Lookup, ...]:
        """Read definitions `$a=##.#` and lookups `$a>$b $c=###`, up to an empty line."""
        scanner = self.scanner
        self._settle(scope)
        found: list[Lookup] = []
        while scanner.peek() == "$":
            key = self._defined(scope)
            if scanner.skips("\n"):
                continue
            scanner.expect(">")
            values = [self._defined(scope)]
            while scanner.skips(" "):
                values.append(self._defined(scope))
            scanner.expect("\n")
            self._settle(scope)
            lookup = Lookup(key, tuple(values))
            taken = {column for other in found for column in (other.key, *other.values)}
            if len({key, *values}) < len(values) + 1 or taken.intersection((key, *values)):
                scanner.fail("columns that are not looked up yet")
            scope.data[lookup] = [read_lookup(Reading(scanner, scope.data), lookup)]
            found.append(lookup)
        return tuple(found)

    def _defined(self, scope: _Scope) -> Column:
        """Read the name of a column, and the picture that it may be given here."""
        scanner = self.scanner
        scanner.expect("$")
        column = scope.column(scanner.take(_name))
        if not scanner.skips("="):
            return column
        if scanner.peek() == '"':
            text = self._text(_Scope())
            column.format = self._picture(text.parts if isinstance(text, Text) else ())
        else:
            column.format = self._digits(scanner.take(_hashes))
        return column

    def _picture(self, parts: tuple[str | Column, ...]) -> Picture:
        """Return the picture that a whole string is."""
        formats = [part.format for part in parts if isinstance(part, Column)]
        if len(formats) != 1 or not isinstance(formats[0], Picture):
            self.scanner.fail("one picture")
        return Picture("".join(part if isinstance(part, str) else formats[0].pattern for part in parts))

    def _settle(self, scope: _Scope) -> None:
        """Give the columns that are used as values, and not defined, the format of words."""
        for column in scope.typed:
            if isinstance(column.format, Texts):
                column.format = Words()
