"""The loss report: what it lists, how it groups, how it reads."""

from __future__ import annotations

import dataclasses
import json

import pytest

from llmopt.compress.roles.loss import Dropped, LossReport, pointer

REPORT = LossReport(
    (
        Dropped("/0/enemies/3", "pruned", rule="not among the 3 nearest to me.pos"),
        Dropped("/0/me/morale", "rounded", rule="to 1 digits"),
        Dropped("/0/enemies/5", "pruned", rule="not among the 3 nearest to me.pos"),
        Dropped("/0/enemies/7", "capped"),
        Dropped("/1/me/morale", "rounded", rule="to 1 digits"),
    ),
    ("/0/objective",),
)


@pytest.mark.parametrize(
    ("keys", "path"),
    [((), ""), (("a", 0, ""), "/a/0/"), (("~", "a/b", "~1"), "/~0/a~1b/~01")],
)
def test_pointers_are_those_of_rfc_6901(keys, path):
    assert pointer(keys) == path


def test_an_empty_report_is_false():
    report = LossReport()
    assert not report
    assert (len(report), report.paths, report.grouped(), str(report)) == (0, (), (), "nothing dropped")
    assert report.to_dict() == {"dropped": [], "kept": []}


def test_paths_list_all_and_groups_only_what_is_alike():
    assert bool(REPORT)
    assert len(REPORT) == 5
    assert list(REPORT) == list(REPORT.dropped)
    assert REPORT.paths == ("/0/enemies/3", "/0/me/morale", "/0/enemies/5", "/0/enemies/7", "/1/me/morale")
    assert [(entry.path, entry.reason, entry.count) for entry in REPORT.grouped()] == [
        ("/0/enemies/*", "pruned", 2),
        ("/*/me/morale", "rounded", 2),
        ("/0/enemies/7", "capped", 1),
    ]


def test_to_dict_is_json_grouped_or_in_full():
    grouped, full = REPORT.to_dict(), REPORT.to_dict(grouped=False)
    assert json.loads(json.dumps(grouped)) == grouped
    assert [entry["path"] for entry in full["dropped"]] == list(REPORT.paths)
    assert sum(entry["count"] for entry in grouped["dropped"]) == 5
    assert grouped["kept"] == ["/0/objective"]
    assert grouped["dropped"][0] == {
        "path": "/0/enemies/*",
        "reason": "pruned",
        "count": 2,
        "rule": "not among the 3 nearest to me.pos",
    }


def test_text_for_people_fits_80_columns():
    assert str(REPORT).splitlines() == [
        "5 values dropped",
        "     2  /0/enemies/*  pruned: not among the 3 nearest to me.pos",
        "     2  /*/me/morale  rounded: to 1 digits",
        "     1  /0/enemies/7  capped",
        "  kept  /0/objective",
    ]
    assert str(LossReport((Dropped("/t", "pruned"),))).startswith("1 value dropped\n")
    wide = LossReport((Dropped("/name" * 30, "pruned", rule="why " * 30),), ("/kept" * 30,))
    assert max(map(len, str(wide).splitlines())) == 80
    assert "..." in str(wide)


def test_reports_add_up():
    both = REPORT + LossReport((Dropped("/t", "pruned"),), ("/0/objective", "/orders"))
    assert both.paths == (*REPORT.paths, "/t")
    assert both.kept == ("/0/objective", "/orders")


def test_reports_are_values():
    assert LossReport(REPORT.dropped, REPORT.kept) == REPORT
    assert hash(LossReport()) == hash(LossReport())
    with pytest.raises(dataclasses.FrozenInstanceError):
        REPORT.dropped = ()
