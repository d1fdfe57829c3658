"""`llmopt log export`: calls for other programs, and for OpenTelemetry."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ..errors import ConfigurationError, StoreError
from ..text import printable
from .tables import say, terminal_width
from .values import FILE, database, moment

if TYPE_CHECKING:
    from ..usage.export import Out

__all__ = ["export"]

STDOUT = Path("-")


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "sqlite", "otel"]),
    default="jsonl",
    show_default=True,
    help="jsonl: calls with their attempts; csv: calls; sqlite: a copy; otel: spans and metrics.",
)
@click.option("--since", type=moment, metavar="TIME", help="Only calls since then: 1h, 7d or a date.")
@click.option("--until", type=moment, metavar="TIME", help="Only calls before.")
@click.option("-o", "--output", type=FILE, help="Write to this file; - is the output.")
@click.option("--content", is_flag=True, help="With the texts of prompts and replies, if the log has any.")
@click.option("--endpoint", metavar="URL", help="Where an OTLP/HTTP receiver listens, for otel.")
@database
def export(
    *,
    form: str,
    since: str | None,
    until: str | None,
    output: Path | None,
    content: bool,
    endpoint: str | None,
    db: Path | None,
) -> None:
    """Take calls out of the log; texts only if --content says so.

    otel sends what the endpoint does not have yet, and goes on from there the next time.
    """
    _refuse(
        form, {"--since": since, "--until": until, "-o": output, "--content": content, "--endpoint": endpoint}
    )
    if form == "otel":
        _send(db, endpoint)
        return
    from ..usage import export as exports
    from ..usage import open as open_log
    from ..usage.registry import resolve

    opened = open_log(db)
    click.get_current_context().call_on_close(opened.close)
    if form == "sqlite":
        exports.copy(opened.conn, output or "", content=content)
        return
    if output and os.path.realpath(output) == resolve(db):
        raise StoreError(f"{output} is the log itself; name another file")
    with _written(output) as out:
        if form == "csv":
            exports.to_csv(opened.conn, out, since=since, until=until)
        else:
            exports.to_jsonl(opened.conn, out, since=since, until=until, content=content)


_OPTIONS = {
    "jsonl": {"--since", "--until", "-o", "--content"},
    "csv": {"--since", "--until", "-o"},
    "sqlite": {"-o", "--content"},
    "otel": {"--endpoint"},
}


def _refuse(form: str, given: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing in a format, and a copy without a name."""
    wrong = [name for name, value in given.items() if value and name not in _OPTIONS[form]]
    if wrong:
        raise click.UsageError(f"{wrong[0]} does not go with --format {form}")
    if form == "sqlite" and not given["-o"]:
        raise click.UsageError("--format sqlite writes a file: name it with -o FILE")


@contextmanager
def _written(path: Path | None) -> Generator[Out, None, None]:
    """Open a file that takes its name when it is whole, for its owner alone; None stands for the output."""
    if path is None or path == STDOUT:
        yield from _output()
        return
    from ..usage.disk import private_file

    part = path.with_name(f"{path.name}.part")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device, which nothing may take the place of
            with path.open("w", encoding="utf-8") as file:
                yield file
            return
        part.unlink(missing_ok=True)
        with os.fdopen(private_file(str(part)), "w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _output() -> Iterator[Out]:
    """Yield the output: UTF-8 for programs, whatever a terminal would have."""
    if terminal_width() is not None:
        yield Printed()
        return
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
    try:
        yield out
        out.flush()
    finally:
        out.detach()


class Printed:
    """A terminal, which is only shown what does nothing to it."""

    def write(self, text: str) -> int:
        """Print lines."""
        for line in text.splitlines():
            say(printable(line))
        return len(text)


def _send(db: Path | None, endpoint: str | None) -> None:
    """Send spans and metrics to an OTLP receiver."""
    from ..usage import otel

    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise ConfigurationError("OpenTelemetry is not installed: pip install 'llmopt[otel]'") from error
    url = endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
    place = _place(url)
    for signal, exporter_of in (("traces", OTLPSpanExporter), ("metrics", OTLPMetricExporter)):
        target = f"{place}/v1/{signal}"
        with Said() as said:
            exporter = exporter_of(endpoint=f"{url.rstrip('/')}/v1/{signal}")
            try:
                sent = otel.export(db, exporter, target=target)
            except StoreError as error:
                raise click.ClickException(" - ".join([str(error), *said[-1:]])) from error
            finally:
                exporter.shutdown()
        click.echo(f"{sent} calls sent to {target}")


def _place(url: str) -> str:
    """Return a URL without a password that may stand in it: the log keeps it.

    Raises:
        UsageError: it is none.
    """
    wrong = click.UsageError("--endpoint is a URL such as http://localhost:4318")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not host:
        raise wrong
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


class Said(logging.Handler):
    """Collects what OpenTelemetry's exporters log, in place of the lines that they would print."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._logger = logging.getLogger("opentelemetry")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.lines.append(" ".join(record.getMessage().split()))

    def __enter__(self) -> list[str]:
        self._propagated, self._logger.propagate = self._logger.propagate, False
        self._logger.addHandler(self)
        return self.lines

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagated
