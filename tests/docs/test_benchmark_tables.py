"""The measured tables: in step with the results, honest about what is missing and what misses its target."""

from __future__ import annotations

import copy
import doctest
import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
FIGURES = ("compress_tokens", "plan_stream", "planning", "overhead")


def from_benchmarks(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        patch.setattr(sys, "argv", ["pytest"])
        patch.delenv("BENCH_RESULTS", raising=False)
        return importlib.import_module(name)


table, markdown, tokens = map(from_benchmarks, ("_table", "_markdown", "_table_tokens"))


def cpu(ratio):
    return {"in_json_dumps": ratio}


@pytest.fixture
def results():
    """What two benchmarks may have found: an encoder that is good at one thing and slow at another."""
    ways = {"JSON, compact": 1000, "TOON": 900, "llmopt safe": 950}
    ways |= {"llmopt balanced": 400, "llmopt dense": 100, "llmopt dense + vault": 100}
    times = {"JSON, compact": cpu(1.0), "TOON": cpu(6.0)}
    for name in tokens.OURS:
        times |= {name: cpu(0.5), f"{name}, known": cpu(0.9), f"{name}, first": cpu(31.0)}
    workload = {
        "tokens": {
            name: {"tokens": count, "ratio_to_compact": 1000 / count, "comes_back": "yes"}
            for name, count in ways.items()
        },
        "cpu": times,
    }
    taken = {"machine": "a machine", "python": "3.11.7", "load": "none", "taken": "2026-11-21"}
    seed = json.loads((BENCHMARKS / "results/seed_prompt.json").read_text(encoding="utf-8"))
    return {
        "compress_tokens": {
            "rounds": 3,
            "workloads": {"game10_tick0": workload},
            "with_loss": {},
            "absent_workloads": ["k8s20"],
            "absent": ["PyYAML"],
            "versions": {"toon-format": "1.2.0"},
            **taken,
        },
        "seed_prompt": seed,
    }


def between_the_marks(path):
    page = (ROOT / path).read_text(encoding="utf-8")
    return page.split(table.BEGIN)[1].split(table.END)[0].strip()


@pytest.mark.parametrize(("path", "make"), [("README.md", table.readme), ("docs/benchmarks.md", table.docs)])
def test_the_pages_are_in_step_with_the_results(path, make):
    assert between_the_marks(path) == make(table.load(table.RECORD)).strip(), "run: make bench"


def test_what_was_not_measured_is_said():
    page = table.docs({})
    assert page.count("Not measured here yet") == len(table.PAGES)
    assert all(f"there is no `{figure}`" in page for figure in FIGURES)
    assert table.readme({}) == "Nothing has been measured here yet: `make bench`."


def test_a_target_that_is_missed_is_shown_as_missed(results):
    page = table.docs(results)
    assert "| `game10_tick0`: 10 agents of a game, to compact JSON | ≥ 7.5x | 10.0x |" in page
    assert "| `game10_tick0`: every profile to TOON | > 1x | **0.95x to 9.0x, missed** |" in page
    assert "| llmopt dense | 0.90x | **31.0x, missed** |" in page
    assert "| TOON | 900 | 1.11x | 6.0 | | | yes |" in page
    assert "the shared workloads `k8s20`" in page
    assert "Not installed: PyYAML." in page
    assert "toon-format 1.2.0" in page


def test_the_readme_leaves_out_what_was_not_measured(results):
    (head, rule, row, empty, *_) = table.readme(results).splitlines()
    assert (head, rule, empty) == ("| | llmopt | beside it |", "|---|--:|---|", "")
    assert row == "| tokens of 10 agents of a game | 100: 10.0x fewer | compact JSON 1,000, TOON 900 |"


def test_an_older_result_counts_as_not_measured(results):
    older = copy.deepcopy(results)
    del older["compress_tokens"]["workloads"]["game10_tick0"]["cpu"]["llmopt safe, known"]
    assert "there is no `llmopt safe, known`" in table.docs(older)


def test_a_page_is_filled_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    table.fill(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{table.BEGIN}\nnew\n{table.END}\nafter\n"


def test_the_examples_of_the_figures_hold():
    assert doctest.testmod(markdown).failed == 0
    assert doctest.testmod(markdown).attempted >= 6
