"""JSONTestSuite and JSON_checker at every split: the strict stream and orjson agree on each of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import fuzz

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LLMOPT_SHARED_DATA") or ROOT.parent / "shared" / "data") / "json_suites"
SUITES = ("jsontestsuite", "json_checker")
EVERY_SPLIT_UP_TO = 300


def files() -> list[object]:
    found = [path for suite in SUITES for path in sorted((DATA / suite).glob("*.json"))]
    if found:
        return [pytest.param(path, id=f"{path.parent.name}/{path.name}") for path in found]
    reason = f"no JSON suites in {DATA}: set LLMOPT_SHARED_DATA"
    return [
        pytest.param(None, id=f"{suite} absent", marks=pytest.mark.skip(reason=reason)) for suite in SUITES
    ]


def forms(data: bytes) -> list[str | bytes]:
    try:
        return [data, data.decode()]
    except UnicodeDecodeError:
        return [data]


def splits(text):
    yield [text]
    yield [text[at : at + 1] for at in range(len(text))]
    if len(text) <= EVERY_SPLIT_UP_TO:
        yield from ([text[:at], text[at:]] for at in range(len(text) + 1))


@pytest.mark.parametrize("path", files())
def test_the_strict_stream_agrees_with_orjson_at_every_split(path):
    for text in forms(path.read_bytes()):
        want = repr(fuzz.wanted(text))
        for chunks in splits(text):
            assert repr(fuzz.outcome(chunks, mode="strict", path="root")) == want, chunks


@pytest.mark.parametrize("path", files())
def test_names_tell_what_is_accepted(path):
    accepted = fuzz.outcome([path.read_bytes()], mode="strict", path="root") != fuzz.REFUSED
    expected = {"y": True, "n": False, "p": True, "f": False}.get(path.name[0])
    if path.parent.name == "json_checker" and ("EXCLUDE" in path.name or path.name.startswith("README")):
        return
    assert expected in (None, accepted)
