"""The script that keeps skipped tests from going unnoticed in CI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "check_skips.py"
JUNIT = """<testsuites><testsuite>
  <testcase classname="tests.a.test_a" name="test_one[x-1]">
    <skipped type="pytest.skip" message="no gpu"/>
  </testcase>
  <testcase classname="tests.a.test_a" name="test_two"/>
</testsuite></testsuites>"""


@pytest.fixture
def check(tmp_path):
    def run(junit, allowed):
        (tmp_path / "junit.xml").write_text(junit, encoding="utf-8")
        (tmp_path / "allowed.txt").write_text(allowed, encoding="utf-8")
        command = [sys.executable, str(SCRIPT), "junit.xml", "allowed.txt"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("line", ["tests.a.test_a::test_one[x-1]  # needs a GPU", "tests.a.*::test_one[*]"])
def test_a_listed_skip_passes(check, line):
    result = check(JUNIT, f"# comment\n\n{line}\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("line", ["", "tests.a.test_a::test_two", "tests.a.test_a::test_one", "# *"])
def test_an_unlisted_skip_fails_and_is_named(check, line):
    result = check(JUNIT, line)
    assert result.returncode == 1
    assert "tests.a.test_a::test_one[x-1]  (no gpu)" in result.stderr


def test_a_report_without_tests_fails(check):
    assert "no test at all" in check("<testsuites/>", "").stderr
