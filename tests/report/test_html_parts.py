"""What a page is made of: markup that holds any text, numbers that people read, colours that stand out."""

from __future__ import annotations

import re

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.report.html_figures import DASH, about, day, figure, moment
from llmopt.report.html_markup import Html, element, name, text
from llmopt.report.html_numbers import (
    MINUS,
    count,
    duration,
    money,
    percent,
    rate,
    short,
    signed,
    sizes,
    times,
    usd,
)
from llmopt.report.html_style import DARK, LIGHT, TONES, stylesheet


def tree_of(html: str):
    """The markup as a strict parser of HTML 5 understands it: any error is raised."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)


# markup


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_comes_back_out_of_a_strict_parser(value):
    markup = element("p", value, title=value)
    node = tree_of(f"<!doctype html><title>x</title>{markup}").find("body/p")
    assert (node.text or "") == node.get("title")
    assert all(char.isprintable() or char in "\u200c\u200d" or char.isspace() for char in node.text or "")
    assert (node.text or "") == value or not value.isprintable()


@given(st.text(alphabet="<>&\"'/ab =", max_size=30), st.text(alphabet="<>&\"'/ab =", max_size=30))
def test_elements_hold_what_they_were_given(first, second):
    node = tree_of(f"<!doctype html><title>x</title>{element('p', first, element('b', second), id=first)}")
    assert node.find("body/p").get("id") == first
    assert (node.find("body/p").text or "") == first
    assert (node.find("body/p/b").text or "") == second


def test_markup_passes_once_and_only_as_markup():
    assert text(Html("<b>")) == "<b>"
    assert (
        element("p", Html("<b>"), None, class_="a", hidden=True, data_x=False, title=None)
        == '<p class="a" hidden><b></p>'
    )
    assert element("p", title=Html('"')) == '<p title="&quot;"></p>'
    assert element("br") == "<br>"
    assert element("rect", x=0.5, y=2.0, width="10%") == '<rect x="0.5" y="2" width="10%"/>'


def test_a_long_name_is_cut_in_its_middle_and_kept_in_its_title():
    shown = name("a" * 100 + "z" * 100)
    assert len(re.sub(r"<.*?>", "", shown)) == 48
    assert 'title="' + "a" * 100 in shown
    assert shown.endswith("zzz</bdi>")
    assert len(name("n" * 10_000)) < 400


# contrast


def luminance(colour: str) -> float:
    """Relative luminance: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_is_reckoned_as_the_standard_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


@THEMES
def test_texts_have_the_contrast_of_level_aa(theme):
    texts = set(re.findall(r"[;{ ]color: ?var\(--([a-z]+)\)", stylesheet()))
    grounds = set(re.findall(r"background: ?var\(--([a-z]+)\)", stylesheet())) - {*TONES, "hatch"}
    assert texts >= {"ink", "muted", "link", "good", "bad"}
    assert grounds == {"paper", "panel"}
    assert {(t, g) for t in texts for g in grounds if contrast(theme[t], theme[g]) < 4.5} == set()


@THEMES
def test_marks_stand_out_and_carry_their_names(theme):
    # 4.5 rather than 3: the names of a bar's parts are written on them in the colour of the paper.
    assert {tone for tone in TONES if contrast(theme[tone], theme["paper"]) < 4.5} == set()


@THEMES
def test_hatching_can_be_seen_and_hides_no_bar(theme):
    assert contrast(theme["hatch"], theme["paper"]) > 1.2
    assert contrast(theme["a"], theme["hatch"]) >= 3


def test_both_themes_name_the_same_colours_and_all_of_them_are_used():
    assert set(LIGHT) == set(DARK) == set(re.findall(r"var\(--([a-z]+)\)", stylesheet()))


def test_paper_is_white():
    dark = stylesheet().index("prefers-color-scheme:dark")
    assert stylesheet()[:dark].endswith("@media screen and (")
    assert "@media print" in stylesheet()


# numbers


@pytest.mark.parametrize(
    ("form", "value", "shown"),
    [
        (count, 0, "0"),
        (count, 1234567.4, "1,234,567"),
        (short, 0, "0"),
        (short, 999.6, "1k"),
        (short, 1234, "1.23k"),
        (short, 2.5e9, "2.5G"),
        (short, -4100, f"{MINUS}4.1k"),
        (usd, 0, "$0.00"),
        (usd, 0.0000012, "$0.0000012"),
        (usd, 0.1, "$0.10"),
        (usd, 12345.6, "$12,346"),
        (usd, -3.25, f"{MINUS}$3.25"),
        (duration, 0, "0 ms"),
        (duration, 999.7, "1 s"),
        (duration, 1000, "1 s"),
        (duration, 14_210, "14.2 s"),
        (duration, 7_200_000, "120.0 min"),
        (percent, 0.5, "50 %"),
        (percent, 0.995, "99.5 %"),
        (percent, 1, "100 %"),
        (percent, -0.25, f"{MINUS}25 %"),
        (percent, 1.4, "140 %"),
        (rate, 0.0, "0.0 %"),
        (signed(usd), -0.002, f"{MINUS}$0.0020"),
        (signed(duration), 0.0, "+0 ms"),
    ],
)
def test_numbers_as_people_read_them(form, value, shown):
    assert form(value) == shown


@pytest.mark.parametrize(
    ("form_of", "column", "shown"),
    [
        (money, [0.25, None, 120_000.0], ["<$1", None, "$120,000"]),
        (money, [0.0312, 0.00001], ["$0.0312", "<$0.0001"]),
        (money, [0.0000021, 0.0], ["$0.000002", "$0.000000"]),
        (money, [], []),
        (times, [84.2, 120.0], ["84 ms", "120 ms"]),
        (times, [0.42, None, 12.0], ["0.42 ms", None, "12.00 ms"]),
        (sizes, [99_999, 3], ["99,999", "3"]),
        (sizes, [172_000, 14_333], ["172.0k", "14.3k"]),
        (sizes, [2_000_000, -30_000], ["2.00M", f"{MINUS}0.03M"]),
        (sizes, [None], [None]),
    ],
)
def test_numbers_of_a_column_share_their_unit(form_of, column, shown):
    form = form_of(column)
    assert [value if value is None else form(value) for value in column] == shown


def test_unknown_figures_are_marked():
    assert figure(None, usd) == figure(float("nan"), usd) == '<span class="unknown">unknown</span>'
    assert about(None, usd, "estimated") == figure(None, usd)
    assert "muted" in DASH


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2026-11-14T23:15:30.5Z", "14 Nov 2026, 23:15"),
        ("2026-11-14T23:15:30+02:00", "14 Nov 2026, 21:15"),
        ("2026-11-14 08:00", "14 Nov 2026, 08:00"),
        ("2026-11-14", "14 Nov 2026"),
        ("no time", "no time"),
        (None, "unknown"),
    ],
)
def test_moments_are_in_utc(value, shown):
    assert re.sub("<.*?>", "", moment(value)) == shown


def test_days_that_are_none_stay_as_they_are():
    assert day("-") == "-"
    assert day("2026-01-02") == "2 Jan"
