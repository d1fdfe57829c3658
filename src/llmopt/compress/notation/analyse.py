"""Finds the template of a list of values: what they share, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from .columns import ABSENT, Column, Digits, Flag, Texts, Values, Words, digits_for
from .depend import find_lookups
from .derive import Slot, derive
from .exact import exact_keys, present, same
from .features import Features
from .fill import Changed, fill, kind_of
from .lexical import is_number, type_of
from .names import name_columns
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
    layout,
)
from .unpack import JsonText

__all__ = ["analyse"]

_MAX_POSITIONS: Final = 8  # longer lists are rows even where each position has its own kind
_MAP_FILL: Final = 0.5  # objects that have less than this share of all keys are maps
_MIN_MAP_KEYS: Final = 4
_MAX_FIELDS: Final = 200
_MAX_TUPLE: Final = 3  # scalars: coordinates, a pair of names
_TAG_PLACES: Final = 3


def analyse(rows: Sequence[Any], features: Features, depth: int = 0) -> tuple[Table, Data] | None:
    """Return the table of `rows` and its data, or None where a table makes no sense.

    Args:
        rows: at least two values.
        features: what it may use.
        depth: how many tables it stands in.
    """
    for allowed in (features, Features(features.name, hoist=features.hoist, digits=features.digits)):
        scope = _Scope(allowed, depth)
        template = scope.node(rows)
        if template is None:
            return None
        slots = scope.slots
        if allowed.derive:
            derive(slots, digits=allowed.digits)
        else:
            for slot in slots:
                slot.text.parts = (Column(Texts()),)
        table = Table(template)
        data: Data = {}
        try:
            fill(table, rows, data)
            if allowed.look_up:
                _look_up(table, data)
        except Changed:  # parts that can be told apart in the analysis, but not when read
            continue
        if not depth:
            name_columns(table)
        return table, data
    return None


def _look_up(table: Table, data: Data) -> None:
    found = layout(table)
    table.laid_out = None
    always = [column for column in found.uses if all(v is not ABSENT for v in data[column])]
    table.lookups = find_lookups(list(found.uses), always, data)


def _plain(text: str) -> bool:
    return not is_number(text) and text not in {"true", "false", "null"}


@dataclass(slots=True)
class _Scope:
    """The analysis of one table."""

    features: Features
    depth: int
    slots: list[Slot] = field(default_factory=list[Slot])

    def node(self, vector: Sequence[Any]) -> Node | None:  # noqa: PLR0911
        """Return what the values of a vector have in common."""
        values = present(vector)
        kinds = set(map(kind_of, values))
        if self.features.hoist and same(values):
            return Constant()
        if kinds == {"scalar"}:
            return self._scalar(vector, values)
        if kinds == {"object"}:
            return self._object(vector, values)
        if not self.features.hoist:
            return self._whole(values)
        if kinds == {"list"}:
            return self._list(vector, values)
        if len(kinds) == 1:
            inner = self.node([v if v is ABSENT else v.value for v in vector])
            return inner and Json(kinds.pop(), inner)
        return self._choice(vector, sorted(kinds))

    def _whole(self, values: Sequence[Any]) -> Node | None:
        """Return a hole for whole JSON values."""
        if self.features.unpack and any(map(_holds_json, values)):
            return None
        return Hole(Column(Values()))

    def _scalar(self, vector: Sequence[Any], values: Sequence[Any]) -> Node:
        kinds = set(map(type, values))
        if kinds == {str}:
            if not self.features.derive and all(map(_plain, values)):
                return Hole(Column(Words()))
            text = Text()
            self.slots.append(Slot(text, list(vector)))
            return text
        narrow = digits_for(values) if self.features.digits else None
        if narrow is not None and _pays(narrow, values):
            return Hole(Column(narrow))
        return Hole(Column(Words()))

    def _object(self, vector: Sequence[Any], values: Sequence[dict[str, Any]]) -> Node | None:
        shapes = list(dict.fromkeys(map(tuple, values)))
        keys = merge_orders(shapes)
        if not self.features.hoist:
            return self._flat_object(vector, shapes, values)
        if keys is None or self._is_map(keys, values):
            return self._entries(values)
        if len(shapes) > 1 and self._repeats(values):
            return self._whole(values)
        fields: list[Field] = []
        for key in keys:
            inner = [v if v is ABSENT else v.get(key, ABSENT) for v in vector]
            node = self.node(inner)
            if node is None:
                return None
            optional = any(key not in shape for shape in shapes)
            fields.append(Field(key, node, Column(Flag()) if optional else None))
        return Object(tuple(fields))

    def _flat_object(
        self, vector: Sequence[Any], shapes: list[tuple[str, ...]], values: Sequence[Any]
    ) -> Node | None:
        """Return a template of nothing but columns: a plain table."""
        if len(shapes) != 1 or not shapes[0] or ABSENT in vector:
            return None if self.depth == 0 and len(shapes) != 1 else self._whole(values)
        scope = _Scope(self.features, self.depth + 1)
        columns = [[value[key] for value in values] for key in shapes[0]]
        if self.depth and any(isinstance(v, dict | list) for column in columns for v in column):
            return self._whole(values)
        fields: list[Field] = []
        for key, column in zip(shapes[0], columns, strict=True):
            node = scope.node(column) if kind_of(column[0]) == "scalar" else self._whole(column)
            if node is None:
                return None
            fields.append(Field(key, node if not isinstance(node, Object) else Hole(Column(Values()))))
        self.slots.extend(scope.slots)
        return Object(tuple(fields))

    def _is_map(self, keys: Sequence[str], values: Sequence[dict[str, Any]]) -> bool:
        entries = sum(map(len, values))
        return len(keys) > _MAX_FIELDS or (
            len(keys) >= _MIN_MAP_KEYS and entries < _MAP_FILL * len(keys) * len(values)
        )

    def _repeats(self, values: Sequence[Any]) -> bool:
        """Return whether values come again so often that they are better written once, whole."""
        if not self.features.look_up:
            return False
        return len(set(exact_keys(list(values)))) <= len(values) / 2 and not _holds_json(list(values))

    def _list(self, vector: Sequence[Any], values: Sequence[list[Any]]) -> Node | None:
        size = len(values[0])
        if all(len(value) == size for value in values) and _is_array(values):
            items = [self.node([v if v is ABSENT else v[at] for v in vector]) for at in range(size)]
            return None if None in items else Array(tuple(item for item in items if item is not None))
        return self._child(Each, list(chain.from_iterable(values)), [len(value) for value in values], values)

    def _entries(self, values: Sequence[dict[str, Any]]) -> Node | None:
        pairs = [list(pair) for value in values for pair in value.items()]
        return self._child(Entries, pairs, [len(value) for value in values], values)

    def _child(
        self, kind: type[Each], elements: list[Any], counts: list[int], values: Sequence[Any]
    ) -> Node | None:
        inner = analyse(elements, self.features, self.depth + 1) if len(elements) > 1 else None
        if inner is None or (not layout(inner[0]).uses and not layout(inner[0]).more):
            return self._whole(values)
        if kind is Entries and not isinstance(inner[0].template, Array):
            return self._whole(values)
        node = kind(inner[0])
        where = layout(inner[0])
        if not where.digits and not where.words:
            return self._whole(values)  # rows that may be empty say nothing about how many they are
        if not where.packed or not self.features.digits:
            node.count = counts[0] if same(counts) else self._counter(counts)
        return node

    def _counter(self, counts: list[int]) -> Column:
        narrow = digits_for(counts) if self.features.digits else None
        return Column(narrow or Words())

    def _choice(self, vector: Sequence[Any], kinds: list[str]) -> Node | None:
        options: list[Node] = []
        for kind in kinds:
            node = self.node([v if v is not ABSENT and kind_of(v) == kind else ABSENT for v in vector])
            if node is None:
                return None
            options.append(node)
        tag = Digits(_TAG_PLACES) if self.features.digits else Words()
        return Choice(Column(tag), tuple(options))


def _pays(narrow: Digits, values: Sequence[Any]) -> bool:
    """Return whether fields of digits take fewer tokens than words, each of which has a blank before it."""
    if narrow.decimals:
        return True
    return len(values) * narrow.places // 3 <= sum(2 + (len(str(value)) - 1) // 3 for value in values)


def _holds_json(value: Any) -> bool:
    kind = type_of(value)
    if kind is JsonText:
        return True
    if kind is dict:
        return any(map(_holds_json, value.values()))
    return kind is list and any(map(_holds_json, value))


def merge_orders(shapes: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return an order of all keys that each of the shapes follows, or None if there is none.

    Example:
        >>> merge_orders([("a", "c"), ("a", "b", "c")]), merge_orders([("a", "b"), ("b", "a")])
        (('a', 'b', 'c'), None)
    """
    merged = list(shapes[max(range(len(shapes)), key=lambda at: len(shapes[at]))])
    if len(merged) > _MAX_FIELDS:
        return tuple(merged)
    for shape in shapes:
        at = 0
        for key in shape:
            if key in merged:
                found = merged.index(key)
                if found < at:
                    return None
                at = found + 1
            else:
                merged.insert(at, key)
                at += 1
            if len(merged) > _MAX_FIELDS:
                return tuple(merged)
    return tuple(merged)


def _is_array(values: Sequence[list[Any]]) -> bool:
    """Return whether each position of these lists, all of one length, has a kind of its own."""
    size = len(values[0])
    if size <= 1:
        return size == 1
    if size > _MAX_POSITIONS:
        return False
    positions = [[value[at] for value in values] for at in range(size)]
    if not all(kind_of(item) == "object" for value in values for item in value):
        return size <= _MAX_TUPLE or any(map(same, positions))
    shapes: list[set[tuple[str, ...]]] = [{tuple(item) for item in position} for position in positions]
    if any(shape != shapes[0] for shape in shapes) and all(len(shape) == 1 for shape in shapes):
        return True
    keys = set[str].intersection(*(set(item) for value in values for item in value))
    return any(
        not same([item[key] for value in values for item in value])
        and all(same([item[key] for item in position]) for position in positions)
        for key in keys
    )
