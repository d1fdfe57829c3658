"""Roles: what they say, what they keep, what they refuse; and their tools."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmopt import tokens
from llmopt.compress.encode import encode
from llmopt.compress.roles import PINNED, ROLES, Role, role_of
from llmopt.compress.roles.relevance import Drop, Keep, Nearest, Round, Top, Where
from llmopt.compress.roles.tool_spec import Param, ToolSpec, catalogue, signatures
from llmopt.errors import ConfigurationError

DEFAULT = Path(__file__).parents[3] / "shared" / "data"
WORKLOADS = Path(os.environ.get("LLMOPT_SHARED_DATA", DEFAULT)) / "workloads"
ACTIONS = {tool.name for role in ROLES.values() for tool in role.tools}
count = tokens.counter("o200k_base").count

DIAGNOSE = Role(
    "diagnose",
    "Say which pods are ill, and why.",
    relevance=(
        Where("items.status.conditions", "status", "!=", "True"),
        Keep(
            (
                "items.metadata.name",
                "items.spec.nodeName",
                "items.spec.containers.image",
                "items.status.phase",
                "items.status.conditions.type",
                "items.status.containerStatuses.ready",
                "items.status.containerStatuses.restartCount",
            )
        ),
    ),
    pinned=("**.reason",),
)


def workload(name):
    path = WORKLOADS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"the shared workload {name} is absent")
    return json.loads(path.read_text(encoding="utf-8"))


SNAPSHOT = {
    "agent": 1,
    "t": 12.5,
    "player": {"hp": 100, "pos": {"x": 2, "y": 2}, "stance": "crouch", "orders": ["hold_east"]},
    "me": {"ammo": 3, "cooldowns": {"heal": 17.2}, "morale": 0.232, "pos": {"x": 0, "y": 0}},
    "enemies": [
        {"id": n, "pos": {"x": 5 * n, "y": 0}, "hp": 80, "cover": "low", "last_seen": 1.12}
        for n in range(1, 7)
    ],
    "pois": [{"k": "medkit", "pos": {"x": 4, "y": 8}}],
    "obstacles": [{"x": n, "y": n} for n in range(30)],
    "objective": "Secure the comms tower",
}


@pytest.mark.parametrize("role", ROLES.values(), ids=list(ROLES))
class TestShippedRoles:
    def test_every_action_that_it_names_is_among_its_tools(self, role):
        assert ROLES[role.name] is role
        assert role.actions
        own = {tool.name for tool in role.tools}
        assert {*role.actions} <= own
        words = {*re.findall(r"\w+", role.prompt)}  # also those that are named without parentheses
        assert words & ACTIONS <= own
        for tool in role.tools:
            assert tool.signature in role.signatures().split(" ")
            assert tool.description
            assert ToolSpec.of(tool.signature).params == tool.params

    def test_its_prompt_is_short(self, role):
        assert count(role.prompt) <= 40
        assert len(role.prompt.splitlines()) == 2
        assert count(role.signatures()) <= 45

    def test_it_keeps_objective_and_orders_and_tells_what_it_drops(self, role):
        before = copy.deepcopy(SNAPSHOT)
        for value in (SNAPSHOT, [SNAPSHOT, SNAPSHOT]):
            seen, report = role.apply(value)
            assert before == SNAPSHOT
            for one in seen if isinstance(seen, list) else [seen]:
                assert one["objective"] == SNAPSHOT["objective"]
                assert one["player"]["orders"] == ["hold_east"]
                assert one["me"]["pos"] == {"x": 0, "y": 0}
                assert one["me"]["morale"] == 0.2
                assert one["pois"] == SNAPSHOT["pois"]
                assert len(json.dumps(one)) < len(json.dumps(SNAPSHOT))
            assert report
            assert max(map(len, str(report).splitlines())) <= 80

    def test_it_bears_what_is_absent(self, role):
        for value in (
            {},
            [],
            [{}],
            None,
            5,
            {"me": {}},
            {"enemies": None},
            {"enemies": [1]},
            {"objective": "o"},
        ):
            assert role.apply(value)[0] == value

    def test_it_is_frozen(self, role):
        with pytest.raises(dataclasses.FrozenInstanceError):
            role.goal = "win"
        with pytest.raises(TypeError):
            role.precision["t"] = 9
        assert hash(role) == hash(dataclasses.replace(role))
        assert role == dataclasses.replace(role)


def test_what_the_tactical_role_sees():
    seen, report = ROLES["tactical"].apply(SNAPSHOT)
    assert [enemy["id"] for enemy in seen["enemies"]] == [1, 2, 3]
    assert {*seen} == {*SNAPSHOT} - {"obstacles"}
    assert seen["player"] == {"orders": ["hold_east"]}
    assert (seen["t"], seen["me"]["cooldowns"]) == (12, {"heal": 17})
    assert report.kept == ("/player/orders",)
    assert {"/obstacles", "/player/hp", "/enemies/3", "/enemies/0/last_seen", "/t", "/me/morale"} <= {
        *report.paths
    }


def test_roles_are_found_by_name():
    assert role_of(None) is None
    assert role_of("support") is ROLES["support"]
    assert role_of(DIAGNOSE) is DIAGNOSE
    assert [*ROLES] == ["tactical", "stealth", "support", "exploration"]
    with pytest.raises(ConfigurationError, match="role='medic': give a Role, or one of tactical, stealth"):
        role_of("medic")
    with pytest.raises(TypeError):
        ROLES["medic"] = DIAGNOSE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tools": [ToolSpec("a")]}, "tools="),
        ({"tools": (ToolSpec("a"), ToolSpec("a"))}, "same name"),
        ({"tools": ("a",)}, "give a tuple of ToolSpec"),
        ({"relevance": (len,)}, "give a tuple of Rule"),
        ({"pinned": "objective"}, "pinned="),
        ({"pinned": ("a..b",)}, "pinned='a..b'"),
        ({"rules": "do"}, "rules="),
        ({"precision": [("t", 1)]}, "precision="),
        ({"precision": {"t": 1.5}}, "digits=1.5"),
        ({"precision": {"": 1}}, "path=''"),
        ({"rules": ("fly() away",), "tools": (ToolSpec("walk"),)}, r"names \['fly'\].*tools \['walk'\]"),
        ({"relevance": (Drop("objective"),)}, "'objective', which is pinned"),
        ({"relevance": (Drop("agents.*.orders"),)}, "which is pinned"),
        ({"relevance": (Nearest("orders.list", 3),)}, "which is pinned"),
        ({"relevance": (Top("orders", 3),)}, "which is pinned"),
        ({"precision": {"player.orders": 1}}, "which is pinned"),
        ({"relevance": (Drop("me.pos.x"),), "pinned": ("me.pos",)}, "which is pinned"),
    ],
)
def test_bad_roles_are_refused_when_they_are_made(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        Role("medic", "Keep the squad alive.", **arguments)


def test_an_action_in_the_goal_counts_too():
    with pytest.raises(ConfigurationError, match="heal"):
        Role("medic", "heal() all.")
    assert Role("medic", "heal() all.", tools=(ToolSpec("heal"),)).prompt == "heal() all."


def test_a_pinned_place_is_kept_from_rules_that_do_not_name_it():
    role = Role(
        "narrow",
        "See little.",
        relevance=(Keep("t"), Drop("*")),
    )
    seen, report = role.apply(SNAPSHOT)
    assert seen == {"player": {"orders": ["hold_east"]}, "objective": SNAPSHOT["objective"]}
    assert report.kept == ("/player/orders", "/objective")
    assert role.pinned == PINNED
    exact = Role("exact", "Be exact.", precision={"*": 0}, pinned=("t", "me.morale"))
    seen, report = exact.apply({"t": 12.5, "me": {"morale": 0.2, "heal": 17.2}})
    assert seen == {"t": 12.5, "me": {"morale": 0.2, "heal": 17}}
    assert report.kept == ("/t", "/me/morale")
    bare = Role("bare", "See nothing.", relevance=(Drop("*"),), pinned=())
    assert bare.apply(SNAPSHOT)[0] == {}


@given(
    st.sampled_from(list(ROLES)), st.lists(st.sampled_from(list(SNAPSHOT)), unique=True), st.integers(0, 3)
)
def test_roles_make_snapshots_of_any_completeness_smaller(name, absent, copies):
    value = [{key: SNAPSHOT[key] for key in SNAPSHOT if key not in absent}] * copies
    seen, report = ROLES[name].apply(value)
    assert len(json.dumps(seen)) <= len(json.dumps(value))
    assert (seen == value) == (not report)
    again, more = ROLES[name].apply(seen)
    assert again == seen
    assert not more


def test_declared_loss_of_the_game_is_below_a_35th_of_pretty_json():
    value = workload("game10_tick0")
    encoded = encode(value, profile="dense", role="tactical")
    assert count(json.dumps(value, indent=2)) / encoded.tokens >= 35
    assert encoded.loss == ROLES["tactical"].apply(value)[1]
    assert not [path for path in encoded.dropped if path.endswith(("/objective", "/orders"))]


def test_declared_loss_of_a_diagnosis_is_below_a_36th_of_pretty_json():
    value = workload("k8s20")
    encoded = encode(value, profile="dense", role=DIAGNOSE)
    assert count(json.dumps(value, indent=2)) / encoded.tokens >= 36
    assert encoded.text.count("CrashLoopBackOff") >= 1
    seen, report = DIAGNOSE.apply(value)
    ill = [pod for pod in seen["items"] if pod["status"]["conditions"]]
    assert {pod["metadata"]["name"].split("-")[0] for pod in ill} == {"payments"}
    assert [pod["status"]["conditions"][0]["type"] for pod in ill] == ["Ready"] * len(ill)
    assert not [path for path in report.paths if path.endswith("/reason")]


class TestTools:
    def test_a_signature_is_read_as_it_is_written(self):
        tool = ToolSpec.of("use(item:smoke|grenade, id?:int)", "use it", cooldown_s=2.5)
        assert tool.params == (Param("item", "smoke|grenade"), Param("id", "int", required=False))
        assert tool.signature == "use(item:smoke|grenade,id?:int)"
        assert tool.call == "use(item,id)"
        assert ToolSpec.of(tool.signature, "use it", cooldown_s=2.5) == tool
        assert ToolSpec.of("wait()").params == ()

    @pytest.mark.parametrize(
        "text", ["", "wait", "wait(", "wait(x)", "wait(x:int,)", "2x()", "wait(x y:int)", "f()()"]
    )
    def test_other_texts_are_no_signatures(self, text):
        with pytest.raises(ConfigurationError, match="is no signature"):
            ToolSpec.of(text)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: ToolSpec("fly away"),
            lambda: ToolSpec("fly", (Param("x", "int"), Param("x", "int"))),
            lambda: ToolSpec("fly", (Param("", "int"),)),
            lambda: ToolSpec("fly", cooldown_s=-1),
            lambda: ToolSpec("fly", cooldown_s=float("nan")),
        ],
    )
    def test_bad_tools_are_refused_when_they_are_made(self, make):
        with pytest.raises(ConfigurationError, match="tool 'fly"):
            make()

    def test_signatures_and_catalogue(self):
        tools = [ToolSpec.of("a(x:int)", "do a", cooldown_s=3), ToolSpec.of("b()"), ToolSpec.of("c(x:int)")]
        assert signatures(tools) == "a(x:int) b() c(x:int)"
        assert signatures(tools, types=False) == "a(x) b() c(x)"
        assert catalogue(tools) == "(x:int):\na 3s: do a\nc\n():\nb"
        assert catalogue([]) == ""


def test_a_rounding_rule_may_stand_among_the_others():
    role = Role("calm", "Watch.", relevance=(Round("me", 0),))
    assert role.apply(SNAPSHOT)[0]["me"]["cooldowns"] == {"heal": 17}
