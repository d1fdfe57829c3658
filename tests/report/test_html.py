"""The page: valid, self-contained, escaped, readable in both themes, small; unknown is not zero in it."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import html5lib
import pytest

from llmopt.report.html import page
from llmopt.report.html_numbers import MINUS
from llmopt.report.html_style import stylesheet
from llmopt.report.types import Figures, Latency, Period, Report, Saving

from .html_sample import AT, COMPARISON, FINDINGS, HOSTILE, SAVINGS, hostile, sample

EMPTY = Report("usage.db", AT, Period("7d"), Figures("all"))
PAGES = {
    "plausible": sample(),
    "one day": sample(days=1, models=1, comparison=None, findings=(), notes=(), throughput=EMPTY.throughput),
    "empty": EMPTY,
    "by day": sample(by="day"),
    "nothing known": replace(EMPTY, total=Figures("all", calls=3, attempts=3, unpriced_attempts=3)),
}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {key: page(report) for key, report in PAGES.items()}


@pytest.fixture(scope="module", params=PAGES)
def html(request, pages) -> str:
    return pages[request.param]


@cache
def tree_of(html: str):
    """The page as a strict parser of HTML 5 understands it: any error is raised."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)


def said(html: str) -> str:
    """What a reader sees."""
    body = tree_of(html).find("body")
    return re.sub(r"\s+", " ", " ".join(body.itertext()))


# validity


VOID = {"meta", "link", "br", "hr", "col", "wbr"}


