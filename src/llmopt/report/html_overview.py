"""The top of a page: what it is about, the figures at first sight, and what to change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from .html_figures import DASH, about, cost, figure, moment
from .html_markup import Html, element, join, name, text
from .html_numbers import count, duration, percent, short, usd
from .types import Finding, Latency, Report, Saving

__all__ = ["findings", "header", "headline", "know"]

_LIMIT_EVIDENCE = 160
"""Characters of one piece of evidence."""

_LIMIT_FINDINGS = 40

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_LIMIT_DIGEST = 10
"""Characters of a digest that tell it from others in one log."""

_DOUBT: Mapping[str, int] = {"measured": 0, "estimated": 1, "assumed": 2}
"""How sure a figure is: a sum is as sure as the least sure of its parts."""


def header(report: Report, links: Mapping[str, str]) -> Html:
    """Return the title, the period, and where to find what."""
    period = report.period
    span = join(moment(period.first_at), " to ", moment(period.last_at), " UTC") if period.first_at else None
    said = (
        span,
        "; " if span else None,
        "period asked for: ",
        name(period.name),
        "; log: ",
        name(report.path),
    )
    items = (element("li", element("a", title, href=f"#{key}")) for key, title in links.items())
    nav = element("nav", element("ul", *items), aria_label="Sections")
    title = element("h1", "What the models cost, and what they did")
    return element("header", title, element("p", *said, class_="lead"), nav)


def headline(report: Report) -> Html:
    """Return the figures that answer at first sight."""
    cells = (_cost(report), _saved(report), _calls(report), _tokens(report), _hits(report), _speed(report))
    items = (
        element("div", element("dt", title), element("dd", value, " ", element("span", sub, class_="sub")))
        for title, value, sub in cells
    )
    return element("dl", *items, class_="figures")


def know(report: Report) -> Html | None:
    """Return what a reader has to know before using the figures."""
    if not report.notes:
        return None
    items = (element("li", note) for note in report.notes)
    return element(
        "aside", element("b", "Before you use these figures"), element("ul", *items), class_="know"
    )


def findings(report: Report) -> Html:
    """Return what could be changed, the dearest first, each with the line that does it."""
    if not report.findings:
        return element("p", "Nothing was found that would pay.", class_="lead")
    lead = "The dearest first. They may overlap: what one saves, another cannot save again."
    items = (_finding(finding) for finding in report.findings[:_LIMIT_FINDINGS])
    left_out = len(report.findings) - _LIMIT_FINDINGS
    more = element("p", f"And {left_out} more.", class_="note") if left_out > 0 else None
    return join(element("p", lead, class_="lead"), element("ol", *items, class_="findings"), more)


# The headline


def _cost(report: Report) -> tuple[str, Html, Html]:
    total, days = report.total, report.period.days
    week = f"≈ {usd(total.cost_usd / days * 7)} a week" if days and total.cost_usd is not None else None
    call = (
        f"{usd(total.cost_usd / total.calls)} a call" if total.calls and total.cost_usd is not None else None
    )
    sub = _unpriced(report) if total.unpriced_attempts else ", ".join(filter(None, (week, call)))
    return "Cost", cost(total, usd), text(sub)


def _unpriced(report: Report) -> str:
    total = report.total
    return f"price unknown for {count(total.unpriced_attempts)} of {count(total.attempts)} runs"


def _saved(report: Report) -> tuple[str, Html, Html]:
    saved, paid = report.saved_usd, report.total.cost_usd
    known = [saving.confidence for saving in report.savings if saving.usd is not None]
    surety: str = max(known, key=lambda word: _DOUBT.get(word, 0), default="measured")
    sub = f"most by {_best(report).title.lower()}, {surety}" if known else "no price is known"
    if saved is not None and paid is not None and saved + paid > 0 and not report.total.unpriced_attempts:
        sub = f"{percent(saved / (saved + paid))} of what it would have cost, {surety}"
    return "Saved", about(saved, usd, surety), text(sub)


def _best(report: Report) -> Saving:
    return max(report.savings, key=lambda saving: saving.usd or 0.0)


def _calls(report: Report) -> tuple[str, Html, Html]:
    total = report.total
    failed = f"{count(total.failed_calls)} not ok ({percent(total.failure_rate or 0.0)})"
    return "Calls", text(count(total.calls)), text(failed if total.failed_calls else "all ended well")


def _tokens(report: Report) -> tuple[str, Html, Html]:
    total = report.total
    parts = ((total.billed_input_tokens, "in"), (total.billed_output_tokens, "out"))
    said = ", ".join(f"{short(value)} {way}" for value, way in parts if value is not None)
    return "Billed tokens", figure(total.billed_tokens, short), text(said)


def _hits(report: Report) -> tuple[str, Html, Html]:
    total = report.total
    looked_up = total.served_calls + total.missed_calls
    own = (
        f"{count(total.served_calls)} of {count(looked_up)} look-ups"
        if looked_up
        else "no call was looked up"
    )
    prefix = total.provider_cache_rate
    more = "" if prefix is None else f"; prefix caches {percent(prefix)} of input"
    return "Cache hits", figure(total.hit_rate, percent, absent="none"), text(own + more)


def _speed(report: Report) -> tuple[str, Html, Html]:
    whole, first = _overall(report, "duration"), _overall(report, "ttft")
    sub = [f"95 of 100 within {duration(whole.p95_ms)}"] if whole else []
    sub += [f"first token {duration(first.p50_ms)}"] if first else []
    return "Median call", figure(whole.p50_ms if whole else None, duration), text("; ".join(sub))


def _overall(report: Report, measure: str) -> Latency | None:
    return next((row for row in report.latency if row.model == "all" and row.measure == measure), None)


# Findings


def _finding(finding: Finding) -> Html:
    pairs = (
        element("div", element("dt", _words(key)), " ", element("dd", _piece(key, value)))
        for key, value in finding.evidence.items()
    )
    evidence = element("dl", *pairs, class_="evidence") if finding.evidence else None
    what = element("div", element("p", finding.title, class_="what"), evidence)
    fix = element("pre", element("code", finding.fix), class_="fix") if finding.fix else None
    return element("li", element("div", *_worth(finding), class_="worth"), what, fix)


def _worth(finding: Finding) -> Iterator[Html]:
    money, tokens = finding.usd_per_week, finding.tokens_per_week
    if money is None and tokens is None:
        yield DASH
        return
    if money is not None:
        yield about(money, usd, finding.confidence)
        yield text(" ")
    if tokens is not None:
        yield element("span", f"{short(tokens)} tokens", class_="sub" if money is not None else None)
    yield element("span", " a week", class_="sub")


def _words(key: str) -> str:
    return key.removesuffix("_ms").removesuffix("_usd").replace("_", " ")


def _piece(key: str, value: object) -> Html:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return figure(value, _form_of(key))
    said = _DIGEST.sub(lambda digest: digest[0][:_LIMIT_DIGEST], str(value))
    return text(said if len(said) <= _LIMIT_EVIDENCE else f"{said[: _LIMIT_EVIDENCE - 1]}…")


def _form_of(key: str) -> Callable[[float], str]:
    endings = {"usd": usd, "ms": duration, "rate": percent, "share": percent}
    ending = next((form for word, form in endings.items() if word in key.split("_")), None)
    return ending or (lambda value: f"{value:,.4g}" if value % 1 else count(value))
