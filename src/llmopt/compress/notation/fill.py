"""Pours values into a tree that was made for values of their shape, and finds out whether they fit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from typing import Any, TypeAlias

from .columns import ABSENT, Column
from .exact import exact_keys, present, same
from .lexical import type_of
from .match import Changed, match_texts
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
)
from .unpack import JsonText

__all__ = ["Changed", "fill", "kind_of", "look_up", "number"]

Vector: TypeAlias = "Sequence[Any]"


def fill(table: Table, rows: Vector, data: Data) -> None:
    """Store the values of every column and constant of `table` in `data`.

    Raises:
        Changed: the rows do not fit the template, or a column does not follow from what it followed from.
    """
    texts: list[tuple[Text, Vector]] = []
    _fill(table.template, rows, data, texts)
    for text, vector in texts:
        _fill_text(text, vector, data)
    look_up(table, data)


def look_up(table: Table, data: Data) -> None:
    """Store the numbers that stand for values, and check what follows from what.

    Raises:
        Changed: a column does not follow from what it followed from.
    """
    for lookup in table.lookups:
        if lookup.key not in data:  # a number that stands for the value
            data[lookup.key] = number(data[lookup.values[0]])
        _check_lookup(lookup, data)


def _fill(  # noqa: C901
    node: Node, vector: Vector, data: Data, texts: list[tuple[Text, Vector]]
) -> None:
    match node:
        case Constant():
            values = present(vector)
            if not same(values):
                raise Changed
            data[node] = values[:1] or [None]
        case Hole(column):
            data[column] = list(vector)
        case Text():
            texts.append((node, vector))
        case Object(fields):
            _fill_object(fields, vector, data, texts)
        case Array(items):
            _demand(vector, list)
            if any(len(value) != len(items) for value in present(vector)):
                raise Changed
            for at, item in enumerate(items):
                _fill(item, [v if v is ABSENT else v[at] for v in vector], data, texts)
        case Each():
            _fill_each(node, vector, data)
        case Choice(tag, options):
            _fill_choice(tag, options, vector, data, texts)
        case Json(style, inner):
            if any(type_of(value) is not JsonText or value.style != style for value in present(vector)):
                raise Changed
            _fill(inner, [v if v is ABSENT else v.value for v in vector], data, texts)


def _demand(vector: Vector, kind: type) -> None:
    if not set(map(type, vector)) <= {kind, type_of(ABSENT)}:
        raise Changed


def _fill_object(
    fields: tuple[Field, ...], vector: Vector, data: Data, texts: list[tuple[Text, Vector]]
) -> None:
    _demand(vector, dict)
    keys = tuple(each.key for each in fields)
    shapes = [tuple(value) for value in vector if value is not ABSENT]
    if len(shapes) == len(vector) == shapes.count(keys) and not any(each.flag for each in fields):
        for each, column in zip(fields, zip(*[value.values() for value in vector], strict=True), strict=True):
            _fill(each.node, list(column), data, texts)
        return
    needed = {each.key for each in fields if each.flag is None}
    if not all(needed.issubset(shape) and _in_order(shape, keys) for shape in set(shapes)):
        raise Changed
    for each in fields:
        inner = [v if v is ABSENT else v.get(each.key, ABSENT) for v in vector]
        if each.flag is not None:
            there = [ABSENT if v is ABSENT else w is not ABSENT for v, w in zip(vector, inner, strict=True)]
            data[each.flag] = there
        _fill(each.node, inner, data, texts)


def _in_order(shape: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    rest = iter(keys)
    return all(key in rest for key in shape)


def _fill_each(node: Each, vector: Vector, data: Data) -> None:
    _demand(vector, dict if isinstance(node, Entries) else list)
    counts = [ABSENT if v is ABSENT else len(v) for v in vector]
    data[node] = counts
    if isinstance(node.count, Column):
        data[node.count] = counts
    elif isinstance(node.count, int) and any(count not in (ABSENT, node.count) for count in counts):
        raise Changed
    groups: list[Any] = present(vector)
    if isinstance(node, Entries):
        groups = [list(map(list, group.items())) for group in groups]
    fill(node.table, list(chain.from_iterable(groups)), data)


_KINDS: dict[type, str] = {dict: "object", list: "list", JsonText: "json"}


def kind_of(value: Any) -> str:
    """Return to which option of a `Choice` a value belongs."""
    kind = _KINDS.get(type_of(value), "scalar")
    return value.style if kind == "json" else kind


def kind_of_node(node: Node) -> str:
    """Return which values an option of a `Choice` is for."""
    match node:
        case Object() | Entries():
            return "object"
        case Array() | Each():
            return "list"
        case Json(style):
            return style
        case _:
            return "scalar"


def _fill_choice(
    tag: Column,
    options: tuple[Node, ...],
    vector: Vector,
    data: Data,
    texts: list[tuple[Text, Vector]],
) -> None:
    kinds = [None if value is ABSENT else kind_of(value) for value in vector]
    order = {kind: at for at, kind in enumerate(data_kinds(options))}
    try:
        data[tag] = [ABSENT if kind is None else order[kind] for kind in kinds]
    except KeyError:
        raise Changed from None
    for kind, at in order.items():
        inner = [v if k == kind else ABSENT for v, k in zip(vector, kinds, strict=True)]
        _fill(options[at], inner, data, texts)


def data_kinds(options: tuple[Node, ...]) -> list[str]:
    """Return the kinds of values that the options are for."""
    return [kind_of_node(option) for option in options]


def _fill_text(node: Text, vector: Vector, data: Data) -> None:
    """Find the columns that a string is made of, by what is known of the others."""
    columns = [part for part in node.parts if isinstance(part, Column)]
    if ABSENT not in vector:
        for column, values in match_texts(node.parts, vector, _known(columns, data)).items():
            data[column] = values
        return
    places = [at for at, value in enumerate(vector) if value is not ABSENT]
    known = {column: [data[column][at] for at in places] for column in columns if column in data}
    if any(ABSENT in values for values in known.values()):
        raise Changed
    found = match_texts(node.parts, [vector[at] for at in places], known)
    for column, values in found.items():
        data[column] = [ABSENT] * len(vector)
        for at, value in zip(places, values, strict=True):
            data[column][at] = value


def _known(columns: list[Column], data: Data) -> dict[Column, list[Any]]:
    return {column: data[column] for column in columns if column in data}


def number(vector: list[Any]) -> list[Any]:
    """Return a number for each value, the same for the same value, counted from 0."""
    keys = exact_keys(vector)
    distinct = dict.fromkeys(keys)
    distinct.pop(ABSENT, None)
    numbers: dict[Any, Any] = {**dict(zip(distinct, count(), strict=False)), ABSENT: ABSENT}
    return list(map(numbers.__getitem__, keys))


def _check_lookup(lookup: Lookup, data: Data) -> None:
    keys = exact_keys(data[lookup.key])
    for column in lookup.values:
        written = exact_keys(data[column])
        if list(map(dict(zip(keys, written, strict=True)).get, keys)) == written:
            continue
        known = {key: value for key, value in zip(keys, written, strict=True) if value is not ABSENT}
        if any(value is not ABSENT and known[key] != value for key, value in zip(keys, written, strict=True)):
            raise Changed