class Balance(HTMLParser):
    """Sees that what is opened is closed, in order."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {key for key, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {key for key, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_is_valid(html):
    assert html.startswith("<!doctype html>\n")
    assert tree_of(html).find("head/title").text == "llmopt report: usage.db"
    assert Balance(html).open == []


def test_the_parser_is_strict():
    with pytest.raises(html5lib.html5parser.ParseError):
        tree_of("<!doctype html><title>x</title><p></b>")


def test_ids_are_unique_and_references_lead_to_them(html):
    nodes = list(tree_of(html).iter())
    ids = [node.get("id") for node in nodes if node.get("id")]
    assert len(ids) == len(set(ids))
    references = [node.get("href").removeprefix("#") for node in nodes if node.get("href")]
    references += [word for node in nodes for word in (node.get("aria-labelledby") or "").split()]
    assert references
    assert set(references) <= set(ids)


def test_headings_go_down_step_by_step(html):
    levels = [int(node.tag[1]) for node in tree_of(html).iter() if re.fullmatch(r"h[1-6]", str(node.tag))]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_heads_and_a_box_that_the_keyboard_reaches(html):
    boxes = [node for node in tree_of(html).iter("div") if node.get("class") == "scroll"]
    tables = [box.find("table") for box in boxes]
    assert len(tables) == len(list(tree_of(html).iter("table")))
    assert all(box.get("tabindex") == "0" and box.get("aria-label") for box in boxes)
    for table in tables:
        columns = len(table.find("thead/tr"))
        assert all(len(row) == columns for row in table.iter("tr"))
        assert all(row[0].get("scope") == "row" for row in table.findall("tbody/tr"))


def test_every_picture_is_described_or_hidden(html):
    tree = tree_of(html)
    inner = {id(child) for node in tree.iter("svg") for child in node.iter("svg") if child is not node}
    for picture in (node for node in tree.iter("svg") if id(node) not in inner):
        described = picture.get("role") == "img" and picture.find("title").text and picture.find("desc").text
        assert described or picture.get("aria-hidden") == "true"


# nothing from outside, nothing that runs


def test_a_page_asks_for_nothing_and_runs_nothing(html):
    seen = Balance(html)
    assert not seen.tags & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "use",
        "image",
    }
    assert not {key for key in seen.attributes if key.startswith("on")}
    assert not seen.attributes & {"src", "style", "srcset", "action", "xlink:href", "data"}
    assert re.findall(r"https?:|//\w|url\(|@import|@font-face", html) == []


def test_the_policy_allows_the_own_style_sheet_and_nothing_else(html):
    tree = tree_of(html)
    metas = {meta.get("http-equiv"): meta.get("content") for meta in tree.iter("meta")}
    digest = b64encode(sha256(tree.find("head/style").text.encode()).digest()).decode()
    assert metas["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = [node.tag for node in tree.find("head")]
    assert head.index("meta") < head.index("title") < head.index("style")


@pytest.fixture(scope="module")
def vocabulary() -> Balance:
    return Balance(page(sample()))


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_only_a_text(word, vocabulary):
    html = page(hostile(word))
    tree = tree_of(html)  # strict: no character that HTML forbids, no mark that is out of place
    seen = Balance(html)
    assert seen.open == []
    assert seen.tags <= vocabulary.tags
    assert seen.attributes <= vocabulary.attributes | {"title"}
    assert len(list(tree.iter("style"))) == 1
    assert tree.find("head/style").text == stylesheet()
    classes = {word for node in tree.iter() for word in (node.get("class") or "").split()}
    styled = set(re.findall(r"\.([a-z][a-z-]*)", stylesheet()))
    assert classes <= styled | {"excerpt", "plot"}


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_does_not_reach_into_what_stands_beside_it(word):
    html = page(hostile(word))
    html.encode("utf-8")  # no lone surrogate
    assert not set(html) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\0\x1b\ud800"
    )
    assert all(len(shown) <= 200 for shown in re.findall(r"<bdi[^>]*>(.*?)</bdi>", html))


# size


def test_a_page_of_fifty_models_and_ninety_days_is_small():
    assert len(page(sample(days=90, models=50, calls=1_000_000)).encode()) < 400_000


def test_a_page_of_everything_is_bounded():
    report = sample(days=2000, models=100)
    many = replace(
        report,
        **{
            field: getattr(report, field) * 200
            for field in ("errors", "fragments", "candidates", "findings", "notes")
        },
    )
    html = page(many)
    assert len(html.encode()) < 700_000
    assert "The last 120 of 2000 days." in html
    assert "And 40 more." in html


def test_equal_reports_make_equal_pages():
    assert page(sample()) == page(sample())


# what a reader finds


def test_the_four_questions_are_answered_at_the_top(pages):
    words = said(pages["plausible"])
    top = words[: words.index("What to change", words.index("Before and after", 400))]
    for answer in (
        "Cost $41.27",
        "Saved ≈ $29.04",
        "41 % of what it would have cost",
        "Calls 20,000",
        "Median call",
    ):
        assert answer in top
    assert "2.6 %" in top


def test_findings_come_with_their_worth_and_their_line(pages):
    found = tree_of(pages["plausible"]).find(".//ol[@class='findings']")
    first, second, third, fourth = (" ".join("".join(part.itertext()) for part in item) for item in found)
    assert first.startswith("≈ $9.80 1.94M tokens a week")
    assert second.startswith("$3.10")
    assert "Cache(max_entries=4096, ttl=3600)" in second
    assert third.startswith("\N{EN DASH} 5 of 100 calls")
    assert "p95 14.2 s" in third
    assert fourth.startswith("41k tokens a week")
    assert found[3].find("pre") is None


def test_a_finding_may_be_worth_money_or_tokens_or_neither_or_both():
    found = tree_of(page(sample(findings=(replace(FINDINGS[0], tokens_per_week=None),))))
    assert "".join(found.find(".//div[@class='worth']").itertext()) == "≈ $9.80  a week"


def test_a_comparison_gives_both_sides_the_interval_and_the_verdict(pages):
    lines = ([" ".join(cell.itertext()) for cell in row] for row in tree_of(pages["plausible"]).iter("tr"))
    rows = {cells[0]: cells for cells in lines}
    assert rows["cost of a call"][1:5] == [
        "$0.0042",
        "$0.0021",
        f"{MINUS}$0.0021",
        f"{MINUS}$0.0023 … {MINUS}$0.0019",
    ]
    assert rows["cost of a call"][6] == "▲ better"
    assert rows["95th percentile"][6] == "▼ worse"
    assert rows["median time"][6] == "no difference shown"
    assert rows["valid rows"][1:5] == ["unknown", "98 %", "unknown", "unknown"]


@pytest.mark.parametrize("first", [0.0, None])
def test_a_comparison_with_nothing_on_its_first_side_draws_no_interval(first):
    changes = tuple(replace(change, first=first) for change in COMPARISON.changes)
    html = page(sample(comparison=replace(COMPARISON, changes=changes)))
    assert not re.search(r'class="\w+ interval"', html[: html.index("What to change</h2>")])


def test_a_page_by_day_unfolds_its_table_instead_of_grouping(pages):
    assert "<details open>" in pages["by day"]
    assert "What it cost" not in pages["by day"]
    assert "<details>" in pages["plausible"]


def test_an_empty_period_says_so_and_no_more(pages):
    words = said(pages["empty"])
    assert "The log has no call of this period." in words
    assert "$" not in words


def test_what_is_unknown_is_not_zero(pages):
    words = said(pages["nothing known"])
    assert "Cost unknown" in words
    assert "price unknown for 3 of 3 runs" in words
    assert "Saved unknown" in words
    assert "Billed tokens unknown" in words
    assert "$0" not in words


def test_what_is_known_in_part_is_the_least():
    total = replace(sample().total, unpriced_attempts=7)
    words = said(page(sample(total=total)))
    assert "Cost ≥ $41.27" in words
    assert "at least $70.31" in words
    assert "% of what it would have cost" not in words


def test_a_loss_is_a_loss():
    savings = (replace(SAVINGS[0], usd=-3.5), replace(SAVINGS[1], usd=1.0), replace(SAVINGS[2], usd=None))
    html = page(sample(savings=savings))
    assert f'<span class="bad-word">{MINUS}$3.50</span>' in html
    assert f"Saved {MINUS}$2.50" in said(html)
    assert 'id="saved-title"' not in html


def test_a_saving_of_another_kind_is_shown_as_well():
    assert "magic" in said(page(sample(savings=(Saving("magic", "magic", usd=3.0),))))


def test_findings_are_counted_where_there_are_too_many():
    html = page(sample(findings=FINDINGS * 20))
    assert html.count('class="what"') == 40
    assert "And 40 more." in html


def test_a_measure_that_nobody_took_has_no_table():
    latency = (Latency("all", "duration", 3, 800.0, 900.0, 900.0, 900.0),)
    words = said(page(sample(latency=latency)))
    assert "Time of a call" in words
    assert "Time held back" not in words
