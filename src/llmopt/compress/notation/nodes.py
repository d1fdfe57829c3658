"""The intermediate representation: what a table's rows have in common, as a tree with holes.

The analysis makes it of values, the writer makes text of it, the reader makes it of text and values of that.
It holds no data: those of each column lie beside it (`Data`), so that one tree serves all values of a shape.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from .columns import Column

if TYPE_CHECKING:
    from .compiled import Compiled

__all__ = [
    "Array",
    "Choice",
    "Constant",
    "Data",
    "Each",
    "Entries",
    "Field",
    "Hole",
    "Json",
    "Layout",
    "Lookup",
    "Node",
    "Object",
    "Table",
    "Text",
    "layout",
]

Data: TypeAlias = "dict[object, list[Any]]"
"""Column -> its value in each row; `Each`, `Entries` -> how many each row has; `Constant` -> [the value]."""


@dataclass(eq=False, slots=True)
class Constant:
    """A value that all rows share.

    Attributes:
        written: the value written last, as `exact_key` has it, and its text.
        varies: whether it was another one before.
    """

    written: tuple[Hashable, str] | None = None
    varies: bool = False


@dataclass(eq=False, slots=True)
class Hole:
    """A value that is one column's: `$`, `$a`, `###`, `##.#`."""

    column: Column


@dataclass(eq=False, slots=True)
class Text:
    """A string made of literal parts and columns: `"$a-db.$b"`, `"T##:##Z"`, `"v{###}"`.

    Attributes:
        parts: what it is made of.
        written: its notation, once it has been written.
    """

    parts: tuple[str | Column, ...] = ()
    written: str = ""


@dataclass(eq=False, slots=True)
class Field:
    """A key of an object.

    Attributes:
        key: the key.
        node: what its values have in common.
        flag: where the key is optional, the column that says where it is.
        written: the key as it stands in the template, once it has been written.
    """

    key: str
    node: Node
    flag: Column | None = None
    written: str = ""


@dataclass(eq=False, slots=True)
class Object:
    """An object: `{key:... optional?:...}`."""

    fields: tuple[Field, ...]


@dataclass(eq=False, slots=True)
class Array:
    """A list of fixed length whose elements differ in kind: `[... ...]`."""

    items: tuple[Node, ...]


@dataclass(eq=False, slots=True)
class Each:
    """A list of elements of one kind: `[COUNT each ...]`. Its rows stand with the row that it belongs to.

    Attributes:
        table: the elements.
        count: how many: a number where all rows have as many, a column, or None where the cell shows it.
    """

    table: Table
    count: int | Column | None = None


@dataclass(eq=False, slots=True)
class Entries(Each):
    """An object whose keys are data: `{COUNT each KEY:VALUE}`; the table's template is a pair."""


@dataclass(eq=False, slots=True)
class Choice:
    """A value of one of several kinds: `(tag:A|B)`; `tag` holds the number of the option, from 0."""

    tag: Column
    options: tuple[Node, ...]


@dataclass(eq=False, slots=True)
class Json:
    """A string that is the JSON text of a value: `json(...)`, written in `style`."""

    style: str
    node: Node


Node: TypeAlias = "Constant | Hole | Text | Object | Array | Each | Choice | Json"


@dataclass(eq=False, slots=True)
class Lookup:
    """Columns that follow from another: `$a>$b $c`, then a line for each value of `$a`.

    Attributes:
        key: the column that decides.
        values: the columns that follow from it.
    """

    key: Column
    values: tuple[Column, ...]


