"""Fail when a test was skipped, or failed as expected, that is not on the list of those that may.

Usage: check_skips.py JUNIT_XML ALLOWED_SKIPS
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def allowed_patterns(text: str) -> list[re.Pattern[str]]:
    """The patterns of an allow-list: `#` starts a comment, `*` stands for any text."""
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [re.compile(".*".join(map(re.escape, line.split("*")))) for line in lines if line]


def skipped_tests(junit: Path) -> dict[str, str]:
    """The reason of each skipped test, by its name `package.module::test`."""
    cases = list(ET.parse(junit).iter("testcase"))  # noqa: S314 - our own report
    if not cases:
        sys.exit(f"{junit}: holds no test at all")
    return {
        f"{case.get('classname')}::{case.get('name')}": skip.get("message") or ""
        for case in cases
        for skip in case.iter("skipped")
    }


def main(junit: str, allow_list: str) -> None:
    """Compare the two files; exit with a message that names every test that is skipped unlisted."""
    allowed = allowed_patterns(Path(allow_list).read_text(encoding="utf-8"))
    unlisted = {
        name: reason
        for name, reason in skipped_tests(Path(junit)).items()
        if not any(pattern.fullmatch(name) for pattern in allowed)
    }
    if unlisted:
        lines = [f"skipped, but not listed in {allow_list}:"]
        sys.exit("\n".join(lines + [f"  {name}  ({reason})" for name, reason in unlisted.items()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
