"""What `Compress("auto")` goes by: the file of `llmopt eval compress`, and what is wrong with one."""

from __future__ import annotations

import json

import pytest

from llmopt.compress.choice import Choice, choices, choices_path
from llmopt.errors import ConfigurationError


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    return tmp_path / "llmopt" / "eval_compress.json"


def test_without_a_file_there_is_no_choice(path):
    assert choices_path() == path
    assert choices() == {}


def test_choices_are_read(path):
    path.parent.mkdir()
    entries = {
        "gpt-4o-mini": {"profile": "dense", "accuracy": 1, "date": "2026-11-20", "questions": 200},
        "small": {"profile": "safe", "accuracy": None, "date": 7},
    }
    path.write_text(json.dumps(entries))
    assert choices() == {
        "gpt-4o-mini": Choice("dense", 1.0, "2026-11-20"),
        "small": Choice("safe"),
    }
    assert choices(str(path)) == choices(path)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "eval_compress.json is no result"),
        ("[]", "no JSON object"),
        ('{"m": 1}', "profile of 'm' is None"),
        ('{"m": {"profile": "tiny"}}', "'tiny', which is none of safe, balanced, dense"),
    ],
)
def test_what_is_no_result_is_refused(path, text, wrong):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=wrong):
        choices()


def test_a_folder_in_its_place(path):
    path.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="Run it again"):
        choices()
