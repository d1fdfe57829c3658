from __future__ import annotations

import importlib
import io
import json
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from llmopt.cli import main
from llmopt.report import report_of
from llmopt.report.bars import bar, can_show, plain_text, spark
from llmopt.report.document import Table
from llmopt.report.text import written
from llmopt.report.types import Figures, plain
from llmopt.report.values import share

from .conftest import NOW

SECTIONS = (
    "What to change",
    "By model",
    "What was saved",
    "Day by day",
    "What is slow",
    "What failed",
    "What was sent",
    "Batches",
    "Where the figures come from",
)


@pytest.fixture(scope="module")
def report(made_up):
    return report_of(made_up, now=NOW, compare=("before:2026-11-14T09:00", "after:2026-11-14T09:00"))


def test_all_sections_are_there_in_order(report):
    lines = str(report).splitlines()
    places = [lines.index(title) for title in ("Before and after", *SECTIONS)]
    assert places == sorted(places)
    assert str(report) == written(report)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_lines_fit(report, width):
    assert max(map(len, written(report, width).splitlines())) <= width


def test_numbers_are_never_cut(report):
    narrow, wide = (written(report, width) for width in (40, 200))
    assert {word for word in wide.split() if word.startswith("$")} <= set(narrow.split())


@pytest.mark.parametrize("by", ["role", "agent", "day"])
def test_lines_fit_however_it_is_grouped(made_up, by):
    text = str(report_of(made_up, by=by, now=NOW))
    assert max(map(len, text.splitlines())) <= 80
    assert (f"By {by}" in text) == (by != "day")


def test_columns_stand_below_each_other(report):
    lines = str(report).splitlines()
    start = lines.index("By model")
    head, first = lines[start + 2], lines[start + 3]
    for column in ("calls", "not ok", "cost"):
        end = head.index(column) + len(column)
        assert first[end - 1] != " "
        assert first[end : end + 1] in ("", " ")


def test_without_the_characters_of_bars_there_are_letters(report):
    text = written(report, plain=True)
    assert text.isascii()
    assert "##" in text
    assert len(text.splitlines()) == len(written(report).splitlines())


def test_columns_without_values_are_left_out():
    table = Table(("a", "b", "c", "d"), (("1", "-", "x", ""), ("2", "", "-", "-")), 2)
    assert table.filled() == Table(("a", "c"), (("1", "x"), ("2", "-")), 1)


def test_with_rich_the_same_is_said(report):
    from rich.console import Console

    from llmopt.report.rich_text import show

    out = io.StringIO()
    show(report, Console(file=out, width=100, highlight=False, force_terminal=False))
    text = out.getvalue()
    for title in SECTIONS:
        assert title in text
    assert report.findings[0].fix.split("  #")[0] in text
    assert max(map(len, text.splitlines())) <= 100
    coloured = io.StringIO()
    show(report, Console(file=coloured, width=100, force_terminal=True, color_system="standard"))
    assert "\x1b[" in coloured.getvalue()


def test_with_rich_names_are_no_markup(small_log):
    from rich.console import Console

    from llmopt.report.rich_text import show

    for _ in range(2):
        small_log.call(model_requested="[red]m[/red]\x1b[2J")
    out = io.StringIO()
    show(report_of(small_log.path, now=NOW), Console(file=out, width=100))
    assert "[red]m[/red]" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


# Bars


@given(st.floats(0, 1e9), st.floats(1e-3, 1e9), st.integers(1, 40))
def test_a_bar_is_as_long_as_its_value_to_an_eighth(value, most, width):
    drawn = bar(value, most, width)
    assert len(drawn) <= width
    eighths = 8 * drawn.count("█") + sum(" ▏▎▍▌▋▊▉".index(char) for char in drawn if char != "█")
    expected = 8 * width * min(1.0, value / most)
    assert abs(eighths - expected) <= (0.5 if expected >= 0.5 else 1)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=60))
def test_a_sparkline_has_a_place_for_each_value(values):
    drawn = spark(values)
    assert len(drawn) == len(values)
    assert all((char == " ") == (not value) for char, value in zip(drawn, values, strict=True))
    assert plain_text(drawn).isascii()


def test_bars_of_what_is_unknown_are_empty():
    assert bar(None, 1, 9) == bar(-1, 1, 9) == bar(1, 0, 9) == ""
    assert spark([]) == ""


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", True), ("ascii", False), ("cp1252", False), ("no-such", False)]
)
def test_encodings_that_have_no_bars_are_known(encoding, shown):
    assert can_show(encoding) is shown


# Values


def test_reports_are_plain_values(report):
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["total"]["calls"] == 3000
    assert found["total"]["hit_rate"] == report.total.hit_rate
    assert found["saved_usd"] == report.saved_usd
    assert found["comparison"]["changes"][0]["difference"] == report.comparison.changes[0].difference
    assert found["batches"][0]["valid_rate"] == report.batches[0].valid_rate
    assert found["period"]["since"] is None


def test_unknown_parts_have_no_share():
    assert [share(1, 0), share(None, 1), share(1, None), share(0, 4)] == [None, None, None, 0.0]
    empty = plain(Figures("all"))
    assert (empty["failure_rate"], empty["cost_per_call_usd"], empty["billed_tokens"]) == (None, None, None)


# The command


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result


def test_the_command_prints_the_report(made_up):
    text = run("--db", made_up).stdout
    assert "What to change" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_command_prints_json(made_up):
    found = json.loads(
        run(
            "--db", made_up, "--json", "--by", "role", "--since", "2026-11-01", "--until", "2027-01-01"
        ).stdout
    )
    assert found["by"] == "role"
    assert found["total"]["calls"] == 3000


def test_the_command_writes_a_page(made_up, tmp_path):
    path = tmp_path / "report.html"
    result = run("--db", made_up, "--html", path, "--compare", "before:2026-11-14", "after:2026-11-14")
    assert str(path) in result.stderr
    assert result.stdout == ""
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(run("--db", made_up, "--html", path, "--json").stdout)["total"]["calls"] == 3000


def test_what_is_wrong_is_said_in_one_line(made_up, tmp_path):
    assert "by" in run("--by", "provider", exit_code=2).stderr
    assert "is no time" in run("--db", made_up, "--since", "soon", exit_code=1).stderr
    assert "is no period" in run("--db", made_up, "--compare", "soon", "7d", exit_code=1).stderr
    assert "missing.db" in run("--db", tmp_path / "missing.db", exit_code=1).stderr
    assert (
        "cannot be written" in run("--db", made_up, "--html", tmp_path / "no" / "x.html", exit_code=1).stderr
    )


class Terminal(io.StringIO):
    """Standard output as a terminal has it."""

    def __init__(self, encoding):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return True


@pytest.mark.parametrize(("encoding", "has_rich"), [("utf-8", True), ("utf-8", False), ("ascii", True)])
def test_on_a_terminal_it_is_as_good_as_the_terminal_can(made_up, monkeypatch, encoding, has_rich):
    module = importlib.import_module("llmopt.cli.report")  # the package has the command by that name
    out = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(module, "find_spec", lambda name: has_rich or None)
    module.report.main(["--db", str(made_up)], standalone_mode=False)
    text = out.getvalue()
    assert "What to change" in text
    assert ("\x1b[" in text) == (encoding == "utf-8" and has_rich)
    if encoding == "ascii":
        assert text.isascii()
