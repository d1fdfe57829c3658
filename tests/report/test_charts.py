"""Charts: where things are drawn, what they say to those who do not see them, and what is odd or unknown."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmopt.report.charts import Chart, Series, bars, lines
from llmopt.report.marks import axis, distribution, interval, meter, split
from llmopt.report.scales import LinearScale, LogScale, nice_ticks, spread
from llmopt.report.svg import brief

finite = st.floats(min_value=0, max_value=1e15, allow_nan=False)
values = st.lists(st.none() | finite, min_size=1, max_size=20)


def chart(*series, **changes) -> Chart:
    count = len(series[0].values)
    days = [f"{n + 1} Nov" for n in range(count)]
    return Chart("key", "Cost <by day>", days, series, lambda value: f"{value:g}", **changes)


def parsed(markup) -> ET.Element:
    """The markup as a tree: charts are XML too."""
    return ET.fromstring(markup)  # noqa: S314 - our own


def by_class(tree, word):
    return [node for node in tree.iter() if word in node.get("class", "").split()]


def numbers(path) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d*\.?\d+", path.get("d"))]


# scales


@given(st.floats(min_value=1e-9, max_value=1e15))
def test_round_ticks_reach_to_the_highest_value_and_not_far_beyond(high):
    ticks = nice_ticks(high)
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 5
    assert high <= ticks[-1] * 1.000001
    assert ticks[-1] <= high * 2.6
    steps = [b - a for a, b in pairwise(ticks)]
    assert all(math.isclose(step, ticks[1], rel_tol=1e-6) for step in steps)
    assert re.fullmatch(
        r"(1|2|2\.5|5)", f"{ticks[1] / 10 ** math.floor(math.log10(ticks[1] * 1.000001)):.6g}"
    )


@pytest.mark.parametrize("high", [0, -1, math.nan, math.inf])
def test_an_axis_without_values_ends_at_one(high):
    assert nice_ticks(high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("high", "ticks"),
    [
        (0.3, (0, 0.1, 0.2, 0.3)),
        (1, (0, 0.25, 0.5, 0.75, 1)),
        (12, (0, 5, 10, 15)),
        (200, (0, 50, 100, 150, 200)),
    ],
)
def test_ticks_are_what_people_expect(high, ticks):
    assert nice_ticks(high) == ticks


@given(st.floats(min_value=1e-3, max_value=1e6), st.floats(min_value=2, max_value=1e7))
def test_logarithmic_ticks_are_few_and_on_the_axis(low, span):
    scale = LogScale(low, low * span)
    ticks = scale.ticks()
    assert len(ticks) <= 4
    assert ticks == tuple(sorted(ticks))
    assert all(0 <= scale.percent(tick) <= 100 for tick in ticks)
    assert ticks or span < 10


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (LogScale(90, 2200), (100, 300, 1000)),
        (LogScale(100, 500), (100, 200, 500)),
        (LogScale(1, 1e6), (1, 100, 1e4, 1e6)),
    ],
)
def test_logarithmic_ticks_are_ones_twos_and_fives_or_coarser(scale, ticks):
    assert scale.ticks() == ticks


@given(finite, finite, finite)
def test_nothing_is_drawn_beside_its_axis(low, span, value):
    assert 0 <= LinearScale(low, low + span).percent(value) <= 100
    assert 0 <= LogScale(low + 1, low + span + 2).percent(value) <= 100


def test_an_axis_without_length_has_one_place():
    assert LinearScale(3, 3).percent(3) == 0


@given(st.integers(0, 400), st.integers(1, 9))
def test_names_are_spread_evenly(count, most):
    places = spread(count, most)
    assert len(places) <= most
    assert not count or places[0] == 0


@given(st.floats(min_value=-1e6, max_value=1e6))
def test_short_numbers_are_the_same_numbers(value):
    assert float(brief(value)) == pytest.approx(value, abs=0.005001)


# bars


def test_bars_stand_on_each_other():
    tree = parsed(bars(chart(Series("in", [2, 4], "a"), Series("out", [2, 0], "b"))))
    lower, upper = by_class(tree, "fill")
    assert numbers(lower) == [0.12, 100, 0.76, 50, -0.76, 1.12, 100, 0.76, 0, -0.76]
    assert numbers(upper) == [0.12, 50, 0.76, 0, -0.76]


def test_a_day_of_nothing_has_no_bar_and_a_day_that_is_unknown_is_hatched():
    tree = parsed(bars(chart(Series("cost", [0.0, None, 3.0], "a"))))
    assert numbers(by_class(tree, "fill")[0])[0] == 2.12
    assert [node.get("d") for node in by_class(tree, "hatch")] == [None, "M1 0h1v100h-1z"]  # the legend first
    assert "2 Nov: cost unknown" in "".join(tree.itertext())
    assert "1 Nov: cost 0" in "".join(tree.itertext())
    assert [node.text for node in by_class(tree, "key")] == ["not all is known"]


def test_a_bar_that_is_the_least_is_hatched_and_says_so():
    tree = parsed(bars(chart(Series("cost", [1.0, 3.0], "a"), unsure=frozenset({1}))))
    assert [node.get("d") for node in by_class(tree, "hatch")] == [None, "M1 0h1v4h-1z"]
    assert "2 Nov: cost at least 3" in "".join(tree.itertext())


def test_bars_of_nothing_at_all():
    tree = parsed(bars(chart(Series("cost", [0.0, 0.0], "a"))))
    assert not by_class(tree, "fill")
    assert not by_class(tree, "hatch")


# lines


def test_a_line_is_broken_where_nothing_is_known():
    tree = parsed(lines(chart(Series("p50", [10.0, 20.0, None, 40.0], "a"))))
    assert by_class(tree, "line")[0].get("d") == "M.5 75L1.5 50M3.5 0h.01"


@given(values)
def test_every_known_value_is_on_its_line(column):
    tree = parsed(lines(chart(Series("p50", column, "a"))))
    points = re.findall(r"[ML](\S+) ([\d.]+)", by_class(tree, "line")[0].get("d").replace("h.01", " "))
    assert len(points) == sum(value is not None for value in column)
    assert all(0 <= float(y) <= 100 for _, y in points)


# what both say


@pytest.mark.parametrize("draw", [bars, lines])
def test_a_chart_says_what_it_shows(draw):
    tree = parsed(draw(chart(Series("cost", [1.0, None, 3.0, 2.0], "a"), Series("<i>", [None] * 4, "b"))))
    plot = next(node for node in tree.iter() if node.get("role") == "img")
    said = {node.get("id"): node.text for node in plot if node.get("id")}
    assert plot.get("aria-labelledby").split() == list(said)
    assert said["key-title"] == "Cost <by day>"
    assert said["key-desc"] == "cost: least 1 on 1 Nov, most 3 on 3 Nov, last 2. <i>: unknown."


@pytest.mark.parametrize("draw", [bars, lines])
@settings(max_examples=40)
@given(
    columns=st.integers(1, 20).flatmap(
        lambda n: st.lists(st.lists(st.none() | finite, min_size=n, max_size=n), min_size=1, max_size=3)
    )
)
def test_any_figures_make_a_chart(draw, columns):
    series = [Series(f"s{n}", column, "abc"[n]) for n, column in enumerate(columns)]
    tree = parsed(draw(chart(*series)))
    hovers = by_class(tree, "hover")
    assert len(hovers) == len(columns[0])
    assert not re.search(r"nan|inf|e[+-]\d", " ".join(node.get("d", "") for node in tree.iter()))
    assert len(by_class(tree, "tick")) <= 5 + 5


# marks in tables


@pytest.mark.parametrize(("value", "width"), [(0, None), (None, None), (1, "25%"), (-1, "25%"), (9, "100%")])
def test_a_meter_is_as_long_as_its_value(value, width):
    tree = parsed(meter(value, 4))
    assert [bar.get("width") for bar in by_class(tree, "fill")] == ([width] if width else [])
    assert tree.get("aria-hidden") == "true"


def test_a_meter_without_a_highest_value_is_empty():
    assert not by_class(parsed(meter(0, 0)), "fill")


def test_a_whole_is_cut_into_its_parts():
    parts = [
        ("paid", 6.0, "a"),
        ("cache", 3.0, "c"),
        ("loss", -1.0, "b"),
        ("little", 0.5, "d"),
        ("none", 0.0, "e"),
    ]
    tree = parsed(split("cost", "What was paid", parts))
    pieces = [node for node in tree if node.tag == "svg"]
    assert [node.get("width") for node in pieces] == ["63.16%", "31.58%", "5.26%"]
    assert [node.get("x") for node in pieces] == ["0%", "63.16%", "94.74%"]
    assert [node.get("class") for node in tree.iter("text")] == ["on", "on tight"]
    assert "paid 63 %, cache 32 %, little 5 %" in "".join(tree.itertext())


def test_a_distribution_has_a_hill_and_three_percentiles():
    scale = LogScale(10, 1000)
    tree = parsed(distribution([(10, 5), (100, 10), (1000, 20)], (100, 500, 1000), scale))
    assert by_class(tree, "dot")[0].get("cx") == "50%"
    assert by_class(tree, "ridge")[0].get("d") == "M0 15L0 8H50L50 1H100V15z"
    assert by_class(tree, "span")[0].get("d") == "M50 16H100M84.95 11v10M100 11v10"


def test_the_first_bin_of_a_distribution_is_as_wide_as_a_doubling():
    tree = parsed(distribution([(200, 1), (400, 1)], (200, 300, 400), LogScale(100, 1600)))
    assert by_class(tree, "ridge")[0].get("d") == "M0 15L0 1H25L25 1H50V15z"
    tree = parsed(distribution([(800, 1)], (700, 800, 800), LogScale(100, 1600)))
    assert by_class(tree, "ridge")[0].get("d") == "M50 15L50 1H75V15z"


@pytest.mark.parametrize("bins", [(), ((10, 0), (100, 0)), ((1, 4),)])
def test_a_distribution_without_bins_has_no_hill(bins):
    assert by_class(parsed(distribution(bins, (20, 30, 40), LogScale(10, 100))), "ridge")[0].get("d") == ""


def test_names_of_an_axis_stay_within_it():
    tree = parsed(axis(LinearScale(-1, 1), (-1, 0, 1), str))
    assert [(node.text, node.get("class"), node.get("x")) for node in tree.iter("text")] == [
        ("-1", "tick first", "0%"),
        ("0", "tick", "50%"),
        ("1", "tick last", "100%"),
    ]


def test_names_of_an_axis_do_not_lie_on_each_other():
    tree = parsed(axis(LogScale(100, 2000), (100, 200, 500, 1000), str))
    assert [node.text for node in tree.iter("text")] == ["100", "500"]


def test_an_interval_is_drawn_where_it_is_and_cut_where_the_axis_ends():
    tree = parsed(interval((-0.5, 0.0, 3.0), LinearScale(-1, 1), "good"))
    (bar,) = by_class(tree, "interval")
    assert (bar.get("x1"), bar.get("x2")) == ("25%", "100%")
    assert by_class(tree, "fill")[0].get("cx") == by_class(tree, "zero")[0].get("x1") == "50%"
    assert not by_class(parsed(interval(None, LinearScale(-1, 1), "good")), "interval")
