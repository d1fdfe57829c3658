"""`llmopt log ...`: what the usage log holds, and what is done about it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .log_export import export
from .log_tasks import doctor, prune, reprice
from .tables import CALLS, Layout, call_cells, say, terminal_width, write
from .values import FILE, database, moment

if TYPE_CHECKING:
    import sqlite3

__all__ = ["log"]

POLL_S = 0.5
"""How often `--follow` looks for new calls."""

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
STATUSES = ("ok", "error", "cancelled", "abandoned")


class LogGroup(click.Group):
    """A group that means `tail` where no command is named, and tells errors of SQLite in one line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in its place."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["tail", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        import sqlite3

        try:
            return super().invoke(ctx)
        except (sqlite3.Error, sqlite3.Warning) as error:
            damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
            more = "; `llmopt log doctor` knows more" if damaged else ""
            raise click.ClickException(f"SQLite says: {error}{more}") from error


@click.group(cls=LogGroup)
def log() -> None:
    """Look after the usage log. Without a command: `tail`, the last calls."""


for command in (export, prune, reprice, doctor):
    log.add_command(command)


# tail


@log.command()
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="How many calls.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new calls as they end, until Ctrl-C.")
@click.option("--role", help="Only those made in this role.")
@click.option("--agent", help="Only those made for this agent.")
@click.option("-m", "--model", help="Only those of this model: asked for, or answering.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those that ended so.")
@click.option("--since", type=moment, metavar="TIME", help="Only those since then: 1h, 7d or a date.")
@click.option("--json", "as_json", is_flag=True, help="Print all columns as JSON; with -f in lines.")
@database
@click.pass_context
def tail(
    ctx: click.Context, /, *, count: int, follow: bool, db: Path | None, as_json: bool, **only: str | None
) -> None:
    """List the last calls, the newest at the end."""
    from ..usage import open as open_log

    opened = open_log(db)
    ctx.call_on_close(opened.close)
    calls = Calls(opened.conn, only)
    shown, last = calls.newest(count)
    if follow:
        try:
            _follow(calls, shown, last, db, _lines if as_json else _Growing(shown))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
    elif as_json:
        click.echo(json.dumps([_columns(call) for call in shown], indent=2))
    else:
        say(_table(shown) if shown else "No calls yet." if last == 0 else "No such calls.")


class Calls:
    """The calls of a log that are asked for.

    Args:
        connection: a connection to it.
        only: what they are to have, by the name of the option; None says nothing.
    """

    def __init__(self, connection: sqlite3.Connection, only: Mapping[str, str | None]) -> None:
        self._connection = connection
        self._values = {name: value for name, value in only.items() if value is not None}
        where = " AND ".join(("TRUE", *(_CONDITIONS[name] for name in self._values)))
        self._query = f"SELECT rowid, * FROM calls WHERE {where}"  # noqa: S608 - our own conditions

    def newest(self, count: int) -> tuple[list[dict[str, Any]], int]:
        """Return those that began last, and the rowid of the call that was written last, whatever it is."""
        newest = f"{self._query} ORDER BY started_at DESC, rowid DESC LIMIT :count"
        self._connection.execute("BEGIN")  # both are to be of one moment
        try:
            found = self._rows(f"SELECT * FROM ({newest}) ORDER BY started_at, rowid", count=count)  # noqa: S608
            last = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM calls").fetchone()[0]
        finally:
            self._connection.rollback()
        return found, last

    def after(self, rowid: int) -> list[dict[str, Any]]:
        """Return those that were written after another one."""
        return self._rows(f"{self._query} AND rowid > :after ORDER BY rowid", after=rowid)

    def _rows(self, query: str, **values: int) -> list[dict[str, Any]]:
        cursor = self._connection.execute(query, {**self._values, **values})
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


_CONDITIONS = {
    "role": "role = :role",
    "agent": "agent = :agent",
    "model": "(model_requested = :model OR model_resolved = :model)",
    "status": "status = :status",
    "since": "started_at >= :since",
}


