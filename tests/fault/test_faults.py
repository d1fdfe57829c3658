"""Every named fault has its documented outcome, with threads, asyncio and trio alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from . import flow, process, provider, storage

GROUPS = {
    "Providers and networks": provider.FAULTS,
    "Limits, callers and middlewares": flow.FAULTS,
    "Tasks, threads and processes": process.FAULTS,
    "Disks and databases": storage.FAULTS,
}
FAULTS = [fault for faults in GROUPS.values() for fault in faults]
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

pytestmark = [
    # The SDK's own streams are left to the garbage collector when they are through, of which trio warns.
    pytest.mark.filterwarnings("ignore:Async generator '(openai|httpx|httpcore):ResourceWarning"),
    # Python warns of what the fork is there to show: there are other threads.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(stage, fault):
    outcome = fault.play(stage)
    assert outcome.told == fault.told
    if outcome.error is not None:
        assert outcome.text.startswith(fault.heard)
    if not isinstance(fault.logged, str):
        row = stage.row(outcome)
        assert row is not None, "a call has no row in the usage log"
        assert replace(row, cache=fault.logged.cache and row.cache) == fault.logged
    # No lock is held, nobody waits, and nothing of the fault is left: the same chain goes on.
    stage.world.clock.advance(fault.rest_s)
    assert stage.ask("again").told.removeprefix("Echo: ") == fault.again


def test_names_are_unique():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40


@pytest.mark.parametrize("group", GROUPS)
def test_the_documentation_has_a_row_for_each_fault(group):
    _, _, section = PAGE.read_text(encoding="utf-8").partition(f"## {group}\n")
    documented = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    assert documented == table(group)


def table(group):
    """The table of one group, as docs/faults.md has it."""
    head = ("| fault | what happens | what the caller sees | what the log says |", "|---|---|---|---|")
    return [*head, *(fault.documented for fault in GROUPS[group])]
