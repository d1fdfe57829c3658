"""Processes that are killed while they write and drain: nothing that was acknowledged is lost or doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CRASH = Path(__file__).with_name("crash.py")
KILLS, ACKNOWLEDGED = 200, 100_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_kills_lose_and_double_nothing():
    env = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, str(CRASH), "--kills", str(KILLS)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["lost"], told["doubled"], told["faults"]) == (0, 0, []), told
    assert told["kills"] == KILLS
    assert told["acknowledged"] >= ACKNOWLEDGED
