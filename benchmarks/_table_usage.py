"""The usage log: what it costs whom, beside others that write calls down."""

from __future__ import annotations

from typing import Any

from _markdown import Results, Row, at_least, at_most, grid, judged, number, paragraph, provenance, size

OURS, CONTENT, RAW = "llmopt, metrics only", "llmopt, 8 kB redacted", "sqlite3, one INSERT, WAL"
NOTES = """\
Wall time on the thread that makes the call, of one record at a time, taken in turns, while the thread that
drains is at work. llmopt's is the whole of `UsageLog`'s part in a call. Its records, and those of SQLite, are
on the disk when the call goes on; those of OpenTelemetry and Langfuse are in memory, and their exporters
throw them away. Rows are counted in all tables, from the spool's files into SQLite; `executemany` has its
rows ready made, 200 in a transaction."""


def page(results: Results) -> str:
    found = results["usage_log"]
    return "\n\n".join(
        (
            grid(("", "target", "llmopt"), _targets(found)),
            grid(("on the caller's thread", "p50", "p99", "p50 to an INSERT"), _callers(found["caller"])),
            grid(("rows a second", "llmopt", "executemany"), _rows(found["throughput"])),
            paragraph(NOTES),
            provenance(found),
        )
    )


def _targets(found: dict[str, Any]) -> list[Row]:
    caller, raw = found["caller"], found["caller"][RAW]
    p99 = caller[OURS]["p99_us"] / raw["p50_us"]
    rows: list[Row] = [
        ("added to a call, p50, to one INSERT", "≤ 0.25x", at_most(caller[OURS]["inserts_p50"], 0.25)),
        ("its p99, to the p50 of one INSERT", "≤ 1x", judged(f"{p99:.2f}x", met=p99 <= 1)),
        ("with 8 kB of content, redacted, p50", "≤ 2x", at_most(caller[CONTENT]["inserts_p50"], 2)),
    ]
    for processes, one in found["throughput"].items():
        name = f"rows a second, {processes} process{'es' if processes != '1' else ''}, to executemany"
        rows.append((name, "≥ 0.8x", at_least(one["ratio"], 0.8)))
    left, report = found["memory"], found["report"]
    a_record = left["growth_bytes"] / left["records"]
    rows.append(("memory a record that waits", "0", judged(f"{a_record:.1f} B", met=a_record < 1)))
    calls = f"a report over {report['calls']:,} calls ({size(report['file_bytes'])})"
    rows.append((f"{calls}, CPU", "≤ 3 s", at_most(report["cpu_s"], 3, " s")))
    rows.append(
        ("its memory", "≤ 200 MB", judged(size(report["peak_bytes"]), met=report["peak_bytes"] <= 200e6))
    )
    return rows


def _callers(found: dict[str, Any]) -> list[Row]:
    return [
        (name, f"{number(one['p50_us'])} us", f"{number(one['p99_us'])} us", f"{number(one['inserts_p50'])}x")
        for name, one in sorted(found.items(), key=lambda item: item[1]["p50_us"])
    ]


def _rows(found: dict[str, Any]) -> list[Row]:
    return [
        (
            f"{processes} process{'es' if processes != '1' else ''}",
            f"{one['llmopt_rows_s']:,}",
            f"{one['executemany_rows_s']:,}",
        )
        for processes, one in found.items()
    ]


def readme(results: Results) -> Row:
    caller = results["usage_log"]["caller"]
    peers = (RAW, "Langfuse", "llm's log_to_db")
    others = ", ".join(f"{name} {number(caller[name]['p50_us'])} us" for name in peers if name in caller)
    return "a call written down, on its own thread, p50", f"{number(caller[OURS]['p50_us'])} us", others


IN_README = (readme,)
