"""How a page looks: two themes, and one style sheet that knows them by the names of their colours."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DARK", "LIGHT", "TONES", "stylesheet"]

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "panel": "#f4f5f6",
    "ink": "#1b1f24",
    "muted": "#575f69",
    "link": "#1d5da3",
    "good": "#0b6b52",
    "bad": "#b02a37",
    "rule": "#d5d9de",
    "faint": "#eceef0",
    "a": "#2c69a8",
    "b": "#a8580c",
    "c": "#0b7363",
    "d": "#7b4ea3",
    "e": "#64701a",
    "rest": "#6a727b",
    "hatch": "#e6dcc4",
    "ridge": "#c3d3e4",
}
"""Colours on white paper."""

DARK: Mapping[str, str] = {
    "paper": "#14171b",
    "panel": "#1e2329",
    "ink": "#e4e7ea",
    "muted": "#a3abb5",
    "link": "#83b5ec",
    "good": "#58c9a6",
    "bad": "#f0858d",
    "rule": "#3a424b",
    "faint": "#262c33",
    "a": "#6fa9e4",
    "b": "#df9a56",
    "c": "#4dbda6",
    "d": "#b795dc",
    "e": "#b4bd55",
    "rest": "#939ba5",
    "hatch": "#40382a",
    "ridge": "#2f4a66",
}
"""The same on black."""

TONES = ("a", "b", "c", "d", "e", "rest", "good", "bad")
"""The colours that series and marks may have."""


def stylesheet() -> str:
    """Return the style sheet of a page, light or dark as the reader's system is, and light on paper.

    Example:
        >>> "prefers-color-scheme:dark" in stylesheet()
        True
    """
    tones = "".join(
        f".{tone}{{fill:var(--{tone});stroke:var(--{tone})}}.key.{tone}::before{{background:var(--{tone})}}"
        for tone in TONES
    )
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    return f":root{{{_variables(LIGHT)}}}{dark}{tones}{_squeezed(_RULES)}{_squeezed(_PRINT)}"


def _variables(theme: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in theme.items())


def _squeezed(rules: str) -> str:
    return "".join(line.strip() for line in rules.splitlines())


_RULES = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1.25rem clamp(1rem, 3vw, 2.5rem) 4rem; max-width: 84rem;
  background: var(--paper); color: var(--ink);
  font: 0.9375rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums lining-nums; overflow-wrap: break-word; }
h1, h2, h3, p, ul, ol, dl, dd, figure, table, pre { margin: 0; padding: 0; }
h1 { font-size: 1.375rem; line-height: 1.2; font-weight: 650; }
h2 { font-size: 1.125rem; line-height: 1.25; font-weight: 650; margin-bottom: 0.25rem; }
h3 { font-size: 0.9375rem; font-weight: 650; margin: 1.25rem 0 0.25rem; }
section { margin-top: 2.5rem; padding-top: 0.75rem; border-top: 1px solid var(--ink); }
a { color: var(--link); text-underline-offset: 0.15em; }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link);
  outline-offset: 2px; }
bdi { unicode-bidi: isolate; }
code, pre { font: 0.8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
time { white-space: nowrap; }
.lead, .note, .hint, .sentence, figcaption, .sub { color: var(--muted); }
.lead { max-width: 80ch; margin-bottom: 0.75rem; }
.hint { font-size: 0.8125rem; max-width: 100ch; }
.note { font-size: 0.8125rem; max-width: 80ch; margin-top: 0.5rem; }
.muted { color: var(--muted); }
.unknown { color: var(--muted); font-style: italic; }
.good-word { color: var(--good); font-weight: 600; }
.bad-word { color: var(--bad); font-weight: 600; }
.about { white-space: nowrap; }
nav { margin-top: 0.75rem; font-size: 0.8125rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1rem 1.5rem;
  margin-top: 1.25rem; padding-top: 0.75rem; border-top: 1px solid var(--ink); }
.figures dt { color: var(--muted); font-size: 0.8125rem; }
.figures dd { font-size: 1.5rem; line-height: 1.25; font-weight: 600; letter-spacing: -0.01em; }
.figures .sub { display: block; font-size: 0.8125rem; line-height: 1.4; font-weight: 400; letter-spacing: 0; }
.know { margin-top: 1.25rem; padding: 0.5rem 0.75rem; background: var(--panel); font-size: 0.8125rem; }
.know ul { padding-left: 1.1rem; }

.findings { list-style: none; }
.findings > li { display: grid; grid-template-columns: 8.5rem minmax(0, 1fr) minmax(0, 1fr);
  gap: 0.25rem 1.5rem;
  padding: 0.75rem 0; border-top: 1px solid var(--rule); break-inside: avoid; }
.findings > li:first-child { border-top: 0; }
.worth { display: flex; flex-direction: column; text-align: right; font-weight: 600; font-size: 1.0625rem;
  line-height: 1.35; }
.worth span { white-space: nowrap; }
.worth .sub { font-size: 0.8125rem; font-weight: 400; }
.what { font-weight: 600; }
.evidence { display: flex; flex-wrap: wrap; gap: 0 1rem; margin-top: 0.25rem; font-size: 0.8125rem;
  color: var(--muted); }
.evidence div { min-width: 0; overflow-wrap: anywhere; }
.evidence dt, .evidence dd { display: inline; }
.evidence dt { margin-right: 0.35rem; }
.evidence dd { color: var(--ink); }
.fix { padding: 0.5rem 0.75rem; background: var(--panel); white-space: pre-wrap; overflow-wrap: anywhere;
  align-self: start; }

.multiples { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 1.25rem 2rem; margin-top: 0.5rem; }
figure { min-width: 0; break-inside: avoid; display: flex; flex-direction: column;
  justify-content: space-between; }
figcaption { font-size: 0.8125rem; margin-bottom: 0.25rem; display: flex; flex-wrap: wrap; gap: 0 0.9rem; }
figcaption b { color: var(--ink); font-weight: 600; }
figure > svg.plot { display: block; overflow: visible; width: calc(100% - 3.25rem); margin-left: 3.25rem; }
.key { white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: 0.6rem; height: 0.6rem; margin-right: 0.3rem; }
.key.hatch::before { background: var(--hatch); }
svg text { font: 0.6875rem system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums lining-nums; }
.tick { fill: var(--muted); text-anchor: middle; }
.tick.value, .tick.last { text-anchor: end; }
.tick.first { text-anchor: start; }
.on { fill: var(--paper); }
.grid { stroke: var(--faint); stroke-width: 1; vector-effect: non-scaling-stroke; }
.zero { stroke: var(--muted); stroke-width: 1; }
.fill { stroke: none; }
.line { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linecap: round;
  stroke-linejoin: round; }
.piece { stroke: var(--paper); stroke-width: 1; }
.hatch { fill: var(--hatch); }
.hover { fill: transparent; }
.hover:hover { fill: var(--ink); fill-opacity: 0.07; }
.ridge { fill: var(--ridge); }
.span { fill: none; stroke: var(--a); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.dot { fill: var(--a); }
.interval { stroke-width: 2; }
.mark { display: block; overflow: visible; min-width: 7rem; }

.scroll { overflow-x: auto; margin-top: 0.25rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.8125rem; line-height: 1.35; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; vertical-align: top; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
thead th, thead td { color: var(--muted); vertical-align: bottom; border-bottom: 1px solid var(--rule); }
tbody tr + tr > * { border-top: 1px solid var(--faint); }
tfoot > tr > * { border-top: 1px solid var(--rule); font-weight: 600; }
tbody th, tfoot th { min-width: min(13rem, 42vw); max-width: 24rem; overflow-wrap: anywhere; }
.excerpt { color: var(--muted); }
tbody td { min-width: 5rem; }
tbody .label { min-width: 11rem; }
.n, tbody .n { min-width: 0; text-align: right; white-space: nowrap; }
.draw { width: 20%; min-width: 12rem; vertical-align: top; padding-top: 0; padding-bottom: 0; }
thead .draw { vertical-align: bottom; }
.sentence { min-width: 24rem; }
.pairs { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 3fr); gap: 0.15rem 1.5rem;
  margin-top: 0.75rem; font-size: 0.8125rem; }
.pairs dt { color: var(--muted); }
details { margin-top: 0.75rem; }
summary { cursor: pointer; color: var(--link); font-size: 0.8125rem; }

@media screen and (max-width: 48rem) {
  .findings > li { grid-template-columns: minmax(0, 1fr); }
  .worth { flex-direction: row; align-items: baseline; gap: 0.5rem; text-align: left; }
  .tight { display: none; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; }
  .figures dd { font-size: 1.25rem; }
}
"""

_PRINT = """
@media print {
  :root { color-scheme: light; }
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  nav, summary { display: none; }
  section { margin-top: 1.25rem; }
  h2, h3, .lead, .hint, thead { break-after: avoid; }
  tr, .figures > div { break-inside: avoid; }
  .figures { grid-template-columns: repeat(6, 1fr); gap: 0.5rem; }
  .figures dd { font-size: 1.1rem; }
  .figures .sub { font-size: 7pt; }
  .findings > li { grid-template-columns: 6.5rem minmax(0, 1fr) minmax(0, 1fr); }
  .multiples { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .scroll { overflow: visible; }
  table { font-size: 7pt; }
  th, td { padding-right: 0.4rem; }
  th, td, tbody td, tbody th, tfoot th, tbody .label, .draw, .mark, .sentence { min-width: 0; }
  tbody th { max-width: 10rem; }
  .draw { width: 16%; }
  tfoot { display: table-row-group; }
  .tight { display: none; }
  svg text { font-size: 6pt; }
  table code { font-size: inherit; }
  thead .n, time { white-space: normal; }
  a { color: inherit; text-decoration: none; }
}
"""
