"""The vault: what is an id, that everything comes back, at every split, in every surrounding."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import random
import string
import threading
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmopt.compress.vault import Vault
from llmopt.errors import ConfigurationError

HEX = "0123456789abcdef"
BASE62 = string.ascii_letters + string.digits
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
IDS = [
    "550e8400-e29b-41d4-a716-446655440000",
    "550E8400-E29B-41D4-A716-446655440000",
    "98f13708210194c4",
    "98F13708210194C4",
    "788b2bc2f42dbf635e7ec98885983ad4c21f1489a48ca09e7c172b010214c2f2",
    "msg_cfcd208495d565ef66e7dff9",
    "call_a9f7e97965d6cf799a529102",
    "call_dZ5T7CkXo0Lq2mB4vR8sYw1P",
    "toolu_01A09q90qw90lq917835lq9",
    "chat_cmpl_9XhT2vLk04QmZ7bNrW1sYc",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
    "ZHM5a2xTOWRhc0Rrc2w5MzQy",
    "q83vEjRWeJCrze8SNFZ4kA==",
    "aB3_dE6-gH9iJ2kL5mN8oP1q",
]
NO_IDS = [
    "",
    "hello",
    "catalog-415362d29f-lzjzc",
    "ip-10-0-1-190.ec2.internal",
    "2026-11-20T14:00:15.410Z",
    "2026-11-20T14-00-15Z_backup",
    "getUserAccountBalanceV2Handler",
    "test_getUserAccountBalance2",
    "very_long_setting_name_with_2_numbers",
    "1234567890123456789012",
    "deadbeefdeadbeef",  # letters only: a word for all that is known
    "/usr/local/lib/python3/site-packages/pip",
    "Secure the comms tower, then extract through the east gate",
    "user@example.org",
    "logo@2x.png",
]
handles = st.builds("@{}{}".format, st.sampled_from(["", "0", "00"]), st.integers(0, 12))
texts = st.lists(
    st.one_of(
        st.sampled_from(IDS),
        handles,
        st.sampled_from(
            ["@", "@@", "@1x", "\\n", "\n", "\\u00e9", "\\", "=", "-", "_", "/", " ", "é", "0", "n"]
        ),
        st.text(max_size=4),
    ),
    max_size=10,
).map("".join)


@pytest.mark.parametrize("value", IDS)
def test_ids_become_handles(value):
    vault = Vault()
    assert vault.hide(value) == vault.hide_in(value) == "@1"
    assert vault.hide_in(f"pod {value}, then {value}.") == "pod @1, then @1."
    assert vault.hide_in(f'{{"id": "{value}"}}') == '{"id": "@1"}'
    assert vault.restore("<@1>") == f"<{value}>"
    assert len(vault) == 1


@pytest.mark.parametrize("value", NO_IDS)
def test_what_can_be_read_stays(value):
    vault = Vault()
    assert vault.hide(value) == vault.hide_in(value) == value
    assert len(vault) == 0


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("containerd://788b2bc2f42dbf635e7ec98885983ad4", "containerd://@1"),
        ("registry/cart@sha256:788b2bc2f42dbf635e7ec98885983ad4", "registry/cart@sha256:@1"),
        ("logs/788b2bc2f42dbf635e7ec98885983ad4/1.gz", "logs/@1/1.gz"),
        ("a/550e8400-e29b-41d4-a716-446655440000/98f13708210194c4", "a/@1/@2"),
        ("98f13708210194c4@5", "@1@5"),
        ("98f13708210194c4==@5", "@1==@05"),
        ("@98f13708210194c4", "@@1"),
        ("x\\n98f13708210194c4", "x\\n98f13708210194c4"),  # JSON text; the id starts within an escape
    ],
)
def test_ids_within_strings(text, hidden):
    vault = Vault()
    assert vault.hide_in(text) == hidden
    assert vault.restore(hidden) == text
    assert Vault().hide(text) in (text, text.replace("@5", "@05"))


def shares(make, number=2000):
    rng = random.Random(7)
    vault = Vault()
    return sum(vault.hide(make(rng)).startswith("@") for _ in range(number)) / number


@pytest.mark.parametrize(
    ("name", "make", "share"),
    [
        ("hex", lambda rng: "".join(rng.choices(HEX, k=24)), 0.999),
        ("prefix, hex", lambda rng: "call_" + "".join(rng.choices(HEX, k=24)), 0.999),
        ("prefix, base62", lambda rng: "call_" + "".join(rng.choices(BASE62, k=24)), 0.97),
        ("ulid", lambda rng: "01J" + "".join(rng.choices(CROCKFORD, k=23)), 0.95),
        ("ksuid", lambda rng: "".join(rng.choices(BASE62, k=27)), 0.97),
        ("base64", lambda rng: base64.b64encode(rng.randbytes(24)).decode(), 0.95),
        ("words", lambda rng: "_".join(rng.choices(["reload", "attack", "v2", "pods"], k=6)), -1.0),
    ],
)
def test_share_of_random_ids_that_are_found(name, make, share):
    if share < 0:
        assert shares(make) == 0
    else:
        assert shares(make) >= share


@given(texts)
@example("98f13708210194c4@5")
@example("\\n98f13708210194c4\n@1")
@example("@98f13708210194c4@00010")
def test_everything_comes_back(text):
    vault = Vault()
    vault.hide(IDS[0])
    for hide in (vault.hide, vault.hide_in):
        assert vault.restore(hide(text)) == text
        assert hide(text) == hide(text)


@given(texts)
def test_everything_comes_back_through_json_text(text):
    """A reply is JSON more often than not, and restored before it is parsed."""
    vault = Vault()
    hidden = vault.hide_in(text)
    for ascii_only in (True, False):
        reply = json.dumps({"id": hidden}, ensure_ascii=ascii_only)
        assert json.loads(vault.restore(reply)) == {"id": text}
    assert vault.restore_value({hidden: [hidden, (hidden,), None, 1.5]}) == {text: [text, [text], None, 1.5]}


@given(texts, st.lists(st.integers(0, 60), max_size=6), st.booleans())
def test_any_split_gives_the_same_as_the_whole(text, cuts, known):
    vault = Vault(max_entries=3)
    shown = vault.hide_in(text) if known else text
    vault.hide(IDS[0])
    places = sorted({0, len(shown), *(min(cut, len(shown)) for cut in cuts)})
    restorer = vault.restorer()
    parts = [restorer.feed(shown[start:end]) for start, end in pairwise(places)]
    assert "".join([*parts, restorer.flush()]) == vault.restore(shown)
    one_by_one = [restorer.feed(character) for character in shown]
    assert "".join([*one_by_one, restorer.flush()]) == vault.restore(shown)


def test_only_what_may_be_half_a_handle_is_held_back():
    vault = Vault()
    for value in IDS[:12]:
        vault.hide(value)
    restorer = vault.restorer()
    assert restorer.feed("restart ") == "restart "
    assert restorer.feed("@") == ""
    assert restorer.feed("1") == ""  # @1 or @12
    assert restorer.feed("") == ""
    assert restorer.feed("2,") == IDS[11] + ","
    assert restorer.feed("\\") == "\\"
    assert restorer.feed("n@1") == "n"
    assert restorer.flush() == IDS[0]
    assert restorer.feed("a") + restorer.feed("@1 ") == "a@1 "  # a word goes on: no handle


def test_a_zero_is_only_taken_away_where_one_was_added():
    vault = Vault()
    assert vault.restore("@05:30") == "@05:30"
    assert vault.hide("@5") == "@05"
    assert vault.restore("@05") == "@5"
    assert len(vault) == 0


def test_a_full_vault_leaves_ids_as_they_are():
    vault = Vault(max_entries=1)
    first, second = IDS[5:7]
    assert [vault.hide(first), vault.hide(second), vault.hide(first)] == ["@1", second, "@1"]
    assert vault.restore(f"@1 {second} @2") == f"{first} {second} @2"
    assert vault.hide_in("@1 @2") == "@01 @02"
    assert len(vault) == 1


@pytest.mark.parametrize("max_entries", [0, -1, 1.5, True, "9", 10**9])
def test_bad_bounds_are_refused(max_entries):
    with pytest.raises(ConfigurationError, match="max_entries="):
        Vault(max_entries=max_entries)


def test_nothing_leaves_the_vault():
    vault = Vault()
    vault.hide("call_a9f7e97965d6cf799a529102")
    assert repr(vault) == str(vault) == "<Vault of 1 ids>"
    assert bool(Vault())
    assert not hasattr(vault, "__dict__")
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never stored nor copied"):
            attempt(vault)


def test_threads_get_the_same_handle_for_the_same_id():
    vault = Vault()
    rng = random.Random(3)
    ids = ["".join(rng.choices(HEX, k=32)) for _ in range(300)]
    start = threading.Barrier(6)
    found: list[dict[str, str]] = []

    def work(seed):
        order = random.Random(seed).sample(ids, len(ids))
        start.wait()
        mine = {value: vault.hide(value) for value in order}
        assert all(vault.restore(handle) == value for value, handle in mine.items())
        found.append(mine)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(mine == found[0] for mine in found)
    assert sorted(found[0].values()) == sorted(f"@{number}" for number in range(1, 301))


def test_the_second_of_two_racing_threads_takes_the_handle_of_the_first(monkeypatch):
    vault = Vault()
    opaque = IDS[0]

    class Race:
        def __enter__(self):
            vault._ids["1"] = opaque
            vault._handles[opaque] = "@1"

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(vault, "_lock", Race())
    assert vault.hide(opaque) == "@1"
    assert len(vault) == 1
