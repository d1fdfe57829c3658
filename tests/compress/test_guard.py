"""The guard: when it steps down, when it measures, and that it never does so without reason."""

from __future__ import annotations

import copy
import pickle
import threading

import llm
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmopt
from llmopt.compress.guard import Guard
from llmopt.compress.verdict import judge
from llmopt.errors import ConfigurationError
from llmopt.testing import ScriptedModel

LADDER = ("safe", "balanced", "dense")


def run(guard, valid_of, calls, *, rows=100, wanted="dense", key="k"):
    """Make judged calls, each with as many valid rows as the profile has, and return the profiles used."""
    used = []
    for _ in range(calls):
        profile = guard.profile(key, wanted)
        used.append(profile)
        guard.tell(key, profile, valid_of[profile], rows)
    return used


def turns(used):
    """Return the profiles in the order in which they came, with how long each was used."""
    out = []
    for profile in used:
        if out and out[-1][0] == profile:
            out[-1][1] += 1
        else:
            out.append([profile, 1])
    return [tuple(turn) for turn in out]


CASES = {
    "all is well": ({"dense": 100}, "dense", [("dense", 300)]),
    "one point less may be chance": ({"dense": 99}, "dense", [("dense", 300)]),
    "worse than the plainer one": (
        {"dense": 97, "balanced": 100},
        "dense",
        [("dense", 50), ("balanced", 250)],
    ),
    "two steps": (
        {"dense": 90, "balanced": 95, "safe": 100},
        "dense",
        [("dense", 50), ("balanced", 50), ("safe", 200)],
    ),
    "as bad as the plainer one": (
        {"dense": 90, "balanced": 90},
        "dense",
        [("dense", 50), ("balanced", 50), ("dense", 200)],
    ),
    "a point worse than the plainer one": (
        {"dense": 90, "balanced": 91},
        "dense",
        [("dense", 50), ("balanced", 50), ("dense", 200)],
    ),
    "better than the plainer one": (
        {"dense": 90, "balanced": 80},
        "dense",
        [("dense", 50), ("balanced", 50), ("dense", 200)],
    ),
    "there is nothing plainer": ({"safe": 10}, "safe", [("safe", 300)]),
    "from the profile that was configured": (
        {"balanced": 97, "safe": 99},
        "balanced",
        [("balanced", 50), ("safe", 250)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_steps(case):
    valid, wanted, expected = CASES[case]
    guard = Guard()
    assert turns(run(guard, valid, 300, wanted=wanted)) == expected
    lowered = expected[-1][0] != wanted
    assert guard.steps() == ({"k": expected[-1][0]} if lowered else {})


def test_a_fall_later_on_needs_no_second_measurement():
    guard = Guard()
    run(guard, {"dense": 95, "balanced": 95}, 150)
    assert guard.profile("k", "dense") == "dense"
    used = turns(run(guard, {"dense": 80, "balanced": 95, "safe": 95}, 150))
    assert [profile for profile, _ in used] == ["dense", "safe", "balanced"]
    assert (used[0][1] < 50, used[1][1]) == (True, 50)
    assert guard.rates("k")["balanced"] == 0.95


def test_a_model_that_gets_worse_after_a_good_start():
    guard = Guard(min_calls=50, window=100)
    run(guard, {"dense": 100}, 100)
    used = turns(run(guard, {"dense": 90, "balanced": 100}, 200))
    assert [profile for profile, _ in used] == ["dense", "balanced"]
    assert used[0][1] == 11  # until more than one row in a hundred of the last hundred calls is invalid


def test_keys_do_not_share_anything():
    guard = Guard()
    run(guard, {"dense": 90, "balanced": 100}, 120, key="one")
    assert (guard.profile("one", "dense"), guard.profile("other", "dense")) == ("balanced", "dense")
    assert guard.rates("none") == {}


def test_a_plainer_wish_is_granted():
    guard = Guard()
    assert guard.profile("k", "dense") == "dense"
    assert guard.profile("k", "safe") == "safe"


def test_late_and_odd_judgements():
    guard = Guard(min_calls=1)
    guard.tell("k", "dense", 0, 0)  # no rows were asked for
    guard.tell("k", "dense", -5, 10)
    guard.tell("k", "dense", 50, 10)
    assert guard.rates("k") == {"dense": 0.5}


def test_judgements_are_taken_from_notes():
    guard = Guard(min_calls=2)
    notes = [{} for _ in range(5)]
    for note in notes:
        guard.watch(note, "k", guard.profile("k", "dense"))
    assert guard.rates("k") == {}
    notes[0].update(rows=4, valid_rows=4)
    notes[1].update(rows=4)  # half a judgement
    notes[2].update(rows="4", valid_rows=4)  # none
    notes[4].update(rows=4, valid_rows=0)
    assert guard.profile("k", "dense") == "balanced"
    assert guard.rates("k") == {"dense": 0.5}
    assert len(guard._pending) == 2


def test_where_nobody_judges_little_is_kept_and_looked_at():
    guard = Guard()
    looked = 0

    class Notes(dict):
        def get(self, *args):
            nonlocal looked
            looked += 1
            return super().get(*args)

    for _ in range(3000):
        guard.watch(Notes(), "k", guard.profile("k", "dense"))
    assert len(guard._pending) == 1024
    assert looked < 3000 * 100


def test_a_judged_call_among_many_that_are_not():
    guard = Guard(min_calls=1)
    for _ in range(500):
        guard.watch({}, "k", guard.profile("k", "dense"))
    guard.watch({"rows": 10, "valid_rows": 5}, "k", "dense")
    for _ in range(70):
        guard.watch({}, "k", guard.profile("k", "dense"))
    assert guard.profile("k", "dense") == "balanced"


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"min_calls": 0}, "min_calls=0"),
        ({"min_calls": 1.5}, "min_calls=1.5"),
        ({"window": 49}, "window=49"),
        ({"max_drop": -0.1}, "max_drop"),
        ({"max_drop": "1"}, "max_drop"),
    ],
)
def test_arguments(wrong, match):
    with pytest.raises(ConfigurationError, match=match):
        Guard(**wrong)


