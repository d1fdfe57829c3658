"""What the usage log's file holds: one line per column, which the DDL and the documentation are made from.

Times are ISO-8601 in UTC with microseconds, durations milliseconds, money integer nano-dollars. No text of
a prompt or a reply stands in any column but `fragments.content`, which is empty unless it is asked for. A
column that is unknown is NULL, never zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .columns import TABLES, VIEWS

VERSION = 2
"""The newest version of the schema; a column or index says since which version it is there."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table or a view.

    Attributes:
        name: its name.
        type: its SQL type, with the constraints of a table's column.
        description: what it holds, in one line.
        since: the version of the schema that brought it.
    """

    name: str
    type: str
    description: str
    since: int = 1


@dataclass(frozen=True, slots=True)
class Relation:
    """One table or view.

    Attributes:
        name: its name.
        description: what one row stands for.
        columns: its columns in order.
        key: the primary key of a table that has more than one column in it.
        view: whether it is a view; its query is in `views`.
        since: the version of the schema that brought it.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: str = ""
    view: bool = False
    since: int = 1


def describe() -> tuple[Relation, ...]:
    """Return every table and view of the usage log with its columns, for documentation and tools.

    Example:
        >>> [relation.name for relation in describe() if relation.view][:2]
        ['price_list', 'usage_daily']
    """
    return tuple(_relations())


def _relations() -> Iterator[Relation]:
    for paragraph in f"{TABLES.strip()}\n\n{VIEWS.strip()}".split("\n\n"):
        head, *lines = paragraph.splitlines()
        kind, name, description, key, *since = (cell.strip() for cell in head.split("|"))
        first = int(since[0]) if since else 1
        columns = tuple(_column(line, first) for line in lines)
        yield Relation(name, description, columns, key, kind == "view", first)


def _column(line: str, first: int) -> Column:
    name, type_, description, *since = (cell.strip() for cell in line.split("|"))
    return Column(name, type_, description, int(since[0]) if since else first)


def markdown() -> str:
    """Return the schema as the page of documentation that is `docs/usage-schema.md`.

    Example:
        >>> print(markdown()[:15])
        # Usage schema
    """
    relations = describe()
    parts = [_HEAD.format(version=VERSION)]
    for title, views in (("Tables", False), ("Views", True)):
        parts.append(f"## {title}")
        parts += [_section(relation) for relation in relations if relation.view is views]
    indexes = [f"| `{i.name}` | `{i.on}` | {_code(i.where)} |" for i in INDEXES if i.until is None]
    parts += ["## Indexes", "\n".join(["| Index | On | Where |", "|---|---|---|", *indexes])]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# Usage schema

What the [usage log](middleware/usage_log.md) holds, at version {version} of its schema. This page is made
from `llmopt.usage.schema`; [Questions and queries](usage-sql.md) shows how to ask.

Times are ISO-8601 in UTC with microseconds, durations milliseconds (`_ms`), money whole nano-dollars
(`_nano`), or dollars in views (`_usd`). What is unknown is NULL, never zero. No text of a prompt or a reply
stands in any column but `fragments.content`, which is empty unless the log is told to keep contents.

The number of the version stands in `PRAGMA user_version`. It only grows, and columns are only ever added:
an older llmopt can read a newer file, and write to it."""


def _section(relation: Relation) -> str:
    """Return what the page says of a table or view."""
    facts = [f"{relation.description}."]
    if relation.key:
        facts.append(f"Primary key: `({relation.key})`.")
    if relation.since > 1:
        facts.append(f"Since version {relation.since}.")
    rows = [f"| `{c.name}` | {_code(c.type)} | {_text(c, relation)} |" for c in relation.columns]
    table = ["| Column | Type | What it holds |", "|---|---|---|", *rows]
    return f"### {relation.name}\n\n{' '.join(facts)}\n\n" + "\n".join(table)


def _text(column: Column, relation: Relation) -> str:
    since = f" (since version {column.since})" if column.since > relation.since else ""
    return column.description + since


def _code(sql: str) -> str:
    return f"`{sql}`" if sql else ""


@dataclass(frozen=True, slots=True)
class Index:
    """One index.

    Attributes:
        name: its name.
        on: the table and the columns.
        where: the condition of a partial index: rows without a value are not worth a place in it.
        since: the version of the schema that brought it.
        until: the version that dropped it, or None.
    """

    name: str
    on: str
    where: str = ""
    since: int = 1
    until: int | None = None


INDEXES = (
    Index("calls_started_at", "calls (started_at)"),
    Index("calls_model", "calls (model_resolved, started_at)", "model_resolved IS NOT NULL"),
    Index("calls_role", "calls (role, started_at)", "role IS NOT NULL"),
    Index("calls_not_ok", "calls (status, started_at)", "status <> 'ok'"),
    Index("call_fragments_digest", "call_fragments (digest)", until=2),
    Index("call_fragments_use", "call_fragments (digest, kind)", since=2),  # the uses of a text by its parts
)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A table whose columns have been put into another order.

    Attributes:
        table: its name.
        since: the version of the schema from which on they stand as they are described.
    """

    table: str
    since: int


# SQLite 3.40.0 to 3.41.0 finds NULLs where there are none, and calls a sound file corrupt, if the columns of
# a primary key do not come first in a table without row ids.
REBUILDS = (Rebuild("call_fragments", 2),)
