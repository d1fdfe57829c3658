"""The stage on which a fault is played: one world, one log, a provider on this machine."""

from __future__ import annotations

import pytest

import llmopt

from ..middleware.conftest import WORLDS, World
from .stage import Stage


@pytest.fixture(scope="session")
def log(tmp_path_factory):
    """One usage log for all faults: a call's row is found by its id."""
    return llmopt.UsageLog(tmp_path_factory.mktemp("faults") / "usage.db")


@pytest.fixture(params=WORLDS)
def stage(request, log):
    return Stage(World(request.param), log, request)
