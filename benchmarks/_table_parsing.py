"""Plans from a stream: what was aimed at, and PlanStream beside other parsers."""

from __future__ import annotations

from typing import Any

from _markdown import Results, Row, at_least, at_most, grid, judged, number, paragraph, provenance, size

MODES = ("PlanStream strict", "PlanStream lenient")
IJSON = "ijson, yajl2_c"
SIZES = {4: "4", 16: "16", 64: "64", 256: "256", 1024: "1 Ki", 4096: "4 Ki", 65536: "64 Ki"}
WHOLE = {("bytes", 1024): 4, ("bytes", 4096): 1.5, ("bytes", 65536): 1.1}
WHOLE |= {("str", 1024): 4, ("str", 4096): 1.5, ("str", 65536): 1.3}
NOTES = """\
CPU time, medians of {rounds} interleaved rounds, ratios taken within a round. Chunks are str and their
sizes in characters; ijson and json-stream are given them encoded. jiter, partial-json-parser, LangChain's
`parse_partial_json` and json_repair are asked again with all the text at every chunk, which is how they
are used; nothing is remembered between, so of many chunks 24 are timed and stand for the rest. A reply of
1 chunk, in the last column, is one parse for everybody. Memory is what Python allocates beside the reply,
plans thrown away, but those that a chunk brings counted with it; `[` is 100,000 open brackets in a process
with 4 GiB. *Whole* and *wrong*: a reply of 5 plans is cut off at {cuts} places; how many of the plans that
were whole are given, and how many that are not as they were written, a reply. Who shows a value that
grows, shows the half plan too, and its caller must know to wait."""


def page(results: Results) -> str:
    found = results["plan_stream"]
    beside = found["100_plans_beside_peers"]
    absent = [f"Not installed: {', '.join(found['absent'])}."] if found["absent"] else []
    chunks = ("CPU of 100 plans by chunk size", "us, 4", *(f"{told}" for told in SIZES.values()))
    parts = [
        grid(("", "target", "strict", "lenient"), _targets(found)),
        "In units of `PlanStream` as it comes, lenient; the first column is in microseconds a chunk:",
        grid(chunks, [_beside(name, one) for name, one in beside.items()]),
        grid(
            ("", "10x the plans", "memory, 10 plans", "1,000 plans", "`[`", "whole", "wrong"),
            [_character(name, found) for name in found["truncation"]],
        ),
        "1,000 plans in bytes, nanoseconds a chunk above an empty loop, and in units of one `orjson.loads`:",
        grid(("chunk", *(_head(name) for name in (*MODES, IJSON))), _linear(found, "bytes")),
        paragraph(NOTES.format(rounds=found["rounds"], cuts=found["truncation"][MODES[0]]["cuts"])),
        *absent,
        provenance(found),
    ]
    return "\n\n".join(parts)


def _head(name: str) -> str:
    return name.partition(",")[0]


def _targets(found: dict[str, Any]) -> list[Row]:
    return [
        *_per_chunk(found),
        *_against_ijson(found),
        *_against_whole(found),
        *_against_reparsing(found),
        _growth(found),
        *_memory(found),
        _brackets(found),
        _truncation(found),
    ]


def _rows(found: dict[str, Any], form: str) -> dict[int, dict[str, Any]]:
    return {row["chunk"]: row for row in found["1000_plans_by_chunk_size"] if row["form"] == form}


def _per_chunk(found: dict[str, Any]) -> list[Row]:
    rows = {form: _rows(found, form)[4] for form in ("str", "bytes")}
    return [
        (
            f"a chunk of 4, {form}, over an empty loop",
            "≤ 200 ns",
            *(at_most(row[mode]["ns_per_chunk_over_loop"], 200, " ns") for mode in MODES),
        )
        for form, row in rows.items()
    ]


def _against_ijson(found: dict[str, Any]) -> list[Row]:
    rows = _rows(found, "bytes")
    if IJSON not in rows[4]:
        return []
    return [
        (
            f"bytes in chunks of {SIZES.get(at, at)}, to ijson's C backend",
            "≤ 1x",
            *(judged(f"{row[mode]['x_ijson']:.2f}x", met=row[mode]["x_ijson"] <= 1) for mode in MODES),
        )
        for at, row in rows.items()
    ]