def _columns(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are documented."""
    return {name: value for name, value in call.items() if name != "rowid"}


def _table(calls: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of calls; what all of them lack or share is left out."""
    days = sorted({call["started_at"][:10] for call in calls})
    start = 11 if len(days) == 1 else 5
    columns = len(CALLS) if any(call["cost_usd_nano"] for call in calls) else len(CALLS) - 1
    rows = [list(CALLS[:columns])]
    for time_of_day, *cells in map(call_cells, calls):
        rows.append([time_of_day[start:], *cells[: columns - 1]])
    lines = Layout(rows, range(5), terminal_width()).lines(rows)
    return "\n".join((*lines, "", f"Times are UTC, {' to '.join(sorted({days[0], days[-1]}))}."))


# follow


def _follow(
    calls: Calls, shown: Sequence[Mapping[str, Any]], last: int, db: Path | None, show: _Show
) -> None:
    """Show calls, and those that come, for ever."""
    from ..usage.reading import catch_up
    from ..usage.registry import resolve

    path = resolve(db)
    while True:
        show(shown)
        _pause()
        catch_up(path, POLL_S)
        shown = calls.after(last)
        last = shown[-1]["rowid"] if shown else last


_Show = Callable[[Sequence[Mapping[str, Any]]], None]


def _pause() -> None:
    time.sleep(POLL_S)


def _lines(calls: Sequence[Mapping[str, Any]]) -> None:
    for call in calls:
        click.echo(json.dumps(_columns(call)))


class _Growing:
    """Shows calls in a table that has no end yet: its first rows say how wide the columns are."""

    def __init__(self, calls: Sequence[Mapping[str, Any]]) -> None:
        rows = [("12:00:00 ", "model", "tactical", "error", "miss", "1234", "123", "1234ms", "1234ms", "usd")]
        self._layout = Layout([CALLS, *rows, *map(self._cells, calls)], range(5), terminal_width())
        self._say([("time, UTC", *CALLS[1:])])

    def __call__(self, calls: Sequence[Mapping[str, Any]]) -> None:
        self._say(map(self._cells, calls))

    def _say(self, rows: Any) -> None:
        for line in self._layout.lines(rows):
            say(line)

    @staticmethod
    def _cells(call: Mapping[str, Any]) -> list[str]:
        cells = call_cells(call)
        return [cells[0][11:], *cells[1:]]


# query


@log.command()
@click.argument("sql", metavar="SQL|VIEW")
@click.option(
    "-p", "--param", type=(str, str), multiple=True, metavar="NAME VALUE", help="A value for :NAME."
)
@click.option(
    "--attach", type=(str, FILE), multiple=True, metavar="NAME FILE", help="Another database to ask."
)
@click.option(
    "--table", "form", flag_value="table", default="table", help="A table, as wide as the terminal."
)
@click.option("--csv", "form", flag_value="csv", help="CSV with a head.")
@click.option("--json", "form", flag_value="json", help="A JSON array of objects.")
@click.option("--nl", "form", flag_value="nl", help="A JSON object in each line.")
@database
@click.pass_context
def query(
    ctx: click.Context,
    *,
    sql: str,
    param: Sequence[tuple[str, str]],
    attach: Sequence[tuple[str, Path]],
    form: str,
    db: Path | None,
) -> None:
    """Ask the log in SQL, or see a whole view or table; `log schema` lists them.

    Nothing can be written. With --attach llm "$(llm logs path)", llm's own log is there as `llm`.
    """
    from ..usage import open as open_log
    from ..usage.schema import describe

    opened = open_log(db)
    ctx.call_on_close(opened.close)
    whole = sql in {relation.name for relation in describe()}
    _read_only(opened.conn, attach)
    cursor = opened.conn.execute(f"SELECT * FROM {sql}" if whole else sql, dict(map(_value, param)))  # noqa: S608
    if cursor.description:
        write([column[0] for column in cursor.description], cursor, form)


def _read_only(connection: sqlite3.Connection, attach: Sequence[tuple[str, Path]]) -> None:
    """Attach databases; have SQLite refuse whatever would write to them or to the log."""
    for name, path in attach:
        quoted = name.replace('"', '""')
        connection.execute(f'ATTACH ? AS "{quoted}"', (f"{path.resolve().as_uri()}?mode=ro",))
    connection.execute("PRAGMA query_only = ON")
    connection.set_authorizer(_may)
    connection.set_progress_handler(lambda: None, 1_000_000)  # so that Ctrl-C is heard


def _may(action: int, *_: object) -> int:
    """Refuse what VACUUM INTO needs: it would write another file."""
    import sqlite3

    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _value(parameter: tuple[str, str]) -> tuple[str, str | int | float]:
    """Return a parameter; what is written as a number is one."""
    name, text = parameter
    for number in (int, float):
        try:
            if str(number(text)) == text and isfinite(number(text)):
                return name, number(text)
        except ValueError:
            pass
    return parameter


# what there is


@log.command()
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def schema(*, as_json: bool) -> None:
    """List the tables and views of the log, and what each column holds."""
    from dataclasses import asdict

    from ..text import aligned
    from ..usage.schema import describe

    if as_json:
        click.echo(json.dumps([asdict(relation) for relation in describe()], indent=2))
        return
    for relation in describe():
        click.echo(f"{relation.name} ({'view' if relation.view else 'table'}): {relation.description}")
        rows = [("", column.name, column.description) for column in relation.columns]
        click.echo(aligned(rows, left=3) + "\n")


@log.command()
@database
def path(db: Path | None) -> None:
    """Print where the log is."""
    from ..usage.registry import resolve

    resolved = resolve(db)
    click.echo(resolved)
    if terminal_width() is not None and not Path(resolved).exists():
        click.echo("It is not there yet.", err=True)
