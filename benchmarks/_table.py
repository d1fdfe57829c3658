"""Writes the measured tables into README.md and docs/benchmarks.md, from results/*.json.

    python benchmarks/_table.py [--quick]

The results of a quick run, or those in the folder that BENCH_RESULTS names, are shown in files beside them,
and the pages stay as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

import _table_overhead as overhead
import _table_parsing as parsing
import _table_planning as planning
import _table_tokens as tokens
import _table_usage as usage
from _markdown import Results, grid, kept, paragraph, section
from _measure import RECORD, RESULTS, ROOT

BEGIN, END = "<!-- results -->", "<!-- /results -->"
NOTES = """\
Tokens are o200k_base's; those of data by the `dense` profile with a vault for ids, nothing lost. `b` is
the CPU time of a bare `llm` call to an in-process model in the same run. Times are CPU time, medians of
interleaved rounds{machines}; ratios travel, absolute times do not. Targets met and missed, versions and
all other figures stand under [Benchmarks](docs/benchmarks.md). `make bench` measures anew."""
PAGES = {
    "Tokens": tokens.page,
    "Parsing": parsing.page,
    "Planning": planning.page,
    "Overhead": overhead.page,
    "Usage log": usage.page,
}


def load(folder: Path) -> Results:
    """Return all results by the name of their figure."""
    return {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def readme(results: Results) -> str:
    """Return the most telling figures of all; what was not measured is left out."""
    rows = [
        *tokens.readme(results),
        *kept((*parsing.IN_README, *planning.IN_README, *overhead.IN_README, *usage.IN_README), results),
    ]
    if not rows:
        return "Nothing has been measured here yet: `make bench`."
    return "\n".join(
        (
            grid(("", "llmopt", "beside it"), rows).replace("--:|--:|", "--:|---|"),
            "",
            paragraph(NOTES.format(machines=_machines(results))),
        )
    )


def docs(results: Results) -> str:
    """Return everything."""
    told = "Ratios travel, absolute times do not. What misses its target says so."
    return "\n\n".join((told, *(section(title, make, results) for title, make in PAGES.items())))


def _machines(results: Results) -> str:
    places = sorted(
        {f"{one['machine']}, Python {one['python']}" for one in results.values() if "load" in one}
    )
    return f" ({'; '.join(places)})" if places else ""


def fill(path: Path, text: str) -> None:
    """Put a text between the marks of a page."""
    page = path.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    results = load(RESULTS)
    for page, text in (("README.md", readme(results)), ("docs/benchmarks.md", docs(results))):
        if RESULTS == RECORD:
            fill(ROOT / page, text)
        else:
            (RESULTS / Path(page).name).write_text(f"{text}\n", encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
