"""The quirk matrix: what is undamaged comes through, damage is repaired, what is cut off never comes."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from llmopt.stream import PlanStream

from . import quirks

TEXT_OR_BYTES = (str, str.encode)


def run(reply, chunk_size, **options):
    stream = PlanStream(**options)
    found = []
    for at in range(0, len(reply), chunk_size):
        found += stream.feed(reply[at : at + chunk_size])
    result = stream.finalize()
    return found + list(result.plans), result


def cases(quirk):
    for place, size, form in product(quirks.PLACES, quirks.CHUNKS, TEXT_OR_BYTES):
        plans = quirks.plans()
        yield plans, place, size, form(quirk.make(plans, place))


def whole(quirk, plans, place):
    """The plans that are as they were."""
    if quirk.truncates:
        return [] if quirk.name == "cut in thought" else plans[:place]
    return [plan for at, plan in enumerate(plans) if not (quirk.damages and at == place)]


def score(quirk, mode):
    counts = Counter()
    for plans, place, size, reply in cases(quirk):
        found, result = run(reply, size, mode=mode)
        kept, meant = whole(quirk, plans, place), quirk.meant(plans[place])
        allowed = [*kept, meant] if quirk.damages else kept
        counts["undamaged"] += len(kept)
        counts["undamaged found"] += sum(plan in found for plan in kept)
        counts["damaged"] += quirk.damages
        counts["damaged found"] += quirk.damages and meant in found
        counts["wrong"] += sum(plan not in allowed for plan in found) + max(0, len(found) - len(allowed))
        counts["cut off unnoticed"] += quirk.truncates and place > 0 and not result.truncated
    return counts


@pytest.fixture(scope="module")
def repaired():
    return {quirk.name: score(quirk, "repair") for quirk in quirks.QUIRKS}


def test_the_matrix_is_large_enough():
    names = [quirk.name for quirk in quirks.QUIRKS]
    assert len(set(names)) == len(names) >= 40
    assert len(quirks.PLACES) >= 3
    assert len(quirks.CHUNKS) >= 4


def test_undamaged_plans_come_through(repaired):
    total = sum(repaired.values(), Counter())
    assert total["undamaged found"] / total["undamaged"] >= 0.995


def test_damaged_plans_are_repaired(repaired):
    total = sum(repaired.values(), Counter())
    assert total["damaged found"] / total["damaged"] >= 0.95


@pytest.mark.parametrize("quirk", quirks.QUIRKS, ids=lambda quirk: quirk.name)
def test_nothing_is_invented(quirk, repaired):
    assert repaired[quirk.name]["wrong"] == 0
    assert repaired[quirk.name]["cut off unnoticed"] == 0


@pytest.mark.parametrize("quirk", quirks.QUIRKS, ids=lambda quirk: quirk.name)
def test_lenient_streams_pass_by_what_is_damaged(quirk):
    counts = score(quirk, "lenient")
    assert counts["undamaged found"] == counts["undamaged"]
    assert counts["wrong"] == 0


@pytest.mark.parametrize("name", ["clean", "pretty", "compact", "wrapper", "wrapper, nested"])
def test_strict_streams_read_clean_replies(name):
    (quirk,) = [quirk for quirk in quirks.QUIRKS if quirk.name == name]
    for plans, _, size, reply in cases(quirk):
        assert run(reply, size, mode="strict")[0] == plans


@pytest.mark.parametrize("chunk", quirks.CHUNKS)
def test_what_is_damaged_is_named(chunk):
    plans = quirks.plans()
    (quirk,) = [quirk for quirk in quirks.QUIRKS if quirk.name == "NaN"]
    found, result = run(quirk.make(plans, 4), chunk, mode="repair", expected=range(1, 11))
    assert len(found) == 9
    assert result.missing == (5,)
    assert [(row.agent_id, "NaN" in row.raw) for row in result.failed] == [(5, True)]