def _against_whole(found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for (form, at), limit in WHOLE.items():
        own = [_rows(found, form)[at][mode]["x_whole"] for mode in MODES]
        cells = [judged(f"{ratio:.2f}x", met=ratio <= limit) for ratio in own]
        rows.append((f"{form} in chunks of {SIZES[at]}, to one `orjson.loads`", f"≤ {limit}x", *cells))
    return rows


def _against_reparsing(found: dict[str, Any]) -> list[Row]:
    beside = found["100_plans_beside_peers"]
    rows: list[Row] = []
    for name, least in (("jiter, partial mode", 100), ("LangChain", 1000)):
        if name in beside:
            theirs = beside[name]["4"]["x_llmopt"]
            cells = (at_least(theirs / beside[mode]["4"]["x_llmopt"], least) for mode in MODES)
            rows.append((f"100 plans in chunks of 4, less than {name}", f"≥ {least:,}x", *cells))
    return rows


def _growth(found: dict[str, Any]) -> Row:
    growth = found["growth_from_100_to_1000_plans"]
    cells = (at_most(max(growth[mode].values()), 11) for mode in MODES)
    return "10x the plans, any chunk size", "≤ 11x", *cells


def _memory(found: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for chunk in (4, 64, 4096):
        limit = 64_000 + 3 * (found["bytes_per_plan"] + chunk)
        peaks = [found["peak_bytes"][mode][f"1000 plans, chunks of {chunk}"] for mode in MODES]
        cells = [judged(size(peak), met=peak <= limit) for peak in peaks]
        rows.append(
            (f"memory, 1,000 plans in chunks of {SIZES.get(chunk, chunk)}", f"≤ {size(limit)}", *cells)
        )
    return rows


def _brackets(found: dict[str, Any]) -> Row:
    peaks = found["peak_bytes_of_100000_open_brackets"]
    cells = (judged(_peak(peaks[mode]), met=_is_below(peaks[mode], 1e6)) for mode in MODES)
    return "memory, 100,000 open brackets", "< 1 MB", *cells


def _truncation(found: dict[str, Any]) -> Row:
    wrong = [found["truncation"][mode]["wrong_plans_per_reply"] for mode in MODES]
    return "wrong plans in a cut-off reply", "0", *(judged(f"{one:g}", met=not one) for one in wrong)


def _peak(peak: Any) -> str:
    return peak if isinstance(peak, str) else size(peak)


def _is_below(peak: Any, limit: float) -> bool:
    return not isinstance(peak, str) and peak < limit


def _beside(name: str, one: dict[str, Any]) -> Row:
    return name, f"{one['4']['us_per_chunk']:,.2f}", *(number(one[str(at)]["x_llmopt"]) for at in SIZES)


def _character(name: str, found: dict[str, Any]) -> Row:
    cut = found["truncation"][name]
    growth = found["growth_from_100_to_1000_plans"].get(name, {}).get("4")
    peaks = found["peak_bytes"].get(name, {})
    cells = (peaks.get(f"{plans} plans, chunks of 64") for plans in (10, 1000))
    return (
        name,
        f"{number(growth)}x" if growth else "",
        *("" if peak is None else size(peak) for peak in cells),
        _peak(found["peak_bytes_of_100000_open_brackets"].get(name, "")),
        f"{cut['whole_plans_given']:.0%}",
        f"{cut['wrong_plans_per_reply']:.2g}",
    )


def _linear(found: dict[str, Any], form: str) -> list[Row]:
    rows: list[Row] = []
    for at, row in _rows(found, form).items():
        cells = (
            f"{row[name]['ns_per_chunk_over_loop']:,} ns, {number(row[name]['x_whole'])}x"
            if name in row
            else ""
            for name in (*MODES, IJSON)
        )
        rows.append((SIZES.get(at, str(at)), *cells))
    return rows


def readme_cpu(results: Results) -> Row:
    beside = results["plan_stream"]["100_plans_beside_peers"]
    others = {IJSON: "ijson", "jiter, partial mode": "jiter", "LangChain": "LangChain's parser"}
    told = ", ".join(
        f"{short} {number(beside[name]['4']['x_llmopt'])}x"
        for name, short in others.items()
        if name in beside
    )
    own = beside["PlanStream lenient"]["4"]["us_per_chunk"]
    return "100 plans read in chunks of 4 characters, CPU", f"1x ({own:.2f} us a chunk)", told


def readme_wrong(results: Results) -> Row:
    wrong = {name: one["wrong_plans_per_reply"] for name, one in results["plan_stream"]["truncation"].items()}
    others = {"jiter, partial mode": "jiter", "LangChain": "LangChain", "json_repair": "json_repair"}
    told = ", ".join(f"{short} {wrong[name]:.2g}" for name, short in others.items() if name in wrong)
    return "wrong plans from a reply that is cut off", f"{wrong['PlanStream lenient']:g}", told


IN_README = (readme_cpu, readme_wrong)
