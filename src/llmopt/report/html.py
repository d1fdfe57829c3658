"""The report as a page: one file without script, network or fonts of its own.

Whatever stands in the log is written as text, by `html_markup`. Should a name still become markup some day,
the page's Content-Security-Policy lets it do nothing: no script, no address, and no style but the page's own,
which is known by its SHA-256.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

from .html_comparison import comparison
from .html_days import by_day
from .html_details import costs, savings, speed
from .html_markup import Html, element, join
from .html_overview import findings, header, headline, know
from .html_style import stylesheet
from .html_texts import batches, texts
from .html_troubles import failures, sources
from .types import Report

__all__ = ["page"]


def page(report: Report) -> str:
    """Return the report as an HTML document in UTF-8.

    Args:
        report: what it shows.

    Returns:
        The document; it is the same for equal reports.

    Example:
        >>> from llmopt.report.types import Figures, Period, Report
        >>> empty = Report("usage.db", "2026-11-21T09:00:00Z", Period("all"), Figures("all"))
        >>> page(empty).splitlines()[0]
        '<!doctype html>'
    """
    style = Html(stylesheet())
    head = element("head", *_head(report, style))
    return f'<!doctype html>\n<html lang="en">\n{head}\n{_body(report)}\n</html>\n'


def _head(report: Report, style: Html) -> tuple[Html, ...]:
    return (
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"llmopt report: {report.path[-80:]}"),
        element("style", style),
    )


def _policy(style: str) -> str:
    digest = b64encode(sha256(style.encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _body(report: Report) -> Html:
    sections = [section for section in _sections(report) if section[2]]
    links = {key: title for key, title, _ in sections}
    top = (header(report, links), headline(report) if report.total.calls else _nothing(), know(report))
    return element("body", *top, element("main", *(_section(*section) for section in sections)))


def _nothing() -> Html:
    return element("p", "The log has no call of this period.", class_="lead")


def _sections(report: Report) -> Iterator[tuple[str, str, Html]]:
    if report.comparison:
        yield "comparison", "Before and after", comparison(report.comparison)
    if report.total.calls:
        yield "findings", "What to change", findings(report)
        yield "days", "Day by day", by_day(report.days, unfolded=report.by == "day")
        yield "costs", "What it cost", costs(report) if report.by != "day" else join()
        yield "savings", "What was saved", savings(report)
        yield "speed", "What is slow", speed(report)
        yield "failures", "What failed", failures(report)
        yield "texts", "What was sent", join(texts(report), batches(report))
    yield "sources", "About these figures", sources(report)


def _section(key: str, title: str, content: Html) -> Html:
    return element("section", element("h2", title, id=key), content, aria_labelledby=key)