def test_copies_have_the_bounds_and_know_nothing():
    guard = Guard(min_calls=2, max_drop=0.05, window=9)
    run(guard, {"dense": 0, "balanced": 100}, 9)
    for twin in (copy.deepcopy(guard), pickle.loads(pickle.dumps(guard))):  # noqa: S301
        assert repr(twin) == repr(guard) == "Guard(min_calls=2, max_drop=0.05, window=9)"
        assert (twin.profile("k", "dense"), guard.profile("k", "dense")) == ("dense", "balanced")


class Reference:
    """The rules, written out over the whole history."""

    def __init__(self, min_calls, window):
        self.min_calls, self.window = min_calls, window
        self.told = {at: [] for at in range(3)}
        self.top, self.measuring = 2, False

    @property
    def profile(self):
        return LADDER[self.top - self.measuring]

    def rate(self, at):
        calls = self.told[at][-self.window :]
        return sum(v for v, _ in calls) / sum(r for _, r in calls) if len(calls) >= self.min_calls else None

    def tell(self, valid, rows):
        self.told[LADDER.index(self.profile)].append((valid, rows))
        self.decide()

    def decide(self):
        if self.top == 0 or self.rate(self.top) is None:
            return
        plainer = self.rate(self.top - 1)
        if plainer is None:
            self.measuring = self.measuring or self.rate(self.top) < 0.99 - 1e-9
            return
        self.measuring = False
        if self.rate(self.top) < plainer - 0.01 - 1e-9:
            self.top -= 1
            self.decide()


@given(
    st.integers(1, 5),
    st.integers(0, 5),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3)).filter(lambda call: call[0] <= call[1]), max_size=80
    ),
)
def test_it_follows_its_rules(min_calls, more, calls):
    guard, reference = (
        Guard(min_calls=min_calls, window=min_calls + more),
        Reference(min_calls, min_calls + more),
    )
    seen = []
    for valid, rows in calls:
        profile = guard.profile("k", "dense")
        assert profile == reference.profile
        seen.append(LADDER.index(profile))
        guard.tell("k", profile, valid, rows)
        reference.tell(valid, rows)
    assert not seen or seen[:min_calls] == [2] * len(seen[:min_calls])
    assert guard.steps() == ({"k": LADDER[reference.top]} if reference.top < 2 else {})


def test_threads():
    guard = Guard(min_calls=10, window=4000)

    def work():
        for _ in range(400):
            profile = guard.profile("k", "dense")
            guard.watch({"rows": 2, "valid_rows": 2 if profile == "balanced" else 1}, "k", profile)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guard.rates("k") == {"dense": 0.5, "balanced": 1.0}
    assert guard.steps() == {"k": "balanced"}
    assert sum(len(rate.calls) for rate in guard._courses["k"].rates.values()) == 1600


# judge


def test_a_response_or_a_call_is_judged():
    calls = []

    def keep(call):
        calls.append(call)
        yield call

    response = llmopt.wrap(ScriptedModel(["[1]"]), keep).prompt("Hi")
    with pytest.raises(ConfigurationError, match="complete"):
        judge(response, valid=True)
    response.text()
    judge(response, valid=True)
    assert response.llmopt.notes == {"rows": 1, "valid_rows": 1}
    judge(calls[0], valid=3, rows=4)
    assert response.llmopt.notes == {"rows": 4, "valid_rows": 3}


def test_what_cannot_be_judged():
    response = ScriptedModel(["[1]"]).prompt("Hi")
    assert isinstance(response, llm.Response)
    for wrong in (response, "text", None):
        with pytest.raises(ConfigurationError, match="carries no trace"):
            judge(wrong, valid=True)


@pytest.mark.parametrize(("valid", "rows"), [(2, 1), (-1, 1), (0, 0), (1, 1.0)])
def test_numbers_that_cannot_be(valid, rows):
    response = llmopt.wrap(ScriptedModel(["x"]), llmopt.Retry()).prompt("Hi")
    response.text()
    with pytest.raises(ConfigurationError, match="rows="):
        judge(response, valid=valid, rows=rows)
