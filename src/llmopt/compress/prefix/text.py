"""A prefix report for people, 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .breaks import Break
    from .report import PrefixReport

__all__ = ["written"]

_COLUMNS: Final = 80
_BREAKS: Final = 8


def written(report: PrefixReport) -> str:
    """Return the report as text."""
    number = len(report.calls)
    about = "" if report.exact else "about "
    per_call = round(report.tokens / number) if number else 0
    rules, common = report.rules, report.common_tokens
    cacheable = f"cacheable ({rules.name}: from {rules.minimum_tokens:,} in steps of {rules.step_tokens:,})"
    lines = [
        f"{number} call{'' if number == 1 else 's'}, {about}{report.tokens:,} tokens, {per_call:,} a call",
        _line("shared with an earlier call", f"{report.shared_prefix_share:.1%}"),
        _line(cacheable, f"{report.provider_cacheable_share:.1%}"),
        _line(f"in whole blocks of {report.block_tokens} (engines)", f"{report.engine_share:.1%}"),
        _line("effective tokens a call", f"{round(report.effective_tokens_per_call):,}"),
        _line("tokens that all calls begin with", f"{common:,}"),
    ]
    for found, calls, tokens in report.breaks[:_BREAKS]:
        lines += _broken(found, calls, tokens)
    left = len(report.breaks) - _BREAKS
    return "\n".join([*lines, *([f"and {left} more kinds of breaks"] if left > 0 else [])])


def _line(what: str, figure: str) -> str:
    return f"  {what:58} {figure:>12}"


def _broken(found: Break, calls: int, tokens: int) -> list[str]:
    times = f"{calls} call{'' if calls == 1 else 's'}"
    return [
        _short(f"broken off in {times}, {tokens:,} tokens behind it: `{found.part}`, byte {found.byte:,}"),
        _short(f"  {found.difference}, after {_quoted(found.lead)}"),
        f"  {found.hint}",
    ]


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


def _short(line: str) -> str:
    line = line.replace("\n", "\\n")
    return line if len(line) <= _COLUMNS else line[: _COLUMNS - 3] + "..."
