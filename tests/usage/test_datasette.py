"""The canned queries for Datasette: each is asked over its HTTP interface, and has something to say."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from llmopt.testing.usage import fill_log

METADATA = Path(__file__).parents[2] / "docs" / "datasette" / "metadata.yaml"
QUERIES = yaml.safe_load(METADATA.read_text(encoding="utf-8"))["databases"]["usage"]["queries"]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("datasette") / "usage.db"
    fill_log(path, 3_000, now=NOW)
    return str(path)


@pytest.fixture(scope="module")
def get(path):
    """Asks Datasette in this process: its routes, templates and time limits, and no socket."""
    from datasette.app import Datasette
    from datasette.utils import parse_metadata

    datasette = Datasette([path], metadata=parse_metadata(METADATA.read_text(encoding="utf-8")))

    def get(url):
        return asyncio.run(datasette.client.get(url))

    return get


@pytest.mark.parametrize("name", QUERIES)
def test_each_query_has_an_answer(get, name):
    response = get(f"/usage/{name}.json?_shape=array")
    assert response.status_code == 200, response.text
    rows = response.json()
    assert rows
    assert not [column for column in rows[0] if all(row[column] is None for row in rows)]


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if ":since" in query["sql"]])
def test_a_day_to_begin_with(get, name):
    every, some, none = (
        len(get(f"/usage/{name}.json?_shape=array&_size=max&since={since}").json())
        for since in ("", "2026-11-20", "2027-01-01")
    )
    assert every >= some > none == 0


@pytest.mark.parametrize("name", QUERIES)
def test_each_query_has_a_page(get, name):
    response = get(f"/usage/{name}")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert QUERIES[name]["title"].replace("'", "&#39;") in response.text


def test_the_first_page_lists_them_all(get):
    page = get("/usage").text
    assert [name for name in QUERIES if f"/usage/{name}" not in page] == []


def test_the_figures_are_those_of_the_log(get, path):
    log = sqlite3.connect(path)
    calls, cost = log.execute("SELECT count(*), sum(cost_usd_nano) / 1e9 FROM calls").fetchone()
    log.close()
    days = get("/usage/cost_by_day.json?_shape=array").json()
    models = get("/usage/cost_by_model.json?_shape=array").json()
    for rows in (days, models):
        assert sum(row["calls"] for row in rows) == calls
        assert sum(row["cost_usd"] or 0 for row in rows) == pytest.approx(cost, abs=0.001)


def test_the_documentation_lists_them_all():
    page = (METADATA.parents[1] / "datasette.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    assert dict(told) == {name: query["title"] for name, query in QUERIES.items()}


def test_from_the_command_line(path):
    command = [sys.executable, "-m", "datasette", path, "-m", str(METADATA)]
    asked = [*command, "--get", "/usage/savings.json?_shape=array"]
    rows = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    assert {row["means"] for row in rows} == {"cache", "compression", "prefix cache"}
