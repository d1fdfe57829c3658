from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt.errors import ConfigurationError
from llmopt.report.selection import ALL, Selection, moment, period, side, stamp

NOW = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("all", None, None),
        ("7d", "2026-11-11T09:30", None),
        ("24h", "2026-11-17T09:30", None),
        ("90m", "2026-11-18T08:00", None),
        ("today", "2026-11-18T00:00", "2026-11-19T00:00"),
        ("yesterday", "2026-11-17T00:00", "2026-11-18T00:00"),
        ("this-week", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("last week", "2026-11-09T00:00", "2026-11-16T00:00"),
        ("2026-11-03", "2026-11-03T00:00", "2026-11-04T00:00"),
        ("2026-11-01..2026-11-07", "2026-11-01T00:00", "2026-11-08T00:00"),
        ("2026-11-01..2026-11-07T12:00", "2026-11-01T00:00", "2026-11-07T12:00"),
        ("2026-11-01..", "2026-11-01T00:00", None),
        ("..2026-11-01", None, "2026-11-02T00:00"),
        ("14d..7d", "2026-11-04T09:30", "2026-11-11T09:30"),
        ("before:2026-11-10", None, "2026-11-10T00:00"),
        ("after:2026-11-10T13:00+01:00", "2026-11-10T12:00", None),
    ],
)
def test_periods(text, since, until):
    def stamped(time):
        return time and f"{time}:00.000000Z"

    assert period(text, NOW) == Selection(text, stamped(since), stamped(until))


@pytest.mark.parametrize(
    "text", ["", "soon", "7", "7y", "2026-13-01", "before:", "before:soon", "a..b", "x:y"]
)
def test_what_is_no_period_is_refused_with_what_would_be_one(text):
    with pytest.raises(ConfigurationError, match=r"2026-11-21"):
        period(text, NOW)


@pytest.mark.parametrize("text", ["2026-11-07..2026-11-01", "7d..14d", "2026-11-07T12:00..2026-11-07T12:00"])
def test_a_period_that_ends_before_it_begins_is_refused(text):
    with pytest.raises(ConfigurationError, match="ends before it begins"):
        period(text, NOW)


@given(st.timedeltas(timedelta(0), timedelta(days=4000)), st.integers(-720, 720))
def test_texts_of_moments_sort_as_the_moments_do(ago, minutes):
    time = (NOW - ago).astimezone(timezone(timedelta(minutes=minutes)))
    assert moment(time.isoformat(), NOW) == stamp(time) <= stamp(NOW)
    assert len(stamp(time)) == 27


@given(st.integers(946_684_800, 2_524_608_000))
def test_before_and_after_leave_nothing_out_and_share_nothing(second):
    text = datetime.fromtimestamp(second, UTC).isoformat()
    assert period(f"before:{text}", NOW).until == period(f"after:{text}", NOW).since


def test_a_moment_far_too_long_ago_is_refused():
    with pytest.raises(ConfigurationError, match="no time"):
        moment("99999999d", NOW)


def test_sides_are_periods_roles_models_agents_or_tags():
    around = period("7d", NOW)
    assert side("before:2026-11-10", NOW, around) == period("before:2026-11-10", NOW)
    for name in ("role", "model", "agent"):
        chosen = side(f"{name}:a:b", NOW, around)
        assert (getattr(chosen, name), chosen.since, chosen.name) == ("a:b", around.since, f"{name}:a:b")
    assert side("tag:app=har=bour", NOW).tag == ("app", "har=bour")


@pytest.mark.parametrize("text", ["tag:app", "tag:=x", 'tag:a"b=x', "tag:"])
def test_tags_without_name_and_value_are_refused(text):
    with pytest.raises(ConfigurationError, match="tag:NAME=VALUE"):
        side(text, NOW)


def test_what_is_no_side_is_refused():
    with pytest.raises(ConfigurationError, match="role:NAME"):
        side("role:", NOW)


def test_conditions_hold_what_is_given_and_nothing_else():
    assert ALL.where() == ("1", [])
    chosen = Selection(since="a", until="b", role="r", model="m", agent="g", tag=("t", "v"))
    sql, values = chosen.where("c")
    assert values == ["a", "b", "r", "m", "g", '$."t"', "v"]
    assert sql.count("?") == len(values)
    assert sql.count(" AND ") == 5