@dataclass(eq=False, slots=True)
class Table:
    """Rows of one template.

    Attributes:
        template: what the rows have in common.
        lookups: what follows from what.
        laid_out: the layout, once it was asked for.
        compiled: what takes rows apart, once rows came again.
        compilations: how often that was made.
        written: the notation written last, between the lookups, and what it depends on.
    """

    template: Node
    lookups: tuple[Lookup, ...] = ()
    laid_out: Layout | None = field(default=None, repr=False)
    compiled: Compiled | None = field(default=None, repr=False)
    compilations: int = field(default=0, repr=False)
    written: tuple[Hashable, list[str]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands where in the rows of a table; the writer and the reader both go by it.

    A row has its fields of digits first, without delimiters, then a word for each column of words, then what
    not all rows have and lists, in the order of the template.

    Attributes:
        uses: every column of the template and how often it occurs there.
        digits: columns in the run of digits.
        words: columns that all rows have as words.
        lists: the lists of the template.
        tail: the parts of the template that are more than columns of all rows, in order.
        more: whether there is anything else.
        nested: whether rows of other tables follow a row on lines of their own.
    """

    uses: dict[Column, int]
    digits: tuple[Column, ...]
    words: tuple[Column, ...]
    lists: tuple[Each, ...]
    tail: tuple[Field | Each | Choice, ...]
    more: bool
    nested: bool

    @property
    def width(self) -> int:
        """Characters of the run of digits."""
        return sum(column.format.width for column in self.digits)

    @property
    def packed(self) -> bool:
        """Whether rows are digits alone, so that many fit on one line."""
        return bool(self.digits) and not self.words and not self.more

    @property
    def inline(self) -> bool:
        """Whether rows are one word, so that many fit on one line."""
        return len(self.words) == 1 and not self.digits and not self.more


def layout(table: Table) -> Layout:
    """Return the layout of a table's rows."""
    found = table.laid_out
    if found is None:
        found = table.laid_out = _layout(table)
    return found


def _layout(table: Table) -> Layout:
    uses: dict[Column, int] = {}
    always: set[Column] = set()
    lists: list[Each] = []
    for item, conditional in _walk(table.template, conditional=False):
        if isinstance(item, Column):
            uses[item] = uses.get(item, 0) + 1
            if not conditional:
                always.add(item)
        else:
            lists.append(item)
    for lookup in table.lookups:
        if lookup.key not in uses:  # it is where its values are
            uses[lookup.key] = 0
            always.update((lookup.key,) if always.intersection(lookup.values) else ())
    looked_up = {column for lookup in table.lookups for column in lookup.values}
    own = [column for column in uses if column not in looked_up]
    plain = [column for column in own if column in always]
    return Layout(
        uses,
        tuple(column for column in plain if column.format.width),
        tuple(column for column in plain if not column.format.width),
        tuple(lists),
        tuple(_tail(table.template)),
        more=bool(lists) or len(plain) < len(own),
        nested=any(is_nested(each) for each in lists),
    )


def _tail(node: Node) -> Iterator[Field | Each | Choice]:
    match node:
        case Object(fields):
            for each in fields:
                if each.flag is None:
                    yield from _tail(each.node)
                else:
                    yield each
        case Array(items):
            for item in items:
                yield from _tail(item)
        case Json():
            yield from _tail(node.node)
        case Each() | Choice():
            yield node
        case _:
            pass


def is_nested(each: Each) -> bool:
    """Return whether the rows of a list have lines of their own."""
    inner = layout(each.table)
    return not inner.packed and not inner.inline


def _walk(node: Node, *, conditional: bool) -> Iterator[tuple[Column | Each, bool]]:  # noqa: C901, PLR0912
    """Yield columns and lists in the order of the template, and whether some rows may lack them."""
    match node:
        case Hole(column):
            yield column, conditional
        case Text(parts):
            yield from ((part, conditional) for part in parts if isinstance(part, Column))
        case Object(fields):
            for each in fields:
                if each.flag is not None:
                    yield each.flag, conditional
                yield from _walk(each.node, conditional=conditional or each.flag is not None)
        case Array(items):
            for item in items:
                yield from _walk(item, conditional=conditional)
        case Each():
            if isinstance(node.count, Column):
                yield node.count, conditional
            yield node, conditional
        case Choice(tag, options):
            yield tag, conditional
            for option in options:
                yield from _walk(option, conditional=True)
        case Json():
            yield from _walk(node.node, conditional=conditional)
        case Constant():
            pass
