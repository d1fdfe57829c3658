"""Roles travel: to worker processes, into caches, with the middlewares that hold them."""

from __future__ import annotations

import copy
import pickle

import pytest

from llmopt.compress import ROLES, Nearest, Role, Round, Top, Where, Within
from llmopt.compress.data import Data
from llmopt.middleware.compress import Compress

MINE = Role(
    "mine",
    "See.",
    relevance=(
        Top("wares", 3, by="price"), Where("wares", "open", "==", value=True), Within("foes", 9, at=""),
        Nearest("allies", 1),
    ),
    precision={"me.t": 2},
    pinned=("**.id",),
    rules=("go on",),
)  # fmt: skip
WAYS = {
    "copied": copy.copy,
    "deepcopied": copy.deepcopy,
    "pickled": lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301 - our own bytes
}


@pytest.mark.parametrize("role", [*ROLES.values(), MINE], ids=lambda role: role.name)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_the_same_role(role, way):
    twin = WAYS[way](role)
    assert (twin, hash(twin), repr(twin)) == (role, hash(role), repr(role))
    seen = {"t": 1.25, "me": {"t": 1.2345, "pos": [0, 0]}, "enemies": [{"id": 1, "pos": [1, 1]}]}
    assert twin.apply(seen) == role.apply(seen)
    with pytest.raises(TypeError, match="does not support item assignment"):
        twin.precision["t"] = 3


@pytest.mark.parametrize("way", WAYS)
def test_what_holds_a_role_can_be_copied(way):
    compress = Compress(role=MINE)
    assert WAYS[way](compress) == compress
    data = WAYS[way](Data({"me": {"t": 1.2345}}, role=MINE))
    assert (data, data.role) == ('{"me":{"t":1.2345}}', MINE)


class Loud(Role):
    """A kind of role."""


def test_a_copy_is_of_the_same_kind():
    loud = Loud("loud", "Shout.", precision={"t": 0}, relevance=(Round("x", 1),))
    assert type(copy.deepcopy(loud)) is Loud
    assert copy.deepcopy(loud) == loud
